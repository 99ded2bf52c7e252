"""Keys: read only from where they are safe, and shown nowhere."""

from __future__ import annotations

import base64
import copy
import io
import json
import logging
import os
import pickle
import traceback

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from live import secrets
from live.secrets import RedactingFilter, Secret, SecretError

VALUE = "hunter2-correct-horse"
POLYMARKET = {
    "SHADOWBOOK_POLYMARKET_ADDRESS": "0xabc",
    "SHADOWBOOK_POLYMARKET_API_KEY": "9180014b",
    "SHADOWBOOK_POLYMARKET_SECRET": base64.urlsafe_b64encode(b"\xff\xfe" * 16).decode(),
    "SHADOWBOOK_POLYMARKET_PASSPHRASE": VALUE,
}


ENCRYPTED = serialization.BestAvailableEncryption(b"x")


def pem_of(key, encryption=None) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    ).decode()


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{:>40}".format, "{!r}".format, lambda secret: json.dumps([secret], default=str),
     lambda secret: str({"key": secret}), lambda secret: f"{secret}"],
)  # fmt: skip
def test_a_secret_is_not_shown(show):
    text = show(Secret(VALUE))
    assert VALUE not in text and "***" in text


@pytest.mark.parametrize(
    "leak", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, msgspec.msgpack.encode]
)
def test_a_secret_is_neither_pickled_nor_copied_nor_encoded(leak):
    with pytest.raises(TypeError) as raised:
        leak(Secret(VALUE))
    assert VALUE not in str(raised.value)


def test_reveal_is_the_one_way_out():
    assert Secret(VALUE).reveal() == VALUE
    assert not hasattr(Secret(VALUE), "__dict__")
    with pytest.raises(SecretError, match="empty"):
        Secret("")


@pytest.mark.parametrize("rights", [0o600, 0o400])
def test_an_owners_file_is_read(tmp_path, rights):
    path = tmp_path / "key"
    path.write_text(f"  {VALUE}\n", encoding="utf-8")
    path.chmod(rights)
    assert secrets.read_file(path).reveal() == VALUE


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o644, 0o610, 0o700, 0o666, 0o420])
def test_a_file_with_wider_rights_is_refused_and_the_remedy_named(tmp_path, rights):
    path = tmp_path / "key"
    path.write_text(VALUE, encoding="utf-8")
    path.chmod(rights)
    with pytest.raises(SecretError, match=f"{rights:04o}.*chmod 600 {path}") as raised:
        secrets.read_file(path)
    assert VALUE not in str(raised.value)


def test_a_file_of_somebody_else_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "key"
    path.write_text(VALUE, encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(SecretError, match="belongs to user"):
        secrets.read_file(path)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "empty"), (b"\xff\xfe", "not text"), (b"x" * 70_000, "more than 65536 bytes")]
)
def test_a_file_that_cannot_be_a_key_is_refused(tmp_path, content, says):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SecretError, match=says):
        secrets.read_file(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(SecretError, match="cannot be read"):
        secrets.read_file(tmp_path / "none")
    with pytest.raises(SecretError, match="cannot be read"):
        secrets.read_file(tmp_path)


@pytest.mark.parametrize("kind", ["variable", "one line", "file"])
@pytest.mark.parametrize("make", [lambda: rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate])
def test_a_kalshi_key_is_of_the_type_that_was_parsed(tmp_path, make, kind):
    pem = pem_of(make())
    environ = {"SHADOWBOOK_KALSHI_KEY_ID": "an-id", "SHADOWBOOK_KALSHI_PRIVATE_KEY": pem}
    if kind == "one line":
        environ["SHADOWBOOK_KALSHI_PRIVATE_KEY"] = pem.replace("\n", "\\n")
    if kind == "file":
        path = tmp_path / "kalshi.pem"
        path.write_text(pem, encoding="utf-8")
        path.chmod(0o600)
        environ = {"SHADOWBOOK_KALSHI_KEY_ID": "an-id", "SHADOWBOOK_KALSHI_PRIVATE_KEY_FILE": str(path)}
    found = secrets.kalshi_credentials(environ)
    assert found is not None
    assert pem_of(found.private_key) == pem
    assert "an-id" not in repr(found) and pem.splitlines()[1] not in repr(found)


def test_no_key_is_no_error_and_half_a_key_is():
    assert secrets.kalshi_credentials({}) is None
    assert secrets.polymarket_credentials({"HOME": "x"}) is None
    with pytest.raises(SecretError, match="SHADOWBOOK_KALSHI_PRIVATE_KEY: not set"):
        secrets.kalshi_credentials({"SHADOWBOOK_KALSHI_KEY_ID": "an-id"})
    with pytest.raises(SecretError, match="both set"):
        secrets.kalshi_credentials({"SHADOWBOOK_KALSHI_KEY_ID": "a", "SHADOWBOOK_KALSHI_KEY_ID_FILE": "b"})


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (lambda: "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----", "no private key in PEM"),
        (lambda: pem_of(ec.generate_private_key(ec.SECP256R1())), "expected Ed25519, or RSA"),
        (lambda: pem_of(rsa.generate_private_key(65537, 1024)), "1024; expected Ed25519, or RSA of at least 2048"),
        (
            lambda: pem_of(ed25519.Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"x")),
            "encrypted",
        ),
    ],
)
def test_a_kalshi_key_that_will_not_do_is_refused_without_showing_it(pem, says):
    text = pem()
    with pytest.raises(SecretError, match=says) as raised:
        secrets.kalshi_credentials({"SHADOWBOOK_KALSHI_KEY_ID": "a", "SHADOWBOOK_KALSHI_PRIVATE_KEY": text})
    told = "".join(traceback.format_exception(raised.value))
    assert not [line for line in text.splitlines()[1:-1] if line in told]


def test_polymarkets_key():
    found = secrets.polymarket_credentials(POLYMARKET)
    assert found is not None
    assert (found.address, found.passphrase.reveal()) == ("0xabc", VALUE)
    assert VALUE not in repr(found)
    bad = {**POLYMARKET, "SHADOWBOOK_POLYMARKET_SECRET": "a+b/c"}
    with pytest.raises(SecretError, match="url-safe base64") as raised:
        secrets.polymarket_credentials(bad)
    assert "a+b/c" not in "".join(traceback.format_exception(raised.value))


def _logged(*known: Secret, formatter: logging.Formatter | None = None):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter(known))
    handler.setFormatter(formatter or logging.Formatter("%(levelname)s %(message)s %(field)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, stream


def test_the_filter_hides_what_slipped_into_a_log():
    pem = pem_of(ed25519.Ed25519PrivateKey.generate())
    logger, stream = _logged(Secret(VALUE), Secret(pem))
    logger.info("key %s of %d", VALUE, 3, extra={"field": {"header": [VALUE]}})
    logger.info(f"pem {pem.splitlines()[1]}", extra={"field": ("a", pem)})
    try:
        raise ValueError(VALUE)
    except ValueError:
        logger.exception("failed", extra={"field": ""})
    text = stream.getvalue()
    assert "of 3" in text and "ValueError: ***" in text and text.count("***") >= 5
    assert VALUE not in text and pem.splitlines()[1] not in text


def test_the_filter_leaves_no_exception_to_a_formatter_that_tells_it_itself():
    class Own(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"{record.getMessage()} {record.exc_info and record.exc_info[1]} {record.exc_text}"

    logger, stream = _logged(Secret(VALUE), formatter=Own())
    try:
        raise ValueError(VALUE)
    except ValueError:
        logger.exception("failed")
    assert VALUE not in stream.getvalue() and "ValueError: ***" in stream.getvalue()


def test_the_filter_hides_the_longer_of_two_secrets_first():
    assert secrets.redacted("abcdef", [Secret("abcd"), Secret("abcdef")]) == "***"
    assert secrets.redacted("a cat", [Secret("a")]) == "a cat"  # too short to be told from text
