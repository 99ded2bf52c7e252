"""Who may ask the monitor for what: pure checks of a request's headers.

The socket is bound to this machine, but a browser on it also runs other people's pages. Those are kept out by the name
they ask for (DNS rebinding), by their origin, and by what the browser says of where a request comes from. Commands ask
for a token besides, which no other page can know.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from live.secrets import Secret, write_owner_only

PAGE = "/"
_NAMES = ("127.0.0.1", "localhost")
_TOKEN_BYTES = 32
_BEARER = "bearer "


class Headers(Protocol):
    """Of a request; names in any case."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """All values of a header."""
        ...


def new_token(file: Path) -> Secret:
    """A token for the commands of one run, kept in the new ``file``, which only its owner may read.

    Raises FileExistsError where there is one.
    """
    token = Secret(secrets.token_urlsafe(_TOKEN_BYTES))
    write_owner_only(file, token)
    return token


def refusal(path: str, headers: Headers) -> str:
    """Why a request is not answered; "" = it is.

    Any port is right: it may have been forwarded to here. The page itself may be come to from a link elsewhere.
    """
    hosts, origins = headers.getall("Host", ()), headers.getall("Origin", ())
    name, colon, port = hosts[0].lower().partition(":") if len(hosts) == 1 else ("", "", "")
    if name not in _NAMES or (colon and not (port.isascii() and port.isdigit())):
        return f"Host {', '.join(hosts) or 'missing'}; expected {' or '.join(_NAMES)}"
    if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
        return f"Origin {', '.join(origins)}; expected this page's own"
    if _one(headers, "Sec-Fetch-Site", "none") not in ("none", "same-origin") and not _is_visit(path, headers):
        return "asked for by another site's page"
    return ""


def authorised(headers: Headers, token: Secret) -> bool:
    """Whether the request carries the token. Takes as long for a wrong one as for a right one."""
    given = _one(headers, "Authorization", "")
    scheme, key = given[: len(_BEARER)], given[len(_BEARER) :]
    right = hmac.compare_digest(key.encode("utf-8", "surrogateescape"), token.reveal().encode())
    return right and scheme.lower() == _BEARER


def _is_visit(path: str, headers: Headers) -> bool:
    """Somebody opens the page in a window of its own."""
    return (
        path == PAGE
        and _one(headers, "Sec-Fetch-Mode", "") == "navigate"
        and _one(headers, "Sec-Fetch-Dest", "") == "document"
    )


def _one(headers: Headers, name: str, missing: str) -> str:
    """The header's only value; several of one kind are none of it."""
    found = headers.getall(name, (missing,))
    return found[0] if len(found) == 1 else ""
