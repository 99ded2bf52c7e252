"""Data sets of a teacher: what is written is read again, and nothing else is taken for one."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from fake_envs import SHEET
from lessons_by_hand import FACTS, sides, trajectories

from agents.trajectories import check_schema, load_trajectories, save_trajectories


def pair(**changes):
    """Two episodes of two steps and one, everything by hand."""
    given = {
        "obs": [[0, 1], [2, 3], [4, 5]],
        "actions": np.array([0, 1, 0]),
        "masks": np.array([[True, False], [True, True], [True, True]]),
        "rewards": [1, 2, 4],
        "costs": [[1, 10], [2, 10], [3, 10]],
        "terminated": [True, False],
        **changes,
    }
    return trajectories([2, 1], **given)


def test_what_is_written_is_read_again(tmp_path):
    data = pair()
    save_trajectories(data, tmp_path / "a.npz")
    again = load_trajectories(tmp_path / "a.npz")
    assert again.arrays().keys() == data.arrays().keys()
    for name, array in data.arrays().items():
        assert again.arrays()[name].dtype == array.dtype and np.array_equal(again.arrays()[name], array)
    assert {name: again.facts[name] for name in FACTS} == FACTS
    assert again.facts["rows"] == 3 and again.facts["episodes"] == 2 and again.facts["digest"] == data.digest
    assert again.episode.tolist() == [0, 0, 1]
    assert again.returns.tolist() == [3.0, 4.0]  # 1 + 2, 4
    assert again.episode_costs.tolist() == [[3.0, 20.0], [3.0, 10.0]]  # 1 + 2, 10 + 10; 3, 10
    with np.load(tmp_path / "a.npz") as archive:  # numpy reads it, too
        assert archive["lengths"].tolist() == [2, 1]


def test_a_box_has_no_masks(tmp_path):
    save_trajectories(pair(actions=np.zeros((3, 2), np.float32), masks=None), tmp_path / "a.npz")
    assert load_trajectories(tmp_path / "a.npz").masks is None


def test_equal_data_give_equal_bytes_at_any_time(tmp_path, monkeypatch):
    for number, name in enumerate("ab"):
        monkeypatch.setattr("time.time", lambda number=number: 1e9 + 1e6 * number)
        save_trajectories(pair(), tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_data_set_is_never_overwritten(tmp_path):
    save_trajectories(pair(), tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.npz exists, and a data set is never overwritten"):
        save_trajectories(pair(rewards=[0, 0, 0]), tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match=r"expected a name that ends in \.npz"):
        save_trajectories(pair(), tmp_path / "a.zip")


def test_torn_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match=r"a\.npz: no such data set"):
        load_trajectories(path)
    save_trajectories(sides(), tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.npz: not a whole data set .*torn, or another file"):
        load_trajectories(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"a\.npz: "):
        load_trajectories(path)
    np.savez(path, obs=np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"a\.npz: not a whole data set .*manifest\.json"):
        load_trajectories(path)


def rewritten(path, target, **changes):
    """A copy of a data set with another manifest."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "manifest.json":
                content = json.dumps({**json.loads(content), **changes}).encode()
            archive.writestr(name, content)


def test_another_version_and_an_edited_file_are_named(tmp_path):
    save_trajectories(pair(), tmp_path / "a.npz")
    rewritten(tmp_path / "a.npz", tmp_path / "b.npz", version=2)
    with pytest.raises(ValueError, match=r"b\.npz: trajectories of version 2, this program reads version 1"):
        load_trajectories(tmp_path / "b.npz")
    rewritten(tmp_path / "a.npz", tmp_path / "c.npz", digest="00")
    with pytest.raises(ValueError, match=r"c\.npz: the arrays' digest is .* the manifest says 00: edited"):
        load_trajectories(tmp_path / "c.npz")


def test_another_schema_is_refused_with_what_differs():
    check_schema("a.npz", FACTS, SHEET)
    other = {**SHEET, "observation": ["clock", "line"], "observation_digest": "zz"}
    with pytest.raises(ValueError, match=r'a\.npz: recorded with observation schema aa.* data set: "row"; .*: "line"'):
        check_schema("a.npz", FACTS, other)
    with pytest.raises(ValueError, match=r"action schema bb, the environment has zz; the rows have the same names"):
        check_schema("a.npz", FACTS, {**SHEET, "action_digest": "zz"})
    with pytest.raises(ValueError, match="costs time, ten, the environment charges none"):
        check_schema("a.npz", FACTS, {**SHEET, "costs": []})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"rewards": [1, 2]}, r"rewards has shape \(2,\), expected \(3,\)"),
        ({"rewards": [1, np.nan, 2]}, r"rewards\[1\] = nan, expected a finite number"),
        ({"actions": np.array([0, 1, 2])}, r"actions\[2\] = 2 cannot be done by its mask of 2 rows"),
        ({"actions": np.array([1, 1, 0])}, r"actions\[0\] = 1 cannot be done"),
        ({"actions": np.array([0, -1, 0])}, r"actions\[1\] = -1 cannot be done"),
        ({"actions": np.array(["a", "b", "c"])}, "actions is <U1, expected i8 or f4"),
        ({"masks": np.ones((3, 2))}, "masks is float64, expected b1"),
        ({"costs": [[1], [2], [3]]}, r"costs has shape \(3, 1\), expected \(3, 2\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        pair(**changes)


def test_empty_episodes_and_missing_facts_are_refused():
    for lengths in ([3, 0], [2, 2]):
        with pytest.raises(ValueError, match="expected at least one episode, none of them empty"):
            dataclasses.replace(pair(), lengths=np.array(lengths))
    with pytest.raises(ValueError, match="the facts lack seed"):
        dataclasses.replace(pair(), facts={name: FACTS[name] for name in FACTS if name != "seed"})
