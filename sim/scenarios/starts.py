"""Where a fit begins: the first rows from a recording's facts, and how far each field may be searched.

A market's sessions are split by price (a near-certain market is quoted on finer ticks, in other sizes, and hardly
moves) and by activity: of each price two thirds are calm, one third is busy. Every field of a row has a rule below:
which families of facts can tell it, and its first value: an estimate from moments of the fitted days
(:mod:`sim.scenarios.estimators`, and the formulas below), or a prior where the recording shows none of the families or
SET_BY_HAND names the field.

The constants are priors, set by hand, frozen: no comparison with reported days may change them any more. Where one has
a source it is named beside it; the others are round numbers from which the search sets out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sim.scenarios.estimators import Sizes, clump, followers, sizes
from sim.scenarios.facts import Fact
from sim.scenarios.portfolio import Place
from sim.scenarios.row import FIELDS
from sim.scenarios.splits import SETS
from sim.scenarios.tables import ScenarioTable, TableRow, Value

REACH = 8.0  # a searched quantity stays within this factor of its first value
LEAST_SECONDS = 300.0  # of known book in the fitted part, over all prices
ACTIVITY = (0.6, 1.8)  # first factors of activity, calm and busy: 2/3 x 0.6 + 1/3 x 1.8 = 1, the mean stays
UNEVEN = {"kalshi_weather": (0.2, 2.6)}  # where hours pass between bursts; 2/3 x 0.2 + 1/3 x 2.6 = 1
# First values that are nobody's moments: a recording tells them only through the search. `informed_rate` is one taker
# in fifty, `informed_edge` none, `widen` and `resilience_s` as good as no impact: priors for want of markouts.
SET_BY_HAND = frozenset({
    "informed_rate", "informed_edge", "informed_size", "news_take", "excite_life_s", "excite_same", "widen",
    "resilience_s", "presence", "cancel_share",
})  # fmt: skip
EXCITE_SAME = 0.85  # of followers' sides; recordings tell only how many follow times how alike they are
NEWS_TAKE = 0.3  # every third news is somebody's trade before makers know: a guess
SIZES = Sizes(10.0, 140.0, 0.18)  # where no prints are recorded: those of Kalshi's crypto, see docs/market.md
_CANCEL_SHARE = 0.5
_LEVELS = 12
_PARTS = 6  # into which the prices' shares of time are rounded


class Price(NamedTuple):
    """Sessions by the price they begin at."""

    name: str
    low: float
    high: float
    buckets: tuple[str, ...]


PRICES = (
    Price("0 to 5 cents", 0.02, 0.05, ("0-5",)),
    Price("5 to 10 cents", 0.05, 0.10, ("5-10",)),
    Price("10 to 50 cents", 0.10, 0.50, ("10-20", "20-40", "40-50")),
)
PLACES = {
    "kalshi_crypto": Place("kalshi", "quadratic", "tapered_deci_cent"),
    "kalshi_sports": Place("kalshi", "quadratic_with_maker_fees", "linear_cent"),
    "kalshi_weather": Place("kalshi", "quadratic", "linear_cent"),
    "polymarket_sports": Place("polymarket", "sports", "0.01"),
    "polymarket_crypto": Place("polymarket", "crypto", "0.01"),
}
# Seconds that a session lasts: about as long as a market stays in one state; not a market's whole life.
LIVES_S = {
    "kalshi_crypto": 90.0,
    "kalshi_sports": 300.0,
    "kalshi_weather": 3600.0,
    "polymarket_sports": 1200.0,
    "polymarket_crypto": 180.0,
}


class Knob(NamedTuple):
    """A field that a fit may turn."""

    field: str
    families: frozenset[str]  # facts that tell it; a recording without any of them leaves it alone
    linear: bool = False  # searched over its whole range, else by factors
    shared: bool = False  # one value for all rows


def _knob(field: str, *families: str, linear: bool = False, shared: bool = False) -> Knob:
    return Knob(field, frozenset(families), linear, shared)


KNOBS = (
    _knob("clump", "messages", shared=True),
    _knob("maker_rate", "moves"),
    _knob("half_spread", "spread"),
    _knob("widen", "spread"),
    _knob("resilience_s", "spread"),
    _knob("presence", "spread", linear=True),
    _knob("depth", "depth"),
    _knob("depth_touch", "depth"),
    _knob("depth_slope", "depth"),
    _knob("depth_decay", "depth"),
    _knob("add_rate", "messages", "moves"),
    _knob("cancel_rate", "messages", "moves"),
    _knob("add_size", "touch", "depth"),
    _knob("cancel_share", "touch", "depth", linear=True),
    _knob("touch_share", "touch", "moves", linear=True),
    _knob("news_rate", "moves"),
    _knob("news_size", "moves"),
    _knob("news_large", "moves"),
    _knob("news_large_share", "moves"),
    _knob("news_take", "touch", linear=True, shared=True),
    _knob("informed_size", "touch", shared=True),
    _knob("noise_rate", "trades", "moves"),
    _knob("noise_size", "trades", shared=True),
    _knob("large_size", "trades", shared=True),
    _knob("large_share", "trades", shared=True),
    _knob("excite", "flow", linear=True, shared=True),
    _knob("excite_life_s", "flow", shared=True),
    _knob("excite_same", "flow", linear=True, shared=True),
)


def knobs_for(name: str) -> tuple[Knob, ...]:
    """The knobs that the recordings of the set ``name`` can tell."""
    shown = frozenset[str]().union(*(source.feed.families for source in SETS[name].sources))
    return tuple(knob for knob in KNOBS if knob.families & shown)


def bounds_of(knob: Knob, start: float) -> tuple[float, float]:
    """Lowest and highest value searched, inside the field's own bounds."""
    field = FIELDS[knob.field]
    if knob.linear:
        return field.low, field.high
    return max(field.low, start / REACH), min(field.high, start * REACH)


def first_table(name: str, facts: Mapping[str, Fact]) -> ScenarioTable:
    """Rows made by hand from the ``facts`` of the fitted part of the set ``name``.

    Raises ValueError where the fitted part shows too little: no price with a spread and moves, or less than
    LEAST_SECONDS of book in all.
    """
    seconds = {price: sum(facts[f"spread/{bucket}"].amount for bucket in price.buckets) for price in PRICES}
    total = sum(seconds.values())
    if total < LEAST_SECONDS:
        raise ValueError(
            f"calibrate: {name}: {total:g} seconds of known two-sided book in the fitted part; expected at least "
            f"{LEAST_SECONDS:g}: record more, or fit another kind"
        )
    usable = [price for price in PRICES if _known(facts, "spread", price) and _known(facts, "move_5s", price)]
    if not usable:
        raise ValueError(
            f"calibrate: {name}: no price bucket of the fitted part shows spread and moves; expected at least one of "
            f"{', '.join(bucket for price in PRICES for bucket in price.buckets)}"
        )
    rows = []
    for price in usable:
        copies = max(1, round(_PARTS * seconds[price] / total))
        calm, busy = UNEVEN.get(name, ACTIVITY)
        for state, activity, times in (("calm", calm, 2), ("busy", busy, 1)):
            rows.append(_first_row(name, facts, price, state, activity, copies * times))
    return ScenarioTable(SETS[name].title, name, PLACES[name], tuple(rows))


def _first_row(
    name: str, facts: Mapping[str, Fact], price: Price, state: str, activity: float, copies: int
) -> TableRow:
    told = {knob.field for knob in knobs_for(name)} - SET_BY_HAND
    values = {
        "belief_low": price.low, "belief_high": price.high, "life_s": LIVES_S[name], "levels": float(_LEVELS),
        "clump": clump(facts["interarrival"]),
        **_takers(facts, price, activity), **_book(facts, price, activity), **_news(facts, price, activity),
    }  # fmt: skip
    entries = {}
    for field, value in values.items():
        inside = float(np.clip(value, FIELDS[field].low, FIELDS[field].high))
        entries[field] = Value(float(f"{inside:.6g}"), "moments" if field in told else "prior")
    return TableRow(f"{price.name}, {state}", entries, copies)


def _takers(facts: Mapping[str, Fact], price: Price, activity: float) -> dict[str, float]:
    """Rate and sizes of takers: quantiles of two exponentials, the orders a second."""
    mixture = sizes(facts["trade_size"]) or SIZES
    rate = facts["trade_rate"].values[0] if facts["trade_rate"].known else _of(facts, "mid_changes", price, 0, 0.5)
    excite = followers(facts["flow"], EXCITE_SAME)
    return {
        "noise_rate": max(0.002, rate * activity * (1.0 - excite)),
        "informed_rate": 0.02 * rate * activity,
        "informed_edge": 0.0,
        "informed_size": 300.0,
        "news_take": NEWS_TAKE if facts["touch_trade_share"].known else 0.0,
        "noise_size": mixture.mean,
        "large_size": mixture.large_mean,
        "large_share": mixture.large_share,
        "excite": excite,
        "excite_life_s": 3.0,
        "excite_same": EXCITE_SAME,
    }


def _book(facts: Mapping[str, Fact], price: Price, activity: float) -> dict[str, float]:
    """Quotes, sizes, and the orders that come and go: as much as keeps every level at its mean size."""
    busy = activity > 1.0  # quotes the spread's 90 %, else the median
    middle, wide = _of(facts, "spread", price, 1, 1.0), _of(facts, "spread", price, 2, 1.0)
    tick = min(1.0, _of(facts, "spread", price, 0, 1.0))
    half = 0.0001 + (0.0045 * (wide - tick) if busy else (0.0025 if tick == 1.0 else 0.0045) * (middle - tick))
    changes = _of(facts, "mid_changes", price, 0, 0.5)
    orders = facts["trade_rate"].values[0] if facts["trade_rate"].known else 0.0
    rate = max(0.5 * _of(facts, "message_rate", price, 0, 4.0 * changes) * activity**0.5, 0.01)
    touch, depth, slope, decay = _profile(facts, price)
    size = 0.5 * _CANCEL_SHARE * depth
    at_touch = _of(facts, "touch_turnover", price, 1, 0.2 * rate * size * touch) * activity**0.5 / (rate * size * touch)
    return {
        "maker_rate": max(0.02, 6.0 * max(changes, orders) * activity**0.5),
        "half_spread": max(half, 0.0001),
        "widen": 0.00002, "resilience_s": 2.0, "presence": 0.75 if wide > 1.5 * middle else 0.95,
        "depth": depth, "depth_touch": touch, "depth_slope": slope, "depth_decay": decay,
        "add_rate": rate, "cancel_rate": rate, "add_size": max(size, 0.05), "cancel_share": _CANCEL_SHARE,
        "touch_share": min(0.8, max(0.05, at_touch - 1.0 / _LEVELS)),
    }  # fmt: skip


def _profile(facts: Mapping[str, Fact], price: Price) -> tuple[float, float, float, float]:
    """``depth_touch``, ``depth``, ``depth_slope`` and ``depth_decay`` nearest to the median sizes, in logarithms."""
    own = [facts[f"depth/{bucket}"] for bucket in price.buckets]
    known = [fact for fact in own if fact.known]
    if not known:
        return 1.0, 100.0, 0.0, 0.0
    by_level: dict[int, list[float]] = {}
    for fact in known:
        for part, value in zip(fact.parts, fact.values, strict=True):
            by_level.setdefault(int(part.removeprefix("bid").removeprefix("ask")), []).append(value)
    logs = {level: float(np.median(np.log1p(values))) for level, values in by_level.items()}
    behind = np.array([level - 1 for level in logs if level > 1])
    if not len(behind):
        return 1.0, max(1.0, float(np.exp(logs[1]))), 0.0, 0.0
    wanted = np.array([logs[level] for level in logs if level > 1])
    best = (np.inf, 0.0, 0.0, 0.0)
    for slope in (0.01, 0.1, 0.3, 1.0, 3.0):
        for decay in (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5):
            shape = np.log1p(slope * behind) - decay * behind
            away = wanted - shape
            best = min(best, (float(np.abs(away - np.median(away)).sum()), float(np.median(away)), slope, decay))
    depth = max(1.0, 1.4 * float(np.exp(best[1])))  # a mean, from medians
    return min(50.0, max(0.05, float(np.exp(logs[1])) / depth)), depth, best[2], best[3]


def _news(facts: Mapping[str, Fact], price: Price, activity: float) -> dict[str, float]:
    """Jumps of the belief like the mid's: median, a share of large ones, the variance of moves over 5 s."""
    middle = 0.5 * (price.low + price.high)
    share = 4.0 * middle * (1.0 - middle)  # of a jump at one half that remains at this price
    jump, largest = _of(facts, "jump", price, 0, 0.5), _of(facts, "jump", price, 1, 2.0)
    changes = _of(facts, "mid_changes", price, 0, 0.5)
    # Half a tick is what the mid moves where small news takes one side over the next price: half of them do
    size, often = (0.5 * jump, 1.6) if jump <= 0.5 else (jump, 1.4)
    if changes < 0.2:
        often *= 0.5  # in a quiet market most changes are quotes that come and go, not news
    rate = max(0.01, often * changes)
    variance = (_of(facts, "move_5s", price, 1, 1.0) / 1.64) ** 2 / 5.0 / rate  # a jump, cents
    large = max(2.0 * size, 0.8 * largest)
    some = min(0.5, max(0.015, (variance - size**2) / large**2))
    return {
        "news_rate": rate * activity, "news_size": min(0.2, size / 100 / share), "news_large_share": some,
        "news_large": min(0.24, large / 100 / share),
    }  # fmt: skip


def _known(facts: Mapping[str, Fact], family: str, price: Price) -> bool:
    return any(facts[f"{family}/{bucket}"].known for bucket in price.buckets)


def _of(facts: Mapping[str, Fact], family: str, price: Price, component: int, otherwise: float) -> float:
    """Median over the price's buckets of one component; ``otherwise`` where none is known."""
    own = [facts[f"{family}/{bucket}"] for bucket in price.buckets]
    found = [fact.values[component] for fact in own if fact.known]
    return float(np.median(found)) if found else otherwise
