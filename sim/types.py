"""Units, codes and record layouts. The only place that defines them; see docs/units.md.

==============  =======================  ======  ==========================================
quantity        unit                     suffix  why
==============  =======================  ======  ==========================================
price           1e-4 dollar              _px     every Kalshi and Polymarket tick is a multiple
size            lot = 1e-2 contract      _qty    the smallest order step of both venues
tape size       1e-6 contract            qty     Polymarket prints are that fine
cash and fees   1e-6 dollar              _uusd   price x lots, with no scaling
time            nanoseconds since epoch  _ns     two stamps on a tape: venue and local
==============  =======================  ======  ==========================================

Every market is one book in YES space. A NO order at q is the opposite YES order at 1 - q.
"""

from __future__ import annotations

import numpy as np

PX_ONE = 10_000  # one dollar, in price units
LOTS_PER_CONTRACT = 100
MICRO_PER_LOT = 10_000  # tape size units (1e-6 contract) in one lot
UUSD = 1_000_000  # one dollar, in micro-dollars
PAIR_UUSD = PX_ONE  # micro-dollars one lot of YES and NO together are worth: px x lots needs no scaling
SECOND_NS = 1_000_000_000

# Book sides, in YES space. A taker on side BID buys YES and lifts asks.
BID = 0
ASK = 1

# Outcome legs an order acts on.
YES = 0
NO = 1

# Event kinds of a tape. `px` and `side` are in YES space; `qty` is in 1e-6 contract unless said otherwise.
DELTA = 1  # signed change of one level's size
LEVEL = 2  # new absolute size of one level; 0 removes it
CLEAR = 3  # both sides become empty: the LEVEL rows that follow are a snapshot
TRADE = 4  # print; side = the taker's side, -1 where the venue does not say
QUOTE = 5  # the venue's own best price of a side, for checking; px 0 (bid) or 10000 (ask) = empty; qty -1 = unknown
STATUS = 6  # qty = one of the status codes below
TICKS = 7  # qty = index into the header's tick tables: what orders must obey from now on
FEES = 8  # qty = index into the header's fee schedules
SETTLE = 9  # px = payout of one YES contract, 0 to 10000
SIGNAL = 10  # qty = forecast probability in 1e-6, px = its stated standard error in 1e-4
GAP = 11  # messages were lost; the book is not to be trusted until the next CLEAR
REFERENCE = 12  # qty = price of the underlying in 1e-6 of its quote currency
WIPE = 13  # the venue cancels every resting order (Polymarket: at the start of a game); the book's rows follow
KIND_NAMES = (
    "?", "DELTA", "LEVEL", "CLEAR", "TRADE", "QUOTE", "STATUS", "TICKS", "FEES", "SETTLE", "SIGNAL", "GAP", "REFERENCE",
    "WIPE",
)  # fmt: skip

# Market status.
PENDING = 0
OPEN = 1
PAUSED = 2
CLOSED = 3
SETTLED = 4
HALTED = 5  # the exchange takes nothing at all, cancels included

# What everyone knows of a generated group's event: whether it is void, and its state, once the first market settles.
UNKNOWN = 0
DECIDED = 1
VOID = 2

END_OF_BATCH = 1  # flag: here the book is whole: a venue may spread one match over several messages; see docs/tape.md
INFERRED = 2  # flag: not in the source as such, derived by a stated rule

EVENT = np.dtype(
    [
        ("local_ns", "<i8"),  # when the recorder saw it
        ("venue_ns", "<i8"),  # when the venue says it happened; 0 = not said
        ("qty", "<i8"),  # 1e-6 contract, or as the kind says
        ("px", "<i4"),  # 1e-4 dollar
        ("seq", "<i4"),  # the venue's sequence number; -1 = none
        ("flags", "<u4"),
        ("market", "<u2"),  # index into the header's markets
        ("kind", "u1"),
        ("side", "i1"),
    ]
)

# Time in force.
GTC = 0  # rests until filled or cancelled
IOC = 1  # takes what is there, the rest is cancelled (Polymarket: FAK)
FOK = 2  # all at once or nothing

# Fill models, from the least to the most hopeful.
PESSIMISTIC = 0
QUEUE = 1
PROBABILISTIC = 2
OPTIMISTIC = 3
FILL_MODELS = ("pessimistic", "queue", "probabilistic", "optimistic")

# Why a message of ours was refused, or an order ended. 0 = it was not.
REJECT_NONE = 0
REJECT_MARKET_CLOSED = 1
REJECT_OFF_GRID = 2
REJECT_SIZE = 3
REJECT_CASH = 4
REJECT_NOTHING_TO_REDUCE = 5
REJECT_POST_ONLY_CROSS = 6
REJECT_FOK_UNFILLED = 7
REJECT_NO_SLOT = 8
REJECT_NO_QUOTE = 9
REJECT_PAUSED = 10  # no new orders for now; cancels still work
REJECT_HALTED = 11  # nothing is taken, cancels included
REJECT_POST_ONLY_MODE = 12  # only post-only orders for now
REJECT_ORDER_TYPE = 13  # the venue does not offer this combination
REJECT_EXPIRY = 14  # the expiry lies in the past, or too near
REJECT_NOTIONAL = 15  # price x size is below what an order that trades at once must be worth
REJECT_GROUP = 16  # its order group has been triggered
REJECT_SELF_TRADE = 17  # it would have traded with one of our own
REJECT_DUPLICATE = 18  # the client's order number has been used
REJECT_GONE = 19  # the order to amend is no longer there
REJECT_RATE_LIMIT = 20  # too many messages
REJECT_IN_DELAY = 21  # a cancel came while the venue holds the order back
REJECT_IOC_UNFILLED = 22  # nothing to take
REJECT_EXPIRED = 23  # its time was up
REJECT_BOOK_CLEARED = 24  # the venue emptied the book
REJECT_VENUE = 25  # the venue's own reason, none of the others
REJECT_NOTHING_TO_MERGE = 26  # no pair of YES and NO is free
REJECT_CANNOT_CONVERT = 27  # the venue or the set does not allow it, or the NO are not there
REJECT_NAMES = (
    "none", "market_closed", "off_grid", "size", "cash", "nothing_to_reduce", "post_only_cross", "fok_unfilled",
    "no_slot", "no_quote", "paused", "halted", "post_only_mode", "order_type", "expiry", "notional", "group",
    "self_trade", "duplicate", "gone", "rate_limit", "in_delay", "ioc_unfilled", "expired", "book_cleared", "venue",
    "nothing_to_merge", "cannot_convert",
)  # fmt: skip

# What an environment wants done on one side of one book (the decoder's output, the engine's input).
DO_NOTHING = 0
DO_PLACE = 1  # place, replacing whatever we have on that side
DO_CANCEL = 2  # cancel whatever we have on that side
DO_RESET_GROUP = 3  # a triggered order group takes orders again
DO_MERGE = 4  # no order: up to `qty` pairs of YES and NO of this market into dollars, see sim.sets
DO_CONVERT = 5  # no order: `qty` NO of every market of a set that carries this into dollars and YES of the others

INTENT = np.dtype(
    [
        ("qty", "<i8"),  # lots
        ("budget_uusd", "<i8"),  # a taker's cap on price x size, fee not included; 0 = none
        ("expiry_ns", "<i8"),  # market time at which a GTC order ends by itself; 0 = never
        ("px", "<i8"),  # limit, YES space
        ("do", "<i8"),
        ("leg", "<i8"),  # YES or NO: the holding it changes; side and leg say whether it opens or reduces
        ("tif", "<i8"),
        ("post_only", "<i8"),
    ]
)

FILL = np.dtype(
    [
        ("ns", "<i8"),
        ("qty", "<i8"),  # lots, signed in YES space: + bought
        ("fee_uusd", "<i8"),
        ("order_id", "<i8"),
        ("latent_ppm", "<i4"),  # the synthetic market's true probability; -1 in recordings
        ("px", "<i4"),
        ("mid2_px", "<i4"),  # bid + ask just before the fill, without our orders
        ("sent_mid2_px", "<i4"),  # bid + ask when the order was sent
        ("market", "<i4"),
        ("maker", "<i2"),
        ("leg", "<i2"),
    ]
)
