"""Constructors of optimizers: what their arguments are for, told from names, defaults and types."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import torch
    from torch import nn

BASE = "base_optimizer"
"""The usual name of an argument for the class of another optimizer."""

_PARAMETERS = ("params", "parameters")
_MODELS = ("model", "module", "net", "network")

# mypy does not take classes of optimizers for hashable, which functools.cache asks for.
cached: Callable[[Any], Any] = functools.cache

# Sweeps check thousands of configurations of few classes, and inspecting a signature takes longer
# than everything else about a configuration.
signature_of: Callable[[Any], inspect.Signature] = cached(inspect.signature)


@cached
def constructor_of(optimizer_class: Any) -> tuple[str | None, Mapping[str, inspect.Parameter]]:
    """The name of a constructor's first argument, and its other arguments by name.

    The first takes the parameters. It is "model" if the optimizer takes the model in their place;
    one that wraps another optimizer calls it "optimizer" or the like.
    """
    arguments = dict(signature_of(optimizer_class).parameters)
    first = next(iter(arguments), None)
    if first is not None:
        del arguments[first]
    return first, arguments


def is_required(argument: inspect.Parameter) -> bool:
    """Whether a constructor cannot do without an argument."""
    default = argument.default
    # Optimizers written for old versions of torch have its sentinel as the default.
    return default is argument.empty or type(default).__name__ == "_RequiredParameter"


def building_needs(optimizer_class: type[torch.optim.Optimizer]) -> dict[str, str]:
    """What an optimizer is built from in place of its parameters, and why it is thought so.

    Returns:
        "model" or "named_parameters", words of `NEEDS`, with the reason; empty for parameters.
    """
    if optimizer_class in _refused_parameters:
        return {"named_parameters": _refused_parameters[optimizer_class]}
    found: dict[str, str] = _told_by_signature(optimizer_class)
    return found


@cached
def _told_by_signature(optimizer_class: Any) -> dict[str, str]:
    first = next(iter(signature_of(optimizer_class).parameters.values()), None)
    if first is not None:
        for word, is_meant in (("model", _is_model), ("named_parameters", _is_named)):
            if is_meant(first):
                return {word: f"the first argument of its constructor is {first}"}
    return {}


def build_from_named(optimizer_class: type[torch.optim.Optimizer], reason: str) -> None:
    """Remember that a class refuses parameters without names, which no signature tells."""
    _refused_parameters[optimizer_class] = reason


_refused_parameters: dict[type, str] = {}


def further_arguments(
    optimizer_class: type[torch.optim.Optimizer], model: nn.Module
) -> dict[str, Any]:
    """Required arguments besides the first that are for parts of the model.

    Where they are optional, the class knows better which parameters it trains.
    """
    found: dict[str, Any] = {}
    for name, argument in _required(optimizer_class).items():
        if name in _PARAMETERS:
            found[name] = list(model.parameters())
        elif _is_named(argument):
            found[name] = list(model.named_parameters())
        elif _is_model(argument):
            found[name] = model
    return found


@cached
def _required(optimizer_class: Any) -> dict[str, inspect.Parameter]:
    _, arguments = constructor_of(optimizer_class)
    return {name: one for name, one in arguments.items() if is_required(one)}


@cached
def optimizer_arguments(optimizer_class: Any) -> dict[str, bool]:
    """Arguments besides the first that are for another optimizer, and whether for its class."""
    found = {}
    for name, argument in constructor_of(optimizer_class)[1].items():
        hint = _text_of(argument.annotation)
        is_class = isinstance(argument.default, type) and hasattr(argument.default, "zero_grad")
        if name == BASE or is_class:
            found[name] = True
        elif re.search(r"Optimizer\b", hint) or "OPTIMIZER" in hint:
            found[name] = bool(re.search(r"type\[|Callable|_OR_CLASS", hint, re.IGNORECASE))
    return found


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
    unknown = [name for name in given if name not in arguments]
    if not unknown or (first in given and first not in (*_PARAMETERS, *_MODELS)):
        return []
    if any(name in optimizer_arguments(optimizer_class) for name in given):
        return []
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in arguments.values()):
        return []
    return unknown


def as_declared(
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


@cached
def code_of(optimizer_class: Any) -> str:
    """The code of a class and its bases, with single quotes, as far as it can be found."""
    found = []
    for one in optimizer_class.__mro__:
        if one.__module__.partition(".")[0] not in ("torch", "builtins", "typing", "abc"):
            with contextlib.suppress(OSError, TypeError):
                found.append(inspect.getsource(one).replace('"', "'"))
    return "".join(found)


def _is_model(argument: inspect.Parameter) -> bool:
    return argument.name in _MODELS or bool(re.search(r"\bModule\b", _text_of(argument.annotation)))


def _is_named(argument: inspect.Parameter) -> bool:
    if "named" in argument.name:
        return True
    # Names are one possibility of torch's own type of parameters, and of others: then they are
    # left out, as a loop by hand does, since parameter groups have none.
    hint = _text_of(argument.annotation).lower()
    others = re.sub(r"tuple\[str[^\]]*\]", "", hint)
    return others != hint and not re.search(r"dict|parameter|tensor", others)


def _text_of(annotation: object) -> str:
    """An annotation as it is written, empty for none."""
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
