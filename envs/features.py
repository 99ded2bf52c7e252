"""The schema of the observation: named features in groups, versioned and hashed. ``envs.observe`` computes them.

Scalings are fixed (``sim.scales``): ``part(x, h) = x / (x + h)``, ``soft(x, h) = x / (abs(x) + h)``. Every feature lies
in [-1, 1] by construction; nothing is clipped. Book features never contain our own orders.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sim import scales as s
from sim.activity import ANSWER_NS, BUCKET_S, NEAR_PX
from sim.types import SECOND_NS

VERSION = 3
ANCHOR_REACH_PX = 1000  # farther than this from an anchor the size resting there does not count
FAIR_STALE_S = 30.0  # a source of the fair value older than this does not count
FAIR_OUTLIER = 0.1  # dollars from the middle source from which on one does not count
FAIR_FLOOR = 0.001  # dollars in a second: no market is calmer than this
DEPTH = 5  # quoted levels a side
SCAN = 64  # ladder levels searched a side for them


class Feature(NamedTuple):
    """One column of an observation."""

    name: str
    group: str
    formula: str
    low: float = 0.0
    high: float = 1.0


def _sizes(side: str) -> list[Feature]:
    ordinal = ("best", "2nd", "3rd", "4th", "5th")
    return [
        Feature(
            f"{side}_size_{i + 1}",
            "book",
            f"part(contracts at the {ordinal[i]} {side} level, {s.SIZE_HALF:g}); 0 = none",
        )
        for i in range(DEPTH)
    ]


def _orders(side: str) -> list[Feature]:
    behind = "best bid - price" if side == "bid" else "price - best ask"
    return [
        Feature(f"own_{side}_live", "orders", f"1 where an order of ours rests on the {side} side; the newest counts"),
        Feature(
            f"own_{side}_distance", "orders", f"soft(({behind}) / tick, {s.DISTANCE_HALF:g}); 0 = at the touch", -1.0
        ),
        Feature(f"own_{side}_size", "orders", f"part(contracts left of it, {s.SIZE_HALF:g})"),
        Feature(f"own_{side}_queue", "orders", "queue ahead / (queue ahead + left)"),
        Feature(f"own_{side}_age", "orders", f"part(seconds it has rested, {s.AGE_HALF:g})"),
    ]


_MOVE = f"{s.MOVE_HALF:g}"
_MONEY = f"{s.MONEY_HALF:g}"
_LIVES = [f"{4**power * BUCKET_S * 4:.1f} s" for power in range(3)]  # half-lives: fast, middle, slow
_FAST, _MIDDLE, _SLOW = _LIVES


def _flows() -> list[Feature]:
    return [
        Feature(
            f"taker_imbalance_{name}", "flow",
            f"(bought - sold) / (bought + sold + {s.FLOW_FLOOR:g}), contracts of takers, half-life {life}", -1.0,
        )
        for name, life in zip(("fast", "middle", "slow"), _LIVES, strict=True)
    ]  # fmt: skip


def _anchors() -> list[Feature]:
    distances = [
        Feature(f"anchor_{cents}", "anchors", f"soft(mid - {cents / 100:g}, {s.ANCHOR_HALF:g})", -1.0)
        for cents in (25, 50, 75)
    ]
    near = f"{NEAR_PX / 100:g} cents"
    return [
        *distances,
        Feature(
            "anchor_spread", "anchors",
            f"(m - spread) / (m + spread) x 0.05 / (0.05 + abs(mid - nearest anchor)); m = mean spread, {_SLOW}; "
            "crossed = 0", -1.0,
        ),
        Feature(
            "anchor_volume", "anchors",
            f"share of the printed contracts that printed within {near} of an anchor, half-life {_SLOW}",
        ),
        Feature("anchor_time", "anchors", f"share of the time that the mid was that near, half-life {_SLOW}"),
        Feature(
            "anchor_size", "anchors", "of the size resting within 3 cents of the nearest anchor the share at it; "
            f"0 = the mid is farther than {ANCHOR_REACH_PX / 100:g} cents from it",
        ),
        Feature(
            "anchor_break", "anchors",
            f"soft(mid - its mean over {_MIDDLE}, {_MOVE}), + = away from the nearest anchor", -1.0,
        ),
        Feature("anchor_wall", "anchors", f"mean of `anchor_size` over the looks of an agent, half-life {_SLOW}"),
    ]  # fmt: skip


def _liquidity() -> list[Feature]:
    group = "liquidity"
    return [
        Feature("velocity", group, f"soft(mid - its mean over {_MIDDLE}, {_MOVE})", -1.0),
        Feature(
            "drop_rate", group, f"part(sum of the mid's falls from bucket to bucket, half-life {_MIDDLE}, {_MOVE})"
        ),
        Feature(
            "spread_expansion", group,
            f"soft(spread - its mean over {_SLOW}, {s.SPREAD_HALF:g}); 0 = a side is empty", -1.0,
        ),
        Feature("depth_drop", group, f"(m - size) / (m + size); size resting on both sides, m its mean, {_SLOW}", -1.0),
        Feature(
            "removal_rate", group,
            f"r / (r + a + {s.SIZE_HALF:g}); contracts removed and added by others, half-life {_FAST}",
        ),
        Feature(
            "taker_burst", group,
            f"16 p / (16 p + q + {s.PRINTS_HALF:g}); prints with half-lives {_FAST} and {_SLOW}; about 1/2 = steady",
        ),
        Feature("cascade", group, "(max(0, depth_drop) + taker_burst x abs(taker_imbalance_fast)) / 2"),
    ]  # fmt: skip


def _links() -> list[Feature]:
    group = "links"
    return [
        Feature(
            "link_correlation", group,
            "of this mid's moves with those of the market it is linked to, v as in volatility; 0 = no link", -1.0,
        ),
        Feature("link_violation", group, f"soft(dollars by which the mids break a bound, {s.EDGE_HALF:g}); 0 = none"),
        Feature(
            "link_edge", group,
            "soft(dollars a set gains if the best bound it is in is traded now at the touch, all legs, after fees, "
            f"{s.EDGE_HALF:g}); + = an arbitrage, -1 = a leg has no quote", -1.0,
        ),
        Feature("link_size", group, f"part(contracts of each leg that the touch gives, {s.SIZE_HALF:g}); 0 = no gain"),
        Feature("link_basis", group, f"soft(mid - what the other legs say it should be, {s.EDGE_HALF:g})", -1.0),
    ]  # fmt: skip


def _opponents() -> list[Feature]:
    group, watch = "opponents", f"{ANSWER_NS / SECOND_NS:.1f} s"
    return [
        Feature(
            "risk_aversion", group,
            f"(a - m) / (a + m); mean spread within {watch} of our trades, and always; 0 = no trade yet", -1.0,
        ),
        Feature(
            "response_time", group,
            f"part(mean seconds from a trade of ours to the book's next change, {s.RESPONSE_HALF:g}); 1 = not known",
        ),
        Feature(
            "maker_presence", group,
            f"a / (a + m); mean resting size within {watch} of our trades, and always; 1/2 = no trade yet",
        ),
    ]  # fmt: skip


def _fair() -> list[Feature]:
    group = "fair"
    return [
        Feature("fair_available", group, "1 where a fair value is known; else it and fair_edge are 0"),
        Feature("fair_edge", group, f"soft(fair value - mid, {s.EDGE_HALF:g})", -1.0),
        Feature(
            "fair_volatility", group,
            f"part(max(deviation of the mid in a second, {FAIR_FLOOR:g} dollars), {_MOVE}); half-life {_SLOW}",
        ),
        Feature("fair_sources", group, "part(number of healthy sources, 1)"),
    ]  # fmt: skip


FEATURES: tuple[Feature, ...] = (
    Feature("bid", "book", "2 x best bid - 1; -1 = nobody bids", -1.0),
    Feature("ask", "book", "2 x best ask - 1; 1 = nobody asks", -1.0),
    Feature("mid", "book", "2 x mid - 1, of the last two-sided book", -1.0),
    Feature("spread", "book", f"soft(best ask - best bid, {s.SPREAD_HALF:g}); 1 = a side is empty", -1.0),
    Feature("tick", "book", f"part(tick at the mid, {s.TICK_HALF:g})"),
    *_sizes("bid"),
    *_sizes("ask"),
    Feature("imbalance", "book", "(b - a) / (b + a), sizes at the touch; 0 = both empty", -1.0),
    Feature("depth_imbalance", "book", f"the same over {DEPTH} levels", -1.0),
    Feature("micro", "book", f"soft(microprice - mid, {_MOVE}); microprice = (b x ask + a x bid) / (b + a)", -1.0),
    Feature("return_1", "book", f"soft(mid - mid 1 observation ago, {_MOVE}); early on: the episode's first", -1.0),
    Feature("return_5", "book", f"soft(mid - mid 5 observations ago, {_MOVE})", -1.0),
    Feature("return_30", "book", f"soft(mid - mid 30 observations ago, {_MOVE})", -1.0),
    Feature("volatility", "book", f"part(sqrt(v), {_MOVE}); v <- 0.9 v + 0.1 x (mid - last observed mid) squared"),
    Feature("flow", "book", f"soft(contracts takers bought - sold since the last observation, {s.SIZE_HALF:g})", -1.0),
    Feature(
        "order_flow", "book",
        f"soft(contracts added - removed, bids less asks, since the last observation, {s.SIZE_HALF:g})", -1.0,
    ),
    Feature("prints", "book", f"part(prints since the last observation, {s.PRINTS_HALF:g})"),
    Feature("close_minute", "time", f"part(seconds to the close, {s.MINUTE_HALF:g})"),
    Feature("close_hour", "time", f"part(seconds to the close, {s.HOUR_HALF:g})"),
    Feature("window_used", "time", "elapsed / (elapsed + left) of the episode's window"),
    Feature("since_trade", "time", f"part(seconds since the last print, {s.TRADE_HALF:g}); 1 = none yet"),
    Feature("since_book", "time", f"part(seconds since the book changed, {s.BOOK_HALF:g}); 1 = not yet"),
    Feature("market_open", "time", "1 while the market takes orders"),
    Feature("position_yes", "portfolio", f"part(YES contracts held, {s.SIZE_HALF:g})"),
    Feature("position_no", "portfolio", f"part(NO contracts held, {s.SIZE_HALF:g})"),
    Feature("cost_yes", "portfolio", "dollars paid per YES contract held, fees left out; 0 = none"),
    Feature("cost_no", "portfolio", "dollars paid per NO contract held, fees left out; 0 = none"),
    Feature("unrealised", "portfolio", f"soft((marked value - cost of what is held) / start cash, {_MONEY})", -1.0),
    Feature("realised", "portfolio", f"soft(closed results before fees / start cash, {_MONEY})", -1.0),
    Feature("equity_change", "portfolio", f"soft((equity - start cash) / start cash, {_MONEY})", -1.0),
    Feature("drawdown", "portfolio", f"part((peak equity - equity) / start cash, {_MONEY})"),
    Feature("cash_free", "portfolio", "part(cash not reserved, start cash)"),
    Feature("exposure", "portfolio", "marked value / (marked value + cash)"),
    Feature("fee", "portfolio", f"part(dollars a taker pays per contract at the mid, before rounding, {s.FEE_HALF:g})"),
    *_orders("bid"),
    *_orders("ask"),
    Feature("signal_live", "signal", "1 where there is a forecast; else all four are 0"),
    Feature("signal_edge", "signal", f"soft(forecast - mid, {s.EDGE_HALF:g})", -1.0),
    Feature("signal_error", "signal", f"part(stated standard error, {s.ERROR_HALF:g})"),
    Feature("signal_age", "signal", f"part(seconds since the forecast came, {s.SIGNAL_HALF:g})"),
    *_flows(),
    *_anchors(),
    *_liquidity(),
    *_links(),
    *_opponents(),
    *_fair(),
)  # fmt: skip

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(feature.group for feature in FEATURES))


class Schema(NamedTuple):
    """The features of chosen groups, in the order of the table."""

    features: tuple[Feature, ...]
    columns: tuple[int, ...]  # first column of each group of GROUPS; -1 = left out
    digest: str  # SHA-256 over version, names, formulas and ranges

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [feature.name for feature in self.features]


def make_schema(groups: Sequence[str] = GROUPS) -> Schema:
    """Schema of ``groups``. Their order does not matter; ValueError for none, an unknown one or one named twice."""
    unknown = [group for group in groups if group not in GROUPS]
    if unknown or not groups or len(set(groups)) != len(groups):
        raise ValueError(f"feature groups: expected some of {', '.join(GROUPS)}, each once, got {list(groups)}")
    features = tuple(feature for feature in FEATURES if feature.group in groups)
    order = [feature.group for feature in features]
    columns = tuple(order.index(group) if group in order else -1 for group in GROUPS)
    text = json.dumps({"version": VERSION, "features": features}, sort_keys=True)
    return Schema(features, columns, hashlib.sha256(text.encode()).hexdigest())


def shown_columns(schema: Schema, hidden: Sequence[str]) -> np.ndarray:
    """``(groups,)`` int64: `Schema.columns`, -1 also for groups that are ``hidden``: their features stay 0.

    Raises ValueError for a hidden group that the schema does not have, and for all of them hidden.
    """
    there = [group for group, column in zip(GROUPS, schema.columns, strict=True) if column >= 0]
    unknown = [group for group in hidden if group not in there]
    if unknown or set(hidden) == set(there):
        raise ValueError(f"hidden: expected some of {', '.join(there)}, and not all, got {list(hidden)}")
    return np.array([-1 if group in hidden else column for group, column in zip(GROUPS, schema.columns, strict=True)])


def feature_page() -> str:
    """The text of docs/features.md, which a test holds against the file."""
    lines = [
        "# Features",
        "",
        f"Schema version {VERSION}, {len(FEATURES)} features, digest `{make_schema().digest}`.",
        "Written by `python -m envs.features`; a test fails where this page and the code differ.",
        "",
        "`part(x, h) = x / (x + h)` and `soft(x, h) = x / (abs(x) + h)`. Prices are in dollars of the YES contract,",
        "sizes in contracts. Our own orders are in no book feature and in no mark. Levels are the next quoted ones:",
        f"up to {DEPTH} a side, searched over {SCAN} ladder levels from the touch.",
        "",
        "A half-life is in market time: what an event adds fades by 2^(-age / half-life), in buckets of 0.54 s,",
        "however long a step is; means are means over time that fade alike (`sim/activity.py`). The anchors are 25, 50",
        "and 75 cents. With several markets an observation has a row of these features for each, and what belongs to",
        "the account (`equity_change`, `drawdown`) or a venue (`cash_free`) stands in the row of each of its markets.",
        "",
        f"The fair value comes from outside the market: a forecast not older than {FAIR_STALE_S:g} s, and what linked",
        "markets say where a bound is an equality and their books are two-sided and not older than that. A source more",
        f"than {FAIR_OUTLIER:g} from their median is left out; the fair value is the mean of the others. `link_*`",
        "are 0 in a market without links; a gain is judged at the touch: what lies behind it is not counted.",
        "",
        "While a market's feed stands still (docs/market.md) all this is of the market as it was then, but for our own",
        "orders, position and account; ages grow and sums fade.",
        "",
        "A policy is tied to the digest of its schema: names, order, formulas, ranges. A runner refuses another one.",
    ]
    for group in GROUPS:
        members = [feature for feature in FEATURES if feature.group == group]
        lines += ["", f"## {group} ({len(members)})", "", "| feature | formula | range |", "|---|---|---|"]
        lines += [f"| `{f.name}` | {f.formula} | [{f.low:g}, {f.high:g}] |" for f in members]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from pathlib import Path

    (Path(__file__).resolve().parent.parent / "docs" / "features.md").write_text(feature_page(), encoding="utf-8")
