"""Decimals as the venues write them, to the integers of a tape and back: never through a float."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from sim.types import END_OF_BATCH, PX_ONE

Row = tuple[int, int, int, int, int, int, int, int, int]  # a row of a tape, in the order of EVENT's fields

_DECIMAL = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)")
_PX_DIGITS = 4
_QTY_DIGITS = 6
MOST = 10**17  # of any integer here: sums of many still fit 64 bits
_NS_PER_MS = 1_000_000
_LAST_MS = 2**63 // _NS_PER_MS - 1

# What a reader counts beside frames. Every other name is of a frame, or of a message of an array: its type where it was
# read, else why it was not; each is counted once.
BESIDE = ("gaps", "distrusted", "quotes_agree", "quotes_differ", "answers", "answers_unread")


class Taken(NamedTuple):
    """What a frame said. Markets are numbered as they were given to the reader."""

    rows: list[Row]  # in the order in which they hold
    lost: tuple[int, ...] = ()  # markets whose book is not to be trusted until their next snapshot
    notes: tuple[object, ...] = ()  # messages about the connection or the account, and what is to be asked for


class Unclear(NamedTuple):
    """A note: of a market something is to be asked for, since its message did not say it."""

    market: int
    what: str  # "message", "fees", "settlement", "close"


NOTHING = Taken([])


def end_batch(rows: list[Row]) -> None:
    """The book is whole behind the last of ``rows``, of which there is one."""
    last = rows[-1]
    rows[-1] = (*last[:5], last[5] | END_OF_BATCH, *last[6:])


def _exact(text: str, digits: int) -> int:
    """``text`` x 10**digits. Raises ValueError for what is no decimal, is too long, or is finer than that."""
    match = _DECIMAL.fullmatch(text) if len(text) <= 32 else None
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a decimal number")
    sign, whole, fraction = match.groups()
    if not whole and not fraction:
        raise ValueError(f"{text!r} is not a decimal number")
    kept, rest = fraction[:digits], fraction[digits:]
    if rest.strip("0"):
        raise ValueError(f"{text!r} is finer than {digits} decimals")
    value = int(whole + kept.ljust(digits, "0") or "0")
    if value > MOST or (sign == "-" and not value):
        raise ValueError(f"{text!r} is out of range")
    return -value if sign == "-" else value


_PRICES: dict[str, int] = {}  # a venue writes few prices and sizes, again and again
_SIZES: dict[str, int] = {}
_KEPT = 1 << 16  # of each


def px_of(text: str) -> int:
    """A price in dollars as 1e-4 dollar, 0 to 10000. Raises ValueError for anything else."""
    px = _PRICES.get(text)
    if px is None:
        px = _exact(text, _PX_DIGITS)
        if not 0 <= px <= PX_ONE:
            raise ValueError(f"{text!r} is no price between 0 and 1 dollar")
        if len(_PRICES) < _KEPT:
            _PRICES[text] = px
    return px


def written(raw: msgspec.Raw) -> str | None:
    """A decimal of JSON as it is written, whether in quotes or as a number; None for null."""
    text = bytes(raw).decode()
    return None if text == "null" else text.removeprefix('"').removesuffix('"')


def qty_of(text: str) -> int:
    """A size in contracts as 1e-6 contract; signed where it is a change. Raises ValueError for anything else."""
    qty = _SIZES.get(text)
    if qty is None:
        qty = _exact(text, _QTY_DIGITS)
        if len(_SIZES) < _KEPT:
            _SIZES[text] = qty
    return qty


def uusd_of(text: str) -> int:
    """An amount of dollars as micro-dollars. Raises ValueError for anything else."""
    return _exact(text, _QTY_DIGITS)


def ns_of_ms(ms: int) -> int:
    """Milliseconds since epoch as nanoseconds. Raises ValueError for what 64 bits do not hold."""
    if not 0 <= ms <= _LAST_MS:
        raise ValueError("a stamp out of range")
    return ms * _NS_PER_MS


def ns_of(stamp: str | int) -> int:
    """Milliseconds since epoch, in digits or as a number, as nanoseconds. Raises ValueError for anything else."""
    text = str(stamp)
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError(f"{text[:40]!r} is no stamp in milliseconds")
    return ns_of_ms(int(text))


def dollars(px: int) -> str:
    """1e-4 dollar as Kalshi writes prices: four decimals."""
    return f"{px // PX_ONE}.{px % PX_ONE:04d}"


def contracts(qty: int) -> str:
    """1e-6 contract with two decimals, or as many as it takes."""
    whole, part = divmod(abs(qty), 10**_QTY_DIGITS)
    text = f"{part:06d}"
    text = text[:2] + text[2:].rstrip("0")
    return f"{'-' if qty < 0 else ''}{whole}.{text}"


def shortest(value: int, digits: int) -> str:
    """``value`` x 10**-digits without idle zeros, as Polymarket writes prices and sizes."""
    whole, part = divmod(value, 10**digits)
    return f"{whole}.{part:0{digits}d}".rstrip("0").rstrip(".")
