"""An exported policy: a file of ONNX that says whose it is, and what reckons it (ONNX Runtime, extra ``serve``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = "export"  # in a run's folder
FILE = "policy.onnx"
NOTE = "shadowbook"  # metadata of the file: JSON of what `agents.export.note_of` says
VERSION = 1  # of the note
_NEEDED = ("run", "network", "sheet", "policy_digest", "log_std")


class Exported:
    """The network of an exported policy, on one thread: it is made for few rows at a time.

    ``note``: of a manifest ``run``, ``network``, ``sheet``, ``policy_digest``, and ``log_std``: logarithms of a box
    policy's spreads, None for choices. Raises FileNotFoundError, ImportError or ValueError that say what was expected.
    """

    def __init__(self, source: Path | bytes) -> None:
        """Of a file, or of what would be in it."""
        name = FILE if isinstance(source, bytes) else str(source)
        if isinstance(source, Path) and not source.is_file():
            raise FileNotFoundError(f"{source}: no exported policy; `python -m evaluation export RUN` makes one")
        try:
            import onnxruntime
        except ImportError:
            raise ImportError(f"{name}: ONNX Runtime is not installed; pip install 'shadowbook[serve]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        content = source if isinstance(source, bytes) else source.read_bytes()
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - its errors have no common type
            raise ValueError(f"{name}: not a model that ONNX Runtime reads ({error})") from None
        self.note = _read_note(name, self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Outputs ``(B, size)`` float32 of observations ``(B, M x F)``, of a network without memory."""
        return self._session.run(["outputs"], {"observations": np.asarray(observations, np.float32)})[0]

    def recall(self, observations: np.ndarray, starts: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs and the state after them, of a network with memory: ``starts`` bool (B,), ``state`` (B, width)."""
        given = {"observations": np.asarray(observations, np.float32), "starts": starts, "state": state}
        outputs, after = self._session.run(["outputs", "after"], given)
        return outputs, after


def exported_path(spec: str) -> Path | None:
    """The file of an exported policy that ``spec`` names, itself or its folder; None where it names something else."""
    path = Path(spec)
    if path.suffix == ".onnx":
        return path
    return path / FILE if (path / FILE).is_file() and not (path / "manifest.json").exists() else None


def _read_note(name: str, found: Mapping[str, str]) -> dict[str, Any]:
    if NOTE not in found:
        raise ValueError(f"{name}: a model of ONNX, but not one of ours: it does not say what it was trained on")
    note = json.loads(found[NOTE])
    if note.get("version") != VERSION or any(key not in note for key in _NEEDED):
        raise ValueError(
            f"{name}: exported as version {note.get('version')}, this program reads {VERSION}: export again"
        )
    return note
