"""``python -m sim.venues.page``: rewrites the tables of docs/venues.md from the rules; a test holds the two together.

A table stands between ``<!-- name -->`` and ``<!-- end -->``; everything else on the page is written by hand.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from sim.types import FOK, GTC, IOC, SECOND_NS
from sim.venues import VENUES
from sim.venues.amend import CANCEL_RESTING
from sim.venues.income import rebate_share
from sim.venues.orders import CANCEL_ONLY, HALTED, POST_ONLY_ONLY, OrderKind, Refusal
from sim.venues.pauses import WeeklyPause
from sim.venues.rejects import ALL_REJECT_NAMES
from sim.venues.rules import VenueRules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "venues.md"
_TABLE = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)
_MODES = {POST_ONLY_ONLY: "post-only orders", CANCEL_ONLY: "cancels only", HALTED: "nothing"}
_TIFS = {GTC: "GTC", IOC: "IOC", FOK: "FOK"}


def filled(text: str) -> str:
    """``text`` with every table made anew. Raises ValueError for a table that nothing makes and for one that lacks."""
    names = _TABLE.findall(text)
    if sorted(names) != sorted(TABLES):
        raise ValueError(f"{PAGE.name}: tables {names}; expected each of {list(TABLES)} once")
    return _TABLE.sub(lambda match: f"<!-- {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->", text)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _kinds() -> str:
    rows = [[rules.name, *_kind(kind)] for rules in VENUES.values() for kind in rules.orders.kinds]
    return _table(["venue", "on the wire", "engine", "meaning", "may also be"], rows)


def _kind(kind: OrderKind) -> list[str]:
    engine = _TIFS[kind.tif] + (" with an expiry" if kind.expiry else "")
    flags = {
        "post-only": kind.post_only,
        "reduce-only": kind.reduce_only,
        "a buy by amount": kind.by_amount,
    }
    return [f"`{kind.name}`", engine, kind.meaning, ", ".join(name for name, yes in flags.items() if yes) or "-"]


def _limits() -> str:
    return _table(["", *VENUES], [[what, *map(value, VENUES.values())] for what, value in _LIMITS.items()])


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


_LIMITS: dict[str, Callable[[VenueRules], str]] = {
    "smallest order, contracts": lambda rules: f"{rules.min_qty / 100:g}",
    "step of sizes, contracts": lambda rules: f"{rules.orders.qty_step / 100:g}",
    "least worth of a buy that trades at once, dollars": lambda rules: f"{rules.orders.min_take_uusd / 1e6:g}",
    "expiry at least ahead, seconds": lambda rules: f"{rules.orders.lead_ns / SECOND_NS:.0f}",
    "order ends before its expiry by, seconds": lambda rules: f"{rules.orders.early_ns / SECOND_NS:g}",
    "an order can ask to be cancelled at a pause": lambda rules: _yes(rules.orders.pause_flag),
    "resting orders go when a paused market comes back": lambda rules: _yes(rules.orders.resume_cancels),
    "resting orders go when the client's heartbeat stops": lambda rules: _yes(rules.orders.heartbeat),
    "YES and NO of a market net at once": lambda rules: _yes(rules.netting),
    "ticks unless the market says otherwise": lambda rules: f"`{rules.default_ticks}`",
    "fees unless the market says otherwise": lambda rules: f"`{rules.default_fee}`",
    "planned pauses": lambda rules: ", ".join(map(_pause, rules.pauses)) or "none",
    "self-trade prevention, the default first": lambda rules: ", ".join(map(_self_trade, rules.self_trade.items())),
}


def _pause(pause: WeeklyPause) -> str:
    day = calendar.day_name[pause.weekday]
    return f"{day} {pause.start:%H:%M} to {pause.end:%H:%M}, {pause.zone}: {_MODES[pause.mode]}"


def _self_trade(mode: tuple[str, int]) -> str:
    return f"{mode[0]} ({'resting' if mode[1] == CANCEL_RESTING else 'incoming'} order goes)"


def _refusals() -> str:
    rows = [
        [rules.name, *_refusal(item)]
        for rules in VENUES.values()
        for item in (*rules.orders.refusals, *rules.orders.updates)
    ]
    return _table(["venue", "code", "name", "wording", "HTTP", "when", "evidence"], rows)


def _refusal(item: Refusal) -> list[str]:
    wording = f"`{item.wording}`" if item.wording else "not known"
    http = str(item.http) if item.http else "-"
    return [str(item.code), ALL_REJECT_NAMES[item.code], wording, http, item.when, f"{item.evidence}, {item.date}"]


def _rebates() -> str:
    rates = VENUES["polymarket"].fees
    rows = [[name, f"{fees.taker_ppm / 1e6:g}", f"{rebate_share(name) / 1e4:g} %"] for name, fees in rates.items()]
    return _table(["category", "taker rate", "makers' share of the fees"], rows)


def _settlement() -> str:
    rows = [[rules.name, line] for rules in VENUES.values() for line in rules.settlement]
    return _table(["venue", "not to be taken for granted"], rows)


def _sources() -> str:
    rows = [[rules.name, item.what, item.where, item.date] for rules in VENUES.values() for item in rules.sources]
    return _table(["venue", "what", "where", "as of"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "kinds": _kinds,
    "limits": _limits,
    "refusals": _refusals,
    "rebates": _rebates,
    "settlement": _settlement,
    "sources": _sources,
}

if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
