"""How tensors, containers, generators and other data of optimizers are stored and restored."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import functools
import itertools
import random
import warnings
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from deepobs.runs.object_graphs import (
    NOTHING,
    SCALARS,
    UnrestorableError,
    described,
    load_attributes,
    name_of,
    save_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepobs.runs.object_graphs import GraphReader, GraphWriter, Kind

_NO_ADDRESS = 1 << 32


class _Tensors:
    name = "tensor"

    def includes(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        is_anchor = graph.is_anchor(value)
        is_leaf = _is_leaf(value)
        if not is_leaf:
            graph.left_out[path] = "a tensor with its graph"
        has_gradient = is_leaf and (graph.keeps_gradients or not is_anchor)
        content, shared = None, None
        if not is_traceable_wrapper_subclass(value):
            plain = _plain(value)
            content = None if is_anchor else plain
            if value.layout is torch.strided and value.device.type != "meta" and value.numel():
                number = len(graph.nodes) - 1
                shared = graph.storages.setdefault(plain.untyped_storage().data_ptr(), number)
                shared = None if shared == number else shared
        elif not is_anchor:
            content = graph.refer_to(_parts_of_wrapper(value), path)
        return [
            name_of(type(value)),
            content,
            shared,
            value.requires_grad,
            graph.refer_to(value.grad if has_gradient else None, f"{path}.grad"),
            save_attributes(value, path, graph),
        ]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, content, shared, requires_grad, gradient, attributes = saved
        value = existing  # an anchor, whose numbers were restored with the model
        if content is not None:
            cls: Any = torch.Tensor if name == "torch:Tensor" else graph.class_named(name, existing)
            same = existing if type(existing) is cls else None
            if isinstance(content, tuple):
                before = NOTHING if same is None else _parts_of_wrapper(same)
                inner, *further = graph.value_of(content, before)
                is_same = same is not None and all(
                    getattr(same, n) is one for n, one in inner.items()
                )
                value = same if is_same else cls.__tensor_unflatten__(inner, *further)
            else:
                value = _filled(content, same, None if shared is None else graph.restored[shared])
                if value is not same and cls is torch.nn.Parameter:
                    value = torch.nn.Parameter(value, requires_grad)
                elif value is not same and cls is not torch.Tensor:
                    value = value.as_subclass(cls)
        graph.is_restored(number, value)
        if _is_leaf(value) and value.requires_grad != requires_grad:
            value.requires_grad_(requires_grad)
        if gradient is not None:
            value.grad = graph.value_of(gradient)
        return load_attributes(value, attributes, graph)


def _is_leaf(tensor: Any) -> bool:
    try:
        return tensor.grad_fn is None
    except RuntimeError:  # a view made without gradients, after its base was changed in place
        return True


def _plain(tensor: Any) -> torch.Tensor:
    return tensor.detach().as_subclass(torch.Tensor)  # type: ignore[no-any-return]


def _parts_of_wrapper(tensor: Any) -> tuple[Any, ...]:
    names, context = tensor.__tensor_flatten__()
    return {n: getattr(tensor, n) for n in names}, context, tensor.size(), tensor.stride()


def _filled(content: torch.Tensor, same: Any, base: Any) -> Any:
    """The content, in the existing memory where there is some that fits.

    Args:
        content: What was stored.
        same: The existing tensor, if there is one of the class.
        base: The tensor whose memory it shares, if there is one.
    """
    target = None if same is None else _plain(same)
    if target is not None and not _has_layout_of(target, content):
        target = None
    if base is not None:
        storage = _plain(base).untyped_storage()
        if target is None or target.untyped_storage().data_ptr() != storage.data_ptr():
            view = torch.empty(0, dtype=content.dtype, device=storage.device)
            return view.set_(storage, content.storage_offset(), content.size(), content.stride())
    if target is None:
        return content
    target.copy_(content)
    return same


def _has_layout_of(one: torch.Tensor, other: torch.Tensor) -> bool:
    is_plain = one.layout is torch.strided is other.layout and 0 not in one.stride()
    return is_plain and (one.dtype, one.size(), one.stride(), one.device.type) == (
        *(other.dtype, other.size(), other.stride(), other.device.type),
    )


class _Containers:
    """Mutable containers, and subclasses of them with attributes."""

    name = "container"
    # Ordered dictionaries break if they are changed as plain ones are.
    _types = (collections.OrderedDict, dict, list, collections.deque, set)

    def includes(self, value: Any) -> bool:
        return isinstance(value, self._types)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        content: list[Any]
        if isinstance(value, dict):
            content = [
                (graph.refer_to(key, f"{path} (a key)"), graph.refer_to(one, _at(path, key)))
                for key, one in dict.items(value)
            ]
        else:
            content = _save_items(
                graph.ordered(value) if isinstance(value, set) else value, path, graph
            )
        maximum = value.maxlen if isinstance(value, collections.deque) else None
        return [name_of(type(value)), content, maximum, save_attributes(value, path, graph)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, content, maximum, attributes = saved
        cls = graph.class_named(name, existing)
        base: Any = next((one for one in self._types if issubclass(cls, one)), None)
        if base is None:
            raise UnrestorableError(described(name))
        value = existing
        if type(existing) is not cls or getattr(existing, "maxlen", None) != maximum:
            value = cls.__new__(cls)
            if maximum is not None:
                base.__init__(value, (), maximum)
        graph.is_restored(number, value)
        if issubclass(base, dict):
            # Keys that are objects have counterparts in the same order.
            objects = iter([key for key in base.keys(value) if type(key) not in SCALARS])
            pairs = []
            for key, one in content:
                new = graph.value_of(key, next(objects, NOTHING)) if type(key) is tuple else key
                pairs.append((new, graph.value_of(one, base.get(value, new, NOTHING))))
            base.clear(value)
            for key, one in pairs:
                base.__setitem__(value, key, one)
        else:
            # The members of a set have no places.
            items = _load_items(content, () if base is set else tuple(value), graph)
            base.clear(value)
            (base.update if base is set else base.extend)(value, items)
        return load_attributes(value, attributes, graph)


def _at(path: str, key: Any) -> str:
    is_address = type(key) is int and key > _NO_ADDRESS  # another one in every process
    is_plain = type(key) in SCALARS and not is_address
    return f"{path}[{repr(key)[:40] if is_plain else type(key).__name__}]"


def _save_items(items: Iterable[Any], path: str, graph: GraphWriter) -> list[Any]:
    return [graph.refer_to(one, f"{path}[{i}]") for i, one in enumerate(items)]


def _load_items(saved: list[Any], existing: tuple[Any, ...], graph: GraphReader) -> list[Any]:
    places = itertools.chain(existing, itertools.repeat(NOTHING))
    return [graph.value_of(one, old) for one, old in zip(saved, places, strict=False)]


def _are_identical(one: Iterable[Any], other: Iterable[Any]) -> bool:
    return list(map(id, one)) == list(map(id, other))


class _Tuples:
    name = "tuple"

    def includes(self, value: Any) -> bool:
        is_one = isinstance(value, (tuple, frozenset))
        # Results of functions such as `torch.max` are built by them alone.
        return is_one and (hasattr(value, "_fields") or not hasattr(value, "n_fields"))

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        items = graph.ordered(value) if isinstance(value, frozenset) else tuple(value)
        return [name_of(type(value)), _save_items(items, path, graph)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        name, content = saved
        cls: Any = torch.Size if name == "torch:Size" else graph.class_named(name, existing)
        before = tuple(existing) if isinstance(existing, tuple) else ()
        items = _load_items(content, before, graph)
        if type(existing) is cls and _are_identical(items, before):
            return existing
        base: Any = frozenset if issubclass(cls, frozenset) else tuple  # refuses other classes
        return torch.Size(items) if cls is torch.Size else base.__new__(cls, items)


class _Composed:
    """Objects that have parts, from which they can be built again."""

    name = "composed"

    def includes(self, value: Any) -> bool:
        has_objects = isinstance(value, (np.ndarray, np.generic)) and value.dtype.hasobject
        return _class_of(value) is not None and not has_objects

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        cls = _class_of(value)
        parts = _COMPOSITIONS[cls].parts(value)
        if parts is None:
            graph.left_out[path] = described(name_of(cls))
        return [name_of(cls), *(graph.refer_to(part, path) for part in parts or ())]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        name, *saved_parts = saved
        cls = next(cls for cls in _COMPOSITIONS if name_of(cls) == name)
        parts, build, set_state = _COMPOSITIONS[cls]
        before = (_class_of(existing) is cls and parts(existing)) or ()
        if set_state is None:
            after = _load_items(saved_parts, before, graph)
            return existing if before and _are_identical(after, before) else build(*after)
        *arguments, state = map(graph.value_of, saved_parts)
        can_be_set = getattr(getattr(existing, "flags", None), "writeable", True)  # of arrays
        is_same = bool(before) and list(before[:-1]) == arguments and can_be_set
        value = existing if is_same else build(*arguments)
        set_state(value, state)
        return value


class _Composition(NamedTuple):
    """How objects of a class are built.

    Attributes:
        parts: Returns the parts of an object. None is a new object that can be changed, except for
            the state; `None` if they are not known.
        build: Builds one of its parts, the state excluded.
        set_state: Sets the last part, the state, where it can be changed.
    """

    parts: Callable[[Any], tuple[Any, ...] | None]
    build: Callable[..., Any]
    set_state: Callable[[Any, Any], object] | None = None


def _class_of(value: Any) -> Any:
    """The class of `_COMPOSITIONS` that an object is of; `None` for none."""
    open_to_subclasses = (cls for cls in _WITH_SUBCLASSES if isinstance(value, cls))
    return type(value) if type(value) in _COMPOSITIONS else next(open_to_subclasses, None)


def _parts_of_array(value: Any) -> tuple[Any, ...]:
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    content = np.frombuffer(value.tobytes(order), np.uint8).copy()
    return value.shape, _dtype_of(value), order, torch.from_numpy(content)


def _dtype_of(value: Any) -> Any:
    return value.dtype.str if value.dtype.names is None else value.dtype.descr


def _set_content(value: Any, content: torch.Tensor) -> None:
    order = _parts_of_array(value)[2]
    flat = np.frombuffer(content.cpu().numpy().tobytes(), value.dtype)
    np.copyto(value, flat.reshape(value.shape, order=order))


def _member(members: Any, name: str) -> Any:
    if not issubclass(members, enum.Enum):
        raise UnrestorableError(described(name_of(members)))
    return members[name]


def _reduced(value: Any) -> tuple[Any, ...] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.14 drops it for some
        builder, arguments, *state = value.__reduce_ex__(4)[:3]
    name = name_of(builder)
    return (name, tuple(arguments), *state) if name in _BUILDERS else None


def _rebuilt(builder: str, arguments: Any, state: Any = None) -> Any:
    value: Any = _BUILDERS[builder](*arguments)
    if state is not None:
        value.__setstate__(state)
    return value


_BUILDERS: dict[str, Any] = {
    name_of(one): one
    for one in (
        *(range, slice, bytearray, iter, reversed, enumerate, zip),
        *(itertools.count, itertools.cycle, itertools.islice, itertools.repeat),
        *(decimal.Decimal, fractions.Fraction),
        *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
    )
}
"""What the standard library says that its small objects are built with."""
_REDUCED = (
    *(one for one in _BUILDERS.values() if isinstance(one, type)),
    *(type(iter([])), type(iter(())), type(iter(range(0))), type(iter(reversed([])))),
)
_CONSTANT_TYPES = torch.dtype, torch.layout, torch.memory_format
_CONSTANTS = {str(one): one for one in vars(torch).values() if isinstance(one, _CONSTANT_TYPES)}
_BIT_GENERATORS = {
    name: getattr(np.random, name) for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
}

_COMPOSITIONS: dict[Any, _Composition] = {
    np.ndarray: _Composition(_parts_of_array, np.empty, _set_content),
    torch.Generator: _Composition(
        lambda one: (str(one.device), one.get_state()), torch.Generator, torch.Generator.set_state
    ),
    random.Random: _Composition(
        lambda one: (one.getstate(),), random.Random, random.Random.setstate
    ),
    np.random.RandomState: _Composition(
        lambda one: (one.get_state(legacy=False),),
        np.random.RandomState,
        np.random.RandomState.set_state,
    ),
    np.random.BitGenerator: _Composition(
        lambda one: (type(one).__name__, one.state),
        lambda name: _BIT_GENERATORS[name](),
        lambda one, state: setattr(one, "state", state),
    ),
    np.random.Generator: _Composition(lambda one: (one.bit_generator,), np.random.Generator),
    np.generic: _Composition(
        lambda one: (_dtype_of(one), one.tobytes()),
        lambda dtype, content: np.frombuffer(content, np.dtype(dtype))[0],
    ),
    array.array: _Composition(lambda one: (one.typecode, one.tobytes()), array.array),
    bytes: _Composition(lambda one: (one.decode("latin-1"),), lambda text: text.encode("latin-1")),
    complex: _Composition(lambda one: (one.real, one.imag), complex),
    functools.partial: _Composition(
        lambda one: (one.func, one.args, one.keywords),
        lambda function, arguments, keywords: functools.partial(function, *arguments, **keywords),
    ),
    weakref.ref: _Composition(  # of a set that is gone where its object was
        lambda one: (one(),), lambda one: weakref.ref(set() if one is None else one)
    ),
    torch.device: _Composition(lambda one: (str(one),), torch.device),
    enum.Enum: _Composition(lambda one: (type(one), one.name), _member),
    **dict.fromkeys(
        _CONSTANT_TYPES, _Composition(lambda one: (str(one),), lambda name: _CONSTANTS[name])
    ),
    **dict.fromkeys(_REDUCED, _Composition(_reduced, _rebuilt)),
}
_WITH_SUBCLASSES = (
    *(np.ndarray, np.generic, torch.Generator, np.random.RandomState, np.random.BitGenerator),
    enum.Enum,
)

DATA_KINDS: tuple[Kind, ...] = (_Tensors(), _Composed(), _Containers(), _Tuples())
"""The kinds of data."""
