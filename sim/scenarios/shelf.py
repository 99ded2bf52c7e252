"""Named text files of a folder: scenario tables, entries of the library, spaces of a search."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".toml"


def names_in(folder: Path) -> tuple[str, ...]:
    """Names of the files in ``folder``, in order."""
    return tuple(sorted(path.stem for path in folder.glob(f"*{SUFFIX}")))


def file_named(name: str | Path, folder: Path, missing: str) -> Path:
    """The file of ``folder`` with that name, or any file ending in ``.toml``.

    Raises ValueError that begins with ``missing`` where there is none, and says which there are.
    """
    path = Path(name)
    if path.suffix == SUFFIX and path.is_file():
        return path
    if str(name) in names_in(folder):
        return folder / f"{name}{SUFFIX}"
    raise ValueError(f"{missing}; expected a file ending in {SUFFIX}, or one of {', '.join(names_in(folder))}")
