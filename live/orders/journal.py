"""What an order manager must not forget, in SQLite: what it meant to send, before it is sent, and what it was told.

One file for one account at one venue. Write-ahead log with full synchronisation: what was committed survives the
process and the machine. A client order id is made of the journal's own tag and the order's number, which SQLite never
gives twice: no id is ever used again, not even after the file was lost.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from live.orders.requests import FillSaid
from live.urls import is_loopback

SCHEMA = 1
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE orders (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  client_id TEXT UNIQUE, order_id TEXT NOT NULL DEFAULT '', ticker TEXT NOT NULL, side INTEGER NOT NULL,
  leg INTEGER NOT NULL, px INTEGER NOT NULL, qty INTEGER NOT NULL, tif INTEGER NOT NULL, expiry_ns INTEGER NOT NULL,
  post_only INTEGER NOT NULL, reduces INTEGER NOT NULL, sent_ns INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'sent', total INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0,
  why TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX by_venue ON orders (order_id);
CREATE INDEX unfinished ON orders (state) WHERE state != 'done';
CREATE TABLE fills (
  key TEXT PRIMARY KEY, order_id TEXT NOT NULL, ticker TEXT NOT NULL, side INTEGER NOT NULL, px INTEGER NOT NULL,
  qty INTEGER NOT NULL, fee_uusd INTEGER NOT NULL, maker INTEGER NOT NULL, venue_ns INTEGER NOT NULL,
  local_ns INTEGER NOT NULL, source TEXT NOT NULL
) STRICT;
CREATE TABLE payouts (ticker TEXT PRIMARY KEY, payout_px INTEGER NOT NULL, local_ns INTEGER NOT NULL) STRICT;
CREATE TABLE corrections (
  number INTEGER PRIMARY KEY AUTOINCREMENT, local_ns INTEGER NOT NULL, ticker TEXT NOT NULL, lots INTEGER NOT NULL,
  uusd INTEGER NOT NULL, why TEXT NOT NULL
) STRICT;
CREATE TABLE balances (local_ns INTEGER NOT NULL, free_uusd INTEGER NOT NULL, cash_uusd INTEGER NOT NULL) STRICT;
CREATE TABLE events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, local_ns INTEGER NOT NULL, kind TEXT NOT NULL, what TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_kind ON events (kind);
"""
BEFORE = "before"  # source of a fill that the opening position holds already
THIS_MACHINE = "this machine"


def place_of(url: str) -> str:
    """Where an account of a REST address is: its host, which demo and production do not share; ports do not matter."""
    host = urlsplit(url).hostname or ""
    return THIS_MACHINE if is_loopback(host) else host


class JournalError(RuntimeError):
    """A file that is not the journal that was expected, or cannot be read or written: names it, and what would do."""


class Intent(NamedTuple):
    """An order that is to be sent."""

    ticker: str
    side: int
    leg: int
    px: int
    qty: int
    tif: int
    expiry_ns: int
    post_only: bool
    reduces: bool
    sent_ns: int


class Kept(NamedTuple):
    """An order as the journal has it."""

    number: int
    client_id: str
    order_id: str
    intent: Intent
    state: str
    total: int
    told: int
    why: str


class Journal:
    """One account's journal. Writes are held until :meth:`commit`; a process that ends before it has written nothing.

    Args:
        path: of the file, made if there is none.
        venue: whose account it is.
        account: its name; the same key of the same venue must always come with the same.
        now_ns: becomes the tag of a new file.
        place: where the account is, see :func:`place_of`: one of a fake venue or of a demo is never another's.

    Raises JournalError for a file that is another account's or place's, of another version, in use, or no journal. All
    methods raise it for what SQLite cannot do.
    """

    def __init__(self, path: str | Path, venue: str, account: str, now_ns: int, *, place: str = THIS_MACHINE) -> None:
        self.path, self.place = str(path), place
        try:
            self._db = sqlite3.connect(path, timeout=0.0, isolation_level=None)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # one process has it at a time
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            self._open(venue, account, now_ns)
        except sqlite3.Error as error:
            raise JournalError(
                f"{path}: {error}; expected an order journal that no other process has open, or no file"
            ) from error
        self._held = False
        self._prefix = f"sb-{self.get('tag')}-"

    def _open(self, venue: str, account: str, now_ns: int) -> None:
        expected = {"schema": str(SCHEMA), "venue": venue, "account": account, "place": self.place}
        if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            for key, value in {**expected, "tag": f"{now_ns // 1000:x}"}.items():
                self._db.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        self._db.execute("COMMIT")
        found = {key: self.get(key) for key in expected}
        if found != expected:
            self._db.close()
            raise JournalError(
                f"{self.path}: is of {found}; expected {expected}: name another file for this account there"
                " (another live.journal)"
            )

    @property
    def tag(self) -> str:
        """What all client order ids of this journal begin with."""
        return self._prefix

    def commit(self) -> None:
        """Make everything so far durable."""
        if self._held:
            self._run("COMMIT")
            self._held = False

    def rollback(self) -> None:
        """Forget what has not been committed."""
        if self._held:
            self._held = False
            self._run("ROLLBACK")

    def close(self) -> None:
        """Close the file; what has not been committed is gone."""
        try:
            self.rollback()
        finally:
            self._db.close()

    def get(self, key: str, default: str = "") -> str:
        """A value that was put."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return str(rows[0][0]) if rows else default

    def put(self, key: str, value: str) -> None:
        """Keep a value by its name."""
        self._write("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)

    def intend(self, intent: Intent) -> Kept:
        """An order that will be sent after the next commit: its number and client order id."""
        cursor = self._write(
            "INSERT INTO orders (ticker, side, leg, px, qty, tif, expiry_ns, post_only, reduces, sent_ns, total)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *intent, intent.qty,
        )  # fmt: skip
        number = int(cursor.lastrowid or 0)
        client_id = f"{self._prefix}{number}"
        self._write("UPDATE orders SET client_id = ? WHERE number = ?", client_id, number)
        return Kept(number, client_id, "", intent, "sent", intent.qty, 0, "")

    def update(self, kept: Kept) -> None:
        """What has become of an order."""
        self._write(
            "UPDATE orders SET order_id = ?, px = ?, expiry_ns = ?, state = ?, total = ?, told = ?, why = ?"
            " WHERE number = ?",
            kept.order_id, kept.intent.px, kept.intent.expiry_ns, kept.state, kept.total, kept.told, kept.why,
            kept.number,
        )  # fmt: skip

    def unfinished(self) -> list[Kept]:
        """Orders that are not done, by number."""
        return self._orders("state != 'done' ORDER BY number")

    def orders(self) -> list[Kept]:
        """All orders, by number."""
        return self._orders("1 ORDER BY number")

    def find(self, client_id: str, order_id: str) -> Kept | None:
        """An order of ours, done or not, by either id; None for another's."""
        found = self._orders("client_id = ?", client_id) if client_id else []
        found = found or (self._orders("order_id = ? LIMIT 1", order_id) if order_id else [])
        return found[0] if found else None

    def fill(self, fill: FillSaid, local_ns: int, source: str) -> None:
        """A fill, once: a key that is there already is an error here, and the ledger's to know."""
        self._write("INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *fill, local_ns, source)

    def fills(self) -> Iterator[tuple[FillSaid, str]]:
        """All fills, and where each came from."""
        for row in self._rows("SELECT * FROM fills ORDER BY rowid"):
            yield FillSaid._make((*row[:7], bool(row[7]), row[8])), str(row[10])

    def payout(self, ticker: str, payout_px: int, local_ns: int) -> None:
        """A market settled."""
        self._write("INSERT INTO payouts VALUES (?, ?, ?)", ticker, payout_px, local_ns)

    def payouts(self) -> list[tuple[str, int]]:
        """Markets that have settled, and what one YES contract got."""
        return self._rows("SELECT ticker, payout_px FROM payouts")

    def correction(self, local_ns: int, ticker: str, lots: int, uusd: int, why: str) -> str:
        """What was adopted from the venue; its key."""
        cursor = self._write(
            "INSERT INTO corrections (local_ns, ticker, lots, uusd, why) VALUES (?, ?, ?, ?, ?)",
            local_ns, ticker, lots, uusd, why,
        )  # fmt: skip
        return f"correction {cursor.lastrowid}"

    def corrections(self, why: str = "") -> list[tuple[str, int, str, int, int]]:
        """Key, moment, ticker ("" = cash), lots and micro-dollars of each; ``why``: of this kind alone."""
        rows = self._rows(
            "SELECT number, local_ns, ticker, lots, uusd FROM corrections WHERE ? IN ('', why) ORDER BY number", why
        )
        return [(f"correction {row[0]}", *row[1:]) for row in rows]

    def balance(self, local_ns: int, free_uusd: int, cash_uusd: int) -> None:
        """What the venue said is free, and what the ledger's cash was."""
        self._write("INSERT INTO balances VALUES (?, ?, ?)", local_ns, free_uusd, cash_uusd)

    def event(self, local_ns: int, kind: str, what: str, **detail: object) -> None:
        """Something to remember: an acknowledgement, a cancel, a recovery, a kill."""
        self._write(
            "INSERT INTO events (local_ns, kind, what, detail) VALUES (?, ?, ?, ?)",
            local_ns, kind, what, json.dumps(detail, sort_keys=True),
        )  # fmt: skip

    def events(self, kind: str) -> list[tuple[int, str, dict[str, object]]]:
        """Moment, what and detail of all events of a kind."""
        rows = self._rows("SELECT local_ns, what, detail FROM events WHERE kind = ? ORDER BY number", kind)
        return [(row[0], row[1], json.loads(row[2])) for row in rows]

    def _orders(self, where: str, *values: object) -> list[Kept]:
        rows = self._rows(
            "SELECT number, client_id, order_id, ticker, side, leg, px, qty, tif, expiry_ns, post_only, reduces,"
            f" sent_ns, state, total, told, why FROM orders WHERE {where}", *values,
        )  # fmt: skip
        return [
            Kept._make((*row[:3], Intent._make((*row[3:10], bool(row[10]), bool(row[11]), row[12])), *row[13:]))
            for row in rows
        ]

    def _write(self, statement: str, *values: object) -> sqlite3.Cursor:
        if not self._held:
            self._run("BEGIN IMMEDIATE")
            self._held = True
        return self._run(statement, *values)

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        with self._named():
            return self._db.execute(statement, values)

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._named():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}; expected a journal that can be read and written") from error
