"""How tensors, containers, generators and other data of optimizers are stored and restored."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import itertools
import random
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

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
    from deepobs.runs.object_graphs import GraphReader, GraphWriter, Kind

_NO_ADDRESS = 1 << 32


class _Tensors:
    name = "tensor"

    def includes(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        is_anchor, is_wrapper = graph.is_anchor(value), is_traceable_wrapper_subclass(value)
        if value.grad_fn is not None:
            graph.left_out[path] = "a tensor with its graph"
        gradient = value.grad if value.is_leaf else None
        if is_anchor and not graph.keeps_gradients:
            gradient = None
        content, shared = None, None
        if is_wrapper and not is_anchor:
            names, context = value.__tensor_flatten__()
            inner = {name: getattr(value, name) for name in names}
            content = graph.refer_to((inner, context, value.size(), value.stride()), path)
        elif not is_wrapper:
            plain = value.detach().as_subclass(torch.Tensor)
            content = None if is_anchor else plain
            if value.layout is torch.strided and value.device.type != "meta":
                number = len(graph.nodes) - 1
                shared = graph.storages.setdefault(plain.untyped_storage().data_ptr(), number)
                shared = None if shared == number or not value.numel() else shared
        return [
            name_of(type(value)),
            path,
            content,
            shared,
            value.requires_grad,
            graph.refer_to(gradient, f"{path}.grad"),
            save_attributes(value, path, graph),
        ]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, path, content, shared, requires_grad, gradient, attributes = saved
        if content is None:
            value = existing  # an anchor, whose numbers were restored with the model
        else:
            cls: Any = torch.Tensor
            if name != "torch:Tensor":
                cls = graph.class_named(name, existing, path)
            same = existing if existing is not NOTHING and type(existing) is cls else None
            if isinstance(content, tuple):
                value = self._unflattened(cls, graph.value_of(content, self._parts(same)), same)
            else:
                base = None if shared is None else graph.restored[shared]
                value = self._filled(content, same, base)
                if value is not same and cls is torch.nn.Parameter:
                    value = torch.nn.Parameter(value, requires_grad)
                elif value is not same and cls is not torch.Tensor:
                    value = value.as_subclass(cls)
        graph.is_restored(number, value)
        if value.is_leaf and value.requires_grad != requires_grad:
            value.requires_grad_(requires_grad)
        if gradient is not None:
            value.grad = graph.value_of(gradient)
        return load_attributes(value, attributes, graph)

    def _parts(self, tensor: Any) -> Any:
        if tensor is None:
            return NOTHING
        names, context = tensor.__tensor_flatten__()
        return {n: getattr(tensor, n) for n in names}, context, tensor.size(), tensor.stride()

    def _unflattened(self, cls: Any, parts: Any, same: Any) -> Any:
        inner, context, size, stride = parts
        if same is not None and all(getattr(same, name) is one for name, one in inner.items()):
            return same
        return cls.__tensor_unflatten__(inner, context, size, stride)

    def _filled(self, content: torch.Tensor, same: Any, base: Any) -> Any:
        """The content, in the existing memory where there is some that fits."""
        target = None if same is None else same.detach().as_subclass(torch.Tensor)
        if target is not None and not _has_layout_of(target, content):
            target = None
        if base is not None:  # a view
            storage = base.detach().as_subclass(torch.Tensor).untyped_storage()
            if target is None or target.untyped_storage().data_ptr() != storage.data_ptr():
                shape = content.storage_offset(), content.size(), content.stride()
                target = torch.empty(0, dtype=content.dtype, device=storage.device)
                return target.set_(storage, *shape)
        if target is None:
            return content
        target.copy_(content)
        return same


def _has_layout_of(one: torch.Tensor, other: torch.Tensor) -> bool:
    is_plain = one.layout is torch.strided is other.layout and 0 not in one.stride()
    return is_plain and (one.dtype, one.size(), one.stride(), one.device.type) == (
        *(other.dtype, other.size(), other.stride(), other.device.type),
    )


class _Arrays:
    name = "numpy.ndarray"

    def includes(self, value: Any) -> bool:
        return isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject

    def save(self, value: Any, _path: str, _graph: GraphWriter) -> list[Any]:
        order = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else "C"
        content = np.frombuffer(value.tobytes(order), np.uint8).copy()
        is_array = isinstance(value, np.ndarray)
        dtype = value.dtype.str if value.dtype.names is None else value.dtype.descr
        return [is_array, dtype, list(value.shape), order, torch.from_numpy(content)]

    def load(self, saved: list[Any], existing: Any, _graph: GraphReader, _number: int) -> Any:
        is_array, dtype, shape, order, content = saved
        value = np.frombuffer(content.cpu().numpy().tobytes(), np.dtype(dtype))
        value = value.reshape(shape, order=order).copy(order)
        if not is_array:
            return value[()]
        if not isinstance(existing, np.ndarray) or not existing.flags.writeable:
            return value
        if (existing.dtype, existing.shape) != (value.dtype, value.shape):
            return value
        np.copyto(existing, value)
        return existing


class _Generators:
    """Random number generators."""

    name = "generator"

    def includes(self, value: Any) -> bool:
        kinds = torch.Generator, np.random.RandomState, np.random.BitGenerator
        return isinstance(value, kinds) or type(value) is random.Random

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        if isinstance(value, torch.Generator):
            return ["torch", str(value.device), value.get_state()]
        if isinstance(value, random.Random):
            return ["random", "", value.getstate()]
        if isinstance(value, np.random.RandomState):
            return ["RandomState", "", graph.refer_to(value.get_state(legacy=False), path)]
        return ["numpy", type(value).__name__, graph.refer_to(value.state, path)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        library, detail, state = saved
        value = existing
        if library == "torch":
            if existing is NOTHING or str(existing.device) != detail:
                value = torch.Generator(detail)
            value.set_state(state.cpu())
        elif library == "random":
            version, numbers, gauss = state
            value = random.Random() if existing is NOTHING else existing  # noqa: S311
            value.setstate((version, tuple(numbers), gauss))
        elif library == "RandomState":
            value = np.random.RandomState() if existing is NOTHING else existing
            value.set_state(graph.value_of(state))
        else:
            if type(existing).__name__ != detail:
                if detail not in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
                    raise ValueError(f"There is no bit generator {detail}.")
                value = getattr(np.random, detail)()
            value.state = graph.value_of(state)
        return value


class _NumpyGenerators:
    name = "numpy.random.Generator"

    def includes(self, value: Any) -> bool:
        return type(value) is np.random.Generator

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        return [graph.refer_to(value.bit_generator, path)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        before = NOTHING if existing is NOTHING else existing.bit_generator
        after = graph.value_of(saved[0], before)
        return existing if after is before else np.random.Generator(after)


class _Containers:
    """Mutable containers, and subclasses of them with attributes."""

    name = "container"
    # Ordered dictionaries break if they are changed as plain ones are.
    _types = (collections.OrderedDict, dict, list, collections.deque, set)

    def includes(self, value: Any) -> bool:
        return isinstance(value, self._types)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        further: Any = None
        content: list[Any]
        if isinstance(value, dict):
            if isinstance(value, collections.defaultdict):
                further = graph.refer_to(value.default_factory, f"{path}.default_factory")
            content = [
                (graph.refer_to(key, f"{path} (a key)"), graph.refer_to(one, _at(path, key)))
                for key, one in dict.items(value)
            ]
        else:
            if isinstance(value, collections.deque):
                further = value.maxlen
            ordered = graph.ordered(value) if isinstance(value, set) else value
            content = [graph.refer_to(one, f"{path}[{i}]") for i, one in enumerate(ordered)]
        attributes = save_attributes(value, path, graph)
        return [name_of(type(value)), path, content, further, attributes]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, number: int) -> Any:
        name, path, content, further, attributes = saved
        cls = graph.class_named(name, existing, path)
        base: Any = next((one for one in self._types if issubclass(cls, one)), None)
        if base is None:
            raise UnrestorableError(path, described(name))
        is_same = existing is not NOTHING and type(existing) is cls
        if base is collections.deque and is_same:
            is_same = existing.maxlen == further
        before = existing if is_same else base()
        if is_same:
            value = existing
        elif base is collections.deque:
            value = cls.__new__(cls)
            base.__init__(value, (), further)
        else:
            value = cls.__new__(cls)
        graph.is_restored(number, value)
        if base in (dict, collections.OrderedDict):
            if isinstance(value, collections.defaultdict):
                factory = value.default_factory if is_same else NOTHING
                value.default_factory = graph.value_of(further, factory)
            # Keys that are objects have counterparts in the same order.
            objects = iter([key for key in base.keys(before) if type(key) not in SCALARS])
            pairs = []
            for key, one in content:
                new = graph.value_of(key, next(objects, NOTHING)) if _is_reference(key) else key
                pairs.append((new, graph.value_of(one, base.get(before, new, NOTHING))))
            base.clear(value)
            for key, one in pairs:
                base.__setitem__(value, key, one)
        else:
            # The members of a set have no places.
            places = [] if base is set else before
            items = [
                graph.value_of(one, old)
                for one, old in zip(
                    content, itertools.chain(places, itertools.repeat(NOTHING)), strict=False
                )
            ]
            base.clear(value)
            (base.update if base is set else base.extend)(value, items)
        return load_attributes(value, attributes, graph) if attributes else value


def _is_reference(key: Any) -> bool:
    return isinstance(key, tuple)


def _at(path: str, key: Any) -> str:
    is_address = type(key) is int and key > _NO_ADDRESS  # another one in every process
    is_plain = type(key) in SCALARS and not is_address
    return f"{path}[{repr(key)[:40] if is_plain else type(key).__name__}]"


class _Tuples:
    name = "tuple"

    def includes(self, value: Any) -> bool:
        is_one = isinstance(value, (tuple, frozenset))
        # Results of functions such as `torch.max` are built by them alone.
        return is_one and (hasattr(value, "_fields") or not hasattr(value, "n_fields"))

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        ordered = graph.ordered(value) if isinstance(value, frozenset) else tuple(value)
        content = [graph.refer_to(one, f"{path}[{i}]") for i, one in enumerate(ordered)]
        return [name_of(type(value)), path, content]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        name, path, content = saved
        cls: Any = torch.Size if name == "torch:Size" else graph.class_named(name, existing, path)
        before = list(existing) if isinstance(existing, tuple) else []
        places = itertools.chain(before, itertools.repeat(NOTHING))
        items = [graph.value_of(one, old) for one, old in zip(content, places, strict=False)]
        if type(existing) is cls and list(map(id, items)) == list(map(id, before)):
            return existing
        base: Any = frozenset if issubclass(cls, frozenset) else tuple  # refuses other classes
        return torch.Size(items) if cls is torch.Size else base.__new__(cls, items)


class _Rebuilt:
    """Small objects of the standard library that say how they are built."""

    name = "rebuilt"
    _builders: ClassVar[dict[str, Any]] = {
        name_of(one): one
        for one in (
            *(complex, range, slice, bytearray, iter, reversed, enumerate, zip),
            *(itertools.count, itertools.cycle, itertools.islice, itertools.repeat),
            *(decimal.Decimal, fractions.Fraction),
            *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
        )
    }
    _types = (
        *(one for one in _builders.values() if isinstance(one, type)),
        *(type(iter([])), type(iter(())), type(iter(range(0))), type(iter(reversed([])))),
    )

    def includes(self, value: Any) -> bool:
        return type(value) in self._types or type(value) in (bytes, array.array)

    def save(self, value: Any, path: str, graph: GraphWriter) -> list[Any]:
        if isinstance(value, bytes):
            return ["bytes", list(value), None]
        if isinstance(value, array.array):
            return ["array", value.typecode, list(value.tobytes())]
        if isinstance(value, complex):  # its parts may be NaN
            return [name_of(complex), graph.refer_to((value.real, value.imag), path), None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.14 drops it for some
            reduced: Any = value.__reduce_ex__(4)
        if name_of(reduced[0]) not in self._builders:
            graph.left_out[path] = described(name_of(type(value)).replace(":", "."))
            return ["", None, None]
        state = reduced[2] if len(reduced) > 2 else None
        return [
            name_of(reduced[0]),
            graph.refer_to(tuple(reduced[1]), path),
            graph.refer_to(state, path),
        ]

    def load(self, saved: list[Any], _existing: Any, graph: GraphReader, _number: int) -> Any:
        builder, arguments, state = saved
        if builder == "bytes":
            return bytes(arguments)
        if builder == "array":
            return array.array(arguments, bytes(state))
        value: Any = self._builders[builder](*graph.value_of(arguments))
        if state is not None:
            value.__setstate__(graph.value_of(state))
        return value


class _Constants:
    """What torch names, members of enumerations, and the like."""

    name = "constant"
    _types = (torch.dtype, torch.layout, torch.memory_format)

    def includes(self, value: Any) -> bool:
        return isinstance(value, (*self._types, torch.device, enum.Enum))

    def save(self, value: Any, path: str, _graph: GraphWriter) -> list[Any]:
        if isinstance(value, enum.Enum):
            return [name_of(type(value)), path, value.name]
        return ["", "device" if isinstance(value, torch.device) else "torch", str(value)]

    def load(self, saved: list[Any], existing: Any, graph: GraphReader, _number: int) -> Any:
        cls, path, name = saved
        if cls:
            members: Any = graph.class_named(cls, existing, path)
            if not issubclass(members, enum.Enum):
                raise UnrestorableError(path, described(cls))
            return members[name]
        if path == "device":
            return torch.device(name)
        value = getattr(torch, name.removeprefix("torch."))
        if not isinstance(value, self._types):
            raise UnrestorableError("", f"torch.{name}, which is no constant")
        return value


DATA_KINDS: tuple[Kind, ...] = (
    *(_Tensors(), _Arrays(), _Generators(), _NumpyGenerators()),
    *(_Containers(), _Tuples(), _Rebuilt(), _Constants()),
)
"""The kinds of data."""
