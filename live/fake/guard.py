"""Who asks: a fake venue's side of request signatures, and throw-away keys to sign with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from live.clock import Clock
from live.orders.polymarket_signing import EOA, Terms, Wallet, order_digest, recovered, struct_hash
from live.secrets import PolymarketCredentials, Secret
from sim.types import SECOND_NS

_NS_PER_MS = 1_000_000
_SALT_BYTES = 32
SKEW_NS = 30 * SECOND_NS  # how wrong a client's clock may be; the venues do not document theirs

PublicKey = RSAPublicKey | Ed25519PublicKey


class NotAuthenticated(Exception):
    """A request without a signature that holds. Says what is wrong with it, for the log; a venue tells less."""


@dataclass(frozen=True)
class KalshiGuard:
    """Knows public keys by the id of the key."""

    keys: Mapping[str, PublicKey]
    clock: Clock
    skew_ns: int = SKEW_NS

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """The id of the key that signed. ``path`` without its query. Raises NotAuthenticated."""
        key_id = headers.get("KALSHI-ACCESS-KEY", "")
        stamp = headers.get("KALSHI-ACCESS-TIMESTAMP", "")
        key = self.keys.get(key_id)
        if key is None:
            raise NotAuthenticated("no key of that id" if key_id else "no KALSHI-ACCESS-KEY")
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 16:
            raise NotAuthenticated("KALSHI-ACCESS-TIMESTAMP is no number of milliseconds")
        if abs(self.clock.now_ns() - int(stamp) * _NS_PER_MS) > self.skew_ns:
            raise NotAuthenticated(f"the time stamp is more than {self.skew_ns / SECOND_NS:g} s off")
        _verify(key, headers.get("KALSHI-ACCESS-SIGNATURE", ""), f"{stamp}{method}{path}".encode())
        return key_id


def _verify(key: PublicKey, signature: str, message: bytes) -> None:
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, RSAPublicKey):
            key.verify(raw, message, padding.PSS(padding.MGF1(hashes.SHA256()), _SALT_BYTES), hashes.SHA256())
        else:
            key.verify(raw, message)
    except (binascii.Error, ValueError, InvalidSignature):
        raise NotAuthenticated("the signature is not of this request") from None


@dataclass(frozen=True)
class PolymarketGuard:
    """Knows one key of level 2; its address is that of the wallet that signs orders."""

    key: PolymarketCredentials
    clock: Clock
    skew_ns: int = SKEW_NS

    def check_order(self, terms: Terms, said: Mapping[str, Any]) -> str:
        """The id of an order: the hash that its wallet signed. Raises NotAuthenticated for any other signature.

        ``said`` is the order in the venue's words; ``terms`` what was read from them. Wallets without a contract only.
        """
        try:
            maker, signer = str(said["maker"]), str(said["signer"])
            fields = (int(said["salt"]), maker, signer, int(said["makerAmount"]), int(said["takerAmount"]))
            contents = struct_hash(terms, *fields, int(said["signatureType"]), int(said["timestamp"]))
            digest = order_digest(contents, neg_risk=terms.neg_risk)
            found = recovered(digest, bytes.fromhex(str(said["signature"]).removeprefix("0x")))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise NotAuthenticated(f"the order cannot be read: {error!r}") from None
        if int(said["signatureType"]) != EOA or not found == signer == maker == self.key.address:
            raise NotAuthenticated("the order is not signed by the wallet of this key")
        return f"0x{digest.hex()}"

    def check(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """The api key that signed. Raises NotAuthenticated."""
        stamp = headers.get("POLY_TIMESTAMP", "")
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            raise NotAuthenticated("POLY_TIMESTAMP is no number of seconds")
        if abs(self.clock.now_ns() - int(stamp) * SECOND_NS) > self.skew_ns:
            raise NotAuthenticated(f"the time stamp is more than {self.skew_ns / SECOND_NS:g} s off")
        secret = base64.urlsafe_b64decode(self.key.secret.reveal())
        digest = hmac.new(secret, f"{stamp}{method}{path}".encode() + body, hashlib.sha256).digest()
        expected = {
            "POLY_ADDRESS": self.key.address,
            "POLY_API_KEY": self.key.api_key.reveal(),
            "POLY_PASSPHRASE": self.key.passphrase.reveal(),
            "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
        }
        for name, value in expected.items():
            if not hmac.compare_digest(headers.get(name, "").encode(), value.encode()):
                raise NotAuthenticated(f"{name} is not what it should be")
        return expected["POLY_API_KEY"]

    def knows(self, auth: object) -> bool:
        """Whether the ``auth`` of a user socket's subscription is this key."""
        wanted = {
            "apiKey": self.key.api_key.reveal(),
            "secret": self.key.secret.reveal(),
            "passphrase": self.key.passphrase.reveal(),
        }
        return isinstance(auth, dict) and all(
            hmac.compare_digest(str(auth.get(name, "")).encode(), value.encode()) for name, value in wanted.items()
        )


def new_kalshi_key(kind: Literal["ed25519", "rsa"] = "ed25519") -> tuple[Secret, PublicKey]:
    """A throw-away key: the private half as PEM, and the public half."""
    private = Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Secret(pem.decode()), private.public_key()


def new_wallet(rng: Random) -> Wallet:
    """A throw-away wallet. It owns nothing: ``rng`` need not be a secret's."""
    return Wallet(Secret((b"\x01" + rng.randbytes(31)).hex()))


def new_polymarket_key(rng: Random, wallet: Wallet) -> PolymarketCredentials:
    """A throw-away key of level 2 for a wallet. It opens nothing but a fake: ``rng`` need not be a secret's."""
    api_key, secret, passphrase = (rng.randbytes(size) for size in (16, 32, 32))
    return PolymarketCredentials(
        wallet.address, Secret(api_key.hex()), Secret(base64.urlsafe_b64encode(secret).decode()),
        Secret(passphrase.hex()),
    )  # fmt: skip
