"""Optimizers: found by name, and built on a model."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
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
from deepobs.plugins.specs import target_of
from deepobs.problems.roles import ROLES
from deepobs.runs.constructors import cached, constructor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from deepobs.plugins.catalog import Offer
    from deepobs.plugins.specs import OptimizerSpec

Groups: TypeAlias = dict[str, dict[str, Any]]
"""Hyperparameters by the role of the parameters that they are for."""

Needs: TypeAlias = tuple[str, ...]
"""A step protocol: words of `NEEDS`, sorted."""

OTHERS = "others"
"""The role of all parameters whose own role has no group."""

OPTIMIZER = "optimizer"
"""The key of a group that is trained by another optimizer."""

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


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer class and what a run has to know about it.

    Attributes:
        name: Its name in result files.
        optimizer_class: The class itself.
        target: The class, as `package.module:Class`: as it was named, where it was.
        defined_as: The same by the module and the name with which it is defined, where these are
            others; else empty.
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
    defined_as: str = ""
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
    offer = registry().optimizers.find(optimizer) if isinstance(optimizer, str) else None
    found = _class_of(optimizer, offer)
    target, defined_as = _import_strings(optimizer, found, offer)
    name = target.rpartition(":")[2].rpartition(".")[2] if offer is None else offer.spec.name
    is_from_torch = _is_from_torch(found)
    source = ""
    if not is_from_torch:
        from deepobs.fingerprints import fingerprint

        source = fingerprint(found)
    choice = OptimizerChoice(
        name, found, target, is_from_torch, source, "" if target == defined_as else defined_as
    )
    if offer is not None:
        return dataclasses.replace(choice, defaults=offer.spec.defaults, needs=offer.spec.needs)
    check_length("The name of an optimizer", name)
    if name in _NEEDS_SPARSE_GRADIENTS:
        raise ArgumentError(
            f"{name} needs sparse gradients, which no test problem has. "
            "`deepobs list optimizers` shows others."
        )
    return choice


def _class_of(
    optimizer: str | type[torch.optim.Optimizer], offer: Offer[OptimizerSpec] | None
) -> type[torch.optim.Optimizer]:
    if offer is not None:
        context = f"The optimizer {optimizer!r} of {offer.origin} is none: "
        return check_class(registry().optimizers.load(offer), context)
    return check_class(_unregistered(optimizer) if isinstance(optimizer, str) else optimizer)


def _is_from_torch(found: type) -> bool:
    return getattr(torch.optim, found.__name__, None) is found


def _import_strings(
    optimizer: object, found: type, offer: Offer[OptimizerSpec] | None
) -> tuple[str, str]:
    """A class as it was named, where it was, and as it is defined."""
    is_from_torch = _is_from_torch(found)
    defined_as = f"{found.__module__}:{found.__qualname__}"
    if is_from_torch:  # torch may rename its modules; the names in torch.optim stay
        defined_as = f"torch.optim:{found.__name__}"
    target = _given_target(optimizer, offer)
    if target is None or (is_from_torch and target.startswith("torch.")):
        target = defined_as if is_from_torch else _importable_target(found)
    return target, defined_as


def _given_target(optimizer: object, offer: Offer[OptimizerSpec] | None) -> str | None:
    """The import string by which an optimizer was named, by the user or a plugin.

    Importing it may do more than to find the class, such as to set the options of its package: the
    module in which the class is defined does not stand for it.
    """
    if offer is not None:
        return offer.spec.target if offer.distribution else None
    return optimizer if isinstance(optimizer, str) and ":" in optimizer else None


def _importable_target(found: type) -> str:
    """The import string of a class, if need be by the name that its module has for it."""
    if "<locals>" in found.__qualname__:
        for name, value in vars(sys.modules.get(found.__module__, object)).items():
            if value is found:
                return f"{found.__module__}:{name}"
    return target_of(found)


def target_of_name(name: str) -> str | None:
    """The class that an optimizer's short name stands for.

    Args:
        name: The name of an optimizer in result files.

    Returns:
        The class as `package.module:Class`; `None` if no optimizer has the name, and the empty
        string if it does not lead to one class, such as when two plugins offer it.
    """
    try:
        offer = registry().optimizers.find(name)
        if offer is None and not _is_in_torch(name):
            return None
        # Without the fingerprint, which takes long: the directory of every run asks for this.
        return _import_strings(name, _class_of(name, offer), offer)[0]
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


@cached
def defaults_of(optimizer_class: Any) -> dict[str, Any]:
    """The defaults of a constructor's arguments, as far as JSON can hold them."""
    defaults = {}
    for name, argument in constructor_of(optimizer_class)[1].items():
        if argument.default is not inspect.Parameter.empty:
            with contextlib.suppress(ArgumentError):
                defaults.update(in_json_types("Defaults", {name: argument.default}))
    return defaults


def check_groups(given: Mapping[str, Mapping[str, object]]) -> Groups:
    """Check hyperparameters for parameter groups.

    Args:
        given: Hyperparameters by name, by role.

    Returns:
        The groups in the order of `ROLES`, with values as result files hold them.

    Raises:
        ArgumentError: A role does not exist, or a value cannot be stored in a file.
    """
    checked = {role: check_group(role, values) for role, values in given.items()}
    groups = {role: checked[role] for role in (*ROLES, OTHERS) if role in checked}
    if OTHERS in groups and all(OPTIMIZER in values for values in groups.values()):
        raise ArgumentError(
            "All parameters are given to other optimizers. Name the roles that this optimizer "
            "trains, such as 'hidden', with or without hyperparameters."
        )
    return groups


def check_group(role: str, values: Mapping[str, object]) -> dict[str, Any]:
    """Check the role and the hyperparameters of one parameter group.

    Args:
        role: The role.
        values: Hyperparameters by name.

    Returns:
        The hyperparameters, with values as result files hold them.

    Raises:
        ArgumentError: The role does not exist, or a value cannot be stored in a file.
    """
    allowed = [*ROLES, OTHERS]
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
    return in_json_types("Hyperparameters", values)


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


def reason_of(error: Exception) -> str:
    """The reason that an optimizer states when it refuses arguments."""
    text = text_of(error).rstrip(". ")
    return text if isinstance(error, ValueError) and text else message_of(error).rstrip(". ")
