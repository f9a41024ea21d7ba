"""Graphs of objects as tables that `torch.load` reads with `weights_only`, and back.

An optimizer may hold anything: dictionaries by parameter, generators, helper objects, objects that
two others share. Each object becomes a node of a table, and refers to others by their numbers.

A table is loaded into an instance that was built in the same way. Its objects stay the same ones,
since closures, hooks and wrappers hold them, too, and take the stored contents. What no file can
hold, such as a function, has to be there already.
"""

from __future__ import annotations

import contextlib
import struct
import sys
import types
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SCALARS = (type(None), bool, int, float, str)
"""Types whose values stand in a table as they are. Tuples of one number are references."""

NOTHING: Any = object()
"""Stands for an object that the new instance does not have."""

_BUILT_BY_ANYONE = ("torch.nn.", "torch.optim.", "builtins", "collections")


class UnrestorableError(Exception):
    """A new instance lacks something that no file can hold.

    Args:
        path: Where it is, such as `optimizer.state['key']`.
        what: What it is, such as `a function`.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}, {what}")


class Kind(Protocol):
    """How objects of one kind are stored and restored.

    Attributes:
        name: Stands in the table.
    """

    name: str

    def includes(self, value: Any, /) -> bool:
        """Whether an object is of this kind."""

    def save(self, value: Any, path: str, graph: GraphWriter, /) -> list[Any]:
        """What the table holds of it."""

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int, /) -> Any:
        """The object: the existing one, with the stored contents, or a new one."""


class GraphWriter:
    """Writes the table of a graph.

    Args:
        kinds: The kinds of objects, of which the first that includes an object counts.
        anchors: Parameters and modules, which are stored by their position here.

    Attributes:
        nodes: The table.
        paths: Where each object was found first.
        values: The objects.
        left_out: What cannot be stored, by its path.
        keeps_gradients: Whether gradients of anchors are stored.
        storages: The first tensor with each storage, by address.
    """

    def __init__(self, kinds: Sequence[Kind], anchors: Iterable[Any]) -> None:
        self.nodes: list[list[Any]] = []
        self.paths: list[str] = []
        # All of them are kept: an identity is unique only as long as its object lives.
        self.values: list[Any] = []
        self.left_out: dict[str, str] = {}
        self.keeps_gradients = False
        self.storages: dict[int, int] = {}
        self._kinds = kinds
        self._numbers: dict[int, int] = {}
        self._anchors = {id(value): number for number, value in enumerate(anchors)}
        self._pointers: dict[int, int] = {}

    def refer_to(self, value: Any, path: str) -> Any:
        """Store an object.

        Args:
            value: The object.
            path: Where it is.

        Returns:
            What stands for it in the table: itself if it is a scalar, else its number in a tuple.
        """
        if type(value) in SCALARS:
            return self._number(value, path) if type(value) is int else value
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = self._append(value, path)
            kind = next(kind for kind in self._kinds if kind.includes(value))
            if isinstance(value, torch.Tensor) and value.data_ptr():
                self._pointers.setdefault(value.data_ptr(), number)
            self.nodes[number] = [kind.name, self._anchors.get(id(value))]
            self.nodes[number] += kind.save(value, path, self)
        return (number,)

    def is_anchor(self, value: Any) -> bool:
        """Whether an object is stored by its position among the anchors."""
        return id(value) in self._anchors

    def ordered(self, values: Iterable[Any]) -> list[Any]:
        """The members of a set in an order that does not depend on their addresses."""

        def rank(value: Any) -> tuple[str, str, int]:
            name = type(value).__name__
            if type(value) not in SCALARS:
                return name, "", self._numbers.get(id(value), sys.maxsize)
            for kind, numbers in (("id", self._numbers), ("data_ptr", self._pointers)):
                if type(value) is int and value in numbers:
                    return name, kind, numbers[value]
            return name, repr(value), sys.maxsize

        return sorted(values, key=rank)

    def _append(self, value: Any, path: str) -> int:
        self.nodes.append([])
        self.paths.append(path)
        self.values.append(value)
        return len(self.nodes) - 1

    def _number(self, value: int, path: str) -> Any:
        # Some optimizers key by `id(parameter)` or `parameter.data_ptr()`, which are others in the
        # next process. No count comes near an address.
        for kind, numbers in (("id", self._numbers), ("data_ptr", self._pointers)):
            if value in numbers:
                self.nodes[self._append(value, path)] = [kind, None, (numbers[value],)]
                return (len(self.nodes) - 1,)
        return value


class GraphReader:
    """Restores the objects of a table.

    Args:
        kinds: The kinds of objects.
        anchors: The parameters and modules that the writer had at these positions.
        nodes: The table.
        packages: The packages whose classes may be instantiated: they are executed anyway. A
            stored file does not choose others.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        anchors: Sequence[Any],
        nodes: list[list[Any]],
        packages: Iterable[str],
    ) -> None:
        self.restored: dict[int, Any] = {}
        self._kinds = {kind.name: kind for kind in kinds}
        self._anchors = anchors
        self._nodes = nodes
        self._packages = set(packages)
        self._claimed: set[int] = set()

    def value_of(self, reference: Any, existing: Any = NOTHING) -> Any:
        """Restore an object.

        Args:
            reference: What stands for it in the table.
            existing: The object at its place in the new instance.
        """
        if not isinstance(reference, tuple):
            return reference
        (number,) = reference
        if number not in self.restored:
            name, anchor, *saved = self._nodes[number]
            if name == "id":
                return id(self.value_of(saved[0]))
            if name == "data_ptr":
                return self.value_of(saved[0]).data_ptr()
            if anchor is not None:
                existing = self._anchors[anchor]
            elif id(existing) in self._claimed:  # two objects now that were one
                existing = NOTHING
            value = self._kinds[name].load(saved, existing, self, number)
            self.is_restored(number, value)
        return self.restored[number]

    def is_restored(self, number: int, value: Any) -> Any:
        """Note an object, before its contents, which may refer to it."""
        self.restored[number] = value
        if type(value) not in SCALARS:
            self._claimed.add(id(value))
        return value

    def class_named(self, name: str, existing: Any, path: str) -> Any:
        """Find a class or a function by its name.

        Args:
            name: `package.module:Class`.
            existing: An object of the new instance, whose own class needs no search.
            path: Where it is needed.

        Raises:
            UnrestorableError: It is of a package that may not be used, or does not exist.
        """
        if existing is not NOTHING and name_of(type(existing)) == name:
            return type(existing)
        module, _, qualified = name.partition(":")
        is_allowed = module.partition(".")[0] in self._packages
        if is_allowed or f"{module}.".startswith(_BUILT_BY_ANYONE):
            found: Any = sys.modules.get(module)
            for part in qualified.split("."):
                found = getattr(found, part, None)
            if found is not None and name_of(found) == name:
                return found
        raise UnrestorableError(path, described(name.replace(":", ".")))


def name_of(value: Any) -> str:
    """The name of a class or a function, as `package.module:Class`."""
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"


def described(what: str) -> str:
    """A name with its article."""
    return f"{'an' if what[:1].lower() in 'aeiou' else 'a'} {what}".replace(" builtins.", " ")


def _attributes_of(value: Any) -> dict[str, Any]:
    """The attributes of an object, those in slots included."""
    found = dict(getattr(value, "__dict__", ()))
    for slot in slots_of(value):
        with contextlib.suppress(AttributeError):
            found[slot.__name__] = slot.__get__(value)
    return found


def slots_of(value: Any) -> Iterator[Any]:
    """The descriptors of the slots of an object."""
    for base in type(value).__mro__:
        if "__slots__" in vars(base):
            yield from (v for v in vars(base).values() if isinstance(v, types.MemberDescriptorType))


def save_attributes(value: Any, path: str, graph: GraphWriter) -> dict[str, Any]:
    """Store the attributes of an object by name, those in slots included."""
    return {
        # The keys of hooks count all hooks of a process.
        name: graph.refer_to(
            tuple(one.values()) if _are_hooks(name, one) else one, f"{path}.{name}"
        )
        for name, one in _attributes_of(value).items()
    }


def load_attributes(value: Any, saved: dict[str, Any], graph: GraphReader) -> Any:
    """Restore the attributes of an object, and return it."""
    before, after = _attributes_of(value), {}
    for name, reference in saved.items():
        existing = before.get(name, NOTHING)
        if _are_hooks(name, existing):
            hooks = tuple(existing.values())
            if graph.value_of(reference, hooks) != hooks:
                raise UnrestorableError(name, "hooks that were added in training")
            after[name] = existing
        else:
            after[name] = graph.value_of(reference, existing)
    for slot in slots_of(value):
        if slot.__name__ in after:
            slot.__set__(value, after.pop(slot.__name__))
    if hasattr(value, "__dict__"):
        # Not by `setattr`, which modules and optimizers override.
        value.__dict__.clear()
        value.__dict__.update(after)
    return value


def _are_hooks(name: str, value: Any) -> bool:
    return "_hooks" in name and isinstance(value, dict)


def first_difference(one: GraphWriter, other: GraphWriter, end: int) -> str | None:
    """The path at which two graphs differ; `None` if they are the same.

    Args:
        one: A graph.
        other: Another one.
        end: The number of nodes of the first that count.
    """
    for path, node, counterpart in zip(one.paths[:end], one.nodes[:end], other.nodes, strict=False):
        if not _are_same(node, counterpart):
            return path
    return None if len(other.nodes) >= end else other.paths[-1]


def _are_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_are_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_are_same, one.values(), other.values()))
    if isinstance(one, float):  # NaN equals NaN, and 0 does not equal -0
        return struct.pack("d", one) == struct.pack("d", other)
    return _have_same_bits(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def _have_same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    if (one.shape, one.dtype, one.layout) != (other.shape, other.dtype, other.layout):
        return False
    if one.layout is not torch.strided or one.device.type == "meta":
        return True
    return torch.equal(*(x.contiguous().view(-1).view(torch.uint8) for x in (one, other)))
