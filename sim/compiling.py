"""How kernels become machine code: shortcuts through Numba's compiler, for the version they were checked with.

Numba takes every compiled function for one that Python may call. It optimises each and emits machine code for it, then
links it into its callers and does so again there, once a caller. Most of our functions are only ever called by
kernels. So:

* :class:`PartCompiler` stops a function at LLVM's intermediate code: no machine code is emitted, nothing goes to disk.
* :class:`KernelCompiler` gathers all the parts that a kernel reaches, makes them private to it and optimises the whole
  once. Private functions lose the arguments that they do not use, and run faster for it.
* :func:`shortcuts` holds while a kernel compiles: no garbage collection, and what an operator returns for given types
  is looked up once.

The classes override what Numba does not promise to keep. With another version than :data:`CHECKED_WITH` kernels
compile Numba's own way (:data:`AVAILABLE` is False): the results are the same, compiling takes twice as long.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.environment import lookup_environment
from numba.core.funcdesc import default_mangler

CHECKED_WITH = ("0.68.",)
AVAILABLE = numba.__version__.startswith(CHECKED_WITH)

_ENVIRONMENT = "_ZN08NumbaEnv"  # how the names of the globals begin that hold a function's Python objects


class _NotEmitted:
    """Stands for the code generator where Numba would write into machine code that a part does not have."""

    def set_env(self, name: str, env: object) -> None:
        """Nothing: the kernel that takes in the part does it."""


class PartLibrary(JITCodeLibrary):
    """Intermediate code of one function that only kernels call, simplified but not optimised."""

    codegen = _NotEmitted()

    def get_pointer_to_function(self, name: str) -> int:
        """0, which is Numba's word for a function that has no machine code of this name."""
        return 0

    def finalize(self) -> None:
        """Nothing more may be added."""
        self._raise_if_finalized()
        self._finalized = True

    def _optimize_functions(self, ll_module: Any) -> None:
        """One by one, and here: a part goes into several kernels."""
        _optimise_functions(self._codegen, ll_module)


class KernelLibrary(JITCodeLibrary):
    """A kernel with everything it reaches, optimised once, and its machine code."""

    def finalize(self) -> None:
        """Take in the parts, hide them, optimise, emit, and hand the parts their Python objects."""
        own = set(_defined(self._final_module))
        for library in self._reached():
            self._reload_init.update(library._reload_init)
            part = isinstance(library, PartLibrary)
            module = library._final_module if part else library._get_module_for_linking()
            self._final_module.link_in(module, preserve=True)
        self._linking_libraries: list[JITCodeLibrary] = []
        for name in _defined(self._final_module):
            if name not in own:
                self._final_module.get_function(name).linkage = "internal"
        super().finalize()
        for variable in self._final_module.global_variables:
            if variable.name.startswith(_ENVIRONMENT) and (env := lookup_environment(variable.name)) is not None:
                self._codegen.set_env(variable.name, env)

    def _reached(self) -> list[JITCodeLibrary]:
        """Every library that the kernel needs, directly or through a part, in the order of discovery."""
        found = dict.fromkeys(self._linking_libraries)
        waiting = list(found)
        while waiting:
            library = waiting.pop(0)
            if isinstance(library, PartLibrary):
                fresh = [needed for needed in dict.fromkeys(library._linking_libraries) if needed not in found]
                found.update(dict.fromkeys(fresh))
                waiting.extend(fresh)
        return list(found)

    def _optimize_functions(self, ll_module: Any) -> None:
        _optimise_functions(self._codegen, ll_module)

    def _optimize_final_module(self) -> None:
        """The module as a whole, once. Numba's cheap pass before it is for reference counts, which kernels have not."""
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


def _optimise_functions(codegen: Any, module: Any) -> None:
    """Simplify every function of ``module`` by itself."""
    passes, builder = codegen._function_pass_manager()
    for name in _defined(module):
        passes.run(module.get_function(name), builder)


def _defined(module: Any) -> list[str]:
    """Names of the functions that have a body in ``module``."""
    return [function.name for function in module.functions if not function.is_declaration]


def _short_name(name: str, argtypes: tuple, *, abi_tags: tuple = (), uid: int | None = None) -> str:
    """Numba's name of a compiled function with a hash for the types, which take ten thousand letters in full."""
    digest = hashlib.sha256(str(argtypes).encode()).hexdigest()[:16]
    return default_mangler(name, (), abi_tags=(*abi_tags, digest), uid=uid)


class PartCompiler(Compiler):
    """Numba's pipeline for a function that only kernels call; ends in a :class:`PartLibrary`."""

    _library: type[JITCodeLibrary] = PartLibrary

    def compile_extra(self, func: Callable) -> Any:
        """Compile ``func``; returns Numba's result."""
        library = self._library(self.state.targetctx.codegen(), func.__qualname__)
        library.enable_object_caching()
        self.state.library = library
        self.state.targetctx.mangler = _short_name
        with shortcuts():
            return super().compile_extra(func)


class KernelCompiler(PartCompiler):
    """Numba's pipeline for a function that Python calls; ends in a :class:`KernelLibrary`."""

    _library = KernelLibrary


_signatures: dict[tuple, Any] = {}  # (operator, types of its arguments): what it returns
_look_up = types.BaseFunction.get_call_type


def _remembered(self: types.BaseFunction, context: Any, args: Any, kws: Any) -> Any:
    """Numba's ``get_call_type``, once for the same operator and types: it tries dozens of candidates at every use."""
    if kws:
        return _look_up(self, context, args, kws)
    key = (self, tuple(args))
    found = _signatures.get(key)
    if found is None:
        found = _signatures[key] = _look_up(self, context, args, kws)
    return found


@contextmanager
def shortcuts() -> Iterator[None]:
    """Compile faster inside; may be nested. Numba holds its compiler lock meanwhile, so one thread is inside."""
    if types.BaseFunction.get_call_type is _remembered:
        yield
        return
    collecting = gc.isenabled()
    gc.disable()  # a compiler makes millions of objects and few cycles: looking for them takes 5 % of the time
    types.BaseFunction.get_call_type = _remembered
    try:
        yield
    finally:
        types.BaseFunction.get_call_type = _look_up
        if collecting:
            gc.enable()
