"""Walk-forward splits of recorded markets: train on what was over, wait, judge on what came next.

Markets stand in the order of their first event and are cut into K + 1 blocks of about equal size. Fold k of K (from 1
on) is judged on block k, and trains on markets of the blocks before it. Purged: a market is in one part with all its
tapes, and it trains only if its last event lies more than the embargo before the first event of the block that is
judged. What overlaps is left out of the fold, and of no other.

Source: M. Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7 (purging, embargo) and 12
(walk-forward).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from sim.tape import read_header
from sim.types import SECOND_NS


class Span(NamedTuple):
    """From when to when something was recorded, ends included."""

    start_ns: int
    end_ns: int


class Fold(NamedTuple):
    """Indices of markets, in the order of their starts."""

    train: tuple[int, ...]
    judged: tuple[int, ...]
    purged: tuple[int, ...]  # earlier markets that were not over, or not for long enough


def fold_of(spans: Sequence[Span], fold: int, folds: int, embargo_ns: int = 0) -> Fold:
    """Fold ``fold``, from 1 to ``folds``, of markets with these ``spans``; it may have some to train on where another
    has none.

    Markets that start at the same moment stay in one block. Raises ValueError for a fold that is not there, a negative
    embargo, a span that ends before it starts, too few starts for so many blocks, and nothing left to train on.
    """
    if not 1 <= fold <= folds:
        raise ValueError(f"scenario.fold = {fold}: expected 1 to scenario.folds = {folds}")
    if embargo_ns < 0:
        raise ValueError(f"walk-forward: expected an embargo from 0 on, got {embargo_ns} ns")
    for index, span in enumerate(spans):
        if span.end_ns < span.start_ns:
            raise ValueError(f"walk-forward: market {index} ends at {span.end_ns}, before it starts at {span.start_ns}")
    return _fold(spans, _blocks(spans, folds + 1), fold, embargo_ns)


def fold_files(
    files: Sequence[Path], fold: int, folds: int, embargo_h: float, event: str | None = None
) -> tuple[list[Path], list[Path], list[Path]]:
    """Tape files to train on, to judge on, and purged, in fold ``fold`` of ``folds``, by time.

    Tapes that share a market go together, and so do those that share one with one of them. ``event``: a regular
    expression found in file names; tapes whose match (its first group, where it has one) is the same are one market
    too: the sides of a game, the strikes of a day. Raises ValueError as `fold_of`, and for a file that ``event`` is not
    found in.
    """
    spans = {file: span_of(file) for file in files}
    groups = [sorted(group, key=lambda file: (spans[file], file.name)) for group in _markets(files, event)]
    whole = [Span(min(spans[f].start_ns for f in group), max(spans[f].end_ns for f in group)) for group in groups]
    chosen = fold_of(whole, fold, folds, round(embargo_h * 3600 * SECOND_NS))
    train, judged, purged = ([f for index in part for f in groups[index]] for part in chosen)
    return train, judged, purged


def span_of(file: Path) -> Span:
    """First and last stamp of a tape's events. Raises ValueError for one without events."""
    stamps = pc.min_max(pq.read_table(file, columns=["local_ns"])["local_ns"])
    if stamps["min"].as_py() is None:
        raise ValueError(f"{file}: a tape without events belongs to no time, and to no fold")
    return Span(stamps["min"].as_py(), stamps["max"].as_py())


def _markets(files: Sequence[Path], event: str | None) -> list[list[Path]]:
    """Files in groups that have no market, and no match of ``event``, in common."""
    groups: list[tuple[set[str], list[Path]]] = []
    for file in files:
        names, members = _names(file, event), [file]
        apart = []
        for group in groups:
            if names & group[0]:
                names, members = names | group[0], group[1] + members
            else:
                apart.append(group)
        groups = [*apart, (names, members)]
    return [members for _, members in groups]


def _names(file: Path, event: str | None) -> set[str]:
    """What a tape belongs to: its markets, and the event that its name tells of."""
    names = {f"market {market.id}" for market in read_header(file).markets}
    if event is None:
        return names
    found = re.search(event, file.stem)
    if not found:
        raise ValueError(f"scenario.event = {event!r} is not found in {file.name}: expected it in every tape's name")
    return names | {f"event {found.group(1) if found.groups() else found.group(0)}"}


def _blocks(spans: Sequence[Span], count: int) -> list[list[int]]:
    """Indices of the markets by start, in ``count`` blocks; equal starts stay together."""
    order = sorted(range(len(spans)), key=lambda index: (spans[index].start_ns, spans[index].end_ns, index))
    blocks: list[list[int]] = [[] for _ in range(count)]
    block = 0
    for place, index in enumerate(order):
        new = place == 0 or spans[order[place - 1]].start_ns < spans[index].start_ns
        block = max(block, place * count // len(order)) if new else block
        blocks[block].append(index)
    if not all(blocks):
        raise ValueError(
            f"walk-forward: {len(spans)} markets do not fill {count} blocks by their starts: ask for fewer folds"
        )
    return blocks


def _fold(spans: Sequence[Span], blocks: Sequence[Sequence[int]], number: int, embargo_ns: int) -> Fold:
    judged = tuple(blocks[number])
    first_ns = spans[judged[0]].start_ns
    before = [index for block in blocks[:number] for index in block]
    train = tuple(index for index in before if spans[index].end_ns + embargo_ns < first_ns)
    if not train:
        raise ValueError(
            f"walk-forward: fold {number} has nothing to train on: {len(before)} earlier markets end less than "
            f"{embargo_ns / SECOND_NS:g} s before it begins; use a shorter embargo or fewer folds"
        )
    return Fold(train, judged, tuple(index for index in before if index not in train))
