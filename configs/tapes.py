"""Which recorded markets a run trains on, and which it never sees."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from configs.folds import fold_files
from sim import importers
from sim.tape import SCHEMA_VERSION, SUFFIX, read_header, write

if TYPE_CHECKING:
    from configs.schema import ReplayConfig

SAMPLE = "resolvedkit"  # the word that stands for the sample data of that package


class Split(NamedTuple):
    """Tape files by the scheduled close of their market; training knows nothing later than its own part."""

    train: list[Path]
    held_out: list[Path]
    purged: tuple[Path, ...] = ()  # of a fold: earlier tapes that were not over, or not for long enough


def split_of(wanted: ReplayConfig) -> Split:
    """How a scenario divides its recorded markets: its fold of a walk-forward, or the last share apart.

    Raises ValueError for a fold without folds or the other way round, a fold and a share held out, and as
    `split_tapes` and `fold_files`.
    """
    if wanted.folds is None and wanted.fold is None and wanted.embargo_h == 0.0 and wanted.event is None:
        return split_tapes(wanted.tapes, wanted.held_out)
    if wanted.folds is None or wanted.fold is None:
        raise ValueError(
            f"scenario.fold = {wanted.fold}, folds = {wanted.folds}, embargo_h = {wanted.embargo_h}, event = "
            f"{wanted.event}: expected fold and folds together, such as scenario.fold=1 scenario.folds=4"
        )
    usual = type(wanted).held_out
    if wanted.held_out != usual:
        raise ValueError(
            f"scenario.held_out = {wanted.held_out} with scenario.folds = {wanted.folds}: a fold says itself what is "
            "held out; give one of them"
        )
    files = tape_files(wanted.tapes)
    train, judged, purged = fold_files(files, wanted.fold, wanted.folds, wanted.embargo_h, wanted.event)
    return Split(train, judged, tuple(purged))


def split_tapes(tapes: str, held_out: float) -> Split:
    """Files of ``tapes`` (a folder, or `SAMPLE`), the last share ``held_out`` of the markets apart.

    At least one market stays in training. Raises ValueError for a share outside [0, 1), FileNotFoundError for a folder
    without tapes.
    """
    if not 0.0 <= held_out < 1.0:
        raise ValueError(f"scenario.held_out = {held_out}: expected a share in [0, 1)")
    files = sorted(tape_files(tapes), key=_close)
    count = min(round(held_out * len(files)), len(files) - 1)
    return Split(files[: len(files) - count], files[len(files) - count :])


def tape_files(tapes: str) -> list[Path]:
    """The tape files in a folder, by name; `SAMPLE` is imported into the cache on first use."""
    folder = sample_tapes() if tapes == SAMPLE else Path(tapes)
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise FileNotFoundError(
            f"scenario.tapes = {tapes}: no tape (*{SUFFIX}) there; expected a folder that "
            f"`python -m sim.tape import SOURCE {tapes}` wrote, or {SAMPLE!r}"
        )
    return files


def sample_tapes() -> Path:
    """Folder with the sample's tapes in the cache, imported if it is not there: whole or not at all."""
    base = os.environ.get("SHADOWBOOK_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(base) / "shadowbook"
    folder = root / f"tapes-{SAMPLE}-{version(SAMPLE)}-v{SCHEMA_VERSION}-{_importer_digest()}"
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=root))
    try:
        for name, tape in importers.convert(SAMPLE).tapes:
            write(unfinished / f"{name}{SUFFIX}", tape)
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, and its tapes are the same
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _importer_digest() -> str:
    """Changes with the importers' sources, so that an older importer's tapes are not taken for today's."""
    sources = sorted(Path(importers.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:8]


def _close(file: Path) -> tuple[int, str]:
    return max(market.close_ns for market in read_header(file).markets), file.name
