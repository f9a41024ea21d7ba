"""The state of an optimizer, put back to the bit.

`Optimizer.load_state_dict` turns all floating-point tensors into the type of the parameter, knows
nothing of attributes, and those that wrap another optimizer may lose sight of its groups. So the
state is put back here as it was, into the same dictionaries.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PLAIN = (bool, int, float, str, type(None))


def optimizer_state(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The state of an optimizer and of those inside of it.

    Args:
        optimizer: Any optimizer. Attributes of its own count where they are numbers, texts or
            tensors.
    """
    return [_state_of(one) for one in _with_inner_ones(optimizer)]


def set_optimizer_state(optimizer: torch.optim.Optimizer, states: list[dict[str, Any]]) -> None:
    """Let an optimizer go on from where `optimizer_state` was called.

    Args:
        optimizer: One that was built in the same way.
        states: What that returned; the tensors become the optimizer's own.

    Raises:
        ValueError: It was built in another way.
    """
    parts = list(zip(_with_inner_ones(optimizer), states, strict=True))
    for one, state in parts:
        if state["own"] is not None:
            one.load_state_dict(state["own"])
    for one, state in parts:
        _set_state(one, state)


def _state_of(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    of_all: Mapping[Any, Any] = optimizer.state
    number_of = {id(p): number for number, p in enumerate(_parameters(optimizer))}
    return {
        "own": optimizer.state_dict() if _says_itself_what_its_state_is(optimizer) else None,
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


def _says_itself_what_its_state_is(optimizer: torch.optim.Optimizer) -> bool:
    return type(optimizer).state_dict is not torch.optim.Optimizer.state_dict


def _storable_items(named: Mapping[str, Any]) -> dict[str, Any]:
    """What can change; functions, parameters and the like stay as the constructor left them."""
    return {name: value for name, value in named.items() if _is_storable(value)}


def _is_storable(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_storable, value))
    if isinstance(value, torch.Tensor):
        return not (value.requires_grad or isinstance(value, torch.nn.Parameter))
    return isinstance(value, _PLAIN) and not isinstance(value, Enum)


def _with_inner_ones(optimizer: torch.optim.Optimizer) -> list[torch.optim.Optimizer]:
    """An optimizer and all that it wraps, each once, always in the same order."""
    found = [optimizer]
    for outer in found:  # which grows meanwhile
        known = set(map(id, found))
        found += [inner for inner in _inner_ones(outer) if id(inner) not in known]
    return found


def _inner_ones(optimizer: torch.optim.Optimizer) -> Iterator[torch.optim.Optimizer]:
    for value in vars(optimizer).values():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(one, torch.optim.Optimizer):
                yield one
