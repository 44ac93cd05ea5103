"""Keeps the big libraries small: packages whose `__init__` gathers a zoo are opened only when somebody asks them for
something, and a library's compiler and its distribution over machines stay away from a bake that uses neither.

Half of a worker's start was spent on modules no bake calls. Which submodules are imported is the callers' business.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def _unchanged(function: Any = None, *_: object, **__: object) -> Any:
    return function if function is not None else _unchanged


def _nothing(*_: object, **__: object) -> None:
    return None


COMPILER = "torch._dynamo"
APART = f"{COMPILER}._trace_wrapped_higher_order_op"
"""The one module of the compiler that transformers' masks import; any other opens the compiler first."""

STAND_INS: dict[str, dict[str, Callable[[], Any]]] = {
    # What torch's optimizers and transformers' decorators ask of the compiler, as it is while nothing is compiled.
    COMPILER: {
        "allow_in_graph": lambda: _unchanged,
        "assume_constant_result": lambda: _unchanged,
        "disable": lambda: _unchanged,
        "graph_break": lambda: _nothing,
    },
    "diffusers.models.autoencoders": {},
    "diffusers.models.transformers": {},
    "diffusers.models.unets": {},
    "peft": {
        "PeftConfig": lambda: importlib.import_module("peft.config").PeftConfig,
        "PeftType": lambda: importlib.import_module("peft.utils.peft_types").PeftType,
        "__version__": lambda: importlib.import_module("importlib.metadata").version("peft"),
    },
    "peft.tuners": {},
    "transformers.models": {},
}
"""The packages that wait, with what they can answer unopened."""


class _Waiting(ModuleType):
    """A package whose submodules can be imported though its `__init__` has not run; an attribute it lacks runs it."""

    def __getattr__(self, name: str) -> Any:
        if name in STAND_INS[self.__name__]:
            return STAND_INS[self.__name__][name]()
        if name.startswith("__"):  # the import machinery asks
            raise AttributeError(name)
        return getattr(_open(self), name)


def _open(package: _Waiting) -> ModuleType:
    package.__class__ = ModuleType  # type: ignore[assignment]
    spec = package.__spec__
    assert spec is not None
    assert isinstance(spec.loader, _Waits)
    spec.loader.loader.exec_module(package)
    return sys.modules[package.__name__]  # transformers puts another object in its place while it runs


class _Waits:
    # Not an importlib.abc.Loader, nor is the finder one of its kind: every process of ours imports this file, and
    # that module would bring half a hundred others.
    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Waiting(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class _Finder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "transformers":
            _stay_alone()
        if fullname == "peft.tuners":
            # These two import each other, which works from this end alone, as peft's own `__init__` begins.
            importlib.import_module("peft.utils")
        compiler = sys.modules.get(COMPILER)
        if isinstance(compiler, _Waiting) and fullname.startswith(f"{COMPILER}.") and fullname != APART:
            _open(compiler)
        if fullname not in STAND_INS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Waits(spec.loader)  # type: ignore[assignment]
        return spec


def install() -> None:
    """Make the packages wait from now on; those already imported stay as they are. Can be called again."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Inside, no garbage is collected: imports make none, and searching thousands of modules for it takes a second.

    What lives afterwards is never searched again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _stay_alone() -> None:
    # transformers and accelerate support a torch that was built without distribution and then leave out its tensors,
    # checkpoints and symbolic shapes. One bake is one process.
    torch: Any = importlib.import_module("torch")
    torch.distributed.is_available = lambda: False
