"""Export of a trained policy to ONNX, and the gate before it: the same outputs and actions on recorded observations.

Needs the extra ``serve`` (onnx, onnxscript, onnxruntime). Who acts with the file needs ONNX Runtime alone.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.checkpoint import digest_of_parameters, load_parameters, read_manifest, write_atomically
from agents.exported import FILE, FOLDER, NOTE, VERSION, Exported
from agents.heads import Choices, Gaussian
from agents.network import Network
from agents.trained import TrainedPolicy

TOLERANCE = 1e-5  # of an output: absolute, relative above 1
OPSET = 20
_EXAMPLE_ROWS = 2  # of the trace; the number of rows stays free


class ParityError(ValueError):
    """What was exported does not do what the policy does."""


class Recorded(NamedTuple):
    """Observations in the order in which they were seen: T steps of N rows."""

    observations: np.ndarray  # (T, N, F) float32
    starts: np.ndarray  # (T, N) bool: an episode begins there
    masks: np.ndarray | None = None  # (T, N, [M], A) bool


class Parity(NamedTuple):
    """How far two forward passes of a policy part."""

    rows: int
    largest: float  # difference of an output, in units of max(1, |output|)
    ties: int  # other actions where the best two are as good as each other, within the tolerance


def export_onnx(run: str | Path, recorded: Recorded) -> tuple[Path, Parity]:
    """Write ``export/policy.onnx`` into the run's folder, with ``parity.json``; the file, and how well it agrees.

    Raises ParityError, and writes nothing, where outputs part by more than `TOLERANCE` or other actions are chosen;
    ImportError without the extra ``serve``; FileNotFoundError or ValueError where ``run`` is no run with a policy.
    """
    manifest, parameters = read_manifest(run), load_parameters(run)
    features = manifest["sheet"]["observation"]
    reference = TrainedPolicy(manifest, parameters, features)
    content = to_onnx(reference.network, note_of(manifest, parameters))
    exported = Exported(content)
    found = compare(reference, TrainedPolicy(exported.note, {}, features, exported=exported), recorded)
    folder = Path(run) / FOLDER
    folder.mkdir(exist_ok=True)
    facts = {**found._asdict(), "tolerance": TOLERANCE, "policy_digest": exported.note["policy_digest"]}
    write_atomically(folder / FILE, content)
    write_atomically(folder / "parity.json", (json.dumps(facts, indent=2) + "\n").encode())
    return folder / FILE, found


def note_of(manifest: Mapping[str, Any], parameters: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What the file says of itself; see `agents.exported.Exported`."""
    spread = parameters.get("network.head.log_std")
    return {
        "version": VERSION,
        "run": manifest["run"],
        "network": manifest["network"],
        "sheet": manifest["sheet"],
        "policy_digest": digest_of_parameters(parameters),
        "log_std": None if spread is None else spread.tolist(),
    }


def to_onnx(network: Network, note: Mapping[str, Any]) -> bytes:
    """The actor as a file of ONNX, ``note`` in its metadata; for any number of rows."""
    try:
        import onnx
        import onnxscript  # noqa: F401 - the exporter's; its own error does not say what to do
    except ImportError as error:
        raise ImportError(f"export needs {error.name}; pip install 'shadowbook[serve]'") from None
    rows = torch.export.Dim("rows")
    width = network.features * network.markets
    inputs: tuple[torch.Tensor, ...] = (torch.zeros(_EXAMPLE_ROWS, width),)
    names, outputs = ["observations"], ["outputs"]
    module: torch.nn.Module = _Acting(network)
    if network.memory is not None:
        inputs += (torch.zeros(_EXAMPLE_ROWS, dtype=torch.bool), torch.zeros(_EXAMPLE_ROWS, network.state_width))
        names, outputs = [*names, "starts", "state"], [*outputs, "after"]
        module = _Recalling(network)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        program = torch.onnx.export(
            module.eval(), inputs, dynamo=True, verbose=False, opset_version=OPSET, input_names=names,
            output_names=outputs, dynamic_shapes=tuple({0: rows} for _ in inputs),
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {NOTE: json.dumps(note)})
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


class _Acting(torch.nn.Module):
    """A network without memory."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.network.act(self.network.body(observations))


class _Recalling(torch.nn.Module):
    """One step of a network with memory."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, observations: torch.Tensor, starts: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seen, after = self.network.recall(observations.unsqueeze(0), starts.unsqueeze(0), state)
        return self.network.act(seen), after


def compare(reference: TrainedPolicy, candidate: TrainedPolicy, recorded: Recorded) -> Parity:
    """Both policies on the same observations, each with its own memory.

    Raises ParityError where an output parts by more than `TOLERANCE`, or another action is chosen that is not as good.
    """
    largest, ties, rows = 0.0, 0, 0
    for step, (observations, starts) in enumerate(zip(recorded.observations, recorded.starts, strict=True)):
        reference.begin(starts)
        candidate.begin(starts)
        wanted, found = reference.outputs(observations), candidate.outputs(observations)
        parts = np.abs(wanted.astype(np.float64) - found) / np.maximum(np.abs(wanted), 1.0)
        largest = max(largest, float(parts.max()))
        if largest > TOLERANCE:
            raise ParityError(
                f"{reference.name}: step {step}: an output parts by {largest:.3g}, expected {TOLERANCE:g} at most; "
                f"nothing was written"
            )
        masks = None if recorded.masks is None else recorded.masks[step]
        ties += _other_actions(reference, wanted, found, masks, step)
        rows += len(observations)
    return Parity(rows, largest, ties)


def _other_actions(
    policy: TrainedPolicy, wanted: np.ndarray, found: np.ndarray, masks: np.ndarray | None, step: int
) -> int:
    """How many choices differ, all of them ties; 0 for a box, whose actions are its outputs."""
    head: Choices | Gaussian = policy.network.head
    if isinstance(head, Gaussian):
        return 0
    ours, theirs = (policy.rows_of(outputs, masks).reshape(-1) for outputs in (wanted, found))
    places = np.flatnonzero(ours != theirs)
    logits = wanted.reshape(len(ours), -1)[places]
    best, other = (np.take_along_axis(logits, chosen[places, None], 1)[:, 0] for chosen in (ours, theirs))
    # each of the two outputs may be off by the tolerance
    worse = np.abs(best - other) > 2.0 * TOLERANCE * np.maximum(np.abs(best), 1.0)
    if worse.any():
        place = int(places[worse][0])
        raise ParityError(
            f"{policy.name}: step {step}, choice {place}: action {theirs[place]} instead of {ours[place]}, and no tie; "
            f"nothing was written"
        )
    return len(places)
