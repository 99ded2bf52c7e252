"""The one compile decorator, and the one place that configures Numba.

Numba's on-disk cache is keyed on the file that defines a kernel and not on the kernels it calls: after an edit in a
callee, the caller's stale machine code runs. So the cache lives in a folder named by the hash of every source file
that can hold a kernel, and of the Numba version.

Three ways to run the same source: compiled (default), bounds-checked (``NUMBA_BOUNDSCHECK=1``) and interpreted
(``NUMBA_DISABLE_JIT=1``). ``fastmath`` stays off: it makes ``isnan(nan)`` false and lets results depend on the
compiler.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba._dispatcher import compute_fingerprint
from numba.core import types

F = TypeVar("F", bound=Callable)

_ROOT = Path(__file__).resolve().parent.parent
_KERNEL_FOLDERS = ("sim", "envs", "benchmarks")


def _source_digest() -> str:
    """Hash of the Numba version and of every source file of the folders that may define kernels."""
    digest = hashlib.sha256(numba.__version__.encode())
    for folder in _KERNEL_FOLDERS:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    base = os.environ.get("SHADOWBOOK_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shadowbook"


numba.config.CACHE_DIR = str(_cache_root() / f"kernels-{_source_digest()}")


# _nrt=False: kernels allocate nothing, so arrays need no counting of references. Counting costs two locked instructions
# for every array at every call, which was four fifths of the event loop's time.
_OPTIONS = partial(numba.njit, cache=True, nogil=True, fastmath=False, error_model="numpy", _nrt=False)


def _widest(kind: types.Type) -> types.Type:
    """The type a kernel is compiled for when another kernel passes ``kind``: one width of integer, no literals."""
    plain = types.unliteral(kind)
    return types.int64 if isinstance(plain, types.Integer) and plain.signed else plain


def _compile(function: F, **options: Any) -> F:
    dispatcher = _OPTIONS(**options)(function)
    if not hasattr(dispatcher, "get_call_template"):
        return dispatcher  # NUMBA_DISABLE_JIT=1: the plain function
    resolve = dispatcher.get_call_template

    def resolve_widest(args: Any, kws: Any) -> Any:
        return resolve(tuple(map(_widest, args)), {name: _widest(kind) for name, kind in kws.items()})

    # Numba would compile a callee anew for every literal and every width of integer that a caller passes
    dispatcher.get_call_template = resolve_widest
    return dispatcher


def kernel(function: F) -> F:
    """Compile ``function`` to machine code; cached on disk; the GIL is released while it runs."""
    return _compile(function)


def inner(function: F) -> F:
    """As :func:`kernel`, for functions that only kernels call: without the wrapper that Python would need to call them.

    Python must not call it: that ends the process. The wrapper of a function that takes a
    :class:`sim.desk.Desk` is longer than most of them, and compiling it takes longer than the function itself.
    """
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def hot(function: F) -> F:
    """As :func:`inner`, and always inlined by LLVM: for the functions that every market event goes through.

    A call copies the whole :class:`sim.desk.Desk`; without inlining the event loop takes twice as long. Inlining
    everything would double the time to compile.
    """
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)


def pasted(function: F) -> F:
    """As :func:`inner`, and copied into its callers: for functions that return records, which a call cannot."""
    return _compile(function, inline="always")


def callback(*examples: np.ndarray) -> Callable[[F], F]:
    """As :func:`kernel`, for functions that are handed to kernels as values and return nothing.

    ``examples`` are arrays of the types it will be called with. The kernel that calls it, see :func:`calls_back`, is
    compiled once for all of them and reaches them by a pointer: a call costs about 15 ns.
    """

    def decorate(function: F) -> F:
        signature = types.void(*map(numba.typeof, examples))
        # code typed at a prompt or in a notebook has no file whose folder could keep it
        return _OPTIONS(signature, cache=Path(function.__code__.co_filename).is_file())(function)

    return decorate


def calls_back(function: F) -> F:
    """As :func:`kernel`, for functions whose first argument is a :func:`callback`."""
    compiled: dict[bytes, Any] = {}

    @wraps(function)
    def call(act: Any, *args: Any) -> Any:
        if not hasattr(act, "nopython_signatures"):
            return function(act, *args)  # NUMBA_DISABLE_JIT=1
        key = compute_fingerprint(args)  # cheap; the types themselves take milliseconds
        if key not in compiled:
            kinds = (types.FunctionType(act.nopython_signatures[0]), *map(numba.typeof, args))
            compiled[key] = _OPTIONS(kinds)(function)
        return compiled[key](act, *args)

    return call  # type: ignore[return-value]
