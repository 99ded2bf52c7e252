"""Command lines of ``key=value`` words as typed records: a misspelt key or a wrong type names itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

_T = TypeVar("_T", bound=msgspec.Struct)


class OptionError(ValueError):
    """A command line that cannot be read: says which word, and what is expected."""


def read_options(words: Sequence[str], kind: type[_T]) -> _T:
    """``kind`` filled from ``words``; lists are written with commas between.

    Raises OptionError for a word without "=", a key twice, a key that ``kind`` lacks, one that is missing, and a value
    of another type.
    """
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key in values or key not in fields:
            why = "is given twice" if key in values else "is not a key" if equals else "has no ="
            raise OptionError(f"{word!r} {why}; expected key=value with a key of {', '.join(fields)}")
        values[key] = [part for part in text.split(",") if part] if _is_list(fields[key].type) else text
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        words_of = ", ".join(f"{name}={_kind(field.type)}" for name, field in fields.items())
        raise OptionError(f"{error}; expected {words_of}") from None


def describe_options(kind: type[msgspec.Struct], meanings: dict[str, str]) -> str:
    """A line a key, for --help: its default and what it means."""
    fields = msgspec.structs.fields(kind)
    words = [f"{field.name}={_kind(field.type)}" for field in fields]
    width = max(map(len, words))
    return "\n".join(
        f"  {word:{width}s}  {meanings[field.name]} ({'required' if field.required else _default(field)})"
        for word, field in zip(words, fields, strict=True)
    )


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _kind(kind: Any) -> str:
    """How a value is written."""
    if _is_list(kind):
        return "a,b"
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    return {"bool": "true|false", "float": "number", "int": "number", "str": "text"}[kind.__name__]


def _default(field: Any) -> str:
    return f"default {field.default}" if field.default != "" else "default none"
