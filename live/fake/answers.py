"""Requests and answers of a fake venue's REST, without sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from live.limits import matches


class Ask(NamedTuple):
    """A request. ``path`` is from the root of the host, without its query."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def get(self, name: str, default: str = "") -> str:
        """First value of a parameter."""
        return next((value for key, value in self.query if key == name), default)

    def all(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated."""
        return [value for key, value in self.query if key == name]

    def number(self, name: str, default: int) -> int:
        """A parameter as a number. Raises Problem 400 for what is none."""
        text = self.get(name)
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Problem(400, "invalid_parameters", f"{name} is not a number: {text[:40]}")
        return int(text)

    def json(self) -> Any:
        """The body. Raises Problem 400 for what is no JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Problem(400, "invalid_json", "the body is no JSON") from None


class Answer(NamedTuple):
    """Status and JSON value; ``said`` None = no body."""

    status: int
    said: Any = None

    @property
    def body(self) -> bytes:
        """The value as bytes."""
        return b"" if self.said is None else msgspec.json.encode(self.said)


class Problem(Exception):
    """A refusal: becomes an answer in the venue's shape."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


Handler = Callable[..., Answer]


class Route(NamedTuple):
    """Who answers what. The handler gets the request and the path's ``:names`` in their order."""

    method: str
    pattern: str
    handler: Handler
    private: bool = False


def routed(routes: Sequence[Route], method: str, path: str) -> tuple[Route, list[str]]:
    """The first route that fits, and the parts that its names stand for. Raises Problem 404 or 405."""
    other = False
    for route in routes:
        if matches(route.pattern, path):
            if route.method == method:
                parts = zip(route.pattern.split("/"), path.split("/"), strict=True)
                return route, [part for name, part in parts if name.startswith(":")]
            other = True
    raise Problem(405 if other else 404, "method_not_allowed" if other else "not_found", f"{method} {path}")


def paged(items: Sequence[Any], cursor: str, limit: int, most: int) -> tuple[Sequence[Any], str]:
    """A page of ``items`` and the cursor of the next, "" after the last. Raises Problem 400 for no cursor of ours."""
    if not 1 <= limit <= most:
        raise Problem(400, "invalid_parameters", f"limit {limit}; expected 1 to {most}")
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 12):
        raise Problem(400, "invalid_parameters", "unknown cursor")
    first = int(cursor or 0)
    rest = first + limit
    return items[first:rest], str(rest) if rest < len(items) else ""
