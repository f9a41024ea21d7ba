"""Building an optimizer of a model's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs.problems.roles import parameters_by_role
from deepobs.runs.joint_optimizer import JointOptimizer
from deepobs.runs.optimizers import BASE, arguments_of, find_optimizer, first_argument_of
from deepobs.runs.parameter_groups import OPTIMIZER, grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import torch
    from torch import nn

    from deepobs.runs.parameter_groups import Groups


def construct(
    optimizer_class: type[torch.optim.Optimizer],
    model: nn.Module,
    hyperparameters: Mapping[str, Any],
    *,
    groups: Groups,
    needs: Collection[str],
    roles: Mapping[str, str] | None = None,
) -> torch.optim.Optimizer:
    """Build an optimizer; what its constructor raises passes as it is.

    Args:
        optimizer_class: Its class.
        model: What it trains.
        hyperparameters: Arguments of its constructor. One that wraps another optimizer is given the
            name of that, and its hyperparameters among its own.
        groups: Further hyperparameters by the role of parameters. Where one is `optimizer`, the
            parameters of the role are trained by that.
        needs: What it needs, words of `NEEDS`.
        roles: The role of each parameter by its name; `None` to tell it from the model.

    Raises:
        ArgumentError: It takes no groups.
    """
    if "model" in needs:
        return _of_the_model(optimizer_class, model, hyperparameters, groups)
    if not groups:
        return _build(optimizer_class, model.parameters(), hyperparameters)
    own, parts = [], []
    for settings, parameters in grouped(parameters_by_role(model, roles), groups):
        if OPTIMIZER in settings:
            further = {name: value for name, value in settings.items() if name != OPTIMIZER}
            parts.append(_build_named(settings[OPTIMIZER], parameters, further))
        else:
            own.append({"params": parameters, **settings})
    if own:
        parts.insert(0, _build(optimizer_class, own, hyperparameters))
    return parts[0] if len(parts) == 1 else JointOptimizer(parts)


def _of_the_model(
    optimizer_class: type[torch.optim.Optimizer],
    model: nn.Module,
    hyperparameters: Mapping[str, Any],
    groups: Groups,
) -> torch.optim.Optimizer:
    if groups:
        raise ArgumentError(
            f"{optimizer_class.__name__} is built from the model and takes no groups of "
            f"parameters, got those of {', '.join(groups)}. Leave the groups out."
        )
    make: Callable[..., torch.optim.Optimizer] = optimizer_class
    takes_both = "params" in arguments_of(optimizer_class)
    further = {"params": model.parameters()} if takes_both else {}
    return make(model, **further, **_with_base_class(hyperparameters))


def _build(
    optimizer_class: type[torch.optim.Optimizer],
    parameters: Any,
    hyperparameters: Mapping[str, Any],
) -> torch.optim.Optimizer:
    make: Callable[..., torch.optim.Optimizer] = optimizer_class
    wrapped = first_argument_of(optimizer_class)
    if wrapped is None or wrapped not in hyperparameters:
        return make(parameters, **_with_base_class(hyperparameters))
    arguments = arguments_of(optimizer_class)
    own = {name: value for name, value in hyperparameters.items() if name in arguments}
    others = {name: hyperparameters[name] for name in hyperparameters.keys() - own - {wrapped}}
    return make(_build_named(hyperparameters[wrapped], parameters, others), **own)


def _build_named(name: str, parameters: Any, further: Mapping[str, Any]) -> torch.optim.Optimizer:
    choice = find_optimizer(name)
    return _build(choice.optimizer_class, parameters, {**choice.defaults, **further})


def _with_base_class(hyperparameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The class of a base optimizer in place of its name, for those that build it themselves."""
    base = hyperparameters.get(BASE)
    if not isinstance(base, str):
        return hyperparameters
    choice = find_optimizer(base)
    return {**choice.defaults, **hyperparameters, BASE: choice.optimizer_class}
