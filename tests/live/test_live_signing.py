"""Signatures, checked with the other half of the key, and by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from live.clock import ManualClock
from live.secrets import KalshiCredentials, PolymarketCredentials, Secret
from live.signing import KalshiSigner, PolymarketSigner

CLOCK = ManualClock(1_703_123_456_789_999_999)  # cut to 1703123456789 ms, not rounded
BALANCE = "/trade-api/v2/portfolio/balance"


def _kalshi(key) -> KalshiSigner:
    return KalshiSigner(KalshiCredentials(Secret("an-id"), Secret("pem"), key), CLOCK)


def test_kalshi_rsa_signs_pss_with_a_salt_as_long_as_the_digest():
    key = rsa.generate_private_key(65537, 2048)
    headers = _kalshi(key).headers("GET", BALANCE, b"not signed")
    assert headers["KALSHI-ACCESS-KEY"] == "an-id"
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == "1703123456789"
    signature = base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"], validate=True)
    message = b"1703123456789GET/trade-api/v2/portfolio/balance"  # the venue's own example
    exact = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    key.public_key().verify(signature, message, exact, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, message + b"?", exact, hashes.SHA256())
    other = padding.PSS(padding.MGF1(hashes.SHA256()), 20)
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, message, other, hashes.SHA256())


def test_kalshi_ed25519_signs_the_bytes():
    key = ed25519.Ed25519PrivateKey.generate()
    headers = _kalshi(key).headers("GET", "/trade-api/ws/v2")
    signature = base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"], validate=True)
    key.public_key().verify(signature, b"1703123456789GET/trade-api/ws/v2")


@pytest.mark.parametrize("path", ["/a?b=1", "a", "https://host/a"])
def test_a_path_is_signed_without_host_and_query(path):
    with pytest.raises(ValueError, match="without a query"):
        _kalshi(ed25519.Ed25519PrivateKey.generate()).headers("GET", path)


def test_polymarket_signs_stamp_method_path_and_body():
    raw = bytes(range(224, 256))  # its base64 holds "-" and "_", the url-safe letters
    secret = base64.urlsafe_b64encode(raw).decode()
    assert "-" in secret or "_" in secret
    credentials = PolymarketCredentials("0xabc", Secret("key"), Secret(secret), Secret("phrase"))
    headers = PolymarketSigner(credentials, CLOCK).headers("POST", "/order", b'{"a":1}')
    digest = hmac.new(raw, b'1703123456POST/order{"a":1}', hashlib.sha256).digest()
    assert headers == {
        "POLY_ADDRESS": "0xabc",
        "POLY_API_KEY": "key",
        "POLY_PASSPHRASE": "phrase",
        "POLY_TIMESTAMP": "1703123456",  # seconds
        "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
    }


def test_polymarkets_signature_of_a_known_request():
    """HMAC-SHA256 with 32 zero bytes over "1000000GET/auth/ping", as openssl computes it."""
    credentials = PolymarketCredentials("0x0", Secret("k"), Secret("A" * 43 + "="), Secret("p"))
    headers = PolymarketSigner(credentials, ManualClock(10**15)).headers("GET", "/auth/ping")
    assert headers["POLY_SIGNATURE"] == "x0Yh-k3zqt8g1Mj2E86VE5DVl6bwjhK4Q3segp_q9kU="
