"""The state of an optimizer, restored to the bit."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = (bool, int, float, str, type(None))


def optimizer_state(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return the state of an optimizer and of those that it wraps.

    Args:
        optimizer: Any optimizer. Its attributes are included if they are numbers, strings or
            tensors.
    """
    return [_state_of(one) for one in _with_inner_optimizers(optimizer)]


def set_optimizer_state(optimizer: torch.optim.Optimizer, states: list[dict[str, Any]]) -> None:
    """Restore the state that `optimizer_state` returned.

    Args:
        optimizer: An optimizer that was built in the same way.
        states: The state, whose tensors become the optimizer's own.

    Raises:
        ValueError: The optimizer was built in another way.
    """
    parts = list(zip(_with_inner_optimizers(optimizer), states, strict=True))
    for one, state in parts:
        # An optimizer that overrides `state_dict` may keep objects that only it can restore.
        if state["own"] is not None:
            one.load_state_dict(state["own"])
    # Afterwards, since `Optimizer.load_state_dict` alone would not restore to the bit: it casts all
    # floating-point tensors to the dtype of the parameter (averages in float32 beside weights in
    # bfloat16), ignores attributes, and replaces the dictionaries of the groups, of which a
    # wrapper or a scheduler may hold the old ones.
    for one, state in parts:
        _set_state(one, state)


def _state_of(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    of_all: Mapping[Any, Any] = optimizer.state
    overrides_state_dict = type(optimizer).state_dict is not torch.optim.Optimizer.state_dict
    # By position: parameters themselves cannot be keys in a file.
    number_of = {id(p): number for number, p in enumerate(_parameters(optimizer))}
    return {
        "own": optimizer.state_dict() if overrides_state_dict else None,
        "groups": [_storable_items(group) for group in optimizer.param_groups],
        "of_parameters": {
            number_of[id(key)]: value for key, value in of_all.items() if id(key) in number_of
        },
        "others": {key: value for key, value in of_all.items() if isinstance(key, _PLAIN)},
        "attributes": _storable_items(vars(optimizer)),
    }


def _set_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    for group, values in zip(optimizer.param_groups, state["groups"], strict=True):
        group.update(values)
    parameters = _parameters(optimizer)
    optimizer.state.clear()
    optimizer.state.update({parameters[n]: value for n, value in state["of_parameters"].items()})
    optimizer.state.update(state["others"])
    vars(optimizer).update(state["attributes"])


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _storable_items(named: Mapping[str, Any]) -> dict[str, Any]:
    """The items that can change; functions and parameters stay as the constructor made them."""
    return {name: value for name, value in named.items() if _is_storable(value)}


def _is_storable(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_storable, value))
    if isinstance(value, torch.Tensor):
        return not (value.requires_grad or isinstance(value, torch.nn.Parameter))
    return isinstance(value, _PLAIN) and not isinstance(value, Enum)


def _with_inner_optimizers(optimizer: torch.optim.Optimizer) -> list[torch.optim.Optimizer]:
    """An optimizer and all that it wraps, each once, always in the same order."""
    found = [optimizer]
    for outer in found:  # the list grows in the loop
        for value in vars(outer).values():
            for one in value if isinstance(value, (list, tuple)) else (value,):
                is_known = any(one is other for other in found)
                if isinstance(one, torch.optim.Optimizer) and not is_known:
                    found.append(one)
    return found
