"""The batched environment: N traders, each alone on its own simulated venue, in lock step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.actions import check_actions
from envs.autoreset import Autoreset, Seen
from envs.buffers import Buffers, make_buffers, make_shapes, step_info
from envs.core import Core
from envs.core import Snapshot as CoreSnapshot
from envs.costs import pick_costs
from envs.features import GROUPS, make_schema
from envs.forms import action_form, action_space
from envs.holding import start_lots
from envs.rewards import check_shaping, pick_rewards
from envs.sheet import make_sheet
from envs.shield.limits import Limits, read_limits
from envs.step import Terms
from envs.surface import Surface, check_controls
from envs.text import draw_environment
from sim.backtest import Trader
from sim.engine import Engine
from sim.scenarios import Scenario, synthetic
from sim.types import INTENT, SECOND_NS, UUSD


class Snapshot(NamedTuple):
    """All that decides how a batch goes on."""

    core: CoreSnapshot
    resting: np.ndarray
    seen: Seen


class TradingVectorEnv(VectorEnv):
    """Native :class:`gymnasium.vector.VectorEnv`: one account an environment, in one market or several.

    With one market ``step`` takes ``(N,)`` integers, rows of the action table, and returns ``obs`` float32 ``(N, F)``
    in [-1, 1]. With M markets it takes ``(N, M)``, a row for each market, and returns ``obs`` ``(N, M, F)``, or
    ``(N, M x F)`` with ``flatten``. On a control surface of D coordinates it takes floats in [-1, 1] instead,
    ``(N, D)`` or ``(N, M x D)``, and A below is 0. ``reward`` is float64 ``(N,)``, ``terminated`` and ``truncated`` are
    bool ``(N,)``, and ``info`` is a dictionary of arrays, where ``[M]`` stands for an axis that one market does not
    have:

    * ``costs`` float32 ``(N, K)`` of this step, in the order of ``spec_sheet["costs"]``
    * ``reward_terms`` float64 ``(N, R)`` of this step, unweighted, in the order of ``spec_sheet["rewards"]``
    * ``reward_uusd`` int64 ``(N,)``: change of equity; over an episode it sums to final equity less starting cash
    * ``equity_uusd`` int64 ``(N,)`` after this step
    * ``reject`` int32 ``(N, [M])``: why an action was not sent, see ``sim.types.REJECT_NAMES``; with one market also
      why a message was refused
    * ``venue_reject`` int32 ``(N,)``: why the venue refused the last message it refused in this step, in any market
    * ``reason`` int8 ``(N,)``: why the episode ended in this step, see ``envs.terminations.REASONS``
    * ``action_mask`` bool ``(N, [M], A)``: rows that can be done from the returned observation, market by market: what
      they cost together the venue judges, leg after leg
    * with ``limits``, of the shield: ``shield_reason`` int32 and ``shield_cut`` int64 ``(N, M, 2)``, for each order
      (columns BID and ASK) why it was changed or refused, see ``envs.shield.ORDER_REASONS``, and the lots taken off;
      ``regime`` and ``regime_reason`` int8 ``(N,)`` that hold for the next orders, and why, see ``REGIMES`` and
      ``REGIME_REASONS`` there; ``overshoot_uusd`` int64 ``(N,)``: how far past its trigger the kill switch tripped
    * in SAME_STEP mode, in steps that end an episode: ``final_obs``, shaped as ``obs``, valid where ``_final_obs``, and
      ``final_info``, the entries above but the mask, valid where ``_final_info``

    The arrays of a step stay as they are during the next step, and are written again in the one after it.

    Args:
        num_envs: N.
        scenario: where episodes come from; default synthetic markets with default parameters. Its links are what the
            features of groups ``links`` and ``fair`` are judged by.
        actions: name of an action table, or its rows, see ``envs.actions``; or name of a control surface, or one that
            `envs.surface.make_surface` made.
        features: feature groups of the observation; see docs/features.md.
        hidden: groups among them that stay 0, so that one network can learn with few features and go on with more.
        sizes: contracts of the table's orders that are offered, None = all; see ``envs.actions.make_table``.
        flatten: several markets' features side by side instead of on an axis of their own.
        reward: weights by term, default 1 x pnl; see ``envs.rewards.TERMS`` and docs/rewards.md.
        shaping_gamma: the learner's discount of a step, for the terms that are potentials (``anchor``, ``expansion``,
            ``violation``): they leave its optimum alone where the two are the same.
        costs: names; see ``envs.costs.TERMS``.
        dt_s: market seconds a step takes.
        events_per_step: market events a step takes instead, if given.
        window_s: market seconds after which an episode is truncated.
        cash: dollars an account starts with.
        fill_model: pessimistic, queue, probabilistic or optimistic; see docs/fills.md.
        kill_drawdown: drawdown, as a share of the starting cash, that is charged as the ``kill`` cost. With ``limits``
            the shield's kill switch is charged instead.
        start_contracts: YES contracts that every market begins with, paid for at its mid; see ``envs.holding``.
        staggered: first episodes have shorter windows, so that environments do not all end at once; for training.
        limits: of the shield that certifies every order: `envs.shield.Limits`, the name of a preset, or a mapping of
            ``preset`` and fields that replace its own; None = no shield. See docs/shield.md.
        cross_ticks: ticks past the best opposite quote that a crossing order may pay.
        seed: decides everything random, together with an environment's global number; 0 is a seed.
        first_env: global number of the first environment: a batch may be cut into pieces without changing any result.
        threads: slices of the batch the simulator runs at once; no result depends on it.
        autoreset_mode: one of Gymnasium's three; see ``envs.autoreset``.
        render_mode: None or "ansi".

    Raises ValueError where an argument is not as described.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        scenario: Scenario | None = None,
        actions: str | Sequence[Sequence] | Surface = "taker21",
        features: Sequence[str] = GROUPS,
        hidden: Sequence[str] = (),
        sizes: Sequence[float] | None = None,
        flatten: bool = False,
        reward: Mapping[str, float] | None = None,
        shaping_gamma: float = 1.0,
        costs: Sequence[str] = ("drawdown", "kill", "inventory", "order_rate"),
        dt_s: float = 1.0,
        events_per_step: int | None = None,
        window_s: float = 300.0,
        cash: float = 10_000.0,
        fill_model: str = "queue",
        kill_drawdown: float = 0.05,
        start_contracts: float = 0.0,
        staggered: bool = False,
        cross_ticks: int = 2,
        limits: Limits | str | Mapping[str, Any] | None = None,
        seed: int = 0,
        first_env: int = 0,
        threads: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
    ) -> None:
        _check_settings(dt_s, events_per_step, cash, kill_drawdown, render_mode)
        weights = {"pnl": 1.0} if reward is None else dict(reward)
        self.num_envs = num_envs
        self.schema = make_schema(tuple(features))
        self.table, self.surface = action_form(actions, cross_ticks, sizes)
        self.engine = Engine(
            scenario or synthetic(),
            num_envs,
            seed=seed,
            first_env=first_env,
            window_s=window_s,
            cash_uusd=round(cash * UUSD),
            fill_model=fill_model,
            threads=threads,
        )
        gamma = check_shaping(weights, shaping_gamma, self.engine.scenario.links)
        self.core = Core(
            self.engine,
            self.schema,
            self.table,
            Terms(*pick_rewards(weights), pick_costs(costs), float(kill_drawdown), gamma),
            self.surface,
            dt_s=dt_s,
            events=events_per_step,
            hidden=hidden,
            start_qty=start_lots(start_contracts, self.engine.state.pool["start_uusd"][0], self.engine.world.venue_of),
            stagger_first=staggered,
        )
        self._autoreset = Autoreset(self.core, num_envs, AutoresetMode(autoreset_mode))
        features_count, rows = len(self.schema.features), 0 if self.surface else len(self.table.listed)
        self._shapes = make_shapes(num_envs, self.engine.num_markets, features_count, rows, flatten=flatten)
        sizes = (num_envs, self.engine.num_markets, features_count, rows, len(weights), len(costs))
        self._make_buffers = partial(make_buffers, *sizes)
        self._buffers = (self._make_buffers(), self._make_buffers())
        self._begun = False
        self.staggered = staggered
        self.limits: Limits | None = None
        self.use_limits(limits)
        self.render_mode = render_mode
        self.single_observation_space = gym.spaces.Box(-1.0, 1.0, self._shapes.obs[1:], np.float32)
        self.single_action_space = action_space(rows, self.engine.num_markets, self.surface)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.spec_sheet: dict[str, Any] = make_sheet(
            self.schema, self.table, self.surface,
            markets=self.engine.num_markets, flatten=flatten, costs=costs, rewards=weights,
        )  # fmt: skip
        self.metadata = {"autoreset_mode": self._autoreset.mode, "render_modes": ["ansi"], "render_fps": 1}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode everywhere, or in the rows of ``options["reset_mask"]``, a bool ``(N,)`` array.

        With ``seed`` (0 to 2**63 - 1) episodes start over from that seed's first. Returns the observation and an info
        with ``action_mask``. Raises ValueError for a mask that is not as described, or given together with a seed, and
        for the cost "intervention" where there are no limits.
        """
        super().reset(seed=seed)
        _check_charges(self.spec_sheet["costs"], self.limits)
        mask = _reset_mask(options, self.num_envs)
        if seed is not None:
            if mask is not None:
                raise ValueError("reset: a seed starts every episode over; give it without a reset_mask")
            self.engine.reseed(seed)
        elif mask is not None and not self._begun:
            raise ValueError("reset: the first reset is of all environments, without a reset_mask")
        self._begun = True
        now = self._turn()
        self._autoreset.reset(mask, now)
        return now.obs.reshape(self._shapes.obs), {"action_mask": now.action_mask.reshape(self._shapes.mask)}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a step; see the class, and ``envs.step.play`` for its stages.

        Raises ValueError for an action outside the table, or outside [-1, 1] on a surface, naming environment and
        value, and before the first reset.
        """
        if self.surface is None:
            return self.step_rows(actions)
        if not self._begun:
            raise ValueError("step: call reset first")
        controls = check_controls(actions, self.engine.num_envs, self.engine.num_markets)
        now = self._turn()
        self.core.play_controls(controls, self._autoreset.resting, now)
        return self._stepped(now)

    def step_rows(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a step with rows of ``table``, integers ``(N,)`` or ``(N, M)``, whatever form the actions have.

        With a control surface the table is "full", and baselines that choose rows act through it. Raises ValueError as
        `step` does.
        """
        if not self._begun:
            raise ValueError("step: call reset first")
        chosen = check_actions(actions, self._shapes.reject, len(self.table.listed))
        now = self._turn()
        self.core.play_rows(chosen, self._autoreset.resting, now)
        return self._stepped(now)

    def step_orders(self, orders: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a step with ``orders``, ``(N, M, 2)`` INTENT as `Engine.submit` takes them, and no rows of the table.

        For those who write their own orders, such as compiled strategies (`sim.backtest.Trader`). Raises ValueError for
        another shape or dtype, and before the first reset.
        """
        shape = (self.num_envs, self.engine.num_markets, 2)
        if not self._begun:
            raise ValueError("step_orders: call reset first")
        if orders.shape != shape or orders.dtype != INTENT:
            raise ValueError(f"step_orders: expected INTENT orders {shape}, got {orders.dtype} {orders.shape}")
        now = self._turn()
        self.core.play_orders(orders, self._autoreset.resting, now)
        return self._stepped(now)

    def play_through(self, trader: Trader) -> np.ndarray:
        """Play the episodes that a reset has begun to their ends, ``trader`` writing the orders; ``(N,)`` OUTCOME.

        The results are those of `step_orders` in a loop, without the time that observing takes; nothing but a reset may
        follow. Raises ValueError before the first reset, and for a trader on another engine.
        """
        if not self._begun or trader.engine is not self.engine:
            raise ValueError("play_through: expected a trader on this environment's engine, after a reset")
        return self.core.play_through(trader, self._turn())

    def use_limits(self, limits: Limits | str | Mapping[str, Any] | None) -> None:
        """Put a shield with ``limits`` between decisions and venue, None = leave it as it is. See the class.

        Raises ValueError for limits that are none or that ``start_contracts`` break, for a second shield, and after
        the first reset.
        """
        if limits is None:
            return
        wanted = read_limits(limits)
        if self._begun or self.limits is not None:
            raise ValueError("use_limits: expected an environment without limits and before its first reset")
        self.core.use_limits(wanted)
        self.limits = wanted
        self._buffers = (self._make_buffers(guarded=True), self._make_buffers(guarded=True))

    def lift(self, mask: np.ndarray | None = None) -> int:
        """As an operator, lift the kill switch's latch in the environments of ``mask`` bool ``(N,)``, None = in all.

        They go on as NORMAL, and drawdown and marked loss count from here; order limits know of no lifting. Returns in
        how many it had tripped. Raises ValueError without a shield and for another mask.
        """
        chosen = np.ones(self.num_envs, np.bool_) if mask is None else mask
        if self.limits is None or chosen.shape != (self.num_envs,) or chosen.dtype != np.bool_:
            raise ValueError(
                f"lift: expected an environment with limits and a bool mask ({self.num_envs},), got limits "
                f"{self.limits} and {chosen.dtype} {chosen.shape}"
            )
        return self.core.lift(chosen)

    @property
    def sent(self) -> np.ndarray:
        """``(N, M, 2)`` INTENT, columns BID and ASK: the orders of the last step. Finished episodes sent none."""
        return self.core.sent

    def _stepped(self, now: Buffers) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        final_obs = self._autoreset.finish(now.ended, now)
        return now.obs.reshape(self._shapes.obs), now.reward, now.terminated, now.truncated, self._info(now, final_obs)

    def _turn(self) -> Buffers:
        """The buffers that the last call did not write."""
        self._buffers = self._buffers[::-1]
        return self._buffers[0]

    def _info(self, now: Buffers, final_obs: np.ndarray | None) -> dict[str, Any]:
        info = step_info(now, self._shapes)
        if final_obs is not None:
            info |= {"final_info": info.copy(), "_final_info": now.ended}
            info |= {"final_obs": final_obs.reshape(self._shapes.obs), "_final_obs": now.ended}
        info["action_mask"] = now.action_mask.reshape(self._shapes.mask)
        return info

    def snapshot(self) -> Snapshot:
        """A copy of all that decides how the batch goes on, between two steps."""
        now = self._buffers[0]
        seen = Seen(now.obs.copy(), now.action_mask.copy())
        return Snapshot(self.core.snapshot(), self._autoreset.resting.copy(), seen)

    def restore(self, saved: Snapshot) -> None:
        """Go back to a snapshot of an environment with the same settings. Raises ValueError where shapes differ."""
        if saved.seen.obs.shape != self._buffers[0].obs.shape:
            raise ValueError(f"restore: expected observations {self._buffers[0].obs.shape}, got {saved.seen.obs.shape}")
        self.core.restore(saved.core)
        self._autoreset.recall(saved.resting, Seen(*(array.copy() for array in saved.seen)))
        self._begun = True

    @property
    def bytes_per_env(self) -> int:
        """Memory of all arrays that grow with the number of environments, for each of them."""
        return self.core.bytes_per_env + sum(array.nbytes for now in self._buffers for array in now) // self.num_envs

    def digest(self, first: int = 0, count: int | None = None) -> str:
        """Hash of the state of ``count`` environments from ``first`` on; equal digests mean equal futures."""
        return self.core.digest(first, count, self._autoreset.resting)

    def render(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """With ``render_mode="ansi"``: book, own orders, position and equity of every environment as text."""
        if self.render_mode is None:
            gym.logger.warn('render: no render_mode was given; "ansi" draws the market as text')
            return None
        return tuple(draw_environment(self.engine.world.px_of, self.engine.state, env) for env in range(self.num_envs))


def _check_settings(
    dt_s: float, events_per_step: int | None, cash: float, kill_drawdown: float, render_mode: str | None
) -> None:
    if not round(dt_s * SECOND_NS) > 0:
        raise ValueError(f"environment: dt_s must be positive, got {dt_s}; a step takes at least a nanosecond")
    if events_per_step is not None and events_per_step < 1:
        raise ValueError(f"environment: events_per_step must be at least 1, got {events_per_step}")
    if not cash > 0:
        raise ValueError(f"environment: cash must be positive, got {cash} dollars")
    if not 0 < kill_drawdown <= 1:
        raise ValueError(f"environment: kill_drawdown is a share of the cash in (0, 1], got {kill_drawdown}")
    if render_mode not in (None, "ansi"):
        raise ValueError(f'environment: render_mode must be None or "ansi", got {render_mode!r}')


def _check_charges(costs: Sequence[str], limits: Limits | None) -> None:
    """A cost that can never be charged misleads whoever learns by it. Not sooner than a reset: limits may come late."""
    if limits is None and "intervention" in costs:
        raise ValueError(
            f"reset: costs = {list(costs)} and limits = None: without limits nothing is ever charged as "
            f'"intervention"; give limits, or leave that cost out'
        )


def _reset_mask(options: dict[str, Any] | None, num_envs: int) -> np.ndarray | None:
    unknown = set(options or ()) - {"reset_mask"}
    if unknown:
        raise ValueError(f"reset: unknown options {', '.join(sorted(unknown))}; the only one is reset_mask")
    mask = (options or {}).get("reset_mask")
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.shape != (num_envs,) or mask.dtype != np.bool_ or not mask.any():
        raise ValueError(
            f"reset: reset_mask must be a bool array of shape ({num_envs},) with a True in it, got {mask!r}"
        )
    return mask
