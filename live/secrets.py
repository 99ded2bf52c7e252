"""Keys: where they come from, and what keeps them out of sight.

Each key is the environment variable ``SHADOWBOOK_...`` or the file that ``SHADOWBOOK_..._FILE`` names, whose rights are
its owner's alone. Never a configuration, never an argument: both are written down with a run.

===============  ===============================================================================
venue            variables
===============  ===============================================================================
Kalshi           ``SHADOWBOOK_KALSHI_KEY_ID``, ``SHADOWBOOK_KALSHI_PRIVATE_KEY`` (PEM, RSA or Ed25519)
Polymarket       ``SHADOWBOOK_POLYMARKET_ADDRESS``, ``..._API_KEY``, ``..._SECRET``, ``..._PASSPHRASE``
===============  ===============================================================================
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_HIDDEN = "***"
_SHORTEST = 4  # characters: what is shorter would be found in any text
_LONGEST = 1 << 16  # bytes of a file with a key
_OWNERS = 0o600
_FEWEST_BITS = 2048


class SecretError(ValueError):
    """A key that is missing, cannot be read or lies open. Says which, never what is in it."""


class Secret:
    """Text that is not shown: not by repr, str, format, pickle, copy or JSON. ``reveal()`` is the one way out."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise SecretError("an empty secret; expected text")
        self.__text = text

    def reveal(self) -> str:
        """The text itself: for a signature or a header, and nothing else."""
        return self.__text

    def __repr__(self) -> str:
        return f'Secret("{_HIDDEN}")'

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied: give the process that needs it the variable or file")


@dataclass(frozen=True)
class KalshiCredentials:
    """A Kalshi API key."""

    key_id: Secret
    pem: Secret
    private_key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not appear anywhere."""
        return self.key_id, self.pem


@dataclass(frozen=True)
class PolymarketCredentials:
    """A Polymarket key of level 2: enough to read one's account, not to sign an order."""

    address: str
    api_key: Secret
    secret: Secret  # base64, url-safe
    passphrase: Secret

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not appear anywhere."""
        return self.api_key, self.secret, self.passphrase


def kalshi_credentials(environ: Mapping[str, str]) -> KalshiCredentials | None:
    """The key that the environment names, None where it names none. Raises SecretError for half of one or a bad one."""
    found = _read(environ, "SHADOWBOOK_KALSHI", ("KEY_ID", "PRIVATE_KEY"))
    if found is None:
        return None
    key_id, pem = found
    pem = Secret(pem.reveal().replace("\\n", "\n"))  # as some files of variables write line ends
    return KalshiCredentials(key_id, pem, _private_key(pem))


def polymarket_credentials(environ: Mapping[str, str]) -> PolymarketCredentials | None:
    """The key that the environment names, None where it names none. Raises SecretError for half of one or a bad one."""
    found = _read(environ, "SHADOWBOOK_POLYMARKET", ("ADDRESS", "API_KEY", "SECRET", "PASSPHRASE"))
    if found is None:
        return None
    address, api_key, secret, passphrase = found
    try:
        base64.b64decode(secret.reveal(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(
            "SHADOWBOOK_POLYMARKET_SECRET: not url-safe base64; copy it again, padding (=) included"
        ) from None
    return PolymarketCredentials(address.reveal(), api_key, secret, passphrase)


def _read(environ: Mapping[str, str], prefix: str, names: tuple[str, ...]) -> list[Secret] | None:
    values = {name: _value(environ, f"{prefix}_{name}") for name in names}
    missing = [f"{prefix}_{name}" for name, value in values.items() if value is None]
    if len(missing) == len(names):
        return None
    if missing:
        raise SecretError(
            f"{', '.join(missing)}: not set, while the rest of the key is; set it, or name a file in ..._FILE"
        )
    return [value for value in values.values() if value is not None]


def _value(environ: Mapping[str, str], name: str) -> Secret | None:
    text, path = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "")
    if text and path:
        raise SecretError(f"{name} and {name}_FILE are both set; expected one of them")
    if path:
        return read_file(path)
    return Secret(text) if text else None


def read_file(path: str | Path) -> Secret:
    """Text of a file that its owner alone may read.

    Raises SecretError where it cannot be read, is empty or too large, belongs to somebody else or has wider rights.
    """
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())  # of what was opened, not of what the name says by now
            _check_rights(path, status)
            raw = file.read(_LONGEST + 1)
    except OSError as error:
        raise SecretError(f"{path}: cannot be read ({error.strerror}); expected a file with a key") from None
    if len(raw) > _LONGEST:
        raise SecretError(f"{path}: more than {_LONGEST} bytes; expected a key")
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        raise SecretError(f"{path}: not text; expected a key") from None
    if not text:
        raise SecretError(f"{path}: empty; expected a key")
    return Secret(text)


def write_owner_only(path: Path, secret: Secret) -> None:
    """Write a new file that only its owner may read. Raises FileExistsError where there is one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secret.reveal())


def _check_rights(path: str | Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SecretError(f"{path}: no regular file; expected a file with a key")
    if status.st_uid != os.geteuid():
        raise SecretError(f"{path}: belongs to user {status.st_uid}; expected {os.geteuid()}, who runs this program")
    rights = stat.S_IMODE(status.st_mode)
    if rights & ~_OWNERS:
        raise SecretError(f"{path}: its rights are {rights:04o}; others may use the key. Run: chmod 600 {path}")


def _private_key(pem: Secret) -> RSAPrivateKey | Ed25519PrivateKey:
    """The type is found from the parsed key: the PEM header does not say it."""
    name = "SHADOWBOOK_KALSHI_PRIVATE_KEY"
    try:
        key = load_pem_private_key(pem.reveal().encode(), password=None)
    except TypeError:
        raise SecretError(f"{name}: is encrypted; store it without a passphrase, in a file of rights 0600") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SecretError(f"{name}: no private key in PEM format; download or copy it again") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= _FEWEST_BITS:
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    bits = getattr(key, "key_size", "")
    raise SecretError(f"{name}: {type(key).__name__} {bits}; expected Ed25519, or RSA of at least {_FEWEST_BITS} bits")


def redacted(text: str, secrets: Iterable[Secret]) -> str:
    """``text`` with every secret in it, and every line of one that has several, made unreadable."""
    for piece in _pieces(secrets):
        text = text.replace(piece, _HIDDEN)
    return text


def _pieces(secrets: Iterable[Secret]) -> list[str]:
    whole = [secret.reveal() for secret in secrets]
    lines = [line for text in whole if "\n" in text for line in text.splitlines() if not line.startswith("-----")]
    return sorted((piece for piece in {*whole, *lines} if len(piece) >= _SHORTEST), key=len, reverse=True)


class RedactingFilter(logging.Filter):
    """Second line of defence, for a log handler: replaces known secrets in message, fields and traceback."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite ``record``; always lets it pass."""
        record.msg, record.args = record.getMessage(), ()
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None  # else a formatter would tell it again
        for name, value in list(vars(record).items()):
            if name != "args":
                setattr(record, name, self._cleaned(value))
        return True

    def _cleaned(self, value: object) -> object:
        if isinstance(value, str):
            return redacted(value, self._secrets)
        if isinstance(value, dict):
            return {self._cleaned(key): self._cleaned(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._cleaned(item) for item in value)
        if value is None or isinstance(value, bool | int | float):
            return value
        text = str(value)  # what a formatter would make of it
        clean = redacted(text, self._secrets)
        return value if clean == text else clean
