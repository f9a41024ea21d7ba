"""Graphs of objects as tables that `torch.load` reads with `weights_only`, and back.

An optimizer may hold anything: dictionaries by parameter, generators, helper objects, objects that
two others share. Each object becomes a node of a table, and refers to others by their numbers.

A table is loaded into an instance that was built in the same way. Its objects stay the same ones,
since closures, hooks and wrappers hold them, too, and take the stored contents. What no file can
hold, such as a function, has to be there already.
"""

from __future__ import annotations

import collections
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
        what: What it is, such as `a function`.
        path: Where it is, such as `optimizer.state['key']`; `GraphReader` adds it.
    """

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(f"{path}, {what}")
        self.what, self.path = what, path


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
        nodes: The table: for each object its kind, its position among the anchors, where it was
            found first, and what its kind stores.
        values: The objects.
        left_out: What cannot be stored, by its path.
        keeps_gradients: Whether gradients of anchors are stored.
        storages: The first tensor with each storage, by address.
    """

    def __init__(self, kinds: Sequence[Kind], anchors: Iterable[Any]) -> None:
        self.nodes: list[list[Any]] = []
        # All of them are kept: an identity is unique only as long as its object lives.
        self.values: list[Any] = []
        self.left_out: dict[str, str] = {}
        self.keeps_gradients = False
        self.storages: dict[int, int] = {}
        self._kinds = kinds
        self._anchors = {id(value): number for number, value in enumerate(anchors)}
        # Identities and addresses of data differ: an object is not where the data of a tensor are.
        self._addresses: dict[int, tuple[str, int]] = {}

    def refer_to(self, value: Any, path: str) -> Any:
        """Store an object.

        Args:
            value: The object.
            path: Where it is.

        Returns:
            What stands for it in the table: itself if it is a scalar, else its number in a tuple.
        """
        if type(value) is int and value in self._addresses:
            # Some optimizers key by `id(parameter)` or `parameter.data_ptr()`, which are others in
            # the next process. No count comes near an address.
            meaning, number = self._addresses[value]
            return (self._append(value, [meaning, None, path, (number,)]),)
        if type(value) in SCALARS:
            return value
        if id(value) in self._addresses:
            return (self._addresses[id(value)][1],)
        kind = next(kind for kind in self._kinds if kind.includes(value))
        number = self._append(value, [kind.name, self._anchors.get(id(value)), path])
        self._addresses[id(value)] = "id", number
        if isinstance(value, torch.Tensor) and value.data_ptr():
            self._addresses.setdefault(value.data_ptr(), ("data_ptr", number))
        self.nodes[number] += kind.save(value, path, self)
        return (number,)

    def is_anchor(self, value: Any) -> bool:
        """Whether an object is stored by its position among the anchors."""
        return id(value) in self._anchors

    def ordered(self, values: Iterable[Any]) -> list[Any]:
        """The members of a set in an order that does not depend on their addresses."""

        def rank(value: Any) -> tuple[str, str, int]:
            is_scalar = type(value) in SCALARS
            unknown = repr(value) if is_scalar else "", sys.maxsize
            address = value if type(value) is int else id(value)
            return type(value).__name__, *self._addresses.get(address, unknown)

        return sorted(values, key=rank)

    def _append(self, value: Any, node: list[Any]) -> int:
        self.nodes.append(node)
        self.values.append(value)
        return len(self.nodes) - 1


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

        Raises:
            UnrestorableError: The new instance lacks something that no file can hold.
        """
        if not isinstance(reference, tuple):
            return reference
        (number,) = reference
        if number not in self.restored:
            name, anchor, path, *saved = self._nodes[number]
            if name == "id":
                return id(self.value_of(saved[0]))
            if name == "data_ptr":
                return self.value_of(saved[0]).data_ptr()
            if anchor is not None:
                existing = self._anchors[anchor]
            elif id(existing) in self._claimed:  # two objects now that were one
                existing = NOTHING
            try:
                value = self._kinds[name].load(saved, existing, self, number)
            except UnrestorableError as error:
                raise error if error.path else UnrestorableError(error.what, path) from None
            self.is_restored(number, value)
        return self.restored[number]

    def is_restored(self, number: int, value: Any) -> Any:
        """Note an object, before its contents, which may refer to it."""
        self.restored[number] = value
        if type(value) not in SCALARS:
            self._claimed.add(id(value))
        return value

    def class_named(self, name: str, existing: Any = NOTHING) -> Any:
        """Find a class by its name.

        Args:
            name: `package.module:Class`.
            existing: An object of the new instance, whose own class needs no search.

        Raises:
            UnrestorableError: It is of a package that may not be used, or is no class.
        """
        if existing is not NOTHING and name_of(type(existing)) == name:
            return type(existing)
        module, _, qualified = name.partition(":")
        is_allowed = module.partition(".")[0] in self._packages
        if is_allowed or f"{module}.".startswith(_BUILT_BY_ANYONE):
            found: Any = sys.modules.get(module)
            for part in qualified.split("."):
                found = getattr(found, part, None)
            if isinstance(found, type) and name_of(found) == name:
                return found
        raise UnrestorableError(described(name))


def name_of(value: Any) -> str:
    """The name of a class or a function, as `package.module:Class`."""
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"


def described(name: str) -> str:
    """An object of a class with an article, as in "a package.module.Class"."""
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return f"{article} {name.replace(':', '.')}".replace(" builtins.", " ")


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
        if "__slots__" in vars(base) or base is collections.defaultdict:
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
                raise UnrestorableError("hooks that were added in training", name)
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
    for node, counterpart in zip(one.nodes[:end], other.nodes, strict=False):
        if not _are_same(node, counterpart):
            return str(node[2])
    return None if len(other.nodes) >= end else str(other.nodes[-1][2])


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
    return torch.equal(_bytes_of(one), _bytes_of(other))


def _bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    # A single number counts as contiguous with any stride, and view(-1) keeps that stride.
    return tensor.contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8)
