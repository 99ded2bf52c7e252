"""``python -m sim.venues.refresh FILE...``: do the venues still say what we believe? Exit status 1 where they do not.

A file holds responses as the venue sent them: JSON, or one JSON value a line. Each market, series and event in it is
held against what this package knows (ticks by label, fees by type and category, smallest sizes), or with ``--known``
against an earlier response for the same market. Printed is one line per difference: where, field, expected, got, and
the source and date of what was expected. Exit status 2: a file that cannot be read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sim.venues import VENUES, kalshi
from sim.venues.fees import FeeSchedule
from sim.venues.income import rebate_share
from sim.venues.kalshi import kalshi_fees
from sim.venues.polymarket import polymarket_fees
from sim.venues.responses import MarketRules, RefreshError, combined, read_rules
from sim.venues.rules import Source, TickRange, VenueRules, tick_prices

_TOPICS = {  # field -> a word of the source that it was read in, per venue
    "kalshi": {
        "tick_label": "tick labels",
        "ticks": "tick labels",
        "fee_name": "fee types",
        "multiplier": "fee multipliers",
        "fees": "fee formula",
        "exclusive": "collateral return",
    },
    "polymarket": {
        "tick_label": "tick sizes",
        "ticks": "tick sizes",
        "fee_name": "fee formula",
        "fees": "fee formula",
        "fee_formula": "fee formula",
        "min_qty": "minimum order",
        "rebate_ppm": "maker rebates",
    },
}
_COLLATERAL_RETURN = ("MECNET", "DIRECNET", "")


class Drift(NamedTuple):
    """One thing that a venue says and we did not expect."""

    market: str
    field: str
    expected: str
    got: str
    source: Source  # of what was expected

    def __str__(self) -> str:
        """One line for a terminal or a log."""
        return (
            f"{self.market}: {self.field}: expected {self.expected}, got {self.got} "
            f"(as of {self.source.date}: {self.source.where})"
        )


class Known(NamedTuple):
    """What we believe of a market, and since when. A field in ``allowed`` may have any of its values."""

    rules: MarketRules
    sources: dict[str, Source]  # by field
    allowed: dict[str, tuple[Any, ...]]


def known_rules(fresh: MarketRules) -> Known:
    """What this package's data say of a market that calls its ticks and fees as ``fresh`` does."""
    venue = VENUES[fresh.venue]
    sources = {field: venue.source(topic) for field, topic in _TOPICS[fresh.venue].items()}
    read = _known_kalshi if fresh.venue == "kalshi" else _known_polymarket
    rules, allowed = read(fresh, venue)
    if fresh.tick_label is not None and fresh.tick_label in venue.ticks:
        rules = dataclasses.replace(rules, ticks=venue.tick_table(fresh.tick_label))
    allowed |= {"tick_label": tuple(venue.ticks)}
    return Known(rules, sources, allowed)


def known_from(earlier: MarketRules, where: str, date: str) -> Known:
    """What an earlier response said, for :func:`drift`. ``date``: ISO 8601, when it was saved."""
    return Known(earlier, {f.name: Source(f.name, where, date) for f in dataclasses.fields(earlier)}, {})


def drift(known: Known, fresh: MarketRules) -> list[Drift]:
    """Every field that both say and that differs. What only one of them says is no drift."""
    found = []
    for field, source in known.sources.items():
        got = getattr(fresh, field)
        allowed = known.allowed.get(field)
        expected = getattr(known.rules, field) if allowed is None else allowed
        if got is None or expected is None or _same(field, expected, got, allowed is not None):
            continue
        text = " or ".join(map(_text, expected)) if allowed is not None else _text(expected)
        found.append(Drift(fresh.market, field, text, _text(got), source))
    return found


def market_rules(fresh: MarketRules) -> VenueRules:
    """The venue's rules with what ``fresh`` says of one market in place of the defaults.

    Its tick table and its schedule become the default ones, under their own labels. Raises ValueError for a fee formula
    that is not known.
    """
    venue = VENUES[fresh.venue]
    if fresh.fees is None and (fresh.fee_name is not None or fresh.fee_formula is not None):
        raise ValueError(
            f"{fresh.market}: no formula for fees {fresh.fee_name!r}, {fresh.fee_formula or 'as it stands'}"
        )
    changes: dict[str, Any] = {}
    if fresh.ticks is not None:
        label = fresh.tick_label or "its own"
        changes |= {"ticks": {**venue.ticks, label: fresh.ticks}, "default_ticks": label}
    elif fresh.tick_label is not None:
        venue.tick_table(fresh.tick_label)  # raises where the label alone says nothing
        changes |= {"default_ticks": fresh.tick_label}
    if fresh.fees is not None:
        name = fresh.fee_name or "its own"
        changes |= {"fees": {**venue.fees, name: fresh.fees}, "default_fee": name}
    if fresh.min_qty is not None:
        changes |= {"min_qty": fresh.min_qty}
    return dataclasses.replace(venue, **changes)


def read_file(path: str | Path) -> list[MarketRules]:
    """Rules in a file of JSON, or of one JSON value a line. Raises RefreshError that names the file and the place."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RefreshError(f"{path}: cannot be read: {error}") from error
    try:
        return read_rules(json.loads(text), str(path))
    except json.JSONDecodeError as error:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or error.msg != "Extra data":
            raise RefreshError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from error
    return read_rules([_line(path, number, line) for number, line in lines], str(path))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what drifted; returns the exit status: 0 nothing, 1 something, 2 a file that cannot be read."""
    options = _parser().parse_args(arguments)
    try:
        known = _earlier(options.known)
        fresh = [(path, rules) for path in options.files for rules in read_file(path)]
    except RefreshError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    found = [item for _, rules in fresh for item in drift(known.get(rules.market) or known_rules(rules), rules)]
    for item in dict.fromkeys(found):
        sys.stdout.write(f"{item}\n")
    sys.stdout.write(f"{len(fresh)} read, {len(dict.fromkeys(found))} drifted\n")
    return 1 if found else 0


def _known_kalshi(fresh: MarketRules, venue: VenueRules) -> tuple[MarketRules, dict[str, tuple[Any, ...]]]:
    rules = MarketRules("kalshi", fresh.market)
    if fresh.fee_name in venue.fees and fresh.multiplier in kalshi.MULTIPLIERS:
        rules = dataclasses.replace(rules, fees=kalshi_fees(str(fresh.fee_name), fresh.multiplier))
    return rules, {
        "fee_name": tuple(venue.fees),
        "multiplier": kalshi.MULTIPLIERS,
        "exclusive": _COLLATERAL_RETURN,
    }


def _known_polymarket(fresh: MarketRules, venue: VenueRules) -> tuple[MarketRules, dict[str, tuple[Any, ...]]]:
    rules = MarketRules("polymarket", fresh.market, min_qty=venue.min_qty, fee_formula="exponent 1, takers only")
    allowed: dict[str, tuple[Any, ...]] = {}
    if fresh.fee_name is not None:
        allowed["fee_name"] = tuple(venue.fees)
        if fresh.fee_name in venue.fees:
            share = rebate_share(fresh.fee_name)
            rules = dataclasses.replace(rules, fees=venue.fee_schedule(fresh.fee_name), rebate_ppm=share)
    elif fresh.fees is not None:
        allowed["fees"] = tuple(dict.fromkeys([polymarket_fees(0), *venue.fees.values()]))
    return rules, allowed


def _same(field: str, expected: Any, got: Any, several: bool) -> bool:
    if several:
        return got in expected
    if field == "ticks":
        return bool((tick_prices(expected).tolist()) == tick_prices(got).tolist())
    return bool(expected == got)


def _text(value: Any) -> str:
    if isinstance(value, FeeSchedule):
        return f"takers {value.taker_ppm} ppm, makers {value.maker_ppm} ppm"
    if isinstance(value, tuple) and value and isinstance(value[0], TickRange):
        return ", ".join(f"[{r.start_px}, {r.end_px}] step {r.step_px}" for r in value)
    return repr(value) if isinstance(value, str) else str(value)


def _line(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise RefreshError(f"{path}:{number}:{error.colno}: not JSON: {error.msg}") from error


def _earlier(path: str | None) -> dict[str, Known]:
    if path is None:
        return {}
    parts: dict[str, MarketRules] = {}
    for rules in read_file(path):
        parts[rules.market] = combined(parts[rules.market], rules) if rules.market in parts else rules
    date = datetime.fromtimestamp(Path(path).stat().st_mtime, UTC).date().isoformat()
    return {name: known_from(rules, path, date) for name, rules in parts.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sim.venues.refresh", description="Hold venue responses against the rules that are known."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="responses: JSON, or one JSON value a line")
    parser.add_argument("--known", metavar="FILE", help="an earlier response to compare with, market by market")
    return parser


if __name__ == "__main__":
    sys.exit(main())
