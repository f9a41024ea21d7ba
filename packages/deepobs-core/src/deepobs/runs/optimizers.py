"""Optimizers: found by name, and built on a model."""

from __future__ import annotations

import contextlib
import functools
import inspect
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from deepobs.checks import check_length, in_json_types
from deepobs.errors import (
    ArgumentError,
    DeepOBSError,
    UnknownNameError,
    closest,
    message_of,
    sentences,
    text_of,
)
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.plugins.own_classes import advice_on_name
from deepobs.problems.roles import ROLES, parameters_by_role

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from torch import nn

Groups: TypeAlias = dict[str, dict[str, Any]]
"""Hyperparameters by the role of the parameters that they are for."""

Needs: TypeAlias = tuple[str, ...]
"""A step protocol: words of `NEEDS`, sorted."""

OTHERS = "others"
"""The role of all parameters whose own role has no group."""

OPTIMIZER = "optimizer"
"""The key of a group that is trained by another optimizer."""

BASE = "base_optimizer"
"""The argument for a class by which optimizers that build another one call it."""

REFUSALS = (
    ArithmeticError,
    AssertionError,
    ImportError,
    IndexError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What constructors of optimizers raise for arguments that they do not accept."""

_NEEDS_SPARSE_GRADIENTS = {"SparseAdam"}

# mypy does not take classes of optimizers for hashable, which functools.cache asks for.
_cached: Callable[[Any], Any] = functools.cache


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer class and what a run has to know about it.

    Attributes:
        name: Its name in result files.
        optimizer_class: The class itself.
        target: The class, as `package.module:Class`.
        is_from_torch: Whether the class is part of torch.
        source: The fingerprint of its code, so that a change of an optimizer under development
            makes a different run; empty for classes of torch and of DeepOBS.
        defaults: Hyperparameters that differ from the defaults of the class.
        needs: The step protocol that its plugin declares, words of `NEEDS`; `None` if undeclared.
    """

    name: str
    optimizer_class: type[torch.optim.Optimizer]
    target: str
    is_from_torch: bool
    source: str = ""
    defaults: Mapping[str, object] = field(default_factory=dict)
    needs: Needs | None = None


def find_optimizer(optimizer: str | type[torch.optim.Optimizer]) -> OptimizerChoice:
    """Find an optimizer.

    Args:
        optimizer: A registered name, the name of any class of `torch.optim`, `package.module:Class`
            or a class.

    Raises:
        UnknownNameError: No optimizer has this name.
        AmbiguousNameError: Two plugins offer the name.
        ComponentLoadError: Its module cannot be imported.
        ArgumentError: It is not an optimizer, or none that can be used here.
    """
    catalog = registry().optimizers
    offer = catalog.find(optimizer) if isinstance(optimizer, str) else None
    if offer is not None:
        context = f"The optimizer {optimizer!r} of {offer.origin} is none: "
        found = check_class(catalog.load(offer), context)
    else:
        found = check_class(_unregistered(optimizer) if isinstance(optimizer, str) else optimizer)
    name = found.__name__
    is_from_torch = getattr(torch.optim, name, None) is found
    # torch may rename its modules; the names in torch.optim stay.
    target = f"torch.optim:{name}" if is_from_torch else f"{found.__module__}:{found.__qualname__}"
    source = ""
    if not is_from_torch:
        from deepobs.fingerprints import fingerprint

        source = fingerprint(found)
    if offer is not None:
        spec = offer.spec
        return OptimizerChoice(
            spec.name, found, target, is_from_torch, source, spec.defaults, spec.needs
        )
    check_length("The name of an optimizer", name)
    if name in _NEEDS_SPARSE_GRADIENTS:
        raise ArgumentError(
            f"{name} needs sparse gradients, which no test problem has. "
            "`deepobs list optimizers` shows others."
        )
    return OptimizerChoice(name, found, target, is_from_torch, source)


def target_of_name(name: str) -> str | None:
    """The class that an optimizer's short name stands for.

    Args:
        name: The name of an optimizer in result files.

    Returns:
        The class as `package.module:Class`; `None` if no optimizer has the name, and the empty
        string if it does not lead to one class, such as when two plugins offer it.
    """
    try:
        is_known = registry().optimizers.find(name) is not None or _is_in_torch(name)
        return find_optimizer(name).target if is_known else None
    except DeepOBSError:
        return ""


def check_class(value: object, context: str = "") -> type[torch.optim.Optimizer]:
    """Refuse what is not a class of optimizers.

    Args:
        value: What may be one. Some that wrap another optimizer do not derive from torch's, but
            have its methods.
        context: How the message begins.

    Raises:
        ArgumentError: It is not.
    """
    has_methods = callable(getattr(value, "step", None)) and hasattr(value, "zero_grad")
    if not (isinstance(value, type) and has_methods):
        raise ArgumentError(
            f"{context}An optimizer must be a subclass of torch.optim.Optimizer, got {value!r}."
        )
    return value


def _unregistered(name: str) -> object:
    """What a name stands for that no plugin offers."""
    if _is_in_torch(name):
        return getattr(torch.optim, name)
    if ":" in name:
        return import_target(name, "The optimizer")
    known = {*registry().optimizers.names(), *filter(_is_in_torch, dir(torch.optim))}
    raise UnknownNameError(
        sentences(
            f"There is no optimizer {name!r}.",
            closest(name, known),
            advice_on_name(name),
            "`deepobs list optimizers` lists all; "
            "a class of your own is named as package.module:Class.",
        )
    )


def _is_in_torch(name: str) -> bool:
    value = getattr(torch.optim, name, None)
    is_class = isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    return is_class and value is not torch.optim.Optimizer


# Sweeps check thousands of configurations of few classes, and inspecting a signature takes longer
# than everything else about a configuration.
signature_of: Callable[[Any], inspect.Signature] = _cached(inspect.signature)


def constructor_of(
    optimizer_class: type[torch.optim.Optimizer],
) -> tuple[str | None, Mapping[str, inspect.Parameter]]:
    """The name of a constructor's first argument, and its other arguments by name.

    The first takes the parameters. It is "model" if the optimizer takes the model in their place;
    one that wraps another optimizer calls it "optimizer" or the like.
    """
    arguments = dict(signature_of(optimizer_class).parameters)
    first = next(iter(arguments), None)
    if first is not None:
        del arguments[first]
    return first, arguments


@_cached
def defaults_of(optimizer_class: Any) -> dict[str, Any]:
    """The defaults of a constructor's arguments, as far as JSON can hold them."""
    defaults = {}
    for name, argument in constructor_of(optimizer_class)[1].items():
        if argument.default is not inspect.Parameter.empty:
            with contextlib.suppress(ArgumentError):
                defaults.update(in_json_types("Defaults", {name: argument.default}))
    return defaults


def unknown_hyperparameters(
    optimizer_class: type[torch.optim.Optimizer], names: Iterable[str]
) -> list[str]:
    """Find the names that a constructor does not take.

    Args:
        optimizer_class: The class.
        names: All hyperparameters that are given to it. If the wrapped optimizer is among them, it
            gets whatever the class itself does not know.
    """
    given = list(names)
    first, arguments = constructor_of(optimizer_class)
    if first in given and first not in ("params", "model"):
        return []
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in arguments.values()):
        return []
    return [name for name in given if name not in arguments]


def check_groups(given: Mapping[str, Mapping[str, object]]) -> Groups:
    """Check hyperparameters for parameter groups.

    Args:
        given: Hyperparameters by name, by role.

    Returns:
        The groups in the order of `ROLES`, with values as result files hold them.

    Raises:
        ArgumentError: A role does not exist, or a value cannot be stored in a file.
    """
    allowed = [*ROLES, OTHERS]
    for role, values in given.items():
        if role not in allowed:
            raise ArgumentError(
                sentences(
                    f"There is no parameter role {role!r}.",
                    closest(str(role), allowed),
                    f"Roles are: {', '.join(allowed)}.",
                )
            )
        if not hasattr(values, "items"):
            raise ArgumentError(
                f"The parameter group {role!r} needs hyperparameters by name, got {values!r}."
            )
    groups = {
        role: in_json_types("Hyperparameters", given[role]) for role in allowed if role in given
    }
    if OTHERS in groups and all(OPTIMIZER in values for values in groups.values()):
        raise ArgumentError(
            "All parameters are given to other optimizers. Name the roles that this optimizer "
            "trains, such as 'hidden', with or without hyperparameters."
        )
    return groups


def grouped(
    parameters: Mapping[str, list[nn.Parameter]], groups: Groups
) -> list[tuple[dict[str, Any], list[nn.Parameter]]]:
    """Sort parameters into groups, without those that would be empty.

    Args:
        parameters: Parameters by role.
        groups: Hyperparameters by role.

    Returns:
        The hyperparameters of each group with its parameters.
    """
    # Optimizers of hidden matrices take convolution kernels, too, which they flatten.
    if "convolution" not in groups:
        hidden = [*parameters.get("hidden", []), *parameters.get("convolution", [])]
        parameters = {**parameters, "hidden": hidden, "convolution": []}
    rest = [one for role, ones in parameters.items() if role not in groups for one in ones]
    found = [
        (values, rest if role == OTHERS else parameters.get(role, []))
        for role, values in {**groups, OTHERS: groups.get(OTHERS, {})}.items()
    ]
    return [(values, ones) for values, ones in found if ones]


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
    make: Callable[..., torch.optim.Optimizer] = optimizer_class
    if "model" in needs:
        if groups:
            raise ArgumentError(
                f"{optimizer_class.__name__} is built from the model and takes no parameter "
                f"groups, got those of {', '.join(groups)}. Leave the groups out."
            )
        # Where it is optional, the class knows better which parameters it trains.
        beside = constructor_of(optimizer_class)[1].get("params")
        is_required = beside is not None and beside.default is inspect.Parameter.empty
        further = {"params": list(model.parameters())} if is_required else {}
        hyperparameters = _as_declared(optimizer_class, _with_base_class(hyperparameters))
        return make(model, **further, **hyperparameters)
    if not groups:
        # A list, since some read it twice.
        return _build(optimizer_class, list(model.parameters()), hyperparameters)
    own, parts = [], []
    for values, parameters in grouped(parameters_by_role(model, roles), groups):
        if OPTIMIZER in values:
            others = {name: value for name, value in values.items() if name != OPTIMIZER}
            parts.append(_build_named(values[OPTIMIZER], parameters, others))
        else:
            own.append({"params": parameters, **_as_declared(optimizer_class, values)})
    if own:
        parts.insert(0, _build(optimizer_class, own, hyperparameters))
    if len(parts) == 1:
        return parts[0]
    # Imported late, since hardly any run needs it.
    from deepobs.runs.joint_optimizer import JointOptimizer

    return JointOptimizer(parts)


def reason_of(error: Exception) -> str:
    """The reason that an optimizer states when it refuses arguments."""
    text = text_of(error).rstrip(". ")
    return text if isinstance(error, ValueError) and text else message_of(error).rstrip(". ")


def _as_declared(
    optimizer_class: type[torch.optim.Optimizer], values: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Make tuples of the lists that JSON has in their place, where the constructor has tuples."""
    if not any(isinstance(value, list) for value in values.values()):
        return values
    _, arguments = constructor_of(optimizer_class)
    converted = dict(values)
    for name, value in values.items():
        if isinstance(value, list) and name in arguments:
            converted[name] = _like(_example_of(optimizer_class, arguments[name]), value)
    return converted


def _example_of(
    optimizer_class: type[torch.optim.Optimizer], argument: inspect.Parameter
) -> object:
    """A value as the argument takes it: its default, or an empty tuple where it is for one."""
    if isinstance(argument.default, (tuple, list)):
        return argument.default
    hint = argument.annotation
    if isinstance(hint, str):
        with contextlib.suppress(Exception):  # names that only type checkers import
            hint = typing.get_type_hints(optimizer_class.__init__)[argument.name]
    parts = [hint, *typing.get_args(hint)] if not isinstance(hint, str) else []
    is_tuple = any(typing.get_origin(one) is tuple or one is tuple for one in parts)
    return () if is_tuple or (isinstance(hint, str) and "tuple[" in hint.lower()) else []


def _like(example: object, value: Any) -> Any:
    """A list, and the lists in it, with the types of an example."""
    if not isinstance(value, list):
        return value
    examples = list(example) if isinstance(example, (tuple, list)) else []
    items = [
        _like(examples[min(number, len(examples) - 1)] if examples else example, item)
        for number, item in enumerate(value)
    ]
    if not isinstance(example, tuple):
        return items
    make = type(example)
    return make(*items) if hasattr(make, "_fields") else make(items)


def _build(
    optimizer_class: type[torch.optim.Optimizer],
    parameters: Any,
    hyperparameters: Mapping[str, Any],
) -> torch.optim.Optimizer:
    make: Callable[..., torch.optim.Optimizer] = optimizer_class
    wrapped, arguments = constructor_of(optimizer_class)
    if wrapped is None or wrapped not in hyperparameters:
        if BASE in hyperparameters:
            hyperparameters = _with_base_class(hyperparameters)
        return make(parameters, **_as_declared(optimizer_class, hyperparameters))
    # A wrapper shares one dictionary of hyperparameters with what it wraps, since the specification
    # has no other place for them: each gets those that it knows.
    own = {name: value for name, value in hyperparameters.items() if name in arguments}
    others = {name: hyperparameters[name] for name in hyperparameters.keys() - own - {wrapped}}
    inner = _build_named(hyperparameters[wrapped], parameters, others)
    return make(inner, **_as_declared(optimizer_class, own))


def _build_named(name: str, parameters: Any, further: Mapping[str, Any]) -> torch.optim.Optimizer:
    choice = find_optimizer(name)
    return _build(choice.optimizer_class, parameters, {**choice.defaults, **further})


def _with_base_class(hyperparameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the name of a base optimizer by its class, for those that build it themselves."""
    base = hyperparameters.get(BASE)
    if not isinstance(base, str):
        return hyperparameters
    choice = find_optimizer(base)
    return {**choice.defaults, **hyperparameters, BASE: choice.optimizer_class}
