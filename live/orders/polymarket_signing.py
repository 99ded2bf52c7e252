"""Polymarket's orders: what is wanted -> amounts -> EIP-712 digest -> signature. Integers throughout.

Order and domain: CTF Exchange V2 of 2026-04-28 (docs.polymarket.com, read 2026-08-22; PyPI py-clob-client-v2 1.2.1).
With prices in 1e-4 dollar and sizes in 1e-2 share their product is in micro-dollars, so an amount is exact: the venue's
limits of decimals for a tick are kept by whoever keeps to the tick. Orders that trade at once have a tighter limit, see
:func:`lot_step`. Exchange V3 (markets of protocol version 2) is not there.
"""

from __future__ import annotations

import re
from math import gcd
from random import Random
from typing import Any, Literal, NamedTuple

import coincurve
from Crypto.Hash import keccak

from live.secrets import Secret, SecretError
from sim.types import ASK, BID, PX_ONE
from sim.venues.rules import Source

CHAIN_ID = 137
EXCHANGE = "0xE111180000d2663C0091e4f400237545B87B996B"
NEG_RISK_EXCHANGE = "0xe2222d279d744050d28e00520010520000310F59"  # markets whose event is mutually exclusive
TICKS = (1_000, 100, 50, 25, 10, 1)  # px
EOA, PROXY, SAFE, DEPOSIT_WALLET = range(4)  # signature types: who holds the money that a key may spend
Kind = Literal["GTC", "GTD", "FOK", "FAK"]
RESTING: tuple[Kind, ...] = ("GTC", "GTD")

_ZERO = "0x" + "00" * 32  # metadata and builder
_UNITS_PER_LOT = 10_000  # 1e-6 share
_CENT, _HUNDREDTH = 10_000, 100  # micro-dollars: two decimals of pUSD, and four
_SALT_BITS = 52  # a JSON number that every reader takes exactly
_ORDER = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    "uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_NESTED = (
    "TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    + _ORDER
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_TOKEN = re.compile(r"[0-9]{1,78}")


class Terms(NamedTuple):
    """An order as it is wanted. Prices are the token's own."""

    token: str
    side: int  # BID buys, ASK sells
    px: int  # limit, 1e-4 dollar
    lots: int  # 1e-2 share
    tick: int = 100  # of the token's market, px
    kind: Kind = "GTC"
    expiry_s: int = 0  # seconds since epoch, of GTD; it goes over the wire without being signed
    post_only: bool = False
    neg_risk: bool = False


class SignedOrder(NamedTuple):
    """An order, ready to be sent once. Its fields are in the venue's units."""

    terms: Terms
    salt: int
    maker: str  # who pays
    signer: str
    making: int  # what the maker gives: micro-dollars of a BID, 1e-6 shares of an ASK
    taking: int  # what it gets
    wallet_kind: int
    timestamp_ms: int
    digest: bytes  # the venue's id of it
    signature: str

    @property
    def id(self) -> str:
        """Hash of the order, by which the venue names it: known before it answers."""
        return f"0x{self.digest.hex()}"

    def said(self, owner: str) -> dict[str, Any]:
        """Body of ``POST /order``; ``owner`` is the API key."""
        return {
            "order": {
                "salt": self.salt,
                "maker": self.maker,
                "signer": self.signer,
                "tokenId": self.terms.token,
                "makerAmount": str(self.making),
                "takerAmount": str(self.taking),
                "side": "BUY" if self.terms.side == BID else "SELL",
                "expiration": str(self.terms.expiry_s),
                "signatureType": self.wallet_kind,
                "timestamp": str(self.timestamp_ms),
                "metadata": _ZERO,
                "builder": _ZERO,
                "signature": self.signature,
            },
            "owner": owner,
            "orderType": self.terms.kind,
            "deferExec": False,
            "postOnly": self.terms.post_only,
        }


class Wallet:
    """A key that signs orders, and whose money it spends.

    Args:
        key: 32 bytes in hex.
        funder: address that holds the money; "" = the key's own.
        kind: EOA, PROXY, SAFE or DEPOSIT_WALLET; all but EOA have a funder of their own.

    Raises SecretError for what is no key, ValueError for a funder that does not fit its kind.
    """

    def __init__(self, key: Secret, funder: str = "", kind: int = EOA) -> None:
        if not _KEY.fullmatch(key.reveal()):
            raise SecretError("a wallet's key: expected 64 hex digits, with or without 0x")
        try:
            self._private = coincurve.PrivateKey.from_hex(key.reveal().removeprefix("0x"))
        except ValueError:
            raise SecretError("a wallet's key: no number that a key can be; copy it again") from None
        self.secret = key  # keeps the whole from being pickled, too
        self.address = address_of(self._private.public_key)
        if kind not in (EOA, PROXY, SAFE, DEPOSIT_WALLET) or (kind == EOA) == bool(funder):
            raise ValueError(f"wallet of kind {kind} with funder {funder!r}; kinds 1 to 3 have a funder, 0 has none")
        if funder and not _ADDRESS.fullmatch(funder):
            raise ValueError(f"funder {funder!r}: expected 0x and 40 hex digits")
        self.kind = kind
        self.maker = checksummed(bytes.fromhex(funder[2:])) if funder else self.address
        self.signer = self.maker if kind == DEPOSIT_WALLET else self.address

    def sign(self, digest: bytes) -> bytes:
        """65 bytes: r, s, v. The same for the same digest (RFC 6979)."""
        raw = self._private.sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes([27 + raw[64]])


def lot_step(side: int, px: int, kind: Kind) -> int:
    """Lots that an order's size is a multiple of.

    The dollars of an order that trades at once may have 2 decimals where it buys, and 4 where it sells, whatever the
    tick; the venue answers "invalid amounts" for more. A GTC or GTD order: any size.
    """
    if kind in RESTING:
        return 1
    unit = _CENT if side == BID else _HUNDREDTH
    return unit // gcd(px, unit)


def amounts(terms: Terms) -> tuple[int, int]:
    """What the maker gives and gets, in 1e-6 dollar and 1e-6 share: exactly what was asked for.

    Raises ValueError for a price off the tick's grid, a size that the venue does not take at that price, an unknown
    kind, post-only for an order that never rests, or an expiry that does not go with the kind.
    """
    _check(terms)
    shares, dollars = terms.lots * _UNITS_PER_LOT, terms.px * terms.lots
    return (dollars, shares) if terms.side == BID else (shares, dollars)


def sign_order(terms: Terms, wallet: Wallet, rng: Random, now_ns: int) -> SignedOrder:
    """The order of ``terms``, stamped with ``now_ns``, with a salt of ``rng``. Raises ValueError as `amounts` does."""
    making, taking = amounts(terms)
    stamp_ms = now_ns // 1_000_000
    salt = rng.getrandbits(_SALT_BITS)
    contents = struct_hash(terms, salt, wallet.maker, wallet.signer, making, taking, wallet.kind, stamp_ms)
    digest = order_digest(contents, neg_risk=terms.neg_risk)
    signature = wallet.sign(digest) if wallet.kind != DEPOSIT_WALLET else _nested(wallet, terms.neg_risk, contents)
    return SignedOrder(
        terms, salt, wallet.maker, wallet.signer, making, taking, wallet.kind, stamp_ms, digest, f"0x{signature.hex()}"
    )


def struct_hash(
    terms: Terms, salt: int, maker: str, signer: str, making: int, taking: int, wallet_kind: int, stamp_ms: int
) -> bytes:
    """EIP-712 hash of an order's fields."""
    side = 0 if terms.side == BID else 1
    numbers = (int(terms.token), making, taking, side, wallet_kind, stamp_ms)
    return _keccak(
        b"".join(
            (_ORDER_HASH, _word(salt), _address_word(maker), _address_word(signer), *map(_word, numbers), bytes(64))
        )
    )


def order_digest(contents: bytes, *, neg_risk: bool) -> bytes:
    """What is signed for an order of that hash."""
    return _keccak(b"\x19\x01" + _SEPARATORS[neg_risk] + contents)


def recovered(digest: bytes, signature: bytes) -> str:
    """Address of the key that made a signature of 65 bytes. Raises ValueError for what is none."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise ValueError(f"a signature of {len(signature)} bytes; expected 65, the last one 27 or 28")
    raw = signature[:64] + bytes([signature[64] - 27])
    try:
        key = coincurve.PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except Exception as error:  # noqa: BLE001 -- coincurve raises Exception itself
        raise ValueError(f"a signature that no key has made ({error})") from None
    return address_of(key)


def address_of(key: coincurve.PublicKey) -> str:
    """Address of a public key."""
    return checksummed(_keccak(key.format(compressed=False)[1:])[12:])


def checksummed(raw: bytes) -> str:
    """An address of 20 bytes in hex, with the capitals of EIP-55."""
    digits = raw.hex()
    marks = _keccak(digits.encode()).hex()
    return "0x" + "".join(one.upper() if mark >= "8" else one for one, mark in zip(digits, marks, strict=False))


def _check(terms: Terms) -> None:
    if terms.kind not in ("GTC", "GTD", "FOK", "FAK") or terms.side not in (BID, ASK):
        raise ValueError(f"order of kind {terms.kind!r}, side {terms.side}; expected GTC, GTD, FOK or FAK, BID or ASK")
    if not _TOKEN.fullmatch(terms.token) or int(terms.token) >= 1 << 256:
        raise ValueError(f"token {terms.token[:90]!r}: expected a number of 256 bits")
    if terms.tick not in TICKS or terms.px % terms.tick or not terms.tick <= terms.px <= PX_ONE - terms.tick:
        raise ValueError(f"price {terms.px} x 1e-4 is not on the grid of tick {terms.tick}; known ticks are {TICKS}")
    step = lot_step(terms.side, terms.px, terms.kind)
    if terms.lots <= 0 or terms.lots % step:
        raise ValueError(f"{terms.lots} lots at {terms.px} x 1e-4, {terms.kind}; expected a multiple of {step} above 0")
    if terms.post_only and terms.kind not in RESTING:
        raise ValueError(f"post-only goes with GTC and GTD, not with {terms.kind}, which never rests")
    if (terms.kind == "GTD") != (terms.expiry_s > 0):
        raise ValueError(
            f"{terms.kind} with expiry {terms.expiry_s}; a GTD order has one, in seconds, others have none"
        )


def _nested(wallet: Wallet, neg_risk: bool, contents: bytes) -> bytes:
    """Signature for a deposit wallet, which checks it on chain (ERC-1271, nested typed data of ERC-7739)."""
    domain = _SEPARATORS[neg_risk]
    name, version = _keccak(b"DepositWallet"), _keccak(b"1")
    inner = b"".join((_NESTED_HASH, contents, name, version, _word(CHAIN_ID), _address_word(wallet.signer), bytes(32)))
    signature = wallet.sign(_keccak(b"\x19\x01" + domain + _keccak(inner)))
    told = _ORDER.encode()
    return signature + domain + contents + told + len(told).to_bytes(2, "big")


def _keccak(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _address_word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def _separator(contract: str) -> bytes:
    texts = (b"Polymarket CTF Exchange", b"2")
    return _keccak(
        b"".join((_keccak(_DOMAIN.encode()), *map(_keccak, texts), _word(CHAIN_ID), _address_word(contract)))
    )


_ORDER_HASH = _keccak(_ORDER.encode())
_NESTED_HASH = _keccak(_NESTED.encode())
_SEPARATORS = {False: _separator(EXCHANGE), True: _separator(NEG_RISK_EXCHANGE)}

SOURCES = (
    Source("Order, domain, contracts, decimals by tick", "docs.polymarket.com; py-clob-client-v2 1.2.1", "2026-10-15"),
    Source("Decimals of orders that trade at once", "github.com/Polymarket/py-clob-client-v2 issue 99", "2026-07-04"),
)
