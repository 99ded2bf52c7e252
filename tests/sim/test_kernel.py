"""The compile decorators: parts live inside of kernels, and behave like the functions they were written as."""

import copy
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

import sim.kernel
from sim import compiling
from sim.kernel import Held, hot, inner, kernel, pasted

INTERPRETED = bool(numba.config.DISABLE_JIT)
compiled_only = pytest.mark.skipif(INTERPRETED, reason="about the compiler, which is off (NUMBA_DISABLE_JIT=1)")
CHECKED = pytest.mark.skipif(not compiling.AVAILABLE, reason="sim.compiling was checked with another version of Numba")


@inner
def _third(values, index):
    if values[index] < 0:
        raise ValueError("negative")
    return values[index] // 3


@hot
def _both(values):
    return _third(values, 0) + _third(values, np.int32(1))


@pasted
def _plus_one(value):
    return value + 1


@kernel
def twice(value):
    return 2 * value


@kernel
def total(values):
    return twice(_plus_one(_both(values)))


class Bag(NamedTuple):
    """What a kernel is given."""

    values: np.ndarray
    factor: float
    pair: tuple[int, np.ndarray]


@kernel
def weigh(bag, first, last):
    bag.values[0] += 1
    if last > len(bag.values):
        raise ValueError("too far")
    return bag.factor * bag.values[first:last].sum() + bag.pair[0] + bag.pair[1][first]


def bag(*values, factor=0.5):
    return Bag(np.array(values), factor, (10, np.array([100, 1100])))


def test_parts_of_parts_and_kernels_in_kernels():
    # 7 // 3 + 11 // 3 = 2 + 3 = 5; plus one 6; twice 12
    assert total(np.array([7, 11])) == 12
    assert twice(21) == 42  # the same function from Python


def test_an_error_raised_in_a_part_reaches_python():
    with pytest.raises(ValueError, match="negative"):
        total(np.array([3, -1]))


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    """Kernels made in the test are compiled, whatever an earlier run has left on disk."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


@compiled_only
def test_a_part_is_compiled_for_one_width_of_integer(no_cache):
    @kernel
    def both(values):
        return _both(values)

    both(np.array([7, 11]))
    assert len(_third.overloads) == 1  # a literal 0 and an int32 were passed


@compiled_only
@CHECKED
def test_a_kernel_holds_its_parts_and_exports_itself_only(no_cache):
    @kernel
    def alone(values):
        return _both(values) + 1

    assert alone(np.array([7, 11])) == 6
    library = next(iter(alone.overloads.values())).library
    assert isinstance(library, compiling.KernelLibrary)
    foreign = [
        function.name
        for function in library.get_defined_functions()
        if function.linkage.name == "external" and "alone" not in function.name
    ]
    assert not foreign
    part = next(iter(_third.overloads.values()))
    assert part.library.get_pointer_to_function(part.fndesc.llvm_cpython_wrapper_name) == 0


def test_what_is_held_is_what_the_call_names():
    held, one = Held(), bag(3, 5, 7)
    # values become 4 5 7: 0.5 x (5 + 7) + 10 + 1100 = 1116; then 5 5 7: 0.5 x (5 + 5) + 10 + 100 = 115
    assert held.call(weigh, one, 1, 3) == 1116.0
    assert held.call(weigh, one, 0, 2) == 115.0
    one.values[1] = 7  # 6 7 7: what an array holds may change, 0.5 x (6 + 7) + 110 = 116.5
    assert held.call(weigh, one, 0, 2) == 116.5
    # another array in its place, and another number: 2 x (2 + 1) + 110 = 116
    other = one._replace(values=np.array([1, 1]), factor=2.0)
    assert held.call(weigh, other, 0, 2) == 116.0
    assert held.call(weigh, one._replace(), 0, 1) == 113.5  # 0.5 x 7 + 110, in the first arrays again
    assert one.values.tolist() == [7, 7, 7] and other.values.tolist() == [2, 1]


def test_what_is_held_may_have_other_types_and_a_kernel_raise():
    held = Held()
    assert held.call(weigh, bag(1.5, 2.5), 0, 1) == 111.25  # 0.5 x 2.5 + 110
    assert held.call(weigh, bag(1, 3), 0, 1) == 111.0  # 0.5 x 2 + 110
    with pytest.raises(ValueError, match="too far"):
        held.call(weigh, bag(1), 0, 2)


def _adds(number):
    @kernel
    def add(bag, first):
        return bag.values[first] + number

    return add


class Other(NamedTuple):
    """As `Bag`, the other way about."""

    pair: np.ndarray
    factor: float
    values: tuple[int, np.ndarray]


def test_kernels_of_one_name_and_bags_of_one_form_are_told_apart():
    held = Held()
    assert [held.call(_adds(number), bag(3, 5), 1) for number in (1, 2)] == [6, 7]

    @kernel
    def first_pair(bag, index):
        return bag.pair[index]

    assert held.call(first_pair, Other(*bag(3, 5)), 0) == 3
    with pytest.raises(ValueError, match="too far"):
        held.call(weigh, bag(3, 5), 0, 3)


@compiled_only
def test_what_is_held_is_forgotten_in_time_and_by_copies():
    held = Held()
    for value in range(3 * Held.MOST):
        assert held.call(weigh, bag(value), 0, 1) == 0.5 * (value + 1) + 110
        assert 0 < len(held._forms) <= Held.MOST
    assert len(copy.deepcopy(held)._forms) == 0  # else it would point into the arrays of the original


@compiled_only
def test_with_another_numba_kernels_take_what_is_held_too(monkeypatch):
    monkeypatch.setattr(sim.kernel, "AVAILABLE", False)

    @kernel
    def both(bag, first):
        return bag.values[first] + bag.pair[0]

    assert Held().call(both, bag(3, 5), 1) == 15


FROM_CACHE = """
import numpy as np
import test_kernel as here

print(here.total(np.array([7, 11])), sum(here.total.stats.cache_hits.values()), len(here._third.overloads))
try:
    here.total(np.array([3, -1]))
except ValueError as error:
    print(error)
"""


@compiled_only
@CHECKED
def test_a_kernel_from_the_cache_needs_no_part():
    total(np.array([7, 11]))
    here = Path(__file__).resolve()
    environment = os.environ | {"PYTHONPATH": f"{here.parents[2]}{os.pathsep}{here.parent}"}
    done = subprocess.run(
        [sys.executable, "-c", FROM_CACHE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["12", "1", "0", "negative"]


@compiled_only
def test_another_checkout_of_the_same_sources_loads_the_kernels(tmp_path):
    sources, hits = Path(sim.kernel.__file__).parent, []
    for name in ("one", "two"):
        shutil.copytree(sources, tmp_path / name / "sim", ignore=shutil.ignore_patterns("__pycache__"))
        environment = os.environ | {"PYTHONPATH": str(tmp_path / name), "SHADOWBOOK_CACHE": str(tmp_path / "cache")}
        script = "from sim.mathematics import log; log(2.0); print(sum(log.stats.cache_hits.values()))"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        hits.append(done.stdout.strip())
    assert hits == ["0", "1"]


@compiled_only
def test_with_another_numba_kernels_compile_its_own_way(monkeypatch):
    monkeypatch.setattr(sim.kernel, "AVAILABLE", False)

    @inner
    def half(value):
        return value // 2

    @kernel
    def quarter(value):
        return half(half(value))

    assert quarter(np.int64(9)) == 2  # 9 // 2 = 4, 4 // 2 = 2
    library = next(iter(quarter.overloads.values())).library
    assert not isinstance(library, compiling.KernelLibrary)


@compiled_only
def test_shortcuts_end_with_the_compilation():
    with compiling.shortcuts():
        assert not gc.isenabled()
        with compiling.shortcuts():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    assert numba.types.BaseFunction.get_call_type is compiling._look_up


def test_only_two_files_know_the_compiler():
    root = Path(__file__).resolve().parents[2]
    named = {
        path.relative_to(root).as_posix()
        for folder in ("sim", "envs", "agents", "evaluation", "curricula", "configs", "benchmarks")
        for path in (root / folder).rglob("*.py")
        if "import numba" in (text := path.read_text(encoding="utf-8")) or "from numba" in text
    }
    assert named == {"sim/kernel.py", "sim/compiling.py", "benchmarks/peers/theirs.py"}  # the last one: not ours
