"""What a feed that stands still shows: what the market was, kept aside whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.types import ASK, BID

if TYPE_CHECKING:
    from reference.engine import ReferenceEngine
    from reference.market import Market

COUNTS = (
    "n_events", "n_prints", "bought_qty", "sold_qty", "bid_added_qty", "ask_added_qty", "bid_removed_qty",
    "ask_removed_qty",
)  # fmt: skip


def counts(market: Market) -> dict:
    """What has happened since the last observation."""
    return {
        "n_events": market.n_events, "n_prints": market.n_prints, "bought_qty": market.bought,
        "sold_qty": market.sold, "bid_added_qty": market.added[BID], "ask_added_qty": market.added[ASK],
        "bid_removed_qty": market.removed[BID], "ask_removed_qty": market.removed[ASK],
    }  # fmt: skip


class Feed:
    """Everything public of a market at a moment."""

    def __init__(self, market: Market) -> None:
        self.market, book = market, market.book
        self.shown = {
            **counts(market), "best": market.quotes(), "shown": [dict(side) for side in book.shown],
            "mid2_px": book.mid2, "status": market.status, "close_ns": market.close_ns, "book_ns": market.book_ns,
            "trade_ns": market.trade_ns, "signal_ns": market.signal_ns, "signal_ppm": market.signal,
            "signal_err_ppm": market.signal_err, "last_px": market.last_px, "last_side": market.last_side,
            "last_qty": market.last_qty,
        }  # fmt: skip

    def observed(self) -> None:
        """What the feed has told counts anew; the rest is told when it comes back."""
        market, told = self.market, self.shown
        market.n_events -= told["n_events"]
        market.n_prints -= told["n_prints"]
        market.bought -= told["bought_qty"]
        market.sold -= told["sold_qty"]
        for side, name in ((BID, "bid"), (ASK, "ask")):
            market.added[side] -= told[f"{name}_added_qty"]
            market.removed[side] -= told[f"{name}_removed_qty"]
        told.update(dict.fromkeys(COUNTS, 0))
        market.seen["observed while the feed stood still"] += 1


def feed_of(ref: ReferenceEngine) -> Feed | None:
    """What is seen of a market where its feed stands still; None where it does not."""
    return ref.flow.feed if ref.recording is None and ref.now < ref.flow.stale_until_ns else None
