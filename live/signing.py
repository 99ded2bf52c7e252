"""What proves to a venue who asks: headers made of a key, the time and the request.

Polymarket's orders are signed in ``live/orders/polymarket_signing.py``; headers ahead of their request are made by
``live/orders/presign.py``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from live.clock import Clock
from live.secrets import KalshiCredentials, PolymarketCredentials, Secret
from sim.types import SECOND_NS

_NS_PER_MS = 1_000_000
_SALT_BYTES = 32  # as long as the digest


class Signer(Protocol):
    """Makes the headers of one request."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What an answer or an error must not repeat."""
        ...

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """Headers for ``path`` from the root of the host, without its query."""
        ...


class KalshiSigner:
    """Kalshi: base64 of the signature over ``milliseconds + METHOD + path``; the body is not signed.

    RSA keys sign by RSASSA-PSS with SHA-256, MGF1 of SHA-256 and a salt of 32 bytes, Ed25519 keys the bytes as they are
    (docs.kalshi.com, "API keys", read 2026-10-15). The socket's handshake is signed alike, as a GET.
    """

    def __init__(self, credentials: KalshiCredentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What an answer or an error must not repeat."""
        return self._credentials.secrets

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """Three headers, good for this moment. ``path`` includes ``/trade-api``, and no query."""
        return self.stamped(method, path, self._clock.now_ns())

    def stamped(self, method: str, path: str, now_ns: int) -> dict[str, str]:
        """Three headers of another moment, cut to the millisecond."""
        _check(path)
        stamp = str(now_ns // _NS_PER_MS)
        signature = self._sign(f"{stamp}{method}{path}".encode())
        return {
            "KALSHI-ACCESS-KEY": self._credentials.key_id.reveal(),
            "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }

    def _sign(self, message: bytes) -> bytes:
        key = self._credentials.private_key
        if isinstance(key, RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), _SALT_BYTES)
            return key.sign(message, pss, hashes.SHA256())
        return key.sign(message)


class PolymarketSigner:
    """Polymarket, level 2: url-safe base64 of HMAC-SHA256 over ``seconds + METHOD + path + body``.

    The key is the url-safe base64 decoding of the secret (docs.polymarket.com, "Authentication", read 2026-08-22).
    """

    def __init__(self, credentials: PolymarketCredentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What an answer or an error must not repeat."""
        return self._credentials.secrets

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """Five headers, good for this moment; ``body`` as it is sent."""
        _check(path)
        stamp = str(self._clock.now_ns() // SECOND_NS)
        key = base64.urlsafe_b64decode(self._credentials.secret.reveal())
        digest = hmac.new(key, f"{stamp}{method}{path}".encode() + body, hashlib.sha256).digest()
        return {
            "POLY_ADDRESS": self._credentials.address,
            "POLY_API_KEY": self._credentials.api_key.reveal(),
            "POLY_PASSPHRASE": self._credentials.passphrase.reveal(),
            "POLY_TIMESTAMP": stamp,
            "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
        }


def _check(path: str) -> None:
    if not path.startswith("/") or "?" in path:
        raise ValueError(f"{path!r}: expected a path from the root of the host, without a query")
