"""The sample of the package resolvedkit (and any source in its two-file layout), one tape per market.

``markets.parquet``: market_id, slug, question, category, start_ts, end_ts (ms), payout_up, payout_down.
``books.parquet``: market_id, ts (ms), side UP or DOWN, and the best 20 levels of that token: bid_px, bid_sz, ask_px,
ask_sz, best first. UP is YES. The two tokens' rows of one moment mirror each other; the second then changes nothing.

The sample is thinned to one view a second and token, so a view may fall between the parts of a match and show a crossed
book. Rows before the window opens and after it ends, empty sides and placeholder books (0.01 / 0.99) are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import FeeRates, Header, Market, Source, Tape, TapeError, seal
from sim.types import PX_ONE
from sim.wire.listing import CENT_TICKS
from sim.wire.polymarket_book import BookWriter

WORD = "resolvedkit"
_DEPTH = 20
_MARKET_COLUMNS = ("market_id", "slug", "question", "category", "start_ts", "end_ts", "payout_up", "payout_down")
_BOOK_COLUMNS = ("market_id", "ts", "side", "bid_px", "bid_sz", "ask_px", "ask_sz")
_LICENCE = "CC BY 4.0"
_ATTRIBUTION = "Resolved Markets (https://resolvedmarkets.com), sample data of resolvedkit 0.1.0"
# Polymarket's rates by category (docs.polymarket.com, "Fees", read 2026-09-28).
_RATES_PPM = {
    "crypto": 70_000,
    "sports": 50_000,
    "politics": 40_000,
    "finance": 40_000,
    "tech": 40_000,
    "geopolitics": 0,
}
_OTHER_RATE_PPM = 50_000


def sample_folder() -> Path:
    """Folder of the installed package's sample. Raises TapeError where the package is missing."""
    try:
        return Path(str(resources.files("resolvedkit"))) / "sample_data"
    except ModuleNotFoundError as error:
        raise TapeError(
            "the package resolvedkit is not installed; `pip install resolvedkit==0.1.0` brings the sample"
        ) from error


def detect(source: Path) -> bool:
    """True where ``source`` is a folder with the two files of this layout."""
    return (
        source.is_dir()
        and common.columns_of(source / "books.parquet").issuperset(_BOOK_COLUMNS)
        and common.columns_of(source / "markets.parquet").issuperset(_MARKET_COLUMNS)
    )


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of markets in the folder ``source``, and (name, tape) of each, by end of the window."""
    if not source.is_dir():
        raise TapeError(f"{source}: expected a folder with books.parquet and markets.parquet")
    markets = common.read_frame(source / "markets.parquet", _MARKET_COLUMNS).sort_values("end_ts", kind="stable")
    books = common.read_frame(source / "books.parquet", _BOOK_COLUMNS)
    return len(markets), _convert(source, markets, books)


def _convert(source: Path, markets: pd.DataFrame, books: pd.DataFrame) -> Iterator[tuple[str, Tape]]:
    is_sample = source == sample_folder()
    terms = (_LICENCE, _ATTRIBUTION) if is_sample else (common.UNSTATED, "in the layout of resolvedkit")
    sources = tuple(common.source_of(source / f"{name}.parquet", *terms) for name in ("books", "markets"))
    groups = dict(list(books.groupby("market_id")))
    names = common.Names()
    for market in markets.to_dict("records"):
        frame = groups.get(market["market_id"], books.iloc[:0])
        yield names.next(str(market["slug"])), _tape(source, market, frame, sources)


def _tape(source: Path, market: dict, frame: pd.DataFrame, sources: tuple[Source, ...]) -> Tape:
    writer = BookWriter(local_is_venue=True)
    path = source / "books.parquet"
    for row in frame.to_dict("records"):
        writer.at(int(row["ts"]) * common.NS_PER_MS)
        bids, asks = (_levels(path, row[f"{side}_px"], row[f"{side}_sz"]) for side in ("bid", "ask"))
        if row["side"] == "UP":
            writer.photo(bids, asks, _DEPTH)
        elif row["side"] == "DOWN":
            writer.photo(_mirror(asks), _mirror(bids), _DEPTH)
        else:
            raise TapeError(f"{path}: side {row['side']!r} of market {market['slug']}; expected UP or DOWN")
    end_ns = int(market["end_ts"]) * common.NS_PER_MS
    category = str(market["category"]).lower()
    header = Header(
        venue="polymarket",
        markets=(Market(market["market_id"], market["question"], int(market["start_ts"]) * common.NS_PER_MS, end_ns),),
        tick_tables=writer.tick_tables or (CENT_TICKS,),
        fee_schedules=(FeeRates(f"polymarket_{category}", "polymarket", _RATES_PPM.get(category, _OTHER_RATE_PPM)),),
        sources=sources,
        notes=(
            f"views of at most {_DEPTH} levels a side; a level pushed out of the view becomes 0 (INFERRED)",
            "local stamps are the running maximum of the venue's; no trades, no sequence numbers",
            "the tick is inferred from prices: 0.01 until the first finer price",
            "a view that shows a crossed book lies inside a batch, which ends with the next view that is not",
        ),
    )
    return seal(writer.events(_payout_px(market), end_ns), header)


def _levels(path: Path, prices: np.ndarray, sizes: np.ndarray) -> dict[int, int]:
    px = common.exact(prices, PX_ONE, "a price", path)
    qty = common.exact(sizes, 1_000_000, "a size", path)
    return dict(zip(px.tolist(), qty.tolist(), strict=True))


def _mirror(levels: dict[int, int]) -> dict[int, int]:
    return {PX_ONE - px: qty for px, qty in levels.items()}


def _payout_px(market: dict) -> int | None:
    """What one YES contract pays; None where the market is not resolved."""
    up, down = market["payout_up"], market["payout_down"]
    if pd.isna(up) or pd.isna(down):
        return None
    return round(float(up) * PX_ONE)
