"""How functions and objects of optimizers are stored and restored."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import logging
import pickle
import threading
import types
import weakref
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

_WITHOUT_NUMBERS = ("logging", "threading", "concurrent", "multiprocessing", "torch._", "tqdm")
_IS_PYTHON_CLASS = 1 << 9  # Py_TPFLAGS_HEAPTYPE


class _Functions:
    """Functions, which are those of the new instance, with the variables that they enclose."""

    name = "function"

    def includes(self, value: Any) -> bool:
        return isinstance(value, types.FunctionType)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        cells: list[Any] = []
        attributes: dict[str, Any] = {}
        # What torch encloses is its own affair, and leads to compilers.
        if not str(value.__module__).startswith(("torch", "deepobs")):
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                with contextlib.suppress(ValueError):  # it is empty
                    content = graph.refer_to(cell.cell_contents, f"{path}, its variable {name}")
                    cells.append((name, content))
            attributes = save_attributes(value, path, graph)
        return [name_of(value), value.__code__.co_firstlineno, path, cells, attributes]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, line, path, cells, attributes = saved
        value: Any = existing
        # None is looked up by its name: a file that was tampered with would choose what to call.
        if not self._is_same(existing, name, line):
            raise UnrestorableError(path, f"the function {name.partition(':')[2]}")
        graph.is_restored(number, value)
        variables = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=True))
        for variable, content in cells:
            before = variables[variable].cell_contents
            variables[variable].cell_contents = graph.value_of(content, before)
        return load_attributes(value, attributes, graph) if attributes else value

    def _is_same(self, value: Any, name: str, line: int) -> bool:
        is_function = isinstance(value, types.FunctionType) and name_of(value) == name
        return is_function and value.__code__.co_firstlineno == line


class _Methods:
    name = "method"

    def includes(self, value: Any) -> bool:
        if isinstance(value, types.MethodType):
            return True
        is_builtin = isinstance(value, (types.BuiltinMethodType, types.MethodWrapperType))
        return is_builtin and not isinstance(value.__self__, (types.ModuleType, type, type(None)))

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        function = getattr(value, "__func__", None)
        return [
            graph.refer_to(value.__self__, f"{path}.__self__"),
            graph.refer_to(function, path),
            value.__name__,
            path,
        ]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        owner, function, name, path = saved
        bound = graph.value_of(owner, getattr(existing, "__self__", NOTHING))
        value = existing
        is_same = getattr(value, "__self__", None) is bound
        if not (is_same and getattr(value, "__name__", "") == name):
            value = getattr(bound, name, None)
        if not self.includes(value) or value.__self__ is not bound:
            raise UnrestorableError(path, f"the method {name}")
        graph.value_of(function, getattr(value, "__func__", NOTHING))
        return value


class _Partials:
    name = "functools.partial"

    def includes(self, value: Any) -> bool:
        return type(value) is functools.partial

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        parts = value.func, value.args, value.keywords
        return [graph.refer_to(part, f"{path}, a partial") for part in parts]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        before = (NOTHING,) * 3
        if isinstance(existing, functools.partial):
            before = existing.func, existing.args, existing.keywords
        after = [graph.value_of(*pair) for pair in zip(saved, before, strict=True)]
        if all(new is old for new, old in zip(after, before, strict=True)):
            return existing
        return functools.partial(after[0], *after[1], **after[2])


class _Weak:
    name = "weakref"

    def includes(self, value: Any) -> bool:
        return type(value) is weakref.ref

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        return [graph.refer_to(value(), path)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        target = graph.value_of(saved[0], NOTHING if existing is NOTHING else existing())
        if existing is not NOTHING and existing() is target:
            return existing
        return weakref.ref(_Gone() if target is None else target)


class _Gone:
    """What a weak reference referred to before it was collected."""


class _Objects:
    """Instances of classes that are written in Python."""

    name = "object"

    def includes(self, value: Any) -> bool:
        cls = type(value)
        if cls.__module__.startswith(_WITHOUT_NUMBERS) or isinstance(value, type):
            return False
        # A class written in C keeps its contents elsewhere than in attributes.
        makers = [vars(base)["__new__"] for base in cls.__mro__ if "__new__" in vars(base)]
        is_python = all(isinstance(one, staticmethod) for one in makers[:-1])
        has_attributes = hasattr(value, "__dict__") or any(True for _ in slots_of(value))
        is_heap = all(base.__flags__ & _IS_PYTHON_CLASS for base in cls.__mro__[:-1])
        is_handle = cls.__name__ == "RemovableHandle"
        return is_python and is_heap and has_attributes and not is_handle

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        return [name_of(type(value)), path, save_attributes(value, path, graph)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, path, attributes = saved
        value = existing
        if existing is NOTHING or name_of(type(existing)) != name:
            cls = graph.class_named(name, NOTHING, path)
            value = object.__new__(cls)  # without its constructor, which may do anything
        graph.is_restored(number, value)
        return load_attributes(value, attributes, graph)


class _Kept:
    """All others: they are in a new instance what they were in the first, or are named."""

    name = "kept"
    _unchanging = (
        *(type, types.ModuleType, types.BuiltinFunctionType, types.WrapperDescriptorType),
        *(types.MethodDescriptorType, types.CodeType, type(...), type(NotImplemented)),
        *(functools._lru_cache_wrapper, logging.Logger, type(threading.Lock())),
        *(type(threading.RLock()), torch.Stream, property),
    )

    def includes(self, _value: Any) -> bool:
        return True

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        content, name = self._content_of(value), name_of(type(value))
        if content is None:
            graph.left_out[path] = described(name.replace(":", "."))
        return [name, path, content]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        name, path, content = saved
        is_of_kind = existing is not NOTHING and name_of(type(existing)) == name
        if is_of_kind and self._content_of(existing) == content:
            return existing
        if ":" in str(content) and name in ("builtins:type", "abc:ABCMeta"):
            found = graph.class_named(content, NOTHING, path)
            if isinstance(found, type):
                return found
        raise UnrestorableError(path, described(name.replace(":", ".")))

    def _has_no_numbers(self, value: Any) -> bool:
        cls = type(value)
        is_log = isinstance(value, io.TextIOWrapper) and value.writable() and not value.readable()
        is_handle = cls.__name__ == "RemovableHandle"
        is_of_kind = isinstance(value, self._unchanging)
        return is_of_kind or is_log or is_handle or cls.__module__.startswith(_WITHOUT_NUMBERS)

    def _content_of(self, value: Any) -> str | None:
        """What has to be the same in a new instance; `None` if nobody can tell."""
        if self._has_no_numbers(value):
            return name_of(value) if hasattr(value, "__qualname__") else ""
        if isinstance(value, types.GeneratorType) and value.gi_frame is None:
            return "at its end"
        with contextlib.suppress(Exception):  # objects of others raise anything
            return hashlib.sha256(pickle.dumps(value)).hexdigest()
        return None


CODE_KINDS: tuple[Kind, ...] = (
    *(_Functions(), _Methods(), _Partials(), _Weak(), _Objects(), _Kept()),
)
"""The kinds of objects that code makes; the last one includes everything."""
