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
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numba._dispatcher import compute_fingerprint
from numba.core import types
from numba.core.caching import UserProvidedCacheLocator
from numba.core.datamodel import models
from numba.core.registry import cpu_target
from numba.extending import NativeValue, intrinsic, register_model, unbox

from sim.compiling import AVAILABLE, KernelCompiler, PartCompiler

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


class CacheLocator(UserProvidedCacheLocator):
    """Names the folder of a file's kernels by where the file lies in the project, not on the machine.

    The folder around it is named by content. So checkouts with the same sources share their kernels: those of several
    jobs on a node of a cluster, too, each of which plays in an unpacked copy of its own.
    """

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """Numba's hook; a path of its own making for a file that is not the project's."""
        folder = Path(py_file).resolve().parent
        if folder.is_relative_to(_ROOT) and folder != _ROOT:
            return "_".join(folder.relative_to(_ROOT).parts)
        return super().get_suitable_cache_subpath(py_file)


numba.config.CACHE_DIR = str(_cache_root() / f"kernels-{_source_digest()}")
numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.CacheLocator,UserWideCacheLocator,IPythonCacheLocator"


def how_kernels_run() -> str:
    """``compiled``, ``bounds_checked`` or ``interpreted``."""
    if numba.config.DISABLE_JIT:
        return "interpreted"
    return "bounds_checked" if numba.config.BOUNDSCHECK else "compiled"


def _widest(kind: types.Type) -> types.Type:
    """The type a kernel is compiled for when another kernel passes ``kind``: one width of integer, no literals."""
    plain = types.unliteral(kind)
    return types.int64 if isinstance(plain, types.Integer) and plain.signed else plain


def _compile(function: Callable, compiler: type, signature: Any = None, **options: Any) -> Any:
    # forceinline said, for Numba hands a caller's flags down to callees that it compiles meanwhile: everything that a
    # hot function calls would be inlined everywhere, which made the event loop four times as large and slower
    options = {"no_cfunc_wrapper": True, "forceinline": False, **options}
    if AVAILABLE:
        options["pipeline_class"] = compiler
    # _nrt=False: kernels allocate nothing, so arrays need no counting of references. Counting costs two locked
    # instructions for every array at every call, which was four fifths of the event loop's time.
    return numba.njit(signature, nogil=True, fastmath=False, error_model="numpy", _nrt=False, **options)(function)


def _part(function: Callable, **options: Any) -> Any:
    """A function for kernels to call. On disk it lies inside of them, and by itself only where shortcuts are not."""
    part = _compile(function, PartCompiler, cache=not AVAILABLE, no_cpython_wrapper=True, **options)
    if numba.config.DISABLE_JIT:
        return part  # the plain function
    resolve = part.get_call_template

    def resolve_widest(args: Any, kws: Any) -> Any:
        return resolve(tuple(map(_widest, args)), {name: _widest(kind) for name, kind in kws.items()})

    # Numba would compile a callee anew for every literal and every width of integer that a caller passes
    part.get_call_template = resolve_widest
    return part


def kernel(function: F) -> F:
    """Compile ``function`` to machine code; cached on disk; the GIL is released while it runs.

    Kernels that call it get a part of their own, as of an :func:`inner`.
    """
    facade = _compile(function, KernelCompiler, cache=True)
    if not numba.config.DISABLE_JIT:
        part = _part(function)
        facade.get_call_template, facade.get_overload = part.get_call_template, part.get_overload
    return facade


def inner(function: F) -> F:
    """As :func:`kernel`, for functions that only kernels call: machine code for it exists only inside of theirs.

    Python must not call it: that ends the process.
    """
    return _part(function)


def hot(function: F) -> F:
    """As :func:`inner`, and always inlined by LLVM: for the functions that every market event goes through.

    A call copies the whole :class:`sim.desk.Desk`; without inlining the event loop takes twice as long. Inlining
    everything would double the time to compile.
    """
    return _part(function, forceinline=True)


def pasted(function: F) -> F:
    """As :func:`inner`, and copied into its callers: for functions that return records, which a call cannot."""
    return _part(function, inline="always")


def callback(*examples: Any) -> Callable[[F], F]:
    """As :func:`kernel`, for functions that are handed to kernels as values and return nothing.

    ``examples`` are of the types it will be called with; it is compiled at once. The kernel that calls it, see
    :func:`calls_back`, is compiled once for all of them and reaches them by a pointer: a call costs about 15 ns.
    """

    def decorate(function: F) -> F:
        signature = types.void(*map(numba.typeof, examples))
        # code typed at a prompt or in a notebook has no file whose folder could keep it
        cache = Path(function.__code__.co_filename).is_file()
        return _compile(function, KernelCompiler, signature, cache=cache, no_cfunc_wrapper=False)

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
            compiled[key] = _compile(function, KernelCompiler, kinds, cache=True)
        return compiled[key](act, *args)

    return call  # type: ignore[return-value]


class _Address(types.Type):
    """Where the native form of a NamedTuple lies. Python says it as an integer."""

    def __init__(self, held: types.BaseTuple) -> None:
        self.held = held
        super().__init__(f"Address({held})")


@register_model(_Address)
class _AddressModel(models.OpaqueModel):
    """A pointer."""


@unbox(_Address)
def _pointer(_: _Address, value: Any, c: Any) -> NativeValue:
    return NativeValue(c.pyapi.long_as_voidptr(value), is_error=c.pyapi.c_api_error())


@intrinsic
def _read(_: Any, address: _Address) -> Any:
    """The NamedTuple that lies at ``address``."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        kind = context.get_value_type(address.held)
        return builder.load(builder.bitcast(values[0], kind.as_pointer()))

    return address.held(address), generate


@intrinsic
def _write(_: Any, address: _Address, held: types.BaseTuple) -> Any:
    """Put a NamedTuple at ``address``."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        builder.store(values[1], builder.bitcast(values[0], values[1].type.as_pointer()))
        return context.get_dummy_value()

    return types.void(address, held), generate


_called: Any = None  # in each copy of `_call_at`, the kernel that it calls


def _call_at(address: Any, numbers: Any) -> Any:
    return _called(_read(address), *numbers)


def _store(address: Any, held: Any) -> None:
    _write(address, held)


def _copy_of(function: Any, owner: Any, kinds: tuple, **names: Any) -> Callable:
    """Machine code of a copy of ``function`` that knows ``names``; types are not checked when it is called.

    On disk it lies as a function of ``owner``'s, a class or function: an index of kernels names the classes of their
    arguments, and who cannot import one of them cannot read the index.
    """
    code = getattr(owner, "__code__", None)
    file = sys.modules[owner.__module__].__dict__.get("__file__") or "" if code is None else code.co_filename
    name = f"{owner.__qualname__}.{function.__name__}"
    placed = function.__code__.replace(
        co_filename=file, co_firstlineno=code.co_firstlineno if code else 1, co_name=name, co_qualname=name
    )
    copied = FunctionType(placed, {"__name__": owner.__module__, "_read": _read, "_write": _write, **names}, name)
    cache = Path(file).is_file() and getattr(owner, "__closure__", None) is None  # of a closure the name says nothing
    return _compile(copied, KernelCompiler, kinds, cache=cache).overloads[kinds].entry_point


class _Shape(NamedTuple):
    """How NamedTuples of one type are kept."""

    kind: _Address
    size: int  # bytes
    store: Callable
    entries: dict[tuple[Any, int], Callable]  # of kernel and count of numbers, machine code that takes an address


_shapes: dict[bytes, _Shape] = {}  # by fingerprint: types themselves take milliseconds


def _shape_of(held: tuple) -> _Shape:
    key = compute_fingerprint(held)
    if key not in _shapes:
        whole = numba.typeof(held)
        kind, context = _Address(whole), cpu_target.target_context
        size = context.get_abi_sizeof(context.get_value_type(whole))
        _shapes[key] = _Shape(kind, size, _copy_of(_store, type(held), (kind, whole)), {})
    return _shapes[key]


def _entry(shape: _Shape, facade: Any, count: int) -> Callable:
    """``facade`` with an address in the place of its first argument, and ``count`` integers as a tuple."""
    key = facade, count
    if key not in shape.entries:
        kinds = shape.kind, types.UniTuple(types.int64, count)
        shape.entries[key] = _copy_of(_call_at, facade.py_func, kinds, _called=facade)
    return shape.entries[key]


class _Form(NamedTuple):
    """A NamedTuple in native form."""

    held: tuple  # whose arrays it points into
    place: np.ndarray  # (bytes,) uint8
    address: int
    shape: _Shape
    entries: dict[Any, Callable]  # by kernel


class Held:
    """Calls kernels whose first argument is a NamedTuple of NamedTuples of arrays, taken apart once.

    To take apart a hundred arrays takes Numba 12 us, more than a step of one environment. What was taken apart is found
    by the identity of the NamedTuple's own parts, so that whoever calls with others gets those. What arrays hold may
    change; a part must not change what it consists of.
    """

    MOST = 64  # forms kept; then all are forgotten

    def __init__(self) -> None:
        self._forms: dict[tuple[int, ...], _Form] = {}

    def call(self, function: Any, held: tuple, *numbers: int) -> Any:
        """``function(held, *numbers)``, a :func:`kernel`; ``held`` a NamedTuple, always of one class."""
        if numba.config.DISABLE_JIT:
            return function(held, *numbers)
        key = tuple(map(id, held))
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._take_apart(held)
        entry = form.entries.get(function)
        if entry is None:
            entry = form.entries[function] = _entry(form.shape, function, len(numbers))
        return entry(form.address, numbers)

    def _take_apart(self, held: tuple) -> _Form:
        if len(self._forms) >= self.MOST:
            self._forms.clear()
        shape = _shape_of(held)
        place = np.zeros(shape.size, np.uint8)
        address = place.ctypes.data
        shape.store(address, held)
        return _Form(held, place, address, shape, {})

    def __reduce__(self) -> tuple:
        return Held, ()  # a copy begins anew: what was taken apart points into the arrays of the original
