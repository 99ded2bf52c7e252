"""The decisions of a session as a table, for pandas and whoever else reads Parquet.

One row for each decision, account and market. What belongs to an account (reward, equity, costs) stands in each of its
markets' rows again: take one market's before you add it up. Columns: docs/shadow.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from envs.shield.codes import ORDER_REASONS, REGIMES
from live.recording.layout import LogError
from live.shadow.records import Decision, SessionSaid, arrays_of, read_session
from live.shadow.replay import decisions_of, shapes_of
from live.shadow.seats import WHYS
from sim.files import write_whole
from sim.types import ASK, BID, DO_NOTHING, DO_PLACE, REJECT_NAMES, YES

FILE = "decisions.parquet"
_ROWS = 100_000  # held at once
_DOS = ("", "place", "cancel", "reset_group", "merge", "convert")
_SIDES = {"bid": BID, "ask": ASK}


def write_table(folder: str | Path, out: str | Path | None = None) -> tuple[Path, int]:
    """Write the table of the session in ``folder`` to ``out``, default ``decisions.parquet`` in it; path and rows.

    Raises LogError where the folder is no session, and where the file exists.
    """
    path = Path(folder) / FILE if out is None else Path(out)
    if path.exists():
        raise LogError(f"{path}: exists already; move it away, or name another file with --out")
    said = read_session(folder)
    schema, rows, count, whole = _schema(said), _rows(said, decisions_of(folder)), 0, io.BytesIO()
    with pq.ParquetWriter(whole, schema, compression="zstd") as writer:
        while part := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(part, schema))
            count += len(part)
    write_whole(path, whole.getvalue())
    return path, count


def _schema(said: SessionSaid) -> pa.Schema:
    number, words, yes = pa.int64(), pa.string(), pa.bool_()
    columns: dict[str, pa.DataType] = {
        "number": number, "ns": number, "trace": words, "cancel": yes, "account": words, "policy": words,
        "executes": yes, "market": words, "action": number if said.table else pa.list_(pa.float64()), "why": words,
        "took_ns": number, "stale": yes, "quality": pa.float64(), "reject": words,
    }  # fmt: skip
    for side in _SIDES:
        each = {"do": words, "leg": words, "px": number, "lots": number, "reason": words, "cut": number, "held": yes}
        columns |= {f"{side}_{name}": kind for name, kind in each.items()}
    columns |= {"regime": words, "ended": yes, "reward_uusd": number, "equity_uusd": number}
    columns |= {f"reward_{name}": pa.float64() for name in said.rewards}
    columns |= {f"cost_{name}": pa.float64() for name in said.costs}
    return pa.schema(list(columns.items()))


def _rows(said: SessionSaid, decisions: Iterator[Decision]) -> Iterator[dict[str, Any]]:
    for decision in decisions:
        stale, quality = np.frombuffer(decision.stale, np.bool_), np.frombuffer(decision.quality, np.float64)
        for place in range(len(decision.accounts)):
            whole, arrays = _of_account(said, decision, place)
            actions = arrays["action"].reshape(len(said.markets), -1)
            for index, market in enumerate(said.markets):
                yield whole | {
                    "market": market,
                    "action": int(actions[index, 0]) if said.table else actions[index].tolist(),
                    "stale": bool(stale[index]),
                    "quality": float(quality[index]),
                    "reject": REJECT_NAMES[arrays["reject"][index]] if arrays["reject"][index] else "",
                    **_orders(arrays, index),
                }


def _of_account(said: SessionSaid, decision: Decision, place: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What stands in each row of an account, and its arrays."""
    seat, account = said.seats[place], decision.accounts[place]
    arrays = arrays_of(account, shapes_of(said))
    whole: dict[str, Any] = {
        "number": decision.number, "ns": decision.ns, "trace": decision.trace, "cancel": decision.cancel,
        "account": seat.name, "policy": seat.policy, "executes": seat.executes, "why": WHYS[account.why],
        "took_ns": account.took_ns, "regime": REGIMES[account.regime], "ended": account.ended,
        "reward_uusd": account.reward_uusd, "equity_uusd": account.equity_uusd,
    }  # fmt: skip
    whole |= {f"reward_{name}": float(one) for name, one in zip(said.rewards, arrays["reward_terms"], strict=True)}
    whole |= {f"cost_{name}": float(one) for name, one in zip(said.costs, arrays["costs"], strict=True)}
    return whole, arrays


def _orders(arrays: dict[str, np.ndarray], index: int) -> dict[str, Any]:
    """What was certified in a market, side by side; an order that places nothing has no leg, price and size."""
    found: dict[str, Any] = {}
    for name, side in _SIDES.items():
        order, reason = arrays["orders"][index, side], int(arrays["reason"][index, side])
        do = int(order["do"])
        placed = do == DO_PLACE
        found |= {
            f"{name}_do": _DOS[do] if do != DO_NOTHING else None,
            f"{name}_leg": ("yes" if order["leg"] == YES else "no") if placed else None,
            f"{name}_px": int(order["px"]) if placed else None,
            f"{name}_lots": int(order["qty"]) if placed else None,
            f"{name}_reason": ORDER_REASONS[reason] if reason else "",
            f"{name}_cut": int(arrays["cut"][index, side]),
            f"{name}_held": bool(arrays["held"][index, side]),
        }
    return found
