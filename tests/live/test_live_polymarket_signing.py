"""Polymarket's orders against its official client, and by laws. How the golden file is made: see its maker."""

from __future__ import annotations

import copy
import json
import pickle
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.orders import polymarket_signing as signing
from live.orders.polymarket_signing import (
    TICKS,
    Terms,
    Wallet,
    amounts,
    lot_step,
    order_digest,
    recovered,
    sign_order,
    struct_hash,
)
from live.secrets import Secret, SecretError
from sim.types import ASK, BID, PX_ONE

GOLDEN = json.loads((Path(__file__).parent / "golden" / "polymarket_orders.json").read_text())
WALLETS = {one["name"]: Wallet(Secret(one["key"]), one["funder"], one["kind"]) for one in GOLDEN["wallets"]}
DECIMALS = {1_000: 3, 100: 4, 50: 5, 25: 6, 10: 5, 1: 6}  # of dollars by tick: docs, order amounts
OWN = WALLETS["own"]


class Salt(Random):
    """Gives one salt."""

    def __init__(self, salt: int) -> None:
        self.salt = salt

    def getrandbits(self, bits: int) -> int:
        return self.salt


def terms_of(vector: dict) -> Terms:
    side = BID if vector["side"] == "BUY" else ASK
    names = ("px", "lots", "tick", "kind", "expiry_s", "post_only", "neg_risk")
    return Terms(vector["token"], side, *(vector[name] for name in names))


def wanted(**changes) -> Terms:
    return Terms(
        "71321045679252212594626385532706912750332728571942532289631379312455583992563", BID, 4800, 500
    )._replace(**changes)


def test_the_golden_file_says_how_it_was_made_and_spreads_wide():
    assert GOLDEN["with"]["py_clob_client_v2"] == "1.2.1" and "throw-away" in GOLDEN["made"]
    seen = {(one["tick"], one["kind"], one["side"]) for one in GOLDEN["orders"]}
    assert len(seen) == len(TICKS) * 4 * 2
    assert (
        {one["neg_risk"] for one in GOLDEN["orders"]} == {one["post_only"] for one in GOLDEN["orders"]} == {True, False}
    )
    assert {one["wallet"] for one in GOLDEN["orders"]} == set(WALLETS)


def test_addresses_are_the_official_clients():
    for one in GOLDEN["wallets"]:
        assert WALLETS[one["name"]].address == one["address"]
        assert WALLETS[one["name"]].maker == one["funder"] or not one["funder"]


@pytest.mark.parametrize("vector", GOLDEN["orders"], ids=lambda one: f"{one['kind']}-{one['side']}-{one['tick']}")
def test_amounts_digest_signature_and_body_are_the_official_clients(vector):
    signed = sign_order(
        terms_of(vector), WALLETS[vector["wallet"]], Salt(vector["salt"]), vector["timestamp_ms"] * 1_000_000 + 999_999
    )
    assert (signed.making, signed.taking) == (vector["making"], vector["taking"])
    assert (signed.id, signed.signature) == (vector["digest"], vector["signature"])
    packed = json.dumps(signed.said("an-api-key"), sort_keys=True, separators=(",", ":")).encode()
    assert sha256(packed).hexdigest() == vector["body_sha256"]


def test_where_the_official_client_is_not_exact_it_asks_for_less_or_a_worse_price():
    """Its floors are of floating point: .57 x 100 is 56.99999999999999, so the price of an FAK order becomes .56."""
    assert len(GOLDEN["client_is_not_exact"]) < len(GOLDEN["orders"]) / 5
    for one in GOLDEN["client_is_not_exact"]:
        side = BID if one["side"] == "BUY" else ASK
        exact = amounts(wanted(side=side, px=one["px"], lots=one["lots"], tick=one["tick"], kind=one["kind"]))
        assert exact != (one["making"], one["taking"])
        assert abs(exact[0] / one["making"] - 1) < 0.2 and abs(exact[1] / one["taking"] - 1) < 0.2


def test_amounts_by_hand():
    # 5 shares at .48: 2.40 dollars
    assert amounts(wanted()) == (2_400_000, 5_000_000)
    assert amounts(wanted(side=ASK)) == (5_000_000, 2_400_000)
    # 8.29 shares at .0025: .020725 dollars, six decimals at this tick
    assert amounts(wanted(px=25, lots=829, tick=25)) == (20_725, 8_290_000)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"px": 4850}, "grid of tick 100"),
        ({"px": 0}, "grid of tick"),
        ({"px": PX_ONE}, "grid of tick"),
        ({"px": 9_995, "tick": 10}, "grid of tick"),
        ({"tick": 20, "px": 4820}, "known ticks"),
        ({"lots": 0}, "multiple of 1 above 0"),
        ({"lots": -500}, "above 0"),
        ({"lots": 150, "kind": "FAK", "px": 700}, "multiple of 100"),
        ({"kind": "IOC"}, "expected GTC, GTD, FOK or FAK"),
        ({"side": 2}, "BID or ASK"),
        ({"kind": "FOK", "post_only": True}, "never rests"),
        ({"kind": "GTD"}, "has one"),
        ({"expiry_s": 1_800_000_000}, "others have none"),
        ({"token": "0x12"}, "256 bits"),
        ({"token": str(1 << 256)}, "256 bits"),
    ],
)
def test_what_cannot_be_an_order_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        amounts(wanted(**changes))


def test_size_steps_of_orders_that_trade_at_once_by_hand():
    # at .07 a share costs 7 cents, a hundredth of it less than a cent: whole shares only
    assert lot_step(BID, 700, "FAK") == 100
    # at .50 two hundredths of a share cost a cent
    assert lot_step(BID, 5_000, "FOK") == 2
    # at .985 two shares cost 1.97; one sells for .985, four decimals: 2 hundredths make .0197
    assert lot_step(BID, 9_850, "FAK") == 200 and lot_step(ASK, 9_850, "FAK") == 2
    assert lot_step(BID, 700, "GTC") == lot_step(ASK, 700, "FOK") == 1


@st.composite
def orders(draw) -> Terms:
    tick = draw(st.sampled_from(TICKS))
    px = tick * draw(st.integers(1, PX_ONE // tick - 1))
    side, kind = draw(st.sampled_from((BID, ASK))), draw(st.sampled_from(("GTC", "GTD", "FOK", "FAK")))
    lots = lot_step(side, px, kind) * draw(st.integers(1, 10**7))
    expiry_s = draw(st.integers(1, 2**33)) if kind == "GTD" else 0
    post_only = kind in ("GTC", "GTD") and draw(st.booleans())
    token = str(draw(st.integers(0, 2**256 - 1)))
    return Terms(token, side, px, lots, tick, kind, expiry_s, post_only, draw(st.booleans()))


@given(orders())
def test_amounts_are_what_was_asked_for_and_within_the_venues_decimals(terms):
    making, taking = amounts(terms)
    dollars, shares = (making, taking) if terms.side == BID else (taking, making)
    assert (dollars, shares) == (terms.px * terms.lots, terms.lots * 10_000)  # never more, never less
    decimals = DECIMALS[terms.tick] if terms.kind in ("GTC", "GTD") else 2 if terms.side == BID else 4
    assert dollars % 10 ** (6 - decimals) == 0 and shares % 10**4 == 0
    assert dollars * PX_ONE == terms.px * shares  # the price that the venue reads off them


@given(orders(), st.integers(0, 2**52 - 1), st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
def test_a_signature_gives_the_keys_address_and_binds_every_field(terms, salt, now_ns, raw):
    if not 0 < int.from_bytes(raw) < 2**255:
        return
    wallet = Wallet(Secret(raw.hex()))
    signed = sign_order(terms, wallet, Salt(salt), now_ns)
    signature = bytes.fromhex(signed.signature[2:])
    assert recovered(signed.digest, signature) == wallet.address
    fields = [terms, salt, signed.maker, signed.signer, signed.making, signed.taking, 0, signed.timestamp_ms]
    other = "0x" + "11" * 20
    for place, changed in enumerate(
        (None, salt + 1, other, other, signed.making + 1, signed.taking + 1, 1, signed.timestamp_ms + 1)
    ):
        if changed is not None:
            contents = struct_hash(*fields[:place], changed, *fields[place + 1 :])
            assert order_digest(contents, neg_risk=terms.neg_risk) != signed.digest, place
    assert order_digest(struct_hash(*fields), neg_risk=not terms.neg_risk) != signed.digest


def test_salts_come_from_the_stream_and_differ():
    first, again = ([sign_order(wanted(), OWN, Random(5), 10**18).salt for _ in range(2)] for _ in range(2))
    assert first == again
    rng = Random(5)
    assert len({sign_order(wanted(), OWN, rng, 10**18).digest for _ in range(100)}) == 100


def test_what_is_no_signature_is_refused():
    for signature in (b"", bytes(65), bytes(64) + b"\x1b", b"\xff" * 64 + b"\x1b"):
        with pytest.raises(ValueError, match="signature"):
            recovered(bytes(32), signature)


def test_a_wallet_shows_nothing():
    key = GOLDEN["wallets"][0]["key"]
    wallet = Wallet(Secret(f"0x{key}"))
    assert wallet.address == OWN.address
    assert key not in repr(wallet) + str(vars(wallet)) + f"{wallet}"
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(wallet)


@pytest.mark.parametrize(
    ("key", "funder", "kind", "error"),
    [
        ("12", "", 0, SecretError),
        ("00" * 32, "", 0, SecretError),
        ("ff" * 32, "", 0, SecretError),
        ("zz" * 32, "", 0, SecretError),
        ("11" * 32, "", 1, ValueError),
        ("11" * 32, "0x" + "22" * 20, 0, ValueError),
        ("11" * 32, "0x22", 1, ValueError),
        ("11" * 32, "0x" + "22" * 20, 4, ValueError),
    ],
)
def test_a_bad_wallet_is_refused_without_repeating_its_key(key, funder, kind, error):
    with pytest.raises(error) as caught:
        Wallet(Secret(key), funder, kind)
    assert key not in str(caught.value)


def test_contracts_are_the_venues():
    """As docs.polymarket.com lists them."""
    assert signing.EXCHANGE == "0xE111180000d2663C0091e4f400237545B87B996B"
    assert signing.NEG_RISK_EXCHANGE == "0xe2222d279d744050d28e00520010520000310F59"
