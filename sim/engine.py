"""A batch of simulated venues as an object: what Python calls, checked and spread over slices of the batch.

One step is ``submit`` (intents go on the wire) and ``advance`` (everything up to the next decision happens); the work
is done in :mod:`sim.loop` and :mod:`sim.episodes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from itertools import pairwise

import numpy as np

from sim import state as arrays
from sim.episodes import reset_slice
from sim.latency import NEVER_NS
from sim.loop import ANY_NUMBER, advance_slice, finish_slice, submit_slice
from sim.rng import FORK, fold, philox, share_ends
from sim.scenarios import Scenario
from sim.scenarios.flow import draw_anew
from sim.state import FILL_SLOTS, State
from sim.types import FILL_MODELS, INTENT, PX_ONE, SECOND_NS, UUSD


class Engine:
    """A batch of environments, each an agent's account in M markets on one venue or two.

    Args:
        scenario: where episodes come from.
        num_envs: how many run side by side.
        seed: 0 to 2**63 - 1; 0 is a seed. With the environment's global number it decides everything random.
        first_env: global number of the first environment, so that a batch can be cut into pieces.
        window_s: market seconds after which an episode is cut off; ``inf`` = play to the end.
        cash_uusd: what the account starts with: one number, split evenly over the venues, or one for each venue.
        ruin_uusd: equity below which an episode ends; default the venue's smallest order at $1 a contract.
        fill_model: one of ``sim.types.FILL_MODELS``.
        threads: slices of the batch that run at once. Results do not depend on it.

    Raises ValueError for arguments out of range.
    """

    def __init__(
        self,
        scenario: Scenario,
        num_envs: int,
        *,
        seed: int = 0,
        first_env: int = 0,
        window_s: float = 300.0,
        cash_uusd: int | Sequence[int] = 10_000 * UUSD,
        ruin_uusd: int | None = None,
        fill_model: str = "queue",
        threads: int = 1,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"engine: num_envs must be at least 1, got {num_envs}")
        if fill_model not in FILL_MODELS:
            raise ValueError(f"engine: no fill model {fill_model!r}; the models are {', '.join(FILL_MODELS)}")
        if not window_s > 0:
            raise ValueError(f"engine: window_s must be positive, got {window_s}")
        if threads < 1:
            raise ValueError(f"engine: threads must be at least 1, got {threads}")
        venues = scenario.venues
        cash = _purses(cash_uusd, len(venues))
        ruin = min(rules.min_qty for rules in venues) * PX_ONE if ruin_uusd is None else ruin_uusd
        if sum(cash) <= ruin:
            raise ValueError(
                f"engine: an account of {sum(cash)} micro-dollars is ruined from the start, at {ruin} or less"
            )
        self.scenario = scenario
        self.num_envs = num_envs
        self.grid = scenario.grid
        self.world = scenario.world()
        self.num_markets = len(scenario.places)
        self.state: State = arrays.allocate(
            num_envs, len(self.grid.px_of), num_markets=self.num_markets, num_venues=len(venues),
            num_states=int(self.world.first_state[-1]), num_sets=len(self.world.sets.sets), replay=bool(scenario.tapes),
            stale=bool((scenario.rows["stale_rate"] > 0).any()),
        )  # fmt: skip
        account = self.state.account
        account["number"] += first_env
        account["start_uusd"] = sum(cash)
        account["ruin_uusd"] = ruin
        account["window_ns"] = NEVER_NS if np.isinf(window_s) else round(window_s * SECOND_NS)
        account["fill_model"] = FILL_MODELS.index(fill_model)
        self.state.pool["start_uusd"] = cash
        self.state.pool["netting"] = [rules.netting for rules in venues]
        self.state.pool["min_qty"] = [rules.min_qty for rules in venues]
        self.state.pool["min_take_uusd"] = [rules.orders.min_take_uusd for rules in venues]
        self.state.pool["lead_ns"] = [rules.orders.lead_ns for rules in venues]
        self.state.pool["early_ns"] = [rules.orders.early_ns for rules in venues]
        self.state.pool["amends"] = [int(rules.amends) for rules in venues]
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._everyone = np.ones(num_envs, np.bool_)
        self._pinned = np.full(num_envs, -1)
        self.slices = _split(num_envs, threads)
        self._workers = ThreadPoolExecutor(threads) if threads > 1 else None
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start over with another seed: every environment waits for its episode 0."""
        index = self.state.market["index"].copy()
        self.state.market[:] = np.zeros(1, self.state.market.dtype)  # no trace of what was, so that digests agree
        self.state.market["index"] = index
        self.state.account["fills"] = 0
        self.state.book[:] = 0
        self.state.frozen[:] = np.zeros(1, self.state.market.dtype)
        self.state.frozen_book[:] = 0
        self.state.account["seed"] = fold(seed)
        self.state.account["episode"] = -1
        self.state.account["done"] = 1

    def spread(self, function: Callable[[int, int], None]) -> None:
        """Call ``function(first, last)`` for every slice of the batch, as many at once as there are threads."""
        if self._workers is None:
            function(0, self.num_envs)
        else:
            list(self._workers.map(lambda bounds: function(*bounds), self.slices))

    def reset(self, mask: np.ndarray | None = None) -> None:
        """Begin the next episode of every environment in ``mask``, a (N,) bool array; None = of all."""
        chosen = self._everyone if mask is None else mask
        self.spread(lambda first, last: reset_slice(self.world, self.state, first, last, chosen, self._pinned))
        self.terminated[chosen] = False
        self.truncated[chosen] = False

    def pin(self, rows: np.ndarray, numbers: np.ndarray | None = None) -> None:
        """From the next reset on environment i plays row ``rows[i]`` of the scenario, ``(N,)`` integers, none drawn.

        ``numbers`` ``(N,)``: new global numbers. Environments of one number meet the same chance, so that two rows can
        be compared on common random numbers. Raises ValueError for other shapes, and rows that the scenario lacks.
        """
        count = len(self.scenario.rows)
        for name, values in (("rows", rows), ("numbers", rows if numbers is None else numbers)):
            if values.shape != (self.num_envs,) or not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
                raise ValueError(f"engine: expected {name} ({self.num_envs},) integers from 0 on, got {values!r}")
        if rows.max() >= count:
            raise ValueError(f"engine: environments cannot be pinned to row {rows.max()}: the scenario has {count}")
        self._pinned = rows.astype(np.int64)
        if numbers is not None:
            self.state.account["number"] = numbers

    def weigh(self, weights: np.ndarray) -> None:
        """From the next reset on an episode plays row r with a probability in proportion to ``weights[r]``, ``(R,)``.

        Those that are pinned keep their rows. Raises ValueError for weights that are none, or another number of them,
        and where the scenario's rows are played in turn.
        """
        count = len(self.scenario.rows)
        if self.scenario.sequential or weights.shape != (count,):
            raise ValueError(
                f"engine: expected {count} weights, and rows that are not played in turn; got {weights.shape}"
            )
        self.world = self.world._replace(row_ends=share_ends(weights))

    def submit(self, intents: np.ndarray) -> None:
        """Put ``intents``, a (N, M, 2) INTENT array with columns BID and ASK, on the wire; the last journal goes.

        Raises ValueError for another shape or dtype.
        """
        shape = (self.num_envs, self.num_markets, 2)
        if intents.shape != shape or intents.dtype != INTENT:
            raise ValueError(f"engine: expected INTENT intents of shape {shape}, got {intents.dtype} {intents.shape}")
        self.spread(lambda first, last: submit_slice(self.world, self.state, first, last, intents))

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` of market time pass, then mark the accounts. Finished episodes stand still.

        Raises ValueError where that is not at least a nanosecond.
        """
        if not round(seconds * SECOND_NS) > 0:
            raise ValueError(f"engine: expected to advance by at least a nanosecond, got {seconds} s")
        self._move(round(seconds * SECOND_NS), ANY_NUMBER)

    def advance_events(self, count: int) -> None:
        """Let ``count`` market events pass, then mark the accounts. Raises ValueError for a count below 1."""
        if count < 1:
            raise ValueError(f"engine: expected to advance by at least one event, got {count}")
        self._move(0, count)

    def _move(self, step_ns: int, max_events: int) -> None:
        def run(first: int, last: int) -> None:
            advance_slice(self.world, self.state, first, last, step_ns, max_events)
            self.check_journal(finish_slice(self.state, first, last, self.terminated, self.truncated))

        self.spread(run)

    def check_journal(self, env: int) -> None:
        """Raise RuntimeError for an environment whose fills its journal could not hold; -1 = there is none."""
        if env >= 0:
            count = self.state.account["n_fills"][env]
            raise RuntimeError(
                f"engine: environment {env} had {count} fills in one step, the journal holds {FILL_SLOTS} "
                "(one an order and price): use a tighter limit, or a shorter step"
            )

    def snapshot(self) -> State:
        """A copy of all state."""
        return arrays.snapshot(self.state)

    def restore(self, saved: State) -> None:
        """Go back to a snapshot of an engine of the same shape."""
        arrays.restore(self.state, saved)
        finish_slice(self.state, 0, self.num_envs, self.terminated, self.truncated)

    def fork(self, copies: int, *, split: bool = False) -> Engine:
        """An engine with ``copies`` of every environment side by side: those of environment i start at i x copies.

        A copy goes on bit for bit as the original would. With ``split`` each copy but the first draws its own random
        numbers from here on; common stays what has been decided before: when the next arrival, follower and shock
        come and messages under way arrive, and what is known of events. Raises ValueError for fewer than one copy.
        """
        if copies < 1:
            raise ValueError(f"engine: expected to fork into at least one copy, got {copies}")
        twin = copy(self)
        twin.num_envs = self.num_envs * copies
        twin.state = arrays.repeat(self.state, copies)
        twin.terminated, twin.truncated = self.terminated.repeat(copies), self.truncated.repeat(copies)
        twin._everyone = np.ones(twin.num_envs, np.bool_)
        twin._pinned = self._pinned.repeat(copies)
        twin.slices = _split(twin.num_envs, len(self.slices))
        if split:
            branch = np.arange(twin.num_envs) % copies
            seeds = twin.state.account["seed"]
            for env in np.flatnonzero(branch):
                seeds[env] = philox(int(seeds[env]), 0, int(branch[env]), FORK, 0, 0)[0]
            draw_anew(twin.state.account, twin.state.market)
        return twin

    def digest(self, first: int = 0, count: int | None = None) -> str:
        """Hash of the state of ``count`` environments from ``first`` on."""
        return arrays.digest(self.state, first, count)


def _purses(cash_uusd: int | Sequence[int], venues: int) -> list[int]:
    """Starting cash of each venue; an odd micro-dollar goes to the first."""
    if isinstance(cash_uusd, Sequence):
        if len(cash_uusd) != venues:
            raise ValueError(f"engine: expected cash for {venues} venues, got {list(cash_uusd)}")
        return [int(cash) for cash in cash_uusd]
    share = int(cash_uusd) // venues
    return [int(cash_uusd) - share * (venues - 1)] + [share] * (venues - 1)


def _split(count: int, parts: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, count, parts + 1).astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]
