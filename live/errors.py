"""What a venue refused, in one shape: status, code, message, and what would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from live.secrets import Secret, redacted

_T = TypeVar("_T")
_LONGEST = 300  # characters of a venue's message that are kept

_ADVICE = {
    400: "the request is wrong; see the message",
    401: "check the key, its host (demo or production) and this machine's clock",
    403: "the key may not do this, or the venue does not serve this place",
    404: "check the name; it may be gone",
    409: "it exists already: ask for it before sending it again",
    410: "the venue has removed this endpoint; the program needs a newer one",
    425: "the venue restarts; try again in a minute or two",
    429: "asked too often; lower the rate",
}
_CLASSES = {3: "redirects are not followed; correct the base URL", 5: "the venue has trouble; try later"}


class VenueError(RuntimeError):
    """A request that gave no usable answer.

    Attributes:
        status: HTTP status, 0 where there was no whole answer.
        code: the venue's word, or ours: "deadline", "connection", "too_large", "not_json", "shape".
        message: the venue's or the library's, shortened, without secrets.
        retry_after_s: how long the venue asks to wait; 0 = it does not say.
    """

    def __init__(
        self, request: str, status: int, code: str, message: str, advice: str = "", retry_after_s: float = 0.0
    ) -> None:
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s
        self.advice = advice or _ADVICE.get(status) or _CLASSES.get(status // 100, "")
        said = " ".join(part for part in (str(status or ""), code, message) if part)
        super().__init__(f"{request}: {said}" + (f"; {self.advice}" if self.advice else ""))

    @property
    def passing(self) -> bool:
        """Whether the same request may well succeed a little later."""
        return self.status in (425, 429) or self.status >= 500 or self.code == "connection"


def refusal(request: str, status: int, body: bytes, secrets: tuple[Secret, ...]) -> VenueError:
    """The error that an answer with a status of 400 or more stands for, whatever shape its body has.

    Known are ``{"error": text}``, ``{"error": {"code", "message"}}``, ``{"code", "message"}`` and Polymarket's
    ``{"error": text, "code", "retry_after_seconds"}``; anything else is kept as text.
    """
    code, message, wait_s = "", "", 0.0
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = body[: 2 * _LONGEST].decode("utf-8", "replace")
    if isinstance(said, dict):
        inner = said.get("error")
        fields = {**said, **inner} if isinstance(inner, dict) else {"message": inner, **said}
        code, message = _text(fields.get("code")), _text(fields.get("message"))
        wait_s = _seconds(fields.get("retry_after_seconds"))
    else:
        message = _text(said)
    return VenueError(request, status, redacted(code, secrets), redacted(message, secrets), retry_after_s=wait_s)


def _text(value: object) -> str:
    if value is None:
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _seconds(value: object) -> float:
    """A number of seconds that can be; 0 for anything else."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 < value < 1e6 else 0.0  # type: ignore[operator,arg-type]


def shaped(request: str, said: Any, reader: Callable[[Any], _T]) -> _T:
    """``reader(said)``. Raises VenueError "shape" where the answer lacks what is required, or it cannot be."""
    try:
        return reader(said)
    except (KeyError, TypeError, AttributeError, ValueError, msgspec.MsgspecError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        advice = "the venue's answer has changed, or is not of this endpoint"
        raise VenueError(request, 200, "shape", _text(what), advice) from error
