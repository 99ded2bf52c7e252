"""Export to ONNX: what is written does what the policy does, and what does not is not written."""

import json
import shutil

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from test_checkpoint import make_run

from agents.checkpoint import read_manifest
from agents.config import PPOConfig
from agents.describe import describe
from agents.export import TOLERANCE, ParityError, Recorded, compare, export_onnx
from agents.network import Network
from agents.policy import load
from agents.trained import TrainedPolicy

for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name, reason="the extra serve is not installed")

FEATURES, ROWS = 5, 4
TABLE = [["buy", "yes", 10, "cross"]] * ROWS
"""What a kind of policy is made of: markets, space, settings."""
KINDS = {
    "table": (1, Discrete(ROWS), {}),
    "markets": (3, MultiDiscrete([ROWS] * 3), {"activation": "silu"}),
    "alone": (3, MultiDiscrete([ROWS] * 3), {"shared": False, "normalise_observations": False}),
    "box": (1, Box(-1, 1, (3,)), {"activation": "relu"}),
    "gru": (1, Discrete(ROWS), {"memory": "gru", "memory_size": 6}),
    "lstm": (3, MultiDiscrete([ROWS] * 3), {"memory": "lstm", "memory_size": 6}),
}


def sheet_of(markets):
    digests = {
        f"{what}_digest{each}": f"{what}{markets}" for what in ("observation", "action") for each in ("", "_each")
    }
    names = [f"f{i}" for i in range(FEATURES * markets)]
    return {"markets": markets, "observation": names, "actions": TABLE, **digests}


def run_of(folder, kind):
    """A run folder with a random policy of a kind."""
    markets, space, settings = KINDS[kind]
    torch.manual_seed(3)
    spec = describe(Box(-1, 1, (FEATURES * markets,)), space, PPOConfig(hidden=[16, 8], **settings), markets)
    network = Network(spec, 2)
    if network.normaliser is not None:
        network.normaliser.observe(3.0 * torch.randn(100, network.features) + 1.0)
    for parameter in network.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    run = make_run(folder, kind, network=spec, sheet=sheet_of(markets))
    save(run, network)
    return run.path


def save(run, network):
    """A policy file with these parameters, as `agents.checkpoint.load_parameters` reads it."""
    import io
    import zipfile

    held = io.BytesIO()
    torch.save({f"network.{name}": value for name, value in network.state_dict().items()}, held)
    with zipfile.ZipFile(run.policy_path, "w") as archive:
        archive.writestr("policy.pth", held.getvalue())


def seen(kind, steps=20, rows=7):
    markets, space, _ = KINDS[kind]
    rng = np.random.default_rng(0)
    obs = (4.0 * rng.standard_normal((steps, rows, FEATURES * markets))).astype(np.float32)
    starts = rng.random((steps, rows)) < 0.2
    if isinstance(space, Box):
        return Recorded(obs, starts)
    shape = (steps, rows, ROWS) if markets == 1 else (steps, rows, markets, ROWS)
    return Recorded(obs, starts, rng.random(shape) < 0.7)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_policy_is_exported_and_acts_alike(tmp_path, kind):
    run = run_of(tmp_path, kind)
    path, parity = export_onnx(run, seen(kind))
    assert path == run / "export" / "policy.onnx" and parity.rows == 140 and parity.largest <= TOLERANCE
    assert json.loads((run / "export" / "parity.json").read_text())["rows"] == 140
    sheet = read_manifest(run)["sheet"]
    policy = load(run, sheet)
    alone = tmp_path / "elsewhere" / "policy.onnx"
    alone.parent.mkdir()
    shutil.copyfile(path, alone)
    exported = [load(run, sheet, backend="onnx"), load(alone, sheet), load(alone.parent, sheet)]
    recorded = seen(kind)
    for step, obs in enumerate(recorded.observations):
        masks = None if recorded.masks is None else recorded.masks[step]
        policy.begin(recorded.starts[step])
        wanted = policy.act(obs, masks)
        for one in exported:
            one.begin(recorded.starts[step])
            found = one.act(obs, masks)
            assert one.backend == "onnx" and found.dtype == wanted.dtype and found.shape == wanted.shape
            assert np.allclose(found, wanted, atol=1e-5)
    single = load(alone, sheet)  # another number of rows than in the trace
    assert single.act(recorded.observations[0][:1]).shape == wanted[:1].shape


def test_it_samples_as_the_run_does(tmp_path):
    run = run_of(tmp_path, "box")
    export_onnx(run, seen("box"))
    sheet = read_manifest(run)["sheet"]
    one, other = (load(run, sheet, deterministic=False, seed=5, backend=name) for name in ("torch", "onnx"))
    for obs in seen("box").observations:
        assert np.allclose(one.act(obs), other.act(obs), atol=1e-5)


def changed(policy, by):
    """The policy with another bias of its first output."""
    network = Network(policy.spec, 2)
    network.load_state_dict(policy.network.state_dict())
    network.actor.head.bias.data[0] += by
    parameters = {f"network.{name}": value for name, value in network.state_dict().items()}
    return TrainedPolicy({"run": "changed", "network": policy.spec}, parameters, policy.features)


def test_what_parts_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    run = run_of(tmp_path, "table")
    policy = load(run, read_manifest(run)["sheet"])
    assert compare(policy, changed(policy, 2e-6), seen("table")).largest > 0.0
    with pytest.raises(ParityError, match="step 0: an output parts by 0"):
        compare(policy, changed(policy, 2e-3), seen("table"))
    monkeypatch.setattr("agents.export.compare", lambda one, other, recorded: compare(one, changed(one, 1.0), recorded))
    with pytest.raises(ParityError, match="nothing was written"):
        export_onnx(run, seen("table"))
    assert not (run / "export").exists()


def test_another_action_is_refused_unless_it_is_as_good(tmp_path):
    run = run_of(tmp_path, "table")
    policy = load(run, read_manifest(run)["sheet"])
    policy.network.actor.head.weight.data[1] = policy.network.actor.head.weight.data[0]
    policy.network.actor.head.bias.data[:2] = 100.0  # rows 0 and 1 are always the best, and as good as each other
    tied = changed(policy, -1e-6)
    tied.network.actor.head.bias.data[1] += 9e-6
    found = compare(policy, tied, seen("table")._replace(masks=None))
    assert found.ties > 0 and found.largest <= TOLERANCE
    other = changed(policy, 0.0)
    turns = iter((0, 3))
    policy.rows_of = lambda outputs, masks: np.full(len(outputs), next(turns))
    with pytest.raises(ParityError, match="action 3 instead of 0, and no tie"):
        compare(policy, other, seen("table"))


def test_what_it_was_not_made_for_is_refused(tmp_path):
    run = run_of(tmp_path, "table")
    sheet = read_manifest(run)["sheet"]
    with pytest.raises(FileNotFoundError, match="no exported policy; `python -m evaluation export RUN` makes one"):
        load(run, sheet, backend="onnx")
    path, _ = export_onnx(run, seen("table"))
    with pytest.raises(ValueError, match="trained on action schema action1, the environment has another"):
        load(path, sheet | {"action_digest": "another"})
    with pytest.raises(ValueError, match="no backend 'tensorrt'"):
        load(run, sheet, backend="tensorrt")
    save(type("Run", (), {"policy_path": run / "policy.zip"}), Network(read_manifest(run)["network"], 2))
    with pytest.raises(ValueError, match="is of another state of the run; export it again"):
        load(run, sheet, backend="onnx")
    path.write_bytes(b"torn")
    with pytest.raises(ValueError, match="not a model that ONNX Runtime reads"):
        load(path, sheet)


def test_a_network_shared_among_markets_is_exported_for_its_own_number(tmp_path):
    run = run_of(tmp_path, "markets")
    path, _ = export_onnx(run, seen("markets"))
    same = read_manifest(run)["sheet"]
    with pytest.raises(ValueError, match="trained on observation schema observation3"):
        load(path, same | {"markets": 2, "observation_digest": "observation2"})
