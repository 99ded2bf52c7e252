"""Other people's recordings to tapes. Each module has ``detect(source)`` and ``tapes(source)``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sim.importers import (
    kalshi_books,
    kalshi_btc15m,
    kalshi_nba,
    kalshi_trades,
    kalshi_weather,
    polymarket_mlb,
    polymarket_updown,
    polymarket_views,
    polymarket_ws,
    resolvedkit,
)
from sim.tape import Tape, TapeError

FORMATS = {
    "kalshi_btc15m": kalshi_btc15m,
    "kalshi_nba": kalshi_nba,
    "kalshi_weather": kalshi_weather,
    "kalshi_books": kalshi_books,
    "kalshi_trades": kalshi_trades,
    "polymarket_mlb": polymarket_mlb,
    "polymarket_ws": polymarket_ws,
    "polymarket_views": polymarket_views,
    "polymarket_updown": polymarket_updown,
    "resolvedkit": resolvedkit,
}


class Conversion(NamedTuple):
    """A source about to be read: ``tapes`` yields ``total`` pairs of a file name (without suffix) and a tape."""

    format: str
    total: int
    tapes: Iterator[tuple[str, Tape]]


def convert(source: str | Path, format_name: str | None = None) -> Conversion:
    """Start converting ``source``: a file or folder, or the word ``resolvedkit`` for the installed package's sample.

    Raises TapeError where nothing is there, the format is not one of FORMATS, or none recognises the source.
    """
    if format_name is not None and format_name not in FORMATS:
        raise TapeError(f"unknown format {format_name!r}; expected one of {', '.join(FORMATS)}")
    if str(source) == resolvedkit.WORD:
        if format_name not in (None, "resolvedkit"):
            raise TapeError(
                f"the word {resolvedkit.WORD!r} names the installed sample; it is not of the format {format_name!r}"
            )
        path = resolvedkit.sample_folder()
    else:
        path = Path(source)
    if not path.exists():
        raise TapeError(f"{path}: no such file or folder; expected a recording, or the word {resolvedkit.WORD!r}")
    name = format_name or _detect(path)
    total, tapes = FORMATS[name].tapes(path)
    return Conversion(name, total, tapes)


def _detect(path: Path) -> str:
    for name, module in FORMATS.items():
        if module.detect(path):
            return name
    raise TapeError(
        f"{path}: not recognised as any of {', '.join(FORMATS)}; docs/tape.md says what each consists of. "
        "Name the format with --format to see what is missing"
    )
