"""Makes ``polymarket_orders.json``: orders as Polymarket's official client builds and signs them.

It runs where that client is installed, which this project never is:

    python3.11 -m venv oracle && oracle/bin/pip install py-clob-client-v2==1.2.1
    oracle/bin/python tests/live/golden/make_polymarket_orders.py

Keys are hashes of a text, and belong to nobody. Nothing is sent anywhere. Where the client's floating-point floors lose
something (a size of 8.29 becomes 8.28; the price .57 of an order that trades at once becomes .56) the order is listed
apart, with the client's amounts: ours are the exact ones.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from importlib.metadata import version
from math import gcd
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from py_clob_client_v2.clob_types import CreateOrderOptions, MarketOrderArgsV2, OrderArgsV2
from py_clob_client_v2.config import get_contract_config
from py_clob_client_v2.order_builder.builder import OrderBuilder
from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2, SignatureTypeV2
from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2
from py_clob_client_v2.signer import Signer

CHAIN_ID = 137
TICKS = {"0.1": 1_000, "0.01": 100, "0.005": 50, "0.0025": 25, "0.001": 10, "0.0001": 1}
KINDS = ("GTC", "GTD", "FOK", "FAK")
STAMP_MS = 1_795_000_000_000
ORDERS = 192
OUT = Path(__file__).with_name("polymarket_orders.json")


def key_of(name: str) -> str:
    """A key that belongs to nobody."""
    return hashlib.sha256(f"shadowbook golden orders, {name}".encode()).hexdigest()


def terms_of(rng: random.Random, number: int) -> dict[str, Any]:
    """An order at random; ticks, sides and kinds in turn."""
    name = list(TICKS)[number % len(TICKS)]
    tick = TICKS[name]
    kind = KINDS[number // len(TICKS) % len(KINDS)]
    px = tick * rng.randint(1, 10_000 // tick - 1)
    lots = rng.choice(
        (rng.randint(1, 1_000), rng.randint(1, 100_000), 100 * rng.randint(1, 5_000), rng.randint(1, 10**8))
    )
    if kind in ("FOK", "FAK"):
        lots = 10_000 // gcd(px, 10_000) * rng.randint(1, 500)  # whole cents
    return {
        "token": str(rng.getrandbits(256 if number % 3 else 40)), "side": rng.choice(("BUY", "SELL")), "px": px,
        "lots": lots, "tick": tick, "kind": kind, "neg_risk": rng.random() < 0.5,
        "expiry_s": rng.randint(STAMP_MS // 1000 + 180, 2**32) if kind == "GTD" else 0,
        "post_only": kind in ("GTC", "GTD") and rng.random() < 0.5,
    }  # fmt: skip


def built(terms: dict[str, Any], wallet: dict[str, Any]) -> Any:
    """The client's signed order. Its market orders are in dollars where they buy, and in shares where they sell."""
    builder = OrderBuilder(Signer(wallet["key"], CHAIN_ID), SignatureTypeV2(wallet["kind"]), wallet["funder"] or None)
    name = next(name for name, tick in TICKS.items() if tick == terms["tick"])
    options = CreateOrderOptions(tick_size=name, neg_risk=terms["neg_risk"])
    price, size = terms["px"] / 10_000, terms["lots"] / 100
    if terms["kind"] in ("FOK", "FAK"):
        amount = terms["px"] * terms["lots"] / 1e6 if terms["side"] == "BUY" else size
        args = MarketOrderArgsV2(token_id=terms["token"], amount=amount, side=terms["side"], price=price)
        return builder.build_market_order(args, options)
    args = OrderArgsV2(
        token_id=terms["token"], price=price, size=size, side=terms["side"], expiration=terms["expiry_s"]
    )
    return builder.build_order(args, options)


def vector(terms: dict[str, Any], wallet: dict[str, Any]) -> dict[str, Any]:
    """The order, its amounts, digest, signature and body."""
    order = built(terms, wallet)
    config = get_contract_config(CHAIN_ID)
    contract = config.neg_risk_exchange_v2 if terms["neg_risk"] else config.exchange_v2
    exchange = ExchangeOrderBuilderV2(contract, CHAIN_ID, Signer(wallet["key"], CHAIN_ID))
    typed = exchange.build_order_typed_data(order)
    if wallet["kind"] != int(SignatureTypeV2.POLY_1271):
        signer = Account.recover_message(encode_typed_data(full_message=typed), signature=order.signature)
        assert signer == order.signer, "eth-account finds another signer"
    body = order_to_json_v2(order, "an-api-key", terms["kind"], terms["post_only"])
    packed = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return {
        **terms, "wallet": wallet["name"], "salt": int(order.salt), "timestamp_ms": int(order.timestamp),
        "making": int(order.makerAmount), "taking": int(order.takerAmount),
        "digest": exchange.build_order_hash(typed), "signature": order.signature,
        "body_sha256": hashlib.sha256(packed).hexdigest(),
    }  # fmt: skip


def exact(terms: dict[str, Any]) -> tuple[int, int]:
    """Amounts without floating point."""
    shares, dollars = terms["lots"] * 10_000, terms["px"] * terms["lots"]
    return (dollars, shares) if terms["side"] == "BUY" else (shares, dollars)


def main() -> None:
    """Write the file beside this one."""
    wallets = []
    for name, kind in (("own", 0), ("other", 0), ("proxy", 1), ("safe", 2), ("deposit", 3)):
        key = key_of(name)
        funder = Account.from_key(key_of(f"{name}'s funder")).address if kind else ""
        address = Account.from_key(key).address
        wallets.append({"name": name, "key": key, "kind": kind, "funder": funder, "address": address})
    rng = random.Random(20261120)
    vectors, differ = [], []
    for number in range(ORDERS):
        stamp_ms = STAMP_MS + rng.randint(0, 10**10)
        time.time_ns = lambda stamp_ms=stamp_ms: stamp_ms * 1_000_000  # the client's stamp and salt
        random.seed(number)
        terms = terms_of(rng, number)
        found = vector(terms, wallets[number % len(wallets)])
        (vectors if (found["making"], found["taking"]) == exact(terms) else differ).append(found)
    kept = ("px", "lots", "tick", "side", "kind", "making", "taking")
    lines = {
        "made": "by tests/live/golden/make_polymarket_orders.py, with throw-away keys; nothing of it was ever sent",
        "with": {name: version(name) for name in ("py_clob_client_v2", "eth-account")},
        "chain_id": CHAIN_ID, "wallets": wallets,
        "client_is_not_exact": [{name: one[name] for name in kept} for one in differ],
        "orders": vectors,
    }  # fmt: skip
    OUT.write_text(pretty(lines))
    print(f"{OUT.name}: {len(vectors)} orders, {len(differ)} where the client's amounts are not exact")


def pretty(value: dict[str, Any]) -> str:
    """JSON with a line for each item of a list."""
    parts = []
    for name, item in value.items():
        if isinstance(item, list):
            text = "[\n" + ",\n".join(f"  {json.dumps(one)}" for one in item) + "\n ]"
        else:
            text = json.dumps(item)
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
