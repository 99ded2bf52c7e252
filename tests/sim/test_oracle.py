"""The engine against the slow, obvious venue of tests/reference: random tapes and orders, equal to the micro-dollar.

``ORACLE_SEQUENCES=5000 pytest tests/sim/test_oracle.py`` runs more of them.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import product

import numba
from reference.account import RESTING_ORDERS
from reference.engine import MESSAGES_IN_FLIGHT
from reference.lockstep import VENUES, Batch

from sim import state
from sim.types import (
    FILL_MODELS,
    REJECT_BOOK_CLEARED,
    REJECT_CANNOT_CONVERT,
    REJECT_DUPLICATE,
    REJECT_EXPIRED,
    REJECT_IOC_UNFILLED,
    REJECT_NAMES,
    REJECT_NO_QUOTE,
    REJECT_NOTHING_TO_MERGE,
    REJECT_POST_ONLY_MODE,
    REJECT_VENUE,
)

BATCHES = list(product(VENUES, FILL_MODELS, (True, False), (True, False)))  # 32: venue, model, recorded, poor
ENVS, STEPS = (3, 100) if numba.config.DISABLE_JIT else (8, 200)

# The decoder's, words of a venue that the engine has no case of, and requests: test_portfolio_oracle makes those.
NOT_THE_ENGINE_S = (
    REJECT_NO_QUOTE, REJECT_POST_ONLY_MODE, REJECT_DUPLICATE, REJECT_IOC_UNFILLED, REJECT_EXPIRED, REJECT_BOOK_CLEARED,
    REJECT_VENUE, REJECT_NOTHING_TO_MERGE, REJECT_CANNOT_CONVERT,
)  # fmt: skip

# A branch that no sequence reaches is a branch that nothing was proved of.
BRANCHES = {
    *(f"reject {code}" for code in range(1, len(REJECT_NAMES)) if code not in NOT_THE_ENGINE_S),
    "taker fill", "taker fill that reduces", "reserved anew for new fees", "the wanted order is under way already",
    "walk over several levels", "fill or kill filled", "budget cut",
    "immediate order left something", "rests after taking", "post-only rests", "self-cross", "budget end",
    "consumed liquidity missing", "no slot to rest in", "no slot for a message",
    "maker fill", "maker fill that reduces", "partial maker fill", "print through",
    "print of unknown side at our price", "a second order of ours met the same print",
    "drop split 0", "drop split 1", "drop split 2", "a sweep's second print",
    *(f"cancels by rule {rule}" for rule in ("none", "proportional", "power", "log", "snapshot")),
    "a late print", "a late print explains part of a drop", "filled by a late print", "a second drop before its print",
    "exponential delay", "log-normal delay", "slower in a busy or wide market", "kept from overtaking",
    "held back", "a held order that traded", "a held order that found nothing", "expired",
    "amend", "amend of a reducing order", "amend to nothing", "amend of the expiry", "the amend is under way already",
    "group triggered with orders", "group reset", "fills share a place", "fill or kill that meets our own",
    "orders kept in a pause", "orders dropped when the market came back", "orders dropped at a game's start",
    "drop at our level was printed", "cancel at our level", "snapshot cut the queue ahead",
    "pessimistic: behind everyone", "optimistic: ahead of everyone", "queue: eaten", "queue: reached",
    "probabilistic: reached", "probabilistic: missed",
    "netted", "netting trim", "netting trim of the younger of two", "settled holding", "partial payout",
    "orders dropped by a halt",
    "the wanted order rests already", "cancel met its order", "cancel came too late", "cancel overtook its order",
    "cancel of an order still under way", "starts inside a tape",
    "flow: news", "flow: maker", "flow: add", "flow: cancel", "flow: noise", "flow: informed", "flow: signal",
    "flow: momentum", "flow: front", "flow: copy", "flow: cascade", "flow: cascade begins", "flow: follower",
    "flow: anchored", "flow: opponent took", "flow: both sides unseen", "flow: clumped", "flow: came with news",
    "shock: outage", "shock: stale", "shock: close", "shock: fee", "shock: tick",
    "observed while the feed stood still",
    "terminated", "truncated", "window over", "tape over", "gap",
}  # fmt: skip


def test_the_reference_has_as_many_slots_as_the_engine():
    assert (RESTING_ORDERS, MESSAGES_IN_FLIGHT) == (state.ORDER_SLOTS, state.MESSAGE_SLOTS)


def test_engine_and_reference_agree_after_every_step(capsys):
    sequences = int(os.environ.get("ORACLE_SEQUENCES", len(BATCHES) * ENVS))
    seen: Counter = Counter()
    for number in range(-(-sequences // ENVS)):
        venue, fill_model, recorded, poor = BATCHES[number % len(BATCHES)]
        seed = number // len(BATCHES)
        seen += Batch(seed, venue, fill_model, recorded=recorded, poor=poor, envs=ENVS).run(STEPS)
    if "ORACLE_SEQUENCES" in os.environ:
        with capsys.disabled():
            print("\n" + "\n".join(f"{count:9,}  {branch}" for branch, count in sorted(seen.items())))
    if sequences >= len(BATCHES) * ENVS and not numba.config.DISABLE_JIT:
        assert set(seen) >= BRANCHES, f"no sequence reached: {', '.join(sorted(BRANCHES - set(seen)))}"
