"""Runs the engine and the reference side by side and says where they part."""

from __future__ import annotations

import math

import numpy as np

from reference.engine import Message, ReferenceEngine
from sim.types import ASK, BID, INTENT, NO, YES

KINDS = ("new", "cancel", "amend", "reset")
USED_QTY, USED_NS = 2, 4  # rows of the engine's book in replay
OF_ACCOUNT = (
    "equity_uusd", "peak_uusd", "now_ns",
    "start_ns", "step", "episode", "events", "next_id", "sent_qty", "n_messages", "n_rejects", "last_reject", "gap",
    "ruined", "done",
)  # fmt: skip
OF_POOL = ("cash_uusd", "reserved_uusd", "counterparty_uusd", "fees_uusd", "escrow_uusd")
OF_MARKET = (
    "open_ns", "close_ns", "book_ns", "trade_ns", "signal_ns", "signal_ppm", "signal_err_ppm", "latent_ppm", "fair_ppm",
    "last_qty", "bought_qty", "sold_qty", "bid_added_qty", "ask_added_qty", "bid_removed_qty", "ask_removed_qty",
    "bid_total_qty", "ask_total_qty", "mid2_px", "last_px", "last_side", "n_events", "n_prints", "status", "payout_px",
    "cascade_until_ns", "stale_until_ns", "anchor_px",
)  # fmt: skip


def _record(record: np.void) -> dict:
    return dict(zip(record.dtype.names, record.item(), strict=True))


def engine_view(engine: object, env: int) -> dict:
    """State of one environment of ``sim.engine.Engine``, in the reference's terms."""
    state, px_of = engine.state, engine.grid.px_of.tolist()
    a = _record(state.account[env])
    m = _record(state.market[env])
    pool = _record(state.pool[env, 0])
    p = _record(state.position[env])
    book = state.book[env]
    shown = [{px_of[level]: int(book[side, level]) for level in np.flatnonzero(book[side])} for side in (BID, ASK)]
    used = [{}, {}]
    if m["tape"] >= 0:
        for side in (BID, ASK):
            taken = np.flatnonzero(book[USED_QTY + side])
            used[side] = {px_of[i]: (int(book[USED_QTY + side, i]), int(book[USED_NS + side, i])) for i in taken}
    orders = [_record(order) for order in state.orders[env] if order["id"]]
    messages = [_record(message) for message in state.messages[env] if message["due_ns"]]
    fills = [_record(fill) for fill in state.fills[env, : a["n_fills"]]]
    return {
        **{name: a[name] for name in OF_ACCOUNT},
        **{name: pool[name] for name in OF_POOL},
        **{name: m[name] for name in OF_MARKET},
        **p,
        "best": (px_of[m["best_bid"]] if m["best_bid"] >= 0 else None,
                 px_of[m["best_ask"]] if m["best_ask"] < len(px_of) else None),
        "shown": shown,
        "used": used,
        "orders": {o["id"]: _order_of_engine(o, a["fill_model"]) for o in orders},
        "messages": {x["sent"]: _message_of_engine(x) for x in messages},
        "triggered": bool(state.market[env]["group"]["triggered"]),
        "sweep_mid2": m["sweep_mid2_px"],
        "fills": [
            (f["ns"], f["order_id"], f["px"], f["qty"], f["fee_uusd"], f["maker"], f["leg"], f["mid2_px"],
             f["sent_mid2_px"], f["latent_ppm"])
            for f in fills
        ],
        "terminated": bool(engine.terminated[env]),
        "truncated": bool(engine.truncated[env]),
    }  # fmt: skip


def _message_of_engine(x: dict) -> tuple:
    kind = KINDS[x["kind"]]
    if kind == "new":
        return (
            x["due_ns"], x["px"], x["qty"], x["side"], x["leg"], x["reduce"], x["tif"], x["post_only"],
            x["budget_uusd"], x["expiry_ns"], x["sent_mid2_px"], x["leaving"], x["held"],
        )  # fmt: skip
    amend = (x["qty"], x["expiry_ns"]) if kind == "amend" else (0, 0)
    return (x["due_ns"], kind, x["id"], *amend)


def _message_of_reference(ref: ReferenceEngine, m: Message) -> tuple:
    o = m.order
    if o is None:
        return (m.due_ns, m.kind, m.id, m.count, m.expiry)
    return (
        m.due_ns, o.px, o.qty, o.side, o.leg, int(o.reduce), o.tif, int(o.post_only), o.budget, o.expiry, o.sent_mid2,
        int(ref._leaving(o.id)), int(m.held),
    )  # fmt: skip


def _order_of_engine(o: dict, fill_model: int) -> tuple:
    return (
        o["side"], o["px"], o["qty"], o["filled_qty"], o["ahead_qty"], o["credit_qty"], o["reserved_uusd"],
        o["overshoot_uusd"], o["entry_ns"], o["drawn_ns"], o["draws"], o["leg"], o["reduce"], o["leaving"],
        o["sent_mid2_px"], o["debit_qty"], o["expiry_ns"], round(o["hazard"], 9),
    )  # fmt: skip


def reference_view(ref: ReferenceEngine) -> dict:
    """The same of the reference."""
    account, market, book = ref.account, ref.market, ref.market.book
    return {
        "cash_uusd": account.cash, "reserved_uusd": account.reserved, "counterparty_uusd": account.counterparty,
        "fees_uusd": account.fees, "escrow_uusd": account.escrow, "equity_uusd": ref.equity, "peak_uusd": ref.peak,
        "now_ns": ref.now, "start_ns": ref.start, "step": ref.step, "episode": ref.episode, "events": market.events,
        "next_id": ref.next_number, "sent_qty": ref.sent_qty, "n_messages": ref.sent, "n_rejects": ref.rejects,
        "last_reject": ref.last_reject, "gap": int(market.gap), "ruined": int(ref.ruined), "done": int(ref.done),
        "open_ns": market.open_ns, "close_ns": market.close_ns, "book_ns": market.book_ns, "trade_ns": market.trade_ns,
        "signal_ns": market.signal_ns, "signal_ppm": market.signal, "signal_err_ppm": market.signal_err,
        "latent_ppm": market.latent, "fair_ppm": market.fair, "last_qty": market.last_qty, "bought_qty": market.bought,
        "sold_qty": market.sold, "bid_added_qty": market.added[BID], "ask_added_qty": market.added[ASK],
        "bid_removed_qty": market.removed[BID], "ask_removed_qty": market.removed[ASK],
        "bid_total_qty": sum(book.shown[BID].values()), "ask_total_qty": sum(book.shown[ASK].values()),
        "mid2_px": book.mid2, "last_px": market.last_px, "last_side": market.last_side, "n_events": market.n_events,
        "n_prints": market.n_prints, "status": market.status, "payout_px": market.payout,
        "yes_qty": account.held[YES], "no_qty": account.held[NO], "yes_held_qty": account.promised(YES),
        "no_held_qty": account.promised(NO), "yes_cost_uusd": account.cost[YES], "no_cost_uusd": account.cost[NO],
        "realised_uusd": account.realised,
        **_truths(ref),
        "best": market.quotes(), "shown": book.shown, "used": book.used,
        "orders": {
            o.id: (
                o.side, o.px, o.qty, o.filled, o.ahead, o.credit, o.reserved, o.carried, o.entry_ns, o.drawn_ns,
                o.draws, o.leg, int(o.reduce), int(ref._leaving(o.id)), o.sent_mid2, o.debit, o.ends_ns,
                round(o.hazard, 9),
            )
            for o in account.resting
        },
        "messages": {m.number: _message_of_reference(ref, m) for m in ref.wire},
        "triggered": market.triggered, "sweep_mid2": market.sweep_mid2,
        "fills": [
            (f["ns"], f["id"], f["px"], f["qty"], f["fee"], int(f["maker"]), f["leg"], f["mid2"], f["sent_mid2"],
             f["latent"])
            for f in account.fills.values()
        ],
        "terminated": ref.terminated, "truncated": ref.truncated,
    }  # fmt: skip


def _truths(ref: ReferenceEngine) -> dict:
    """What only the synthetic market has."""
    if ref.recording:
        return {"cascade_until_ns": 0, "stale_until_ns": 0, "anchor_px": -1}
    flow = ref.flow
    return {
        "cascade_until_ns": flow.cascade_until_ns, "stale_until_ns": flow.stale_until_ns, "anchor_px": flow.anchor_px,
    }  # fmt: skip


def differences(engine: object, env: int, ref: ReferenceEngine) -> list[str]:
    """Where the two part; empty where they agree."""
    return unlike(engine_view(engine, env), reference_view(ref))


def unlike(fast: dict, slow: dict, where: str = "") -> list[str]:
    """Fields of ``slow`` that have another value in ``fast``."""
    return [f"{where}{name}: engine {fast[name]}, reference {slow[name]}" for name in slow if fast[name] != slow[name]]


def broken_laws(engine: object, env: int) -> list[str]:
    """Laws of conservation that the engine's own arrays break."""
    account, position = engine.state.pool[env, 0], engine.state.position[env]
    total = sum(int(account[name]) for name in ("cash_uusd", "counterparty_uusd", "fees_uusd", "escrow_uusd"))
    pairs = int(position["yes_qty"]) + int(position["no_qty"])
    laws = {
        "cash + counterparty + fees + escrow is constant": total == account["start_uusd"],
        "escrow holds a dollar per open contract": account["escrow_uusd"] == pairs * 10_000,
        "free cash is never negative": account["cash_uusd"] >= account["reserved_uusd"],
        "reservations are never negative": account["reserved_uusd"] >= 0,
        "fees are never negative": account["fees_uusd"] >= 0,
        "no more is promised than held": 0 <= position["yes_held_qty"] <= position["yes_qty"]
        and 0 <= position["no_held_qty"] <= position["no_qty"],
        "no size is negative": (engine.state.book[env] >= 0).all() and (engine.state.orders[env]["qty"] >= 0).all(),
        "a venue that nets holds one leg": not account["netting"] or min(position["yes_qty"], position["no_qty"]) == 0,
        "own orders do not cross each other": not _own_crossed(engine.state.orders[env]),
    }
    return [law for law, holds in laws.items() if not holds]


def _own_crossed(orders: np.ndarray) -> bool:
    bids = [int(o["px"]) for o in orders if o["id"] and o["side"] == BID]
    asks = [int(o["px"]) for o in orders if o["id"] and o["side"] == ASK]
    return max(bids, default=-1) >= min(asks, default=math.inf)


def as_intents(wishes: list[list[dict]]) -> np.ndarray:
    """``(N, 1, 2)`` INTENT array."""
    return np.array([[[tuple(one[name] for name in INTENT.names) for one in pair]] for pair in wishes], INTENT)
