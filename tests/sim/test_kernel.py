"""The compile decorators: parts live inside of kernels, and behave like the functions they were written as."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import sim.kernel
from sim import compiling
from sim.kernel import hot, inner, kernel, pasted

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


def test_parts_of_parts_and_kernels_in_kernels():
    # 7 // 3 + 11 // 3 = 2 + 3 = 5; plus one 6; twice 12
    assert total(np.array([7, 11])) == 12
    assert twice(21) == 42  # the same function from Python


def test_an_error_raised_in_a_part_reaches_python():
    with pytest.raises(ValueError, match="negative"):
        total(np.array([3, -1]))


@compiled_only
def test_a_part_is_compiled_for_one_width_of_integer():
    total(np.array([7, 11]))
    assert len(_third.overloads) == 1  # a literal 0 and an int32 were passed


@compiled_only
@CHECKED
def test_a_kernel_holds_its_parts_and_exports_itself_only():
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
