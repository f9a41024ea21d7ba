"""Building an optimizer on a model."""

from __future__ import annotations

import collections
import functools
import inspect
from typing import TYPE_CHECKING, Any

import torch

from deepobs.errors import ArgumentError
from deepobs.problems.roles import parameters_by_role
from deepobs.runs.constructors import (
    as_declared,
    cached,
    constructor_of,
    further_arguments,
    optimizer_arguments,
    unknown_hyperparameters,
)
from deepobs.runs.optimizers import OPTIMIZER, Groups, find_optimizer, grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from torch import nn


def construct(
    optimizer_class: type[torch.optim.Optimizer],
    model: nn.Module,
    hyperparameters: Mapping[str, Any],
    *,
    groups: Groups,
    needs: Collection[str],
    roles: Mapping[str, str] | None = None,
) -> torch.optim.Optimizer:
    """Build an optimizer; exceptions of its constructor pass unchanged.

    Args:
        optimizer_class: Its class.
        model: The model that it trains.
        hyperparameters: Arguments of its constructor. One that wraps another optimizer is given the
            name of that one, and its hyperparameters among its own.
        groups: Further hyperparameters by parameter role. A group with the key `optimizer` is
            trained by that one.
        needs: Its step protocol, words of `NEEDS`.
        roles: The role of each parameter by its name; `None` to derive it from the model.

    Raises:
        ArgumentError: It takes no groups.
    """
    return _completed(build_as_is(optimizer_class, model, hyperparameters, groups, needs, roles))


def of_groups(
    optimizer_class: type[torch.optim.Optimizer],
    groups: list[dict[str, Any]],
    hyperparameters: Mapping[str, Any],
) -> torch.optim.Optimizer:
    """Build an optimizer of groups as torch has them; exceptions pass unchanged."""
    return _completed(_build(optimizer_class, groups, hyperparameters))


class _WithoutHooks(torch.optim.Optimizer):
    """In place of the constructor that torch's classes share, for trials."""

    def __init__(self, params: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.defaults, self.state = defaults, collections.defaultdict(dict)
        self.param_groups = [{**defaults, **group} for group in params]


@cached
def _trial_class(optimizer_class: Any) -> Any:
    return type(optimizer_class.__name__, (optimizer_class, _WithoutHooks), {})


def trial_of_torch(
    optimizer_class: type[torch.optim.Optimizer],
    groups: list[dict[str, Any]],
    hyperparameters: Mapping[str, Any],
) -> torch.optim.Optimizer:
    """Build what an optimizer of torch is for trials; exceptions pass unchanged.

    All code of its class is executed, but not the constructor that it inherits: this one imports
    torch's compiler, which takes more time and memory than planning a sweep does.
    """
    return _build(_trial_class(optimizer_class), groups, hyperparameters)


def take_trial_step(optimizer: torch.optim.Optimizer) -> None:
    """Take a step with what `trial_of_torch` built; exceptions pass unchanged."""
    # What wraps the methods of torch's optimizers imports the compiler, too.
    with torch.set_grad_enabled(optimizer.defaults.get("differentiable", False)):
        inspect.unwrap(type(optimizer).step)(optimizer)


def _completed(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    # Classes that do not call the constructor of torch lack what its methods and schedulers read.
    if isinstance(optimizer, torch.optim.Optimizer):
        if not hasattr(optimizer, "defaults"):
            (first, *_) = optimizer.param_groups
            optimizer.defaults = {name: value for name, value in first.items() if name != "params"}
        if not hasattr(optimizer, "state"):
            optimizer.state = collections.defaultdict(dict)
    return optimizer


def build_as_is(
    optimizer_class: type[torch.optim.Optimizer],
    model: nn.Module,
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    needs: Collection[str],
    roles: Mapping[str, str] | None,
) -> torch.optim.Optimizer:
    """The optimizer of `construct` with nothing added that its class leaves out."""
    make: Callable[..., torch.optim.Optimizer] = optimizer_class
    further = further_arguments(optimizer_class, model)
    if "model" in needs or "named_parameters" in needs:
        if groups:
            raise ArgumentError(
                f"{optimizer_class.__name__} is built from the model or its named parameters and "
                f"takes no parameter groups, got those of {', '.join(groups)}. Leave them out."
            )
        source = model if "model" in needs else list(model.named_parameters())
        return make(source, **further, **_for_constructor(optimizer_class, hyperparameters, ()))
    if not groups:
        # A list, since some read it twice.
        return _build(optimizer_class, list(model.parameters()), hyperparameters, further)
    own, parts = [], []
    for values, parameters in grouped(parameters_by_role(model, roles), groups):
        if OPTIMIZER in values:
            others = {name: value for name, value in values.items() if name != OPTIMIZER}
            parts.append(_build_named(values[OPTIMIZER], parameters, others))
        else:
            own.append({"params": parameters, **as_declared(optimizer_class, values)})
    if own:
        parts.insert(0, _build(optimizer_class, own, hyperparameters, further))
    if len(parts) == 1:
        return parts[0]
    # Imported late, since hardly any run needs it.
    from deepobs.runs.joint_optimizer import JointOptimizer

    return JointOptimizer(parts)


def _build(
    optimizer_class: type[torch.optim.Optimizer],
    parameters: Any,
    hyperparameters: Mapping[str, Any],
    further: Mapping[str, Any] | None = None,
) -> torch.optim.Optimizer:
    make: Callable[..., torch.optim.Optimizer] = optimizer_class
    wrapped, arguments = constructor_of(optimizer_class)
    if wrapped is None or wrapped not in hyperparameters:
        chosen = _for_constructor(optimizer_class, hyperparameters, parameters)
        return make(parameters, **(further or {}), **chosen)
    # A wrapper shares one dictionary of hyperparameters with what it wraps, since the specification
    # has no other place for them: each gets those that it knows.
    own = {name: value for name, value in hyperparameters.items() if name in arguments}
    others = {name: hyperparameters[name] for name in hyperparameters.keys() - own - {wrapped}}
    inner = _build_named(hyperparameters[wrapped], parameters, others)
    return make(inner, **(further or {}), **_for_constructor(optimizer_class, own, parameters))


def _build_named(name: str, parameters: Any, further: Mapping[str, Any]) -> torch.optim.Optimizer:
    choice = find_optimizer(name)
    return _build(choice.optimizer_class, parameters, {**choice.defaults, **further})


def _for_constructor(
    optimizer_class: type[torch.optim.Optimizer],
    hyperparameters: Mapping[str, Any],
    parameters: Any,
) -> Mapping[str, Any]:
    """Replace names of other optimizers by what takes their place, and lists by tuples."""
    arguments = optimizer_arguments(optimizer_class)
    named = [name for name in arguments if isinstance(hyperparameters.get(name), str)]
    if not named:
        return as_declared(optimizer_class, hyperparameters)
    _, known = constructor_of(optimizer_class)
    takes_any = not unknown_hyperparameters(optimizer_class, [_NOBODY])
    # As for a wrapper, the other optimizer gets what the class itself does not know.
    chosen = {name: v for name, v in hyperparameters.items() if name in known or takes_any}
    for name in named:
        choice = find_optimizer(hyperparameters[name])
        others = {n: v for n, v in hyperparameters.items() if n not in chosen}
        if not arguments[name]:
            chosen[name] = _build_named(hyperparameters[name], parameters, others)
        elif takes_any:
            chosen = {**choice.defaults, **chosen, name: choice.optimizer_class}
        else:
            others = {**choice.defaults, **others}
            make = functools.partial(choice.optimizer_class, **others)
            chosen[name] = make if others else choice.optimizer_class
    return as_declared(optimizer_class, chosen)


_NOBODY = "a name that no constructor has"
