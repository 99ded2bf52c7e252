"""The stylised facts of a market: what a recording and a synthetic market are compared by; see docs/realism.md.

A fact is a short vector under a stable name: ``spread/20-40`` where the mid of the cheaper leg is between 20 and 40
cents, ``trade_size`` for all prices. A fact that the data cannot speak of carries a reason and no values: it is never
zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np

from sim.scenarios.pooled import LAGS_ORDERS, LAGS_S, Pool, weighted_quantiles
from sim.scenarios.trace import FULL, Feed, Trace, markets_of, trace
from sim.types import ASK, BID, EVENT

# Buckets of the mid price in cents, lower edge inside. Edges that end at 50 are of the cheaper leg: a market of YES at
# 70 cents is one of NO at 30, its YES asks are NO bids, and both count together.
EDGES = (0, 5, 10, 20, 40, 50)
YES_EDGES = (0, 5, 10, 20, 40, 60, 80, 90, 95, 100)
SPREAD_PROBS = (0.10, 0.50, 0.90, 0.99)
GAP_PROBS = (0.10, 0.50, 0.90, 0.99)
SIZE_PROBS = (0.10, 0.25, 0.50, 0.75, 0.90, 0.99)
MOVE_PROBS = (0.50, 0.90, 0.99)
JUMP_PROBS = (0.50, 0.99)
DEPTH_LEVELS = (1, 2, 3, 5, 10)
HORIZONS_S = (1, 5, 30)

LEAST_SECONDS = 60.0  # of known two-sided book, in the bucket
LEAST_MOVES = 100  # starts of moves in the bucket
LEAST_JUMPS = 50
LEAST_GAPS = 200
LEAST_TRADES = 100
LEAST_PAIRS = 500  # for autocorrelations
_PX_A_CENT = 100

Kind = Literal["positive", "share", "correlation"]


@dataclass(frozen=True)
class Fact:
    """One fact: ``values[i]`` is the component ``parts[i]``; no values, and why, where the data cannot say."""

    name: str
    family: str  # of sim.scenarios.trace.FAMILIES: what a feed must show for it
    kind: Kind  # positive: compared by log ratio; share and correlation: by difference
    unit: str
    parts: tuple[str, ...]
    values: tuple[float, ...] = ()
    resolution: float = 0.0  # of positive facts, in their unit: added to both before the ratio is taken
    amount: float = 0.0  # how much data it rests on, in the unit of ``basis``
    basis: str = ""
    missing: str = ""  # why there are no values

    @property
    def known(self) -> bool:
        """Whether the data could say."""
        return bool(self.values)


def facts_of(events_list: Sequence[np.ndarray], feed: Feed = FULL, edges: Sequence[float] = EDGES) -> dict[str, Fact]:
    """Facts of several streams together, each an array of EVENT rows; a stream of several markets is split.

    Every name of :func:`fact_names` is in the result. Raises ValueError where no stream is given, or as
    :func:`sim.scenarios.trace.trace` and :func:`facts_from` do.
    """
    traces = [trace(market, feed) for events in events_list for market in markets_of(events)]
    return facts_from(traces, feed, edges)


def facts_from(traces: Sequence[Trace], feed: Feed = FULL, edges: Sequence[float] = EDGES) -> dict[str, Fact]:
    """As :func:`facts_of`, from traces made with the same ``feed``.

    Raises ValueError for no traces, or edges that do not ascend from 0 to 50 or 100 cents.
    """
    if not traces:
        raise ValueError("facts: expected at least one stream of events with rows, got none")
    if len(edges) < 2 or edges[0] != 0 or edges[-1] not in (50, 100) or any(b <= a for a, b in pairwise(edges)):
        raise ValueError(f"facts: edges must ascend from 0 to 50 or to 100 cents, got {tuple(edges)}")
    pool = Pool(traces, feed, edges)
    nothing = Pool([trace(np.zeros(0, EVENT))], feed, edges)
    found: dict[str, Fact] = {}
    for family, build in _BUILDERS:
        if family in feed.families:
            found.update((fact.name, fact) for fact in build(pool))
        else:
            why = f"the feed does not show {family}"
            found.update((fact.name, replace(fact, missing=why)) for fact in build(nothing))
    return found


def fact_names(edges: Sequence[float] = EDGES) -> tuple[str, ...]:
    """Names of all facts, in the order of :func:`facts_from`."""
    return tuple(facts_from([trace(np.zeros(0, EVENT))], FULL, edges))


def to_json(facts: Mapping[str, Fact]) -> str:
    """The facts as one JSON object by name."""
    return json.dumps({name: asdict(fact) for name, fact in facts.items()}, indent=1)


def from_json(text: str) -> dict[str, Fact]:
    """Facts of :func:`to_json`. Raises ValueError where the text is not of that form."""
    try:
        return {
            name: Fact(**{**fields, "parts": tuple(fields["parts"]), "values": tuple(fields["values"])})
            for name, fields in json.loads(text).items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"facts: expected an object of facts as to_json writes it, got {error!r}") from error


def labels(probs: Sequence[float]) -> tuple[str, ...]:
    """``p10`` for 0.10."""
    return tuple(f"p{100 * p:g}" for p in probs)


def _made(
    empty: Fact, amount: float, least: float, basis: str, values: Callable[[], Sequence[float] | np.ndarray]
) -> Fact:
    """``empty`` with its values, where there is data enough."""
    fact = replace(empty, amount=float(amount), basis=basis)
    if amount < least:
        return replace(fact, missing=f"too little data: {amount:g} {basis}, at least {least:g} are needed")
    computed = tuple(float(value) for value in values())
    if not all(math.isfinite(value) for value in computed):
        return replace(fact, missing="not defined on this data (no variation)")
    return replace(fact, values=computed)


def _ratios(amounts: Sequence[float], total: float) -> list[float]:
    return [float(amount) / total for amount in amounts]


def _spreads(pool: Pool) -> Iterator[Fact]:
    for bucket, name in enumerate(pool.names):
        own = pool.state_bucket == bucket
        empty = Fact(f"spread/{name}", "spread", "positive", "cents", labels(SPREAD_PROBS))
        values = partial(weighted_quantiles, pool.spread_px[own] / _PX_A_CENT, pool.state_s[own], SPREAD_PROBS)
        yield _made(empty, pool.seconds[bucket], LEAST_SECONDS, "seconds", values)


def _depths(pool: Pool) -> Iterator[Fact]:
    shown = [level for level in DEPTH_LEVELS if level <= pool.feed.levels]
    parts = tuple(f"{side}{level}" for side in ("bid", "ask") for level in shown)
    columns = [(side, level - 1) for side in (BID, ASK) for level in shown]
    for bucket, name in enumerate(pool.names):
        own = pool.depth_bucket == bucket
        empty = Fact(f"depth/{name}", "depth", "positive", "contracts", parts, resolution=1.0)
        values = partial(_medians, pool.depth[own], pool.depth_s[own], columns)
        yield _made(empty, pool.depth_amount(own), pool.least_depth, pool.depth_basis, values)


def _medians(sizes: np.ndarray, weights: np.ndarray, columns: Sequence[tuple[int, int]]) -> list[float]:
    return [float(weighted_quantiles(sizes[:, side, level], weights, (0.5,))[0]) for side, level in columns]


def _rates(pool: Pool) -> Iterator[Fact]:
    for bucket, name in enumerate(pool.names):
        seconds = pool.seconds[bucket]
        empty = Fact(f"message_rate/{name}", "messages", "positive", "changes/s", ("mean",), resolution=0.001)
        yield _made(empty, seconds, LEAST_SECONDS, "seconds", partial(_ratios, [pool.messages[bucket]], seconds))


def _gaps(pool: Pool) -> Iterator[Fact]:
    empty = Fact("interarrival", "messages", "positive", "ms", labels(GAP_PROBS), resolution=0.1)
    values = partial(weighted_quantiles, pool.gap_ms, None, GAP_PROBS)
    yield _made(empty, len(pool.gap_ms), LEAST_GAPS, "gaps", values)


def _mid_changes(pool: Pool) -> Iterator[Fact]:
    for bucket, name in enumerate(pool.names):
        seconds = pool.seconds[bucket]
        empty = Fact(f"mid_changes/{name}", "moves", "positive", "changes/s", ("mean",), resolution=0.001)
        yield _made(empty, seconds, LEAST_SECONDS, "seconds", partial(_ratios, [len(pool.jumps[bucket])], seconds))
    for bucket, name in enumerate(pool.names):
        jumps = pool.jumps[bucket]
        empty = Fact(f"jump/{name}", "moves", "positive", "cents", labels(JUMP_PROBS), resolution=0.05)
        values = partial(weighted_quantiles, jumps, None, JUMP_PROBS)
        yield _made(empty, len(jumps), LEAST_JUMPS, "mid changes", values)


def _moves(pool: Pool) -> Iterator[Fact]:
    for horizon in HORIZONS_S:
        moves, where = pool.moves(horizon)
        for bucket, name in enumerate(pool.names):
            own = moves[where == bucket]
            empty = Fact(f"move_{horizon}s/{name}", "moves", "positive", "cents", labels(MOVE_PROBS), resolution=0.25)
            yield _made(empty, len(own), LEAST_MOVES, "starts", partial(weighted_quantiles, own, None, MOVE_PROBS))


def _touch(pool: Pool) -> Iterator[Fact]:
    for bucket, name in enumerate(pool.names):
        seconds, both = pool.seconds[bucket], [pool.removed[bucket], pool.added[bucket]]
        parts = ("removed", "added")
        empty = Fact(f"touch_turnover/{name}", "touch", "positive", "contracts/s", parts, resolution=0.01)
        yield _made(empty, seconds, LEAST_SECONDS, "seconds", partial(_ratios, both, seconds))
    share = Fact("touch_trade_share", "touch", "share", "of contracts removed at the best prices", ("traded",))
    if pool.says_traded:
        values = partial(_ratios, [pool.touch_traded], pool.touch_removed or math.nan)
        yield _made(share, pool.touch_trades, LEAST_TRADES, "trades", values)
    else:
        yield replace(share, missing="the feed says nothing of trades beside its book")


def _trades(pool: Pool) -> Iterator[Fact]:
    sizes = pool.order_sizes
    empty = Fact("trade_size", "trades", "positive", "contracts", labels(SIZE_PROBS), resolution=0.01)
    yield _made(empty, len(sizes), LEAST_TRADES, "orders", partial(weighted_quantiles, sizes, None, SIZE_PROBS))
    parts = ("orders", "contracts")
    empty = Fact("trade_rate", "trades", "positive", "orders/s, contracts/s", parts, resolution=0.001)
    values = partial(_ratios, [len(sizes), sizes.sum()], pool.recorded_s)
    yield _made(empty, len(sizes), LEAST_TRADES, "orders", values)


def _clustering(pool: Pool) -> Iterator[Fact]:
    parts = tuple(f"{lag}s" for lag in LAGS_S)
    empty = Fact("clustering", "clustering", "correlation", "autocorrelation of |1 s move|", parts)
    pairs, values = pool.clustering()
    yield _made(empty, pairs, LEAST_PAIRS, "pairs", lambda: values)


def _flow(pool: Pool) -> Iterator[Fact]:
    parts = tuple(f"lag{lag}" for lag in LAGS_ORDERS)
    empty = Fact("flow", "flow", "correlation", "autocorrelation of the takers' sides", parts)
    pairs, values = pool.flow()
    yield _made(empty, pairs, LEAST_PAIRS, "pairs", lambda: values)


_BUILDERS: tuple[tuple[str, Callable[[Pool], Iterator[Fact]]], ...] = (
    ("spread", _spreads),
    ("depth", _depths),
    ("messages", _rates),
    ("messages", _gaps),
    ("moves", _mid_changes),
    ("moves", _moves),
    ("touch", _touch),
    ("trades", _trades),
    ("clustering", _clustering),
    ("flow", _flow),
)
