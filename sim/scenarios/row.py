"""A scenario is a row: every parameter of a market as a named field with a default, bounds and a unit.

Domain randomisation draws rows, a library is a table of rows, Monte Carlo runs many rows. A row is checked once,
here, and is trusted by the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sim.fillfit.table import fill_fields, row_fields

FILL_SET = "kalshi_btc15m"  # the fitted fill model that rows have unless told otherwise


class Field(NamedTuple):
    """One parameter of a scenario."""

    default: float
    low: float
    high: float
    unit: str
    meaning: str


FIELDS: dict[str, Field] = {
    # the belief: a martingale of symmetric jumps that ends at the outcome
    "belief_low": Field(0.2, 0.02, 0.98, "probability", "lowest belief an episode starts from"),
    "belief_high": Field(0.8, 0.02, 0.98, "probability", "highest belief an episode starts from"),
    "life_s": Field(300.0, 1.0, 1e7, "s", "time from the start of an episode to the close of its market"),
    "news_rate": Field(0.25, 0.0, 100.0, "1/s", "arrivals of news: jumps of the belief"),
    "news_size": Field(0.02, 0.0, 0.25, "probability", "size of a jump at belief 1/2; it scales with 4 p (1 - p)"),
    "news_large": Field(0.1, 0.0, 0.25, "probability", "size of a large jump at belief 1/2"),
    "news_large_share": Field(0.0, 0.0, 1.0, "1", "share of news that is large"),
    # how a market ends, and what its venue does; on an environment's clock, after its first market's row
    "close_rate": Field(0.0, 0.0, 1.0, "1/s", "chance of an early close"),
    "scalar": Field(0.0, 0.0, 1.0, "flag", "1 = pays the belief at the close, rounded, and no single outcome"),
    "void_share": Field(0.0, 0.0, 1.0, "1", "probability that a group of markets is void"),
    "void_payout": Field(0.5, 0.0, 1.0, "dollar", "what YES of a void market pays, unless its group says it"),
    "outage_rate": Field(0.0, 0.0, 1.0, "1/s", "trading halts"),
    "outage_s": Field(5.0, 0.001, 3600.0, "s", "mean length of a halt"),
    "stale_rate": Field(0.0, 0.0, 1.0, "1/s", "the feed stands still while the market goes on"),
    "stale_s": Field(2.0, 0.001, 3600.0, "s", "mean length of a standstill"),
    "fee_rate": Field(0.0, 0.0, 1.0, "1/s", "changes between the two fee schedules of a market's place"),
    "tick_rate": Field(0.0, 0.0, 1.0, "1/s", "changes between the two tick tables of a market's place"),
    # the makers
    "maker_rate": Field(1.5, 0.001, 100.0, "1/s", "how often the makers' estimate catches up with the belief"),
    "half_spread": Field(
        0.006, 0.0, 0.2, "dollar", "distance the makers keep from their estimate, before rounding out"
    ),
    "depth": Field(150.0, 1.0, 1e5, "contracts", "mean size a new level is quoted with"),
    "levels": Field(6.0, 1.0, 20.0, "ticks", "how deep behind the touch limit orders and cancels arrive"),
    "add_rate": Field(2.5, 0.0, 1000.0, "1/s", "arrivals of limit orders, both sides together"),
    "add_size": Field(40.0, 0.01, 1e5, "contracts", "mean size of a limit order, where the profile is 1"),
    "cancel_rate": Field(2.5, 0.0, 1000.0, "1/s", "arrivals of cancels, both sides together"),
    "cancel_share": Field(0.5, 0.0, 1.0, "1", "largest share of a level that one cancel takes; uniform from 0"),
    "touch_share": Field(0.0, 0.0, 1.0, "1", "share of limit orders and cancels that come to the makers' own price"),
    "depth_touch": Field(1.0, 0.01, 100.0, "1", "the profile at the makers' price: of new levels and limit orders"),
    "depth_slope": Field(0.0, 0.0, 10.0, "1/tick", "growth of the profile with each tick behind"),
    "depth_decay": Field(0.0, 0.0, 5.0, "1/tick", "fall of the profile with each tick behind: to exp(-this)"),
    "presence": Field(1.0, 0.05, 1.0, "1", "chance that the makers refill an empty level when they reprice"),
    "anchor_strength": Field(0.0, 0.0, 1.0, "1", "pull of 25, 50 and 75 cents on the makers' estimate"),
    "anchor_width": Field(0.03, 0.001, 0.1, "probability", "how far an anchor reaches"),
    "anchor_depth": Field(0.0, 0.0, 50.0, "1", "extra size of a new level at an anchor, in units of the level's own"),
    "widen": Field(0.0, 0.0, 0.2, "dollar", "growth of the half-spread per 100 contracts taken, by anyone"),
    "widen_max": Field(0.05, 0.0, 0.3, "dollar", "most that takers and faders add to the half-spread"),
    "resilience_s": Field(5.0, 0.01, 3600.0, "s", "time in which a widening falls to 1/e"),
    "pull": Field(0.0, 0.0, 1.0, "1", "share of the new touch that the makers pull after a taker of others"),
    # the takers
    "noise_rate": Field(1.3, 0.0, 1000.0, "1/s", "arrivals of takers who know nothing"),
    "noise_size": Field(20.0, 0.01, 1e5, "contracts", "mean size of their orders"),
    "informed_rate": Field(0.3, 0.0, 1000.0, "1/s", "arrivals of takers who know the belief"),
    "informed_size": Field(60.0, 0.01, 1e5, "contracts", "mean size of their orders"),
    "informed_edge": Field(0.01, 0.0, 0.5, "dollar", "edge over the touch below which they stay away"),
    "large_size": Field(150.0, 0.01, 1e5, "contracts", "mean size of the noise takers' large orders"),
    "large_share": Field(0.0, 0.0, 1.0, "1", "share of their orders that are large"),
    "momentum_rate": Field(0.0, 0.0, 1000.0, "1/s", "arrivals of takers who follow the mid"),
    "momentum_size": Field(20.0, 0.01, 1e5, "contracts", "mean size of their orders"),
    "momentum_edge": Field(0.005, 0.0, 0.5, "dollar", "distance of the mid from its average that moves them"),
    "momentum_life_s": Field(10.0, 0.01, 3600.0, "s", "memory of that average"),
    "excite": Field(0.0, 0.0, 0.95, "1", "takers that a taker of others brings about (branching ratio, below 1)"),
    "excite_life_s": Field(2.0, 0.001, 3600.0, "s", "time in which their rate falls to 1/e"),
    "excite_same": Field(0.5, 0.0, 1.0, "1", "chance that they take the same side"),
    # liquidity cascades
    "cascade_rate": Field(0.0, 0.0, 10.0, "1/s", "cascades that begin by themselves"),
    "cascade_size": Field(0.0, 0.0, 1e6, "contracts", "taken by one order of others that begins one; 0 = none does"),
    "cascade_life_s": Field(5.0, 0.01, 3600.0, "s", "how long one lasts"),
    "cascade_pull": Field(0.7, 0.0, 1.0, "1", "share of every level that the makers pull, and do not refill meanwhile"),
    "cascade_widen": Field(0.01, 0.0, 0.3, "dollar", "growth of the half-spread while it lasts"),
    "cascade_follow": Field(5.0, 0.0, 1000.0, "1/s", "takers who follow at first, fewer as `excite_life_s` passes"),
    # opponents: they see our prints, after a delay, and never our size in the book
    "front_rate": Field(0.0, 0.0, 100.0, "1/s", "looks of the front-runner"),
    "front_share": Field(0.3, 0.0, 0.9, "1", "most it takes, as a share of what we took"),
    "front_bias": Field(0.6, 0.0, 1.0, "1", "one-sidedness of our takes above which we are predictable"),
    "front_min": Field(20.0, 0.0, 1e6, "contracts", "what we must have taken lately to be watched"),
    "copy_rate": Field(0.0, 0.0, 100.0, "1/s", "looks of the copier"),
    "copy_share": Field(0.3, 0.0, 0.9, "1", "most it takes, as a share of what we took"),
    "fade_spread": Field(0.0, 0.0, 0.2, "dollar", "growth of the half-spread per 100 contracts we took lately"),
    "fade_depth": Field(0.0, 0.0, 100.0, "1", "new levels are 1 / (1 + this x hundreds of contracts we took lately)"),
    "watch_s": Field(10.0, 0.01, 3600.0, "s", "memory of opponents for what we took, and want of it: to 1/e"),
    "watch_delay_ms": Field(100.0, 0.0, 60_000.0, "ms", "from our print to what they know of it"),
    # the forecast
    "signal_rate": Field(0.0, 0.0, 100.0, "1/s", "arrivals of a forecast; 0 = none"),
    "signal_err_low": Field(0.0, 0.0, 0.2, "probability", "smallest stated standard error of a forecast"),
    "signal_err_high": Field(0.02, 0.0, 0.2, "probability", "largest stated standard error of a forecast"),
    # our own orders
    "order_delay_ms": Field(50.0, 0.0, 60_000.0, "ms", "from our decision to the book, feed delay included"),
    "cancel_delay_ms": Field(50.0, 0.0, 60_000.0, "ms", "the same for a cancel"),
    "used_life_s": Field(5.0, 0.0, 3600.0, "s", "how long liquidity taken from a recorded book stays taken"),
    "trade_share": Field(0.455, 0.0, 1.0, "1", "share of a touch's drop that is a trade where a feed has no trades"),
    # the probabilistic fill model, fitted on recordings: see docs/fill-model.md
    **{name: Field(*field) for name, field in fill_fields(FILL_SET).items()},
    # the queue, see sim.shares and docs/fills.md
    "cancel_rule": Field(1.0, 0.0, 4.0, "code", "cancels ahead: 0 none, 1 proportional, 2 power, 3 log, 4 snapshot"),
    "cancel_power": Field(2.0, 0.1, 10.0, "1", "the power of cancel_rule 2"),
    "late_print_ms": Field(250.0, 0.0, 60_000.0, "ms", "how long after a level's drop its print may come, recordings"),
    "drop_split": Field(0.0, 0.0, 2.0, "code", "drops of a feed without trades: 0 share, 1 whole, 2 vanished"),
    # delays beyond the constant ones, see docs/fills.md
    "feed_delay_ms": Field(0.0, 0.0, 60_000.0, "ms", "added to the delay of every order and cancel"),
    "feed_tail_ms": Field(0.0, 0.0, 60_000.0, "ms", "median of the feed's random delay on top; 0 = none"),
    "feed_tail99_ms": Field(0.0, 0.0, 60_000.0, "ms", "its 99th percentile, log-normal; 0 = exponential"),
    "order_tail_ms": Field(0.0, 0.0, 60_000.0, "ms", "median of an order's random delay on top; 0 = none"),
    "order_tail99_ms": Field(0.0, 0.0, 60_000.0, "ms", "its 99th percentile, log-normal; 0 = exponential"),
    "cancel_tail_ms": Field(0.0, 0.0, 60_000.0, "ms", "median of a cancel's random delay on top; 0 = none"),
    "cancel_tail99_ms": Field(0.0, 0.0, 60_000.0, "ms", "its 99th percentile, log-normal; 0 = exponential"),
    "delay_activity": Field(0.0, 0.0, 10.0, "1", "growth of every delay per unit of log(1 + prints a second)"),
    "delay_spread": Field(0.0, 0.0, 10.0, "1", "growth of every delay per cent of spread beyond the first"),
    "fifo": Field(0.0, 0.0, 1.0, "flag", "1 = a message never overtakes an earlier one of the same market"),
    "taker_delay_ms": Field(
        0.0, 0.0, 60_000.0, "ms", "how long the venue holds back an order that would trade at once"
    ),
    # what the venue does with our orders
    "self_trade": Field(0.0, 0.0, 1.0, "code", "orders of ours meet: 0 the resting one is cancelled, 1 the new one"),
    "group_limit": Field(0.0, 0.0, 1e6, "contracts", "fills in 15 s above which all orders are cancelled; 0 = none"),
    "pause_keeps": Field(0.0, 0.0, 2.0, "code", "in a pause orders: 0 go, 1 stay, 2 stay until the market comes back"),
    "rate_limit": Field(0.0, 0.0, 1e5, "1/s", "messages a venue takes from us, as many at once; 0 = any number"),
    # later fields of the synthetic market: a new one comes last, for draw_rows counts them
    "news_take": Field(
        0.0, 0.0, 1.0, "1", "chance that a taker who knows the belief comes with news, before the makers"
    ),
    "clump": Field(1.0, 1.0, 4.0, "1", "gaps between arrivals are exponential variates to this power: 1 is Poisson"),
}

MAX_TAIL_RATIO = 1000.0  # of a random delay's 99th percentile to its median

ROW = np.dtype([(name, "<f8") for name in FIELDS])


def default_rows(count: int = 1, *, fill_set: str = FILL_SET) -> np.ndarray:
    """``(count,)`` ROW array of defaults, with the fill model that was fitted on ``fill_set``."""
    rows = np.zeros(count, ROW)
    for name, field in FIELDS.items():
        rows[name] = field.default
    for name, value in row_fields(fill_set).items():
        rows[name] = value
    return rows


def make_rows(count: int = 1, *, fill_set: str = FILL_SET, **values: float | np.ndarray) -> np.ndarray:
    """``(count,)`` ROW array: defaults with ``values`` put in, checked. ``fill_set`` as in :func:`default_rows`.

    Raises ValueError for an unknown field or fill set, a value that is not finite or out of bounds, or fields that
    contradict.
    """
    rows = default_rows(count, fill_set=fill_set)
    for name, value in values.items():
        if name not in FIELDS:
            raise ValueError(f"scenario row: no field {name!r}; the fields are {', '.join(FIELDS)}")
        rows[name] = value
    check_rows(rows)
    return rows


def benchmark_rows(count: int = 1) -> np.ndarray:
    """``(count,)`` rows that speed is measured on: the defaults with impact, heavy tails and opponents on."""
    return make_rows(
        count, widen=0.01, large_share=0.1, touch_share=0.2, news_large_share=0.05, front_rate=0.3, copy_rate=0.3,
        fade_spread=0.01, fade_depth=0.1,
    )  # fmt: skip


def check_rows(rows: np.ndarray) -> None:
    """Raise ValueError naming the row, the field, the value and the bounds of the first thing that is wrong."""
    if rows.dtype != ROW or rows.ndim != 1 or len(rows) == 0:
        raise ValueError(
            f"scenario table: expected a non-empty one-dimensional array of ROW, got {rows.dtype}, {rows.shape}"
        )
    for name, field in FIELDS.items():
        column = rows[name]
        bad = ~((column >= field.low) & (column <= field.high))  # NaN fails both
        if bad.any():
            index = int(np.argmax(bad))
            raise ValueError(
                f"scenario row {index}: {name} = {column[index]} {field.unit} lies outside [{field.low}, {field.high}]"
            )
    for low, high in (("belief_low", "belief_high"), ("signal_err_low", "signal_err_high")):
        bad = rows[low] > rows[high]
        if bad.any():
            index = int(np.argmax(bad))
            raise ValueError(f"scenario row {index}: {low} = {rows[low][index]} exceeds {high} = {rows[high][index]}")
    shares = rows["front_share"] + rows["copy_share"]
    if (shares >= 1.0).any():
        index = int(np.argmax(shares >= 1.0))
        raise ValueError(
            f"scenario row {index}: front_share + copy_share = {shares[index]} must stay below 1: opponents who took "
            "as much as we do could be paid for by us"
        )
    _check_venue_side(rows)


def _check_venue_side(rows: np.ndarray) -> None:
    """Codes are whole; a log-normal tail lies above its median, and within a factor in which no delay overflows."""
    for name in ("cancel_rule", "drop_split", "fifo", "self_trade", "pause_keeps", "fill_memory", "fill_move_memory"):
        bad = rows[name] != np.rint(rows[name])
        if bad.any():
            index = int(np.argmax(bad))
            raise ValueError(f"scenario row {index}: {name} = {rows[name][index]} is a code; expected a whole number")
    bad = (rows["rate_limit"] > 0.0) & (rows["rate_limit"] < 1.0)
    if bad.any():
        index = int(np.argmax(bad))
        raise ValueError(
            f"scenario row {index}: rate_limit = {rows['rate_limit'][index]} would pass nothing; expected 0, any, "
            "or 1 message a second and more"
        )
    for name in ("feed", "order", "cancel"):
        median, tail = rows[f"{name}_tail_ms"], rows[f"{name}_tail99_ms"]
        bad = (tail != 0) & ((tail <= median) | (tail > MAX_TAIL_RATIO * median))
        if bad.any():
            index = int(np.argmax(bad))
            raise ValueError(
                f"scenario row {index}: {name}_tail99_ms = {tail[index]} does not fit {name}_tail_ms = "
                f"{median[index]}; expected 0 (exponential), or above it and at most {MAX_TAIL_RATIO:.0f} times it"
            )


def draw_rows(
    count: int,
    ranges: Mapping[str, float | tuple[float, float]],
    seed: int,
    base: np.ndarray | None = None,
    *,
    fill_set: str = FILL_SET,
) -> np.ndarray:
    """``(count,)`` rows, each field of ``ranges`` fixed or drawn uniformly from its (low, high), checked.

    The other fields are those of ``base``, ``(R,)`` ROW that are taken in turn, or their defaults; those of the fill
    model have the values fitted on ``fill_set``. Seed 0 is a seed. The draw of a field depends on the seed and on the
    field's name, not on the other fields.
    """
    values: dict[str, float | np.ndarray] = {}
    for name, wanted in ranges.items():
        if name not in FIELDS:
            raise ValueError(f"scenario ranges: no field {name!r}; the fields are {', '.join(FIELDS)}")
        if isinstance(wanted, (int, float)):
            values[name] = float(wanted)
            continue
        low, high = wanted
        index = list(FIELDS).index(name)
        uniform = np.random.Generator(np.random.Philox(key=[seed, index])).random(count)
        values[name] = low + (high - low) * uniform
    rows = default_rows(count) if base is None else np.resize(base, count)
    for name, value in {**row_fields(fill_set), **values}.items():
        rows[name] = value
    check_rows(rows)
    return rows
