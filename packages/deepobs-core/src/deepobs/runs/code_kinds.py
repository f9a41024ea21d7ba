"""How functions and objects of optimizers are stored and restored."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import pickle
import types
from typing import TYPE_CHECKING, Any

import torch

from deepobs.runs.object_graphs import (
    NOTHING,
    UnrestorableError,
    described,
    load_attributes,
    name_of,
    save_attributes,
    slots_of,
)

if TYPE_CHECKING:
    from deepobs.runs.object_graphs import GraphReader, GraphWriter, Kind

_IS_PYTHON_CLASS = 1 << 9  # Py_TPFLAGS_HEAPTYPE

_MODULES_WITHOUT_NUMBERS = (
    *("logging", "threading", "_thread", "concurrent", "multiprocessing", "torch._", "tqdm"),
)
_WITHOUT_NUMBERS = (
    *(type, types.ModuleType, types.BuiltinFunctionType, types.WrapperDescriptorType),
    *(types.MethodDescriptorType, types.CodeType, type(...), type(NotImplemented)),
    *(functools._lru_cache_wrapper, torch.Stream, property),
)


class _Functions:
    """Functions, which are those of the new instance, with the variables that they enclose."""

    name = "function"

    def includes(self, value: Any) -> bool:
        return isinstance(value, types.FunctionType)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        cells: dict[str, Any] = {}
        attributes: dict[str, Any] = {}
        # What torch encloses is its own affair, and leads to compilers.
        if not str(value.__module__).startswith(("torch", "deepobs")):
            for name, cell in _cells_of(value).items():
                with contextlib.suppress(ValueError):  # it is empty
                    cells[name] = graph.refer_to(cell.cell_contents, f"{path}, its variable {name}")
            attributes = save_attributes(value, path, graph)
        return [name_of(value), value.__code__.co_firstlineno, cells, attributes]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, line, cells, attributes = saved
        is_function = self.includes(existing) and name_of(existing) == name
        # None is looked up by its name: a file that was tampered with would choose what to call.
        if not is_function or existing.__code__.co_firstlineno != line:
            raise UnrestorableError(f"the function {name.partition(':')[2]}")
        graph.is_restored(number, existing)
        variables = _cells_of(existing)
        for variable, content in cells.items():
            before = variables[variable].cell_contents
            variables[variable].cell_contents = graph.value_of(content, before)
        return load_attributes(existing, attributes, graph) if attributes else existing


def _cells_of(function: Any) -> dict[str, Any]:
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


class _Methods:
    name = "method"

    def includes(self, value: Any) -> bool:
        if isinstance(value, types.MethodType):
            return True
        is_builtin = isinstance(value, (types.BuiltinMethodType, types.MethodWrapperType))
        return is_builtin and not isinstance(value.__self__, (types.ModuleType, type, type(None)))

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        owner = graph.refer_to(value.__self__, f"{path}.__self__")
        return [value.__name__, owner, graph.refer_to(getattr(value, "__func__", None), path)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        name, owner, function = saved
        bound = graph.value_of(owner, getattr(existing, "__self__", NOTHING))
        value = existing
        is_same = getattr(value, "__self__", None) is bound
        if not (is_same and getattr(value, "__name__", "") == name):
            value = getattr(bound, name, None)
        if not self.includes(value) or value.__self__ is not bound:
            raise UnrestorableError(f"the method {name}")
        graph.value_of(function, getattr(value, "__func__", NOTHING))
        return value


class _Objects:
    """Instances of classes that are written in Python."""

    name = "object"

    def includes(self, value: Any) -> bool:
        cls = type(value)
        # A class written in C keeps its contents elsewhere than in attributes.
        makers = [vars(base)["__new__"] for base in cls.__mro__ if "__new__" in vars(base)]
        is_python = all(isinstance(one, staticmethod) for one in makers[:-1])
        has_attributes = hasattr(value, "__dict__") or any(True for _ in slots_of(value))
        is_heap = all(base.__flags__ & _IS_PYTHON_CLASS for base in cls.__mro__[:-1])
        return is_python and is_heap and has_attributes and not _has_no_numbers(value)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        return [name_of(type(value)), save_attributes(value, path, graph)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, attributes = saved
        value = existing
        if existing is NOTHING or name_of(type(existing)) != name:
            # Without its constructor, which may do anything.
            value = object.__new__(graph.class_named(name))
        graph.is_restored(number, value)
        return load_attributes(value, attributes, graph)


class _Kept:
    """All others: they are in a new instance what they were in the first, or are named."""

    name = "kept"

    def includes(self, _value: Any) -> bool:
        return True

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        content, name = self._content_of(value), name_of(type(value))
        if content is None:
            graph.left_out[path] = described(name)
        return [name, content, isinstance(value, type)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        name, content, is_class = saved
        is_of_kind = existing is not NOTHING and name_of(type(existing)) == name
        if is_of_kind and self._content_of(existing) == content:
            return existing
        if is_class:
            return graph.class_named(content)
        raise UnrestorableError(described(name))

    def _content_of(self, value: Any) -> str | None:
        """What has to be the same in a new instance; `None` if nobody can tell."""
        if _has_no_numbers(value):
            return name_of(value) if hasattr(value, "__qualname__") else ""
        if isinstance(value, types.GeneratorType) and value.gi_frame is None:
            return "at its end"
        with contextlib.suppress(Exception):  # objects of others raise anything
            return hashlib.sha256(pickle.dumps(value)).hexdigest()
        return None


def _has_no_numbers(value: Any) -> bool:
    cls = type(value)
    is_log = isinstance(value, io.TextIOWrapper) and value.writable() and not value.readable()
    is_of_kind = isinstance(value, _WITHOUT_NUMBERS) or cls.__name__ == "RemovableHandle"
    return is_log or is_of_kind or cls.__module__.startswith(_MODULES_WITHOUT_NUMBERS)


CODE_KINDS: tuple[Kind, ...] = (_Functions(), _Methods(), _Objects(), _Kept())
"""The kinds of objects that code makes; the last one includes everything."""
