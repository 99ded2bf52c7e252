"""The line of promoted policies: a folder that nothing is taken out of.

============================ =====================================================================================
registry.jsonl               one entry a line, each with the digest of the line above it: a line cannot be changed
policies/<number>-<run>/     a promoted run, copied whole, and its promotion: record.json, card.md, checklist.md, ...
============================ =====================================================================================

The list is the truth: a folder that it does not name was left by a promotion that was cut off, and is no policy.
Promotions and rollbacks are both appended; the current policy is what they leave on top. Files are hashed when they are
promoted, and again whenever a policy is asked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sim.files import write_whole

DEFAULT = Path("checkpoints/promoted")
LIST, POLICIES = "registry.jsonl", "policies"
PROMOTED, ROLLED_BACK = "promoted", "rolled back"
VERSION = 1
_NUMBERED = re.compile(r"^\d{4}-")
_KEYS = ("version", "number", "what", "policy", "date", "reason", "files", "previous")


class Entry(NamedTuple):
    """One line of the list."""

    number: int
    what: str  # PROMOTED or ROLLED_BACK
    policy: str  # folder in `POLICIES` that is current from here on
    date: str
    reason: str
    files: Mapping[str, str]  # of a promotion: SHA-256 by path inside the folder
    previous: str  # SHA-256 of the line above, "" of the first


def entries(registry: str | Path = DEFAULT) -> tuple[Entry, ...]:
    """The list, oldest first; none where there is no registry.

    Raises ValueError naming the line that was changed, torn, or does not follow from the one above.
    """
    path = Path(registry) / LIST
    if not path.exists():
        return ()
    found: list[Entry] = []
    previous = ""
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True)):
        entry = _read(path, number, line)
        if (entry.number, entry.previous) != (number, previous):
            raise ValueError(
                f"{path}, line {number + 1}: expected number {number} after a line of digest "
                f"{previous[:16] or 'none'}, came number {entry.number} after {entry.previous[:16] or 'none'}: the "
                "list was changed; put back a copy"
            )
        previous = hashlib.sha256(line).hexdigest()
        found.append(entry)
    return tuple(found)


def standing(line: Sequence[Entry]) -> list[str]:
    """Promoted policies that were not rolled back, oldest first; the last is current."""
    stack: list[str] = []
    for entry in line:
        if entry.what == PROMOTED:
            stack.append(entry.policy)
        else:
            stack.pop()
    return stack


def current(registry: str | Path = DEFAULT) -> Path:
    """The folder of the promoted policy, every file of it checked; `agents.policy.load` takes it.

    Raises FileNotFoundError where nothing is promoted, ValueError where a file or the list was changed.
    """
    line = entries(registry)
    stack = standing(line)
    if not stack:
        raise FileNotFoundError(f"{registry}: no policy is promoted; `python -m evaluation promote RUN` promotes one")
    return checked(registry, line, stack[-1])


def checked(registry: str | Path, line: Sequence[Entry], policy: str) -> Path:
    """The folder of a policy of the list. Raises ValueError naming a file that is missing, changed or not of it."""
    files = next(entry.files for entry in line if entry.what == PROMOTED and entry.policy == policy)
    folder = Path(registry) / POLICIES / policy
    there = hashes(folder) if folder.is_dir() else {}
    for name in sorted({*files, *there}):
        expected, came = files.get(name, "no such file"), there.get(name, "no such file")
        if expected != came:
            raise ValueError(
                f"{folder / name}: expected {expected[:16]}, came {came[:16]} (SHA-256): a promoted policy was changed "
                "and is not loaded; put the file back, or `python -m evaluation promote --rollback --reason ...`"
            )
    return folder


def publish(
    registry: str | Path,
    run: Path,
    papers: Mapping[str, bytes],
    *,
    judged: Mapping[str, str],
    seen: int,
    date: str,
    reason: str,
) -> Entry:
    """Copy ``run`` whole with its ``papers`` (name -> content, into ``promotion/``) and append it to the list.

    ``judged`` (`files_of` the run) and ``seen`` (how many entries the list had) are of when the gates were asked.
    Raises RuntimeError where the run has other files now, or where the gates were passed against a policy that is no
    longer current.
    """
    registry = Path(registry)
    with _alone(registry):
        line = entries(registry)
        if len(line) != seen:
            raise RuntimeError(
                f"{registry}: expected {seen} entries, came {len(line)}: another promotion or rollback was faster; "
                "promote again, against what is current now"
            )
        policy = name_of(seen, run)
        _copy(run, registry / POLICIES / policy, papers, judged)
        files = hashes(registry / POLICIES / policy)
        return _append(registry, line, PROMOTED, policy, date=date, reason=reason, files=files)


def roll_back(registry: str | Path, *, date: str, reason: str) -> Entry:
    """Make the policy before the current one current again; both stay where they are.

    Raises ValueError without a reason, where there is none before it, or where its files were changed.
    """
    registry = Path(registry)
    if not reason.strip():
        raise ValueError("rollback: expected a reason: it stays in the list")
    with _alone(registry):
        line = entries(registry)
        stack = standing(line)
        if len(stack) < 2:
            raise ValueError(f"{registry}: expected a policy to go back to, came {len(stack)} standing: {stack}")
        checked(registry, line, stack[-2])
        return _append(registry, line, ROLLED_BACK, stack[-2], date=date, reason=reason, files={})


def name_of(number: int, run: Path) -> str:
    """What a run is called in the registry as entry ``number``; one that comes from a registry loses its old number."""
    run = run.resolve()
    return f"{number:04d}-{_NUMBERED.sub('', run.name) if run.parent.name == POLICIES else run.name}"


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under ``folder``, by its path inside."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def files_of(run: Path) -> dict[str, str]:
    """`hashes` of what a promotion copies of a run."""
    return {name: digest for name, digest in hashes(run).items() if not _left_out(name)}


def _left_out(name: str) -> bool:
    """Half-written files, what earlier promotions said of the run, and how it was tracked."""
    return name.endswith(".tmp") or name.startswith(("promotion/", "tracking/"))


def _copy(run: Path, target: Path, papers: Mapping[str, bytes], judged: Mapping[str, str]) -> None:
    """Whole or not at all. What lies at ``target`` is not in the list: a promotion was cut off there."""
    unfinished = target.with_name(f".{target.name}.tmp")
    for leftover in (target, unfinished):
        shutil.rmtree(leftover, ignore_errors=True)
    for name in judged:
        (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / name, unfinished / name)
    changed = {name for name, digest in hashes(unfinished).items() if judged[name] != digest} | (
        set(files_of(run)) ^ set(judged)
    )
    if changed:
        raise RuntimeError(f"{run}: {', '.join(sorted(changed))}: changed since the gates were asked; promote again")
    (unfinished / "promotion").mkdir()
    for name, content in papers.items():
        write_whole(unfinished / "promotion" / name, content)
    unfinished.rename(target)


def _append(
    registry: Path, line: Sequence[Entry], what: str, policy: str, *, date: str, reason: str, files: Mapping[str, str]
) -> Entry:
    path = registry / LIST
    before = path.read_bytes() if path.exists() else b""
    last = before.splitlines(keepends=True)
    previous = hashlib.sha256(last[-1]).hexdigest() if last else ""
    entry = Entry(len(line), what, policy, date, reason, dict(files), previous)
    text = json.dumps({"version": VERSION, **entry._asdict()}, sort_keys=True, allow_nan=False)
    write_whole(path, before + text.encode() + b"\n")
    return entry


def _read(path: Path, number: int, line: bytes) -> Entry:
    where = f"{path}, line {number + 1}"
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where}: expected JSON, came {error}: the line is torn or was changed") from None
    whole = isinstance(found, dict) and set(found) == set(_KEYS) and line.endswith(b"\n")
    if not whole or found["version"] != VERSION:
        raise ValueError(f"{where}: expected an entry of version {VERSION} with {', '.join(_KEYS)}")
    if found["what"] not in (PROMOTED, ROLLED_BACK):
        raise ValueError(f"{where}: what = {found['what']!r}: expected {PROMOTED!r} or {ROLLED_BACK!r}")
    del found["version"]
    return Entry(**found)


@contextmanager
def _alone(registry: Path) -> Iterator[None]:
    """Only one process at a time changes a registry; the lock ends with its holder, however that ends."""
    registry.mkdir(parents=True, exist_ok=True)
    handle = os.open(registry / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
