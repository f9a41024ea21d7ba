"""The state of an optimizer and its schedule, restored to the bit."""

from __future__ import annotations

import functools
import sys
import types
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from deepobs.runs import object_graphs
from deepobs.runs.code_kinds import CODE_KINDS
from deepobs.runs.data_kinds import DATA_KINDS
from deepobs.runs.object_graphs import GraphReader, GraphWriter, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import nn

State: TypeAlias = dict[str, Any]
_Place: TypeAlias = "tuple[Any, Callable[[Any], object]]"
"""The value of an attribute of a class or of a global variable, and what sets another one."""

_KINDS = (*DATA_KINDS, *CODE_KINDS)

_NOT_STORED = {"function", "kept", "method"}
_NUMBERS = {"composed", "container", "tensor", "tuple"}
_OTHERS_PACKAGES = {"", "builtins", "numpy", "torch", "deepobs", *sys.stdlib_module_names}
_OTHERS_PACKAGES -= {"__main__"}


def optimizer_state(
    optimizer: torch.optim.Optimizer, model: nn.Module, schedule: object = None
) -> State:
    """Return all that the further steps of an optimizer depend on, besides the model's state.

    Args:
        optimizer: Any optimizer. All that it refers to is included, what others set on parameters,
            and attributes and global variables of its code.
        model: The model that it trains.
        schedule: What changes its learning rate.

    Returns:
        A state in types that `torch.load` reads with `weights_only`; "left_out" says what it lacks,
        by its path.
    """
    return _written(optimizer, model, schedule)[1]


def set_optimizer_state(
    state: State,
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    schedule: object = None,
    *,
    with_shared: bool = True,
) -> None:
    """Restore the state that `optimizer_state` returned.

    Args:
        state: The state, whose tensors may become the optimizer's own.
        optimizer: An optimizer that was built in the same way.
        model: Its model, whose own state was restored before.
        schedule: What changes its learning rate.
        with_shared: Whether attributes and global variables of its code are restored, too, which
            other instances share.

    Raises:
        UnrestorableError: It lacks something that no file can hold.
    """
    fresh, _ = _written(optimizer, model, schedule)
    packages = _own_packages(fresh.values)
    reader = GraphReader(_KINDS, _anchors(model), state["nodes"], packages)
    for name, value in _root(optimizer, model, schedule).items():
        if name in state["root"]:
            reader.value_of(state["root"][name], value)
    if with_shared:
        _set_shared(reader, state["shared"], _shared(fresh))


def restore_shared(state: State, *parts: Any) -> None:
    """Set the attributes and global variables of an optimizer's code to those of its state.

    Building another instance may have changed them.

    Args:
        state: The state.
        *parts: The optimizer, its model and its schedule.
    """
    writer, _ = _written(*parts)
    reader = GraphReader(_KINDS, _anchors(parts[1]), state["nodes"], _own_packages(writer.values))
    for number, value in enumerate(writer.values[: state["size"]]):
        reader.is_restored(number, value)
    _set_shared(reader, state["shared"], _shared(writer))


def first_difference(parts: Sequence[Any], others: Sequence[Any]) -> str | None:
    """Where two instances differ; `None` for nowhere.

    Args:
        parts: An optimizer, its model and its schedule.
        others: Those of the other instance.
    """
    (one, state), (other, _) = _written(*parts), _written(*others)
    return object_graphs.first_difference(one, other, state["size"])


def not_stored(state: State) -> set[str]:
    """What a state leaves to the new instance, such as functions, with their paths."""
    return {repr(node[2:5]) for node in state["nodes"] if node[0] in _NOT_STORED}


def has_others_code(*parts: Any) -> bool:
    """Whether code of another package than torch and DeepOBS takes part in the steps."""
    return bool(_own_packages(_written(*parts)[0].values))


def _written(
    optimizer: torch.optim.Optimizer, model: nn.Module, schedule: object
) -> tuple[GraphWriter, State]:
    writer = GraphWriter(_KINDS, _anchors(model))
    # Else a step begins with no gradients, and they would only make the file larger.
    cleared = getattr(type(optimizer), "zero_grad", None), torch.optim.Optimizer.zero_grad
    writer.keeps_gradients = cleared[0] is not cleared[1]
    root = {
        name: writer.refer_to(value, name)
        for name, value in _root(optimizer, model, schedule).items()
    }
    size, left_out = len(writer.nodes), dict(writer.left_out)
    shared = {path: writer.refer_to(value, path) for path, (value, _) in _shared(writer).items()}
    return writer, {
        "nodes": writer.nodes,
        "root": root,
        "size": size,
        "shared": shared,
        "left_out": left_out,
    }


def _root(optimizer: torch.optim.Optimizer, model: nn.Module, schedule: object) -> dict[str, Any]:
    # The parameters come first: others refer to them by their numbers or addresses.
    names = {f"parameter {name}": one for name, one in model.named_parameters()}
    return {**names, "optimizer": optimizer, "schedule": schedule}


def _anchors(model: nn.Module) -> list[Any]:
    tensors = [*model.parameters(), *model.state_dict(keep_vars=True).values()]
    unique = {id(one): one for one in tensors if isinstance(one, torch.Tensor)}
    return [*unique.values(), *model.modules()]


def _own_packages(values: Iterable[Any]) -> set[str]:
    """The packages whose classes and functions an optimizer consists of."""
    modules = {cls.__module__ for kind in {*map(type, values)} for cls in kind.__mro__}
    modules |= {str(one.__module__) for one in values if isinstance(one, types.FunctionType)}
    return {module.partition(".")[0] for module in modules} - _OTHERS_PACKAGES


def _shared(writer: GraphWriter) -> dict[str, _Place]:
    """Attributes of classes, and global variables that their methods read, if they are data."""
    packages = _own_packages(writer.values)
    classes = {cls for kind in {*map(type, writer.values)} for cls in kind.__mro__}
    found: dict[str, _Place] = {}
    for cls in sorted(classes, key=name_of):
        if cls.__module__.partition(".")[0] not in packages:
            continue
        for name, value in vars(cls).items():
            if not name.startswith(("__", "_abc_")) and _is_data(value):
                set_attribute = functools.partial(setattr, cls, name)
                found[f"{cls.__name__}.{name}"] = value, set_attribute
            if isinstance(value, types.FunctionType):
                variables = value.__globals__
                for variable in _names(value.__code__):
                    if variable in variables and _is_data(variables[variable]):
                        set_variable = functools.partial(variables.__setitem__, variable)
                        found[f"{value.__module__}.{variable}"] = variables[variable], set_variable
    return found


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _is_data(value: object) -> bool:
    probe = GraphWriter(_KINDS, ())
    probe.refer_to(value, "")
    return not probe.left_out and all(node[0] in _NUMBERS for node in probe.nodes)


def _set_shared(
    reader: GraphReader, shared: Mapping[str, Any], places: Mapping[str, _Place]
) -> None:
    for path in shared.keys() & places.keys():
        before, set_value = places[path]
        after = reader.value_of(shared[path], before)
        if after is not before:
            set_value(after)
