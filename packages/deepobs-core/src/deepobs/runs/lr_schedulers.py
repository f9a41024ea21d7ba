"""The schedulers of `torch.optim.lr_scheduler`, named and described by their arguments."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, UnknownNameError, closest, sentences
from deepobs.plugins.catalog import import_target
from deepobs.records import LrScheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_TAKE_FUNCTIONS = {"LambdaLR", "MultiplicativeLR"}
_KEYS = ("name", "arguments", "every")
_REFUSALS = (ArithmeticError, LookupError, TypeError, ValueError)


def checked_scheduler(given: str | Mapping[str, object] | LrScheduler) -> LrScheduler:
    """Check the description of a scheduler, and try its arguments.

    Args:
        given: A name; or a mapping with the keys `name`, `arguments` and `every`, of which the last
            two may be left out.

    Raises:
        DeepOBSError: There is no such scheduler, or it does not take the arguments.
    """
    if isinstance(given, LrScheduler):
        given = given.model_dump()
    described: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    unknown = described.keys() - set(_KEYS)
    if unknown or not isinstance(described.get("name"), str):
        raise ArgumentError(
            f"A scheduler is described by {', '.join(_KEYS)}, such as "
            "{'name': 'StepLR', 'arguments': {'step_size': 10}, 'every': 'epoch'}; "
            f"got {given!r}."
        )
    if described.get("every", "epoch") not in ("epoch", "step"):
        raise ArgumentError(
            f"A scheduler goes on every 'epoch' or 'step', got {described['every']!r}."
        )
    arguments = in_json_types("Arguments of a scheduler", described.pop("arguments", None) or {})
    scheduler = LrScheduler(arguments=arguments, **described)
    if scheduler.every == "step" and takes_a_metric(scheduler):
        raise ArgumentError(
            f"{scheduler.name} goes by the training loss, which is evaluated after each epoch: "
            "let it go on every 'epoch'."
        )
    _tried(scheduler.model_dump_json())
    return scheduler


def build_scheduler(
    description: LrScheduler, optimizer: torch.optim.Optimizer, lengths: Mapping[str, int]
) -> LRScheduler:
    """Build a scheduler of an optimizer.

    Args:
        description: The scheduler.
        optimizer: Whose learning rate it sets.
        lengths: What "num_epochs" and "num_steps" stand for.

    Raises:
        ArgumentError: It does not take this optimizer or these arguments.
    """
    if not all("lr" in group for group in optimizer.param_groups):
        raise ArgumentError(
            f"{type(optimizer).__name__} keeps no learning rate 'lr' in its parameter groups: "
            "leave out the schedule."
        )
    with _refusals_explained(description, optimizer):
        return _built(description.name, description.arguments, optimizer, lengths)


def takes_a_metric(description: LrScheduler) -> bool:
    """Whether the scheduler follows the training loss."""
    return issubclass(scheduler_class(description.name), ReduceLROnPlateau)


def scheduler_class(name: str) -> type[LRScheduler]:
    """Find a class of schedulers.

    Args:
        name: A class of `torch.optim.lr_scheduler`, or `package.module:Class`.

    Raises:
        UnknownNameError: There is none of this name.
        ComponentLoadError: Its module cannot be imported.
        ArgumentError: It is none, or cannot be described in a file.
    """
    if name in _TAKE_FUNCTIONS:
        raise ArgumentError(
            f"{name} takes functions, which no file can hold. Write a subclass of LRScheduler that "
            "computes the rates, and name it as package.module:Class."
        )
    found = import_target(name, "The scheduler") if ":" in name else _classes().get(name)
    if found is None:
        raise UnknownNameError(
            sentences(
                f"torch.optim.lr_scheduler has no scheduler {name!r}.",
                closest(name, _classes()),
                f"It has: {', '.join(sorted(_classes()))}.",
            )
        )
    if not (isinstance(found, type) and issubclass(found, LRScheduler)):
        raise ArgumentError(f"A scheduler must be a subclass of LRScheduler, got {found!r}.")
    return found


@functools.lru_cache(maxsize=256)
def _tried(description: str) -> None:
    """Build a scheduler and let it go on twice, before any work starts."""
    scheduler = LrScheduler.model_validate_json(description)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=0.1, momentum=0.9)
    built = build_scheduler(scheduler, optimizer, {"num_epochs": 10, "num_steps": 1000})
    go_on: Callable[[], None] = built.step
    if takes_a_metric(scheduler):
        go_on = functools.partial(built.step, 1.0)  # type: ignore[arg-type]
    with _refusals_explained(scheduler, optimizer):
        for _ in range(2):
            optimizer.step()
            go_on()


@contextlib.contextmanager
def _refusals_explained(
    description: LrScheduler, optimizer: torch.optim.Optimizer
) -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        raise ArgumentError(
            f"{description.name} cannot be used for {type(optimizer).__name__} with "
            f"{_described(description.arguments)}: {str(error).rstrip('.')}. "
            f"It takes {_signature(description.name)}."
        ) from error


def _built(
    name: str,
    arguments: Mapping[str, Any],
    optimizer: torch.optim.Optimizer,
    lengths: Mapping[str, int],
) -> LRScheduler:
    values = {key: _with_lengths(value, lengths) for key, value in arguments.items()}
    if "schedulers" in values:
        values["schedulers"] = [
            _built(one["name"], one.get("arguments", {}), optimizer, lengths)
            for one in values["schedulers"]
        ]
    return scheduler_class(name)(optimizer=optimizer, **values)


def _with_lengths(value: Any, lengths: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        return [_with_lengths(item, lengths) for item in value]
    return lengths.get(value, value) if isinstance(value, str) else value


def _described(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items()) or "no arguments"


def _signature(name: str) -> str:
    _, *parameters = inspect.signature(scheduler_class(name)).parameters.values()
    return ", ".join(parameter.name for parameter in parameters)


def _classes() -> dict[str, type[LRScheduler]]:
    return {
        name: value
        for name, value in vars(lr_scheduler).items()
        if isinstance(value, type)
        and issubclass(value, LRScheduler)
        and value is not LRScheduler
        and not name.startswith("_")
        and name not in _TAKE_FUNCTIONS
    }
