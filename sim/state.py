"""All mutable state of a batch of environments, as plain arrays with the environment as the leading axis.

A snapshot is a copy, a restore is a copy back, a digest is a hash of the bytes. Nothing else in the simulator
holds state: what is not here does not survive a snapshot.

Three record arrays, the books and the clocks hold everything. ``account`` has one record per environment, with
the step's fills inside; ``pool`` one per environment and venue: the cash there, which does not reach the other venue;
``market`` one per market slot (``env * markets + market``), with our position, our orders and our messages in flight
inside. A kernel gets records by pointer, which is why they are records: a tuple of thirty arrays would be copied at
every call. All integers have 64 bits, so that a kernel is compiled once and not once per width.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from sim.activity import ACTIVITY
from sim.types import FILL
from sim.venues.amend import ORDER_GROUP

ORDER_SLOTS = 4  # own orders per market: one wanted a side, and as many whose cancel is still in flight
MESSAGE_SLOTS = 8  # own messages in flight per market
BLOCKS = 8  # arrivals of the synthetic market whose random words are computed at once
FILL_SLOTS = 32  # fills journalled per environment and step

POSITION = np.dtype(
    [
        ("yes_qty", "<i8"),
        ("no_qty", "<i8"),
        ("yes_held_qty", "<i8"),  # promised to resting orders that reduce
        ("no_held_qty", "<i8"),
        ("yes_cost_uusd", "<i8"),  # what the YES held cost, fees left out
        ("no_cost_uusd", "<i8"),
        ("realised_uusd", "<i8"),  # closed results, before fees
        ("converted_qty", "<i8"),  # what conversions of its set have added to YES less NO this episode
    ]
)

ORDER = np.dtype(
    [
        ("id", "<i8"),  # 0 = free slot
        ("qty", "<i8"),  # remaining lots
        ("filled_qty", "<i8"),
        ("ahead_qty", "<i8"),  # queue in front of us at our level
        ("credit_qty", "<i8"),  # printed at our level, its level change still to come
        ("reserved_uusd", "<i8"),
        ("front_qty", "<i8"),  # `ahead_qty` before the drops in `debit_qty`
        ("debit_qty", "<i8"),  # lots the level lost that a print coming late may explain
        ("debit_ns", "<i8"),  # when it lost the last of them
        ("debit_mid2_px", "<i8"),  # bid + ask before it lost the first of them
        ("late", "<i8"),  # 1 while a print is served that explains part of the debit
        ("expiry_ns", "<i8"),  # when it ends by itself; 0 = never
        ("overshoot_uusd", "<i8"),  # rounding paid so far and not yet rebated
        ("entry_ns", "<i8"),
        ("drawn_ns", "<i8"),  # last time the probabilistic model drew
        ("hazard", "<f8"),  # probability of a fill within a life, frozen at entry
        ("sent_mid2_px", "<i8"),
        ("px", "<i8"),
        ("level", "<i8"),
        ("draws", "<i8"),  # times the probabilistic model has drawn
        ("side", "<i8"),
        ("leg", "<i8"),
        ("reduce", "<i8"),
        ("leaving", "<i8"),  # our cancel is on its way
    ]
)

# Kinds of messages.
NEW = 0  # an order
CANCEL = 1
AMEND = 2  # `qty` = what the order has been filled and what it wants besides
RESET = 3  # of the order group

MESSAGE = np.dtype(
    [
        ("due_ns", "<i8"),  # 0 = free slot
        ("sent", "<i8"),  # running number: of two messages due at once the earlier one arrives first
        ("id", "<i8"),  # the order's number
        ("qty", "<i8"),
        ("budget_uusd", "<i8"),
        ("px", "<i8"),
        ("sent_mid2_px", "<i8"),
        ("expiry_ns", "<i8"),  # of the order; 0 = never
        ("kind", "<i8"),  # one of the kinds below; all but a new order act on order `id`
        ("held", "<i8"),  # 1 = it has arrived, and the venue holds it back before it may trade
        ("side", "<i8"),
        ("leg", "<i8"),
        ("reduce", "<i8"),
        ("tif", "<i8"),
        ("post_only", "<i8"),
        ("leaving", "<i8"),  # its cancel is on its way too
    ]
)

POOL = np.dtype(
    [
        ("cash_uusd", "<i8"),  # owned, reservations included
        ("reserved_uusd", "<i8"),  # locked by resting orders that may open a position
        ("counterparty_uusd", "<i8"),  # cash of everyone else, starting at 0
        ("fees_uusd", "<i8"),  # paid to the venue, net of rebates
        ("escrow_uusd", "<i8"),  # $1 per open pair, less what sets were returned
        ("start_uusd", "<i8"),  # cash an episode starts with
        ("netting", "<i8"),  # 1: YES and NO of one market offset at once
        ("min_qty", "<i8"),  # the venue's smallest order, lots
        ("min_take_uusd", "<i8"),  # least price x size of a buy that trades at once
        ("lead_ns", "<i8"),  # an expiry must lie at least this far ahead
        ("early_ns", "<i8"),  # an order ends this long before its expiry
        ("amends", "<i8"),  # 1: orders shrink in place
        ("paid_until_ns", "<i8"),  # the rate limit: up to here our messages have used their turns
    ]
)

ACCOUNT = np.dtype(
    [
        ("start_uusd", "<i8"),  # cash of all venues that an episode starts with
        ("equity_uusd", "<i8"),  # over all venues, at the last step's mark
        ("peak_uusd", "<i8"),  # highest equity of the episode
        ("now_ns", "<i8"),
        ("start_ns", "<i8"),
        ("end_ns", "<i8"),  # end of the window: the episode is truncated here
        ("step", "<i8"),
        ("episode", "<i8"),
        ("window_ns", "<i8"),  # how long an episode may last
        ("ruin_uusd", "<i8"),  # equity below which it ends
        ("seed", "<i8"),
        ("fill_model", "<i8"),
        ("number", "<i8"),  # the environment's global number: part of every random counter
        ("next_id", "<i8"),  # next number of an order or a message
        ("events", "<i8"),  # market events applied in this episode
        ("sent_qty", "<i8"),  # lots of all orders sent this episode
        ("row", "<i8"),  # index into the scenario table
        ("shocks", "<i8"),  # random blocks that came on the environment's own clock this episode
        ("n_fills", "<i8"),  # rows of `fills` written in this step
        ("n_messages", "<i8"),  # orders and cancels sent in this step
        ("n_rejects", "<i8"),  # in this step
        ("last_reject", "<i8"),
        ("gap", "<i8"),  # a feed broke: truncated
        ("ruined", "<i8"),
        ("done", "<i8"),  # waiting for a reset
        ("fills", FILL, (FILL_SLOTS,)),  # what was filled in this step
    ]
)

MARKET = np.dtype(
    [
        ("index", "<i8"),  # 0 to markets - 1
        ("venue", "<i8"),  # which of the environment's pools it trades on
        ("row", "<i8"),  # index into the compiled scenario rows
        ("tape", "<i8"),  # index into the tape pool; -1 in the synthetic market
        ("cursor", "<i8"),  # next row of the tape; -1 in the synthetic market
        ("cursor_end", "<i8"),
        ("has_prints", "<i8"),  # the tape shows trades
        ("event_ns", "<i8"),  # when the synthetic market next moves
        ("flow_ns", "<i8"),  # when its next arrival comes
        ("stop_ns", "<i8"),  # when it next does something else: closes, reopens, a follower comes
        ("cascade_until_ns", "<i8"),  # a liquidity cascade lasts until then: ground truth, never observed
        ("draws", "<i8"),  # random blocks its arrivals have used this episode
        ("words", "<u4", (2, BLOCKS)),  # of the coming arrivals: kind, place; see sim.scenarios.blocks
        ("expo", "<u4", (2 * BLOCKS,)),  # and their exponential variates: waits, then sizes
        ("bid_rank", "<i8"),  # where the synthetic makers quote: number of the price in the tick table
        ("ask_rank", "<i8"),
        ("last_rank", "<i8"),  # how many prices the tick table has
        ("wide_ppm", "<f8"),  # what takers have added to the makers' half-spread, as of `wide_ns`
        ("wide_ns", "<i8"),
        ("due_ns", "<i8"),  # when our next message arrives at the venue
        ("returns", "<i8"),  # 1: its set's worst case is returned as collateral, see sim.sets
        ("moved", "<i8"),  # 1: position or payout changed and the set's collateral has not been looked at since
        ("open_ns", "<i8"),
        ("close_ns", "<i8"),  # when trading is expected to end
        ("book_ns", "<i8"),  # last change of the book
        ("trade_ns", "<i8"),  # last print
        ("signal_ns", "<i8"),  # last forecast
        ("signal_ppm", "<i8"),  # forecast probability; -1 = none
        ("signal_err_ppm", "<i8"),  # its stated standard error
        ("latent_ppm", "<i8"),  # the synthetic market's belief; -1 in recordings
        ("fair_ppm", "<i8"),  # the synthetic makers' estimate
        ("last_qty", "<i8"),  # size of the last print
        ("bought_qty", "<i8"),  # taken from the asks since the last observation
        ("sold_qty", "<i8"),  # taken from the bids since the last observation
        ("bid_added_qty", "<i8"),  # size added to the bids since the last observation, by others
        ("ask_added_qty", "<i8"),
        ("bid_removed_qty", "<i8"),  # cancelled or traded since the last observation, by others
        ("ask_removed_qty", "<i8"),
        ("bid_total_qty", "<i8"),  # size resting over all levels
        ("ask_total_qty", "<i8"),
        ("best_bid", "<i8"),  # level; -1 = none
        ("best_ask", "<i8"),  # level; the ladder's length = none
        ("mid2_px", "<i8"),  # bid + ask of the last two-sided book
        ("last_px", "<i8"),  # price of the last print; -1 = none yet
        ("last_side", "<i8"),  # its taker's side
        ("n_events", "<i8"),  # since the last observation
        ("n_prints", "<i8"),  # since the last observation
        ("status", "<i8"),
        ("payout_px", "<i8"),  # -1 until settled
        ("fate", "<i8"),  # what is known of its group's event in the synthetic market; see sim.types
        ("tick_grid", "<i8"),  # the tick table orders must obey now
        ("fee", "<i8"),  # the fee schedule in force
        ("low", "<i8"),  # the lowest and the highest level quoted since the reset: the bounds of every scan
        ("high", "<i8"),
        ("in_snapshot", "<i8"),  # a CLEAR has come and its levels are still coming
        ("live_orders", "<i8"),  # how many of `orders` rest in the book
        ("sweep_mid2_px", "<i8"),  # bid + ask before the present run of prints
        ("owed_qty", "<f8"),  # lots of drops that still have to count as traded, see `drop_split`
        ("group", ORDER_GROUP),  # fills of the last seconds
        ("resume_ns", "<i8"),  # when a halt ends
        ("stale_until_ns", "<i8"),  # the feed stands still until then, see sim.feed
        ("burst_ns", "<i8"),  # when the next follower comes
        ("burst_side", "<i8"),  # the side that followers take
        ("bursts", "<i8"),  # random blocks that followers have used this episode
        ("excess", "<f8"),  # their rate in 1/s, as of `excess_ns`
        ("excess_ns", "<i8"),
        ("cascade_side", "<i8"),  # the side that a cascade takes
        ("anchor_px", "<i8"),  # the anchor that pulls the makers' estimate; -1 = none: ground truth, never observed
        ("trend2_px", "<f8"),  # average of bid + ask that momentum takers compare with
        ("trend_ns", "<i8"),
        ("ours_net_qty", "<f8"),  # what opponents remember of our takes: bought less sold
        ("ours_all_qty", "<f8"),  # bought and sold
        ("ours_ns", "<i8"),
        ("unseen_net_qty", "<i8"),  # what we took that they do not know of yet: bought less sold
        ("unseen_all_qty", "<i8"),  # bought and sold
        ("unseen_ns", "<i8"),  # when they will
        ("front_qty", "<f8"),  # what the front-runner may still take, + buys; it forgets that, as of `ours_ns`
        ("copy_qty", "<f8"),  # what the copier may still take; the same
        ("activity", ACTIVITY),  # what its public events add up to
        ("position", POSITION),
        ("orders", ORDER, (ORDER_SLOTS,)),  # ours, resting
        ("messages", MESSAGE, (MESSAGE_SLOTS,)),  # ours, in flight
    ]
)

# Rows of a book: sizes shown by others, and in replay what we took from a recorded book and when.
USED_QTY = 2  # + side
USED_NS = 4  # + side


class State(NamedTuple):
    """Shapes: N environments, V venues, M markets, K = N x M slots, L ladder levels, S netting sets.

    The views are no fields: a view of one environment is contiguous and one of several is not, so a kernel that got
    them would be compiled once for each.
    """

    account: np.ndarray  # (N,) ACCOUNT
    pool: np.ndarray  # (N, V) POOL
    market: np.ndarray  # (K,) MARKET
    book: np.ndarray  # (K, 2, L) int64 lots shown by others, never ours; (K, 6, L) in replay, see USED_QTY and USED_NS
    clock: np.ndarray  # (N, M + 1) int64: when each market next moves, or our next message arrives there; then the
    # environment's own: news, halts and whatever else comes from outside
    belief: np.ndarray  # (N, S) int64 ppm: probabilities of the outcome states of the synthetic markets' groups
    returned: np.ndarray  # (N, S) int64: micro-dollars of collateral that each set has been returned
    frozen: np.ndarray  # (2 K,) MARKET: of each slot what its feed showed when it stood still, and a place for a look;
    frozen_book: np.ndarray  # (2 K, 2, L) int64, the same; both empty where no feed ever does

    @property
    def messages(self) -> np.ndarray:
        """(K, MESSAGE_SLOTS) MESSAGE: a view into ``market``."""
        return self.market["messages"]

    @property
    def fills(self) -> np.ndarray:
        """(N, FILL_SLOTS) FILL: a view into ``account``."""
        return self.account["fills"]

    @property
    def position(self) -> np.ndarray:
        """(K,) POSITION: a view into ``market``."""
        return self.market["position"]

    @property
    def orders(self) -> np.ndarray:
        """(K, ORDER_SLOTS) ORDER: a view into ``market``."""
        return self.market["orders"]


def allocate(
    num_envs: int, num_levels: int, *, num_markets: int = 1, num_venues: int = 1, num_states: int = 2,
    num_sets: int = 0, replay: bool = False, stale: bool = False,
) -> State:  # fmt: skip
    """Zeroed state of ``num_envs`` environments on a ladder of ``num_levels`` levels.

    ``replay`` adds the rows that remember liquidity taken from a recorded book, ``stale`` room for feeds that stand
    still.
    """
    slots = num_envs * num_markets
    account = np.zeros(num_envs, ACCOUNT)
    pool = np.zeros((num_envs, num_venues), POOL)
    market = np.zeros(slots, MARKET)
    book = np.zeros((slots, 6 if replay else 2, num_levels), np.int64)
    account["number"] = np.arange(num_envs)
    market["index"] = np.arange(slots) % num_markets
    clock, belief = np.zeros((num_envs, num_markets + 1), np.int64), np.zeros((num_envs, num_states), np.int64)
    returned, rows = np.zeros((num_envs, num_sets), np.int64), 2 * slots if stale else 0
    frozen, frozen_book = np.zeros(rows, MARKET), np.zeros((rows, 2, num_levels), np.int64)
    return State(account, pool, market, book, clock, belief, returned, frozen, frozen_book)


def snapshot(state: State) -> State:
    """A deep copy."""
    return State(*(array.copy() for array in state))


def repeat(state: State, copies: int) -> State:
    """Every environment ``copies`` times in a row."""
    return State(*(_repeat(array, len(state.account), copies) for array in state))


def _repeat(array: np.ndarray, num_envs: int, copies: int) -> np.ndarray:
    rows = len(array) // num_envs  # of one environment; -1 would not do for an array without columns
    each = array.reshape(num_envs, rows, *array.shape[1:])
    return each.repeat(copies, axis=0).reshape(num_envs * copies * rows, *array.shape[1:])


def restore(state: State, saved: State) -> None:
    """Copy ``saved`` back into ``state``. Raises ValueError where shapes differ."""
    for name, array, other in zip(State._fields, state, saved, strict=True):
        if array.shape != other.shape:
            raise ValueError(f"state.{name}: cannot restore shape {other.shape} into {array.shape}")
        array[...] = other


def digest(state: State, first: int = 0, count: int | None = None) -> str:
    """SHA-256 over the bytes of environments ``first`` to ``first + count``; equal digests mean equal futures."""
    envs = len(state.account)
    last = envs if count is None else first + count
    result = hashlib.sha256()
    for array in state:
        rows = len(array) // envs  # of one environment
        result.update(np.ascontiguousarray(array[first * rows : last * rows]).tobytes())
    return result.hexdigest()
