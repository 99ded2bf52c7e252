"""Logging for the programs of ``live``: where messages go, in what form, and that no key goes with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from live.secrets import RedactingFilter, Secret

_MOST_BYTES, _KEPT = 64 << 20, 7  # of a file of messages; older files
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# What every record has; whatever else is on one was given as ``extra``, and is a field of its line
_USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


def keep_quiet_about(secrets: Iterable[Secret]) -> None:
    """Strike ``secrets`` out of whatever is logged from now on, by whom ever."""
    found = RedactingFilter(secrets)
    for handler in _handlers():
        handler.addFilter(found)


class LogFile(RotatingFileHandler):
    """A file of messages, and the handlers that say critical things only while it is written, with their levels.

    A full one becomes ``NAME.1``, that one ``NAME.2``, and so on; the oldest goes.
    """

    silenced: dict[logging.Handler, int]


def write_json_lines(path: Path, *, alone: bool = False) -> LogFile:
    """From now on also append every message to the file ``path``, one JSON object a line; the handler, to be closed.

    What others have asked to keep quiet about, and will ask, is struck out there too. Fields: time (UTC), level,
    logger, message, exception, and whatever the caller gave as ``extra``, such as trace_id. Details of ``live`` (level
    debug, a line for each decision) go there and not to the terminal. ``alone``: nor does anything else that is not
    critical, since something is drawn there.
    """
    handler = LogFile(path, encoding="utf-8", maxBytes=_MOST_BYTES, backupCount=_KEPT)
    handler.silenced = {other: other.level for other in _handlers()} if alone else {}
    for other in handler.silenced:
        other.setLevel(logging.CRITICAL)
    handler.setFormatter(JsonLines())
    for known in {one for other in _handlers() for one in other.filters}:
        handler.addFilter(known)
    logging.getLogger().addHandler(handler)
    logging.getLogger("live").setLevel(logging.DEBUG)
    return handler


def stop_writing(handler: LogFile) -> None:
    """End what :func:`write_json_lines` began."""
    for other, level in handler.silenced.items():
        other.setLevel(level)
    logging.getLogger("live").setLevel(logging.NOTSET)
    logging.getLogger().removeHandler(handler)
    handler.close()


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        line.update((name, value) for name, value in vars(record).items() if name not in _USUAL and name not in line)
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        if trace:
            line["exception"] = trace
        return msgspec.json.encode(line, enc_hook=str).decode()


def _handlers() -> list[logging.Handler]:
    """Of the root logger, which gets one if it has none."""
    root = logging.getLogger()
    if not root.handlers:
        logging.basicConfig(level=logging.INFO, format=_FORMAT)
        root.handlers[0].setLevel(logging.INFO)
    return root.handlers
