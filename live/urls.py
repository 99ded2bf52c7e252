"""Where may be connected to: encrypted, or this very machine. There is no option that turns this off."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_ENCRYPTED = {"http": "https", "https": "https", "ws": "wss", "wss": "wss"}


def checked_url(url: str, *schemes: str) -> str:
    """``url`` without a last slash. ``schemes``: "https" or "wss", whose plain forms are for loopback hosts only.

    Raises ValueError for another scheme, a plain one to another host, no host, or a user, query or fragment in it.
    """
    parts = urlsplit(url)
    if _ENCRYPTED.get(parts.scheme) not in schemes or not parts.hostname:
        raise ValueError(f"{url!r}: expected {' or '.join(schemes)}, a host and perhaps a path")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{parts.scheme}://{parts.hostname}: no user, query or fragment belongs in it")
    if parts.scheme not in schemes and not is_loopback(parts.hostname):
        raise ValueError(
            f"{url!r} is not encrypted; expected {_ENCRYPTED[parts.scheme]}://, plain only to this machine"
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: an address of loopback, or "localhost"."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
