"""What a policy's episodes left behind, as arrays. Everything else in this package is a function of these.

E episodes, T steps of the longest one, K costs, F fills. Paths have T + 1 columns: column 0 is the reset, column
t + 1 what action t led to. Behind an episode's end the last value is repeated, and actions are -1.

An episode of M markets has M *lanes*: lane e x M + m is market m of episode e. What belongs to a market has L = E x M
rows, what belongs to the account has E. With one market a lane is an episode.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evaluation.linked import Linked
from sim.types import SECOND_NS

DAY_NS = 86_400 * SECOND_NS
SYNTHETIC_EPISODES_PER_DAY = 24  # a synthetic market has no calendar: one episode an hour, see `market_days`


PER_EPISODE = (
    "slot", "number", "episode", "row", "tape", "market", "start_ns", "steps", "start_uusd", "final_uusd", "cash_uusd",
    "unrealised_uusd", "reward_uusd", "fees_uusd", "messages", "rejects", "sent_qty", "filled_qty", "ruined",
    "conversion_uusd",
)  # fmt: skip
PER_LANE = ("settled", "payout_px", "converted_qty")
PATHS = ("elapsed_ns", "equity_uusd")
LANE_PATHS = ("mid2_px", "net_qty", "signal_ppm", "latent_ppm")


def _nothing() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Episodes:
    """Finished episodes of one policy, in a fixed order: round k of every environment before round k + 1."""

    # one value per episode, (E,)
    slot: np.ndarray  # int64, position of the environment in its batch
    number: np.ndarray  # int64, the environment's global number
    episode: np.ndarray  # int64, the environment's count of episodes
    row: np.ndarray  # int64, index into the scenario's rows
    tape: np.ndarray  # int64, index into the tape pool, of the first market; -1 in the synthetic market
    market: np.ndarray  # int64, index into `market_names`; -1 in the synthetic market
    start_ns: np.ndarray  # int64
    steps: np.ndarray  # int64
    start_uusd: np.ndarray  # int64, equity after the reset
    final_uusd: np.ndarray  # int64, equity at the end
    cash_uusd: np.ndarray  # int64, cash at the end
    unrealised_uusd: np.ndarray  # int64, mark less cost of what is still held at the end
    reward_uusd: np.ndarray  # int64, sum of the rewards
    fees_uusd: np.ndarray  # int64, paid to the venue, rebates taken off
    messages: np.ndarray  # int64, orders and cancels sent
    rejects: np.ndarray  # int64
    sent_qty: np.ndarray  # int64 lots asked for by orders that were sent
    filled_qty: np.ndarray  # int64 lots filled, both sides together
    ruined: np.ndarray  # bool
    costs: np.ndarray  # (E, K) float64, sums over the episode
    # one value at the reset and after each step, (E, T + 1)
    elapsed_ns: np.ndarray  # int64 since the start
    equity_uusd: np.ndarray  # int64
    # one value per lane, (L,)
    settled: np.ndarray  # bool
    payout_px: np.ndarray  # int64, of one YES contract; -1 where the episode ended before the settlement
    # one value per lane at the reset and after each step, (L, T + 1)
    mid2_px: np.ndarray  # int32, bid + ask
    net_qty: np.ndarray  # int64 lots, YES less NO
    signal_ppm: np.ndarray  # int32, the forecast seen; -1 = none
    latent_ppm: np.ndarray  # int32, the synthetic market's truth; -1 in recordings
    action: np.ndarray  # (L, T) int16; -1 also where the policy wrote orders of its own
    # fills, in the order of episodes and steps, (F,)
    fill: np.ndarray  # FILL
    fill_episode: np.ndarray  # int64, index of the episode here
    fill_step: np.ndarray  # int64, the step it happened in
    # names
    market_names: tuple[str, ...]  # recorded markets; one may be on several tapes
    cost_names: tuple[str, ...]
    action_names: tuple[str, ...]
    # several markets
    num_markets: int = 1  # M
    places: tuple[str, ...] = ()  # what each market is called in tables; () = by its number
    linked: Linked | None = None  # the orders that took, where the markets' links make packages
    converted_qty: np.ndarray = field(
        default_factory=_nothing
    )  # (L,) int64 lots that conversions added to YES less NO; () = none
    conversion_uusd: np.ndarray = field(
        default_factory=_nothing
    )  # (E,) int64: what the contracts so gained stood for, $1 a lot and set
    # with a shield, else None
    interventions: np.ndarray | None = None  # (E,) int64: orders that it changed or refused
    tripped: np.ndarray | None = None  # (E,) bool: its kill switch did

    def __post_init__(self) -> None:
        for name, count in (("converted_qty", len(self.settled)), ("conversion_uusd", len(self.slot))):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(count, np.int64))
        _check_shapes(self)

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def result_uusd(self) -> np.ndarray:
        """``(E,)`` int64: final less starting equity."""
        return self.final_uusd - self.start_uusd

    @property
    def fill_lane(self) -> np.ndarray:
        """``(F,)`` int64: the lane of each fill."""
        return self.fill_episode * self.num_markets + self.fill["market"]

    @property
    def lane_episode(self) -> np.ndarray:
        """``(L,)`` int64: the episode of each lane."""
        return np.arange(len(self.settled)) // self.num_markets

    @property
    def all_settled(self) -> np.ndarray:
        """``(E,)`` bool: every market of the episode has settled."""
        return np.all(self.settled.reshape(len(self), self.num_markets), axis=1)

    @property
    def held_qty(self) -> np.ndarray:
        """``(E, T + 1)`` int64 lots: the net position; with several markets the sum of their sizes."""
        net = self.net_qty.reshape(len(self), self.num_markets, -1)
        return net[:, 0] if self.num_markets == 1 else np.abs(net).sum(axis=1)

    def place(self, market: int) -> str:
        """What a market is called in tables and plots."""
        return self.places[market] if self.places else f"market {market}"

    @property
    def env_steps(self) -> int:
        """Environment steps played, all episodes together."""
        return int(self.steps.sum())


def _check_shapes(episodes: Episodes) -> None:
    """Raise ValueError naming the field whose shape does not fit the others."""
    count, columns = episodes.equity_uusd.shape
    wanted: dict[str, tuple[int, ...]] = dict.fromkeys(PER_EPISODE, (count,))
    lanes = count * episodes.num_markets
    wanted |= dict.fromkeys(PER_LANE, (lanes,))
    wanted |= dict.fromkeys(PATHS, (count, columns)) | dict.fromkeys(LANE_PATHS, (lanes, columns))
    wanted["action"] = (lanes, columns - 1)
    wanted["costs"] = (count, len(episodes.cost_names))
    wanted["fill_episode"] = wanted["fill_step"] = episodes.fill.shape
    for name, shape in wanted.items():
        if getattr(episodes, name).shape != shape:
            raise ValueError(f"Episodes.{name}: expected shape {shape}, got {getattr(episodes, name).shape}")


def clusters(episodes: Episodes) -> np.ndarray:
    """``(E,)`` int64, 0 to C - 1: what a bootstrap draws.

    Episodes of one recorded market share its news, so the market, with all its tapes, is drawn as a whole. Synthetic
    episodes are independent: each is a cluster of its own.
    """
    own = -1 - np.arange(len(episodes))
    return np.unique(np.where(episodes.market >= 0, episodes.market, own), return_inverse=True)[1].astype(np.int64)


def market_days(episodes: Episodes) -> np.ndarray:
    """``(E,)`` int64, 0 to D - 1: the day an episode's result counts for.

    A recorded episode belongs to the UTC day it starts on. A synthetic one has no date: synthetic episodes, in order,
    are cut into floor(count / 24) days of equal size, as if one were played an hour.
    """
    recorded = episodes.tape >= 0
    day = episodes.start_ns // DAY_NS
    synthetic = int((~recorded).sum())
    days = max(1, synthetic // SYNTHETIC_EPISODES_PER_DAY)
    order = np.cumsum(~recorded) - 1
    day = np.where(recorded, day, -1 - order * days // max(1, synthetic))
    return np.unique(day, return_inverse=True)[1].astype(np.int64)


def check_pairs(one: Episodes, other: Episodes) -> None:
    """Check that two policies played the same episodes, so that differences may be paired.

    Raises ValueError naming the first episode that differs.
    """
    if len(one) != len(other):
        raise ValueError(f"paired episodes: expected as many on both sides, got {len(one)} and {len(other)}")
    keys = {
        name: (getattr(one, name), getattr(other, name)) for name in ("number", "episode", "row", "tape", "start_ns")
    }
    keys["first mid2_px"] = one.mid2_px[:, 0], other.mid2_px[:, 0]
    keys["first latent_ppm"] = one.latent_ppm[:, 0], other.latent_ppm[:, 0]
    for name, (ours, theirs) in keys.items():
        if (ours != theirs).any():
            index = int(np.argmax(ours != theirs))
            number = index * len(one) // len(ours)
            raise ValueError(
                f"paired episodes: number {number} has {name} {ours[index]} on one side and {theirs[index]} on the "
                "other; play both with the same scenario, seed and number of environments"
            )


def column_at(episodes: Episodes, episode: np.ndarray, elapsed_ns: np.ndarray) -> np.ndarray:
    """First path column at or after ``elapsed_ns``; ``steps + 1`` where the episode ended before.

    ``episode`` and ``elapsed_ns`` are int64 of one shape; so is the result. Bisection, all rows at once.
    """
    low = np.zeros_like(episode)
    high = episodes.steps[episode] + 1
    while (low < high).any():
        middle = (low + high) // 2
        inside = np.minimum(middle, episodes.steps[episode])
        late = episodes.elapsed_ns[episode, inside] >= elapsed_ns
        searching = low < high
        high = np.where(searching & late, middle, high)
        low = np.where(searching & ~late, middle + 1, low)
    return low


def value2_at(episodes: Episodes, lane: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twice the value of a YES contract of a lane at a path column (price units), and whether it is known.

    The mid while the market trades, the payout from its settlement on. Unknown behind the end of an episode that
    did not settle.
    """
    last = episodes.steps[lane // episodes.num_markets]
    settled = episodes.settled[lane] & (column >= last)
    mid2 = episodes.mid2_px[lane, np.minimum(column, last)].astype(np.int64)
    return np.where(settled, 2 * episodes.payout_px[lane], mid2), settled | (column <= last)
