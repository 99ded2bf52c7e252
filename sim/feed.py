"""A feed that stands still: whoever observes sees the market as it was then, while the market goes on.

What stands still is kept in ``state.frozen``. To look, markets whose feed stands still are exchanged for what it shows,
with what is ours (position, orders, messages) as it is and the equity marked at what is shown; afterwards they are
exchanged back. So everyone who looks reads ``state.market`` and ``state.book`` and needs to know nothing of feeds.
Looks change memories and counts: those of what is shown, so a feed that comes back tells at once what it has not told.
"""

from __future__ import annotations

from sim.account import marked
from sim.kernel import inner, kernel
from sim.state import MESSAGE_SLOTS, ORDER_SLOTS
from sim.types import ASK, BID


@inner
def _copy_book(book, slot, into, place):
    for level in range(book.shape[2]):
        into[place, BID, level] = book[slot, BID, level]
        into[place, ASK, level] = book[slot, ASK, level]


@inner
def freeze(state, slot):
    """The feed of the market in ``slot`` stops here: keep what it has shown."""
    state.frozen[2 * slot] = state.market[slot]
    _copy_book(state.book, slot, state.frozen_book, 2 * slot)


@inner
def _hand_over(ours, market):
    """What is ours in a market does not come by the feed."""
    market["position"]["yes_qty"] = ours["position"]["yes_qty"]
    market["position"]["no_qty"] = ours["position"]["no_qty"]
    market["position"]["yes_held_qty"] = ours["position"]["yes_held_qty"]
    market["position"]["no_held_qty"] = ours["position"]["no_held_qty"]
    market["position"]["yes_cost_uusd"] = ours["position"]["yes_cost_uusd"]
    market["position"]["no_cost_uusd"] = ours["position"]["no_cost_uusd"]
    market["position"]["realised_uusd"] = ours["position"]["realised_uusd"]
    market["live_orders"] = ours["live_orders"]
    market["due_ns"] = ours["due_ns"]
    for index in range(ORDER_SLOTS):
        market["orders"][index] = ours["orders"][index]
    for index in range(MESSAGE_SLOTS):
        market["messages"][index] = ours["messages"][index]


@inner
def _put_back_counts(live, shown, before):
    """What of the counts since the last look was looked at now is not to be told again."""
    live["bought_qty"] += shown["bought_qty"] - before["bought_qty"]
    live["sold_qty"] += shown["sold_qty"] - before["sold_qty"]
    live["bid_added_qty"] += shown["bid_added_qty"] - before["bid_added_qty"]
    live["ask_added_qty"] += shown["ask_added_qty"] - before["ask_added_qty"]
    live["bid_removed_qty"] += shown["bid_removed_qty"] - before["bid_removed_qty"]
    live["ask_removed_qty"] += shown["ask_removed_qty"] - before["ask_removed_qty"]
    live["n_prints"] += shown["n_prints"] - before["n_prints"]
    live["n_events"] += shown["n_events"] - before["n_events"]


@inner
def _show(state, account, slot):
    frozen, kept = 2 * slot, 2 * slot + 1
    state.frozen[kept] = state.market[slot]
    _copy_book(state.book, slot, state.frozen_book, kept)
    state.market[slot] = state.frozen[frozen]
    _copy_book(state.frozen_book, frozen, state.book, slot)
    _hand_over(state.frozen[kept], state.market[slot])
    state.market[slot]["stale_until_ns"] = state.frozen[kept]["stale_until_ns"]
    account["equity_uusd"] += marked(state.market[slot]) - marked(state.frozen[kept])


@inner
def _hide(state, account, slot):
    frozen, kept = 2 * slot, 2 * slot + 1
    account["equity_uusd"] -= marked(state.market[slot]) - marked(state.frozen[kept])
    _put_back_counts(state.frozen[kept], state.market[slot], state.frozen[frozen])
    state.frozen[frozen] = state.market[slot]
    state.market[slot] = state.frozen[kept]
    _copy_book(state.frozen_book, kept, state.book, slot)


@inner
def _exchange(state, first, last, back):
    """Show, or with ``back`` hide, what the feeds that stand still show of environments ``first`` to ``last``."""
    markets = len(state.market) // len(state.account)
    for slot in range(first * markets, last * markets):
        account = state.account[slot // markets]
        if account["now_ns"] >= state.market[slot]["stale_until_ns"]:
            continue
        if back:
            _hide(state, account, slot)
        else:
            _show(state, account, slot)


@kernel
def show_feeds(state, first, last):
    """Exchange the markets of environments ``first`` to ``last`` for what feeds that stand still show of them."""
    if len(state.frozen) > 0:
        _exchange(state, first, last, False)


@kernel
def hide_feeds(state, first, last):
    """Exchange back what :func:`show_feeds` has exchanged; no time may have passed in between."""
    if len(state.frozen) > 0:
        _exchange(state, first, last, True)
