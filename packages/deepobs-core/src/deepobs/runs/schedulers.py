"""Schedulers of PyTorch: their descriptions checked and tried, and built from them."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from deepobs import rng
from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, UnknownNameError, closest, sentences
from deepobs.metrics import METRICS
from deepobs.plugins.catalog import import_target
from deepobs.run_specifications import EVERY_EPOCH, LrScheduler
from deepobs.runs.construction import trial_of_torch
from deepobs.runs.named_schedulers import (
    NAMED,
    NamedScheduler,
    completed_arguments,
    require_length,
)
from deepobs.runs.optimizers import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from deepobs.plugins.specs import ProblemSpec

_TAKE_FUNCTIONS = {"LambdaLR", "MultiplicativeLR"}
_KEYS = ("name", "arguments", "every")
_REFUSALS = (ArithmeticError, LookupError, TypeError, ValueError)

CONSTANT = "constant"
"""The name of a learning rate that does not change: the same run as one without a schedule."""

RECOMMENDED = "recommended"
"""The name of the schedule that a problem recommends."""

METRIC = "metric"
"""The argument that names what a scheduler follows; its constructor does not take it."""

_FOLLOWED = tuple(name for name in METRICS if not name.startswith("test"))
_DEFAULT_METRIC = "train_loss"
_RATE = "lr"
_CYCLES_MOMENTUM = "cycle_momentum"
_GROUPS = 8

# mypy does not take classes of schedulers for hashable, which functools.cache asks for.
_cached: Callable[[Any], Any] = functools.cache


class StandIn(NamedTuple):
    """An optimizer like that of a run, to try schedulers with.

    Attributes:
        name: What messages call it.
        key: Trials with an equal one are not repeated.
        build: Builds it, with all groups that the run may have; `None` if it cannot be built. Its
            argument: whether only torch's own schedulers use it, which need no hooks.
    """

    name: str
    key: object
    build: Callable[[bool], torch.optim.Optimizer | None]


def chosen_scheduler(
    given: str | Mapping[str, object] | LrScheduler, problem: ProblemSpec
) -> dict[str, Any] | None:
    """Find what `RECOMMENDED` and `CONSTANT` stand for.

    Args:
        given: See `check_scheduler`, or one of these names, of which the former may be given
            arguments that differ from those that are recommended.
        problem: The test problem of the run.

    Returns:
        A description for `check_scheduler`, `None` for a learning rate that does not change.

    Raises:
        ArgumentError: The problem recommends none.
    """
    if isinstance(given, LrScheduler):
        return given.model_dump()
    described: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    name = described.get("name")
    if name == RECOMMENDED:
        recommended = problem.recommended_lr_scheduler
        if recommended is None:
            raise ArgumentError(
                f"{problem.name} recommends no learning-rate schedule. Choose {CONSTANT!r} for it. "
                f"There are {_all_names()}. `deepobs info PROBLEM` shows what others recommend."
            )
        merged: dict[str, Any] = dict(recommended)
        merged["arguments"] = {**merged.get("arguments", {}), **(described.get("arguments") or {})}
        described = {**described, **merged}
    elif name == CONSTANT:
        if described.get("arguments"):
            raise ArgumentError(
                f"The schedule {CONSTANT!r} takes no arguments, got {described['arguments']!r}. "
                "Leave them out, or choose 'warmup'."
            )
        return None
    return described


def check_scheduler(
    given: str | Mapping[str, object] | LrScheduler,
    *,
    validation_size: int | None = None,
    evaluate_every: str = EVERY_EPOCH,
    most_steps: int | None = None,
    stand_in: StandIn | None = None,
) -> LrScheduler:
    """Check the description of a scheduler, complete it, and try its arguments.

    Args:
        given: A name; or a mapping with the keys `name`, `arguments` and `every`, of which the last
            two are optional. Schedulers of torch advance every epoch unless told otherwise.
        validation_size: Number of validation examples of the run, `None` if unknown.
        evaluate_every: How often the run is evaluated.
        most_steps: The steps that the run has at most, `None` if unknown.
        stand_in: An optimizer to try it with, `None` if that of the run is unknown.

    Returns:
        The description. Where a constructor would cycle the momentum unless told otherwise, it is
        told: the momentum of a run is the one in its hyperparameters.

    Raises:
        DeepOBSError: There is no such scheduler, or it does not take the arguments.
    """
    if isinstance(given, LrScheduler):
        given = given.model_dump()
    described: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    if described.keys() - set(_KEYS) or not isinstance(described.get("name"), str):
        raise ArgumentError(
            f"A scheduler is described by {', '.join(_KEYS)}, such as "
            "{'name': 'StepLR', 'arguments': {'step_size': 10}, 'every': 'epoch'}; "
            f"got {given!r}."
        )
    is_named = described["name"] in NAMED
    usual = "step" if is_named else "epoch"
    every = described["every"] = described.get("every") or usual
    if every not in ("epoch", "step"):
        raise ArgumentError(f"A scheduler advances every 'epoch' or 'step', got {every!r}.")
    if is_named and every != usual:
        raise ArgumentError(
            f"{described['name']} advances every 'step', got {every!r}. Leave it out, or choose a "
            "class of torch.optim.lr_scheduler."
        )
    arguments = in_json_types("Arguments of a scheduler", described.pop("arguments", None) or {})
    arguments = _completed(described["name"], arguments)
    if is_named and most_steps is not None:
        require_length(described["name"], arguments, most_steps)
    scheduler = LrScheduler(arguments=arguments, **described)
    first, follower, _ = split_at_metric(scheduler)
    if scheduler.every == "step" and first is None:
        raise ArgumentError(
            f"{scheduler.name} follows the training loss, which is evaluated after each epoch: "
            "let it advance every 'epoch'."
        )
    if follower is not None and metric_of(follower).startswith("valid") and validation_size == 0:
        raise ArgumentError(
            f"{scheduler.name} follows {metric_of(follower)}, but the run holds out no validation "
            "examples. Give a validation_size, or follow train_loss."
        )
    if evaluate_every != EVERY_EPOCH and follower is not None:
        raise ArgumentError(
            f"{follower.name} follows {metric_of(follower)} after each epoch, so evaluate_every "
            f"must be {EVERY_EPOCH}; got {evaluate_every}. Choose another scheduler, or evaluate "
            "after every epoch."
        )
    _try_out(scheduler, stand_in)
    return scheduler


def _completed(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with those that follow from others, also of the schedulers that it consists of."""
    if name in NAMED:
        return completed_arguments(name, arguments)
    cls, completed = scheduler_class(name), dict(arguments)
    parameters = _parameters_of(cls)
    require_known_arguments(name, arguments)
    if _CYCLES_MOMENTUM in parameters:
        completed.setdefault(_CYCLES_MOMENTUM, False)
    if _takes_metric(cls):
        metric = completed.get(METRIC, _DEFAULT_METRIC)
        if metric not in _FOLLOWED:
            raise ArgumentError(
                sentences(
                    f"{name} cannot follow the metric {metric!r}.",
                    closest(str(metric), _FOLLOWED),
                    f"It can follow {', '.join(_FOLLOWED)}.",
                )
            )
        mode = "max" if metric.endswith("accuracy") else "min"
        if "mode" in parameters and completed.get("mode", mode) != mode:
            raise ArgumentError(
                f"{name} follows {metric}, of which {mode}imal values are best, but got "
                f"mode={completed['mode']!r}. Leave the mode out, or choose another metric."
            )
        # The same as to say nothing, and so the same run.
        if metric == _DEFAULT_METRIC:
            completed.pop(METRIC, None)
        elif mode == "max" and "mode" in parameters:
            completed["mode"] = mode
    elif METRIC in completed and METRIC not in parameters:
        raise ArgumentError(f"{name} follows no metric: leave {METRIC}={completed[METRIC]!r} out.")
    if "schedulers" in completed:
        parts = completed["schedulers"]
        if not (isinstance(parts, list) and all(map(_is_description, parts))):
            raise ArgumentError(
                f"The schedulers of {name} must be a list of descriptions such as "
                f"{{'name': 'LinearLR', 'arguments': {{'total_iters': 5}}}}, got {parts!r}."
            )
        completed["schedulers"] = [_completed_part(one) for one in parts]
    return completed


def _completed_part(description: Mapping[str, Any]) -> dict[str, Any]:
    if description["name"] in NAMED:
        raise ArgumentError(
            f"{description['name']} lasts for the whole run and cannot be a part of another "
            "scheduler. Use it alone, or combine classes of torch.optim.lr_scheduler."
        )
    arguments = _completed(description["name"], description.get("arguments") or {})
    # Absent where they were absent: the description is part of the identity.
    is_said = arguments or "arguments" in description
    return {**description, "arguments": arguments} if is_said else dict(description)


def _is_description(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("arguments") or {}, dict)
    )


def split_at_metric(
    description: LrScheduler,
) -> tuple[LrScheduler | None, LrScheduler | None, Any]:
    """Split a description at a scheduler that follows a metric.

    Torch's SequentialLR does not take such schedulers, whose steps have an argument; as its last
    one, after a warm-up, it is built by `deepobs.runs.schedules`.

    Returns:
        What advances by itself, `None` for nothing; what follows a metric, `None` for nothing; and
        how often the former advances before the latter takes over.

    Raises:
        ArgumentError: It does not come last.
    """
    if _takes_metric(scheduler_class(description.name)):
        return None, description, 0
    parts = description.arguments.get("schedulers", [])
    followers = [
        index for index, one in enumerate(parts) if _takes_metric(scheduler_class(one["name"]))
    ]
    if not followers:
        return description, None, 0
    milestones = description.arguments.get("milestones", [])
    is_sequence = issubclass(scheduler_class(description.name), lr_scheduler.SequentialLR)
    is_last = followers == [len(parts) - 1] and len(parts) > 1
    if not (is_sequence and is_last and _has_length(milestones, len(parts) - 1)):
        raise ArgumentError(
            f"{parts[followers[0]]['name']} can be the last scheduler of SequentialLR, after a "
            "warm-up, which has a milestone for each scheduler but the first; got "
            f"{description.name} of {', '.join(str(one.get('name')) for one in parts)} with "
            f"milestones={milestones!r}."
        )
    *before, last = parts
    every = description.every
    follower = LrScheduler(name=last["name"], arguments=last.get("arguments") or {})
    if len(before) == 1:
        arguments = before[0].get("arguments") or {}
        first = LrScheduler(name=before[0]["name"], arguments=arguments, every=every)
    else:
        arguments = {
            **description.arguments,
            "schedulers": before,
            "milestones": milestones[:-1],
        }
        first = LrScheduler(name=description.name, arguments=arguments, every=every)
    return first, follower, milestones[-1]


def _has_length(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def metric_of(description: LrScheduler) -> str:
    """The metric that a scheduler follows."""
    return str(description.arguments.get(METRIC, _DEFAULT_METRIC))


# By its text: a sweep describes the same scheduler thousands of times, and dictionaries cannot be
# hashed.
_tried: set[tuple[str, object]] = set()


def _try_out(scheduler: LrScheduler, stand_in: StandIn | None) -> None:
    key = scheduler.model_dump_json(), None if stand_in is None else stand_in.key
    if key in _tried:
        return
    is_from_torch = all(map(_is_known, scheduler_classes(scheduler)))
    if stand_in is not None:
        _try_with(scheduler, stand_in, is_from_torch=is_from_torch)
    # What other packages' schedulers expect of an optimizer, this one may not have.
    elif is_from_torch:
        _try_with(scheduler, StandIn("SGD", None, _torch_optimizer), is_from_torch=True)
    _tried.add(key)


def _try_with(scheduler: LrScheduler, stand_in: StandIn, *, is_from_torch: bool) -> None:
    """Try a scheduler with an optimizer, and with fewer of its groups.

    How many groups a run has depends on its problem, since those without parameters are left out.
    """
    refusals: list[ArgumentError] = []
    with rng.preserved():
        optimizer: Any = stand_in.build(is_from_torch)
        if not isinstance(optimizer, torch.optim.Optimizer):
            return
        for number in range(len(optimizer.param_groups), 0, -1):
            if refusals:
                optimizer = stand_in.build(is_from_torch)
                optimizer.param_groups = optimizer.param_groups[:number]
            try:
                _advance_twice(scheduler, optimizer, stand_in.name)
            except ArgumentError as error:
                refusals.append(error)
            else:
                return
    raise refusals[0]


def _advance_twice(scheduler: LrScheduler, optimizer: Any, name: str) -> None:
    # Whether a warm-up is longer than the run is seen elsewhere.
    lengths = {"num_epochs": 10, "num_steps": 10**9 if scheduler.name in NAMED else 1000}
    first, follower, _ = split_at_metric(scheduler)
    require_rates(optimizer, name)
    optimizer._opt_called = True  # all warn if they advance before the optimizer
    with refusals_explained(scheduler, name):
        for part, arguments in ((first, []), (follower, [1.0])):
            if part is not None:
                built: Any = build_scheduler(part, optimizer, lengths)
                # One that can end may end with a run of one epoch.
                for _ in range(0 if can_end(part) else 2):
                    built.step(*arguments)


def _torch_optimizer(_: bool) -> torch.optim.Optimizer:
    # Cyclic schedulers may demand a momentum.
    groups = [{"params": [torch.nn.Parameter(torch.ones(()))]} for _ in range(_GROUPS)]
    return trial_of_torch(torch.optim.SGD, groups, {"lr": 0.1, "momentum": 0.9})


def require_rates(optimizer: torch.optim.Optimizer, name: str) -> None:
    """Refuse a schedule for an optimizer without learning rates.

    Raises:
        ArgumentError: It has none.
    """
    if not all("lr" in group for group in optimizer.param_groups):
        raise ArgumentError(
            f"{name} keeps no learning rate 'lr' in its parameter groups: remove the schedule."
        )


def build_scheduler(
    description: LrScheduler, optimizer: torch.optim.Optimizer, lengths: Mapping[str, int]
) -> LRScheduler:
    """Build a scheduler.

    Args:
        description: Its description.
        optimizer: The optimizer whose rates it sets.
        lengths: What the words "num_epochs" and "num_steps" stand for. The word "lr" stands for
            the rates that the optimizer has.
    """

    def inserted(value: Any) -> Any:
        if isinstance(value, list):
            return [inserted(item) for item in value]
        if value == _RATE:
            rates = [float(group["lr"]) for group in optimizer.param_groups]
            return rates[0] if len(set(rates)) == 1 else rates
        return lengths.get(value, value) if isinstance(value, str) else value

    def build(name: str, arguments: Mapping[str, Any]) -> LRScheduler:
        cls = scheduler_class(name)
        values = {key: inserted(value) for key, value in arguments.items()}
        if "schedulers" in values:
            values["schedulers"] = [
                build(one["name"], one.get("arguments", {})) for one in values["schedulers"]
            ]
        if _takes_metric(cls):
            values.pop(METRIC, None)
        if issubclass(cls, NamedScheduler):
            values["num_steps"] = lengths["num_steps"]
        return cls(optimizer=optimizer, **values)

    return build(description.name, description.arguments)


def scheduler_classes(description: LrScheduler) -> list[type[LRScheduler]]:
    """The classes of a scheduler, and of those that it consists of."""
    parts = description.arguments.get("schedulers", [])
    names = [description.name, *(one["name"] for one in parts)]
    return [scheduler_class(name) for name in names]


def can_end(description: LrScheduler) -> bool:
    """Whether a scheduler may fail after some number of steps; most of torch never do."""
    return any(
        issubclass(one, OneCycleLR) or not _is_known(one) for one in scheduler_classes(description)
    )


def _is_known(cls: type[LRScheduler]) -> bool:
    """Whether a scheduler is one of torch or `NAMED`."""
    return cls.__module__ == lr_scheduler.__name__ or issubclass(cls, NamedScheduler)


@contextlib.contextmanager
def refusals_explained(description: LrScheduler, optimizer_name: str) -> Iterator[None]:
    """Explain what a scheduler raises for arguments that it does not take."""
    try:
        yield
    except _REFUSALS as error:
        if isinstance(error, ArgumentError):
            raise
        given = [f"{name}={value!r}" for name, value in description.arguments.items()]
        raise ArgumentError(
            f"{description.name} cannot be used for {optimizer_name} with "
            f"{', '.join(given) or 'no arguments'}: {reason_of(error)}. "
            f"It takes {', '.join(known_arguments(description.name))}."
        ) from error


def known_arguments(name: str) -> list[str]:
    """The arguments of a scheduler besides the optimizer, by its name."""
    if name in NAMED:
        return list(NAMED[name].defaults)
    cls = scheduler_class(name)
    known = [each for each in inspect.signature(cls).parameters if each != "optimizer"]
    return [*known, METRIC] if _takes_metric(cls) else known


def require_known_arguments(name: str, arguments: Iterable[str]) -> None:
    """Refuse arguments that a scheduler, by its name, does not have.

    Raises:
        DeepOBSError: There is no such scheduler, or it does not have one of them.
    """
    known = known_arguments(name)
    unknown = [each for each in arguments if not takes_argument(name, each) and each != METRIC]
    if unknown:
        found = [f"{name} has no argument {each!r}. {closest(each, known)}" for each in unknown]
        raise ArgumentError(sentences(*map(str.strip, found), f"It takes {', '.join(known)}."))


def takes_argument(name: str, argument: str) -> bool:
    """Whether a scheduler, by its name, has an argument, also by way of `**kwargs`."""
    if name in NAMED:
        return argument in NAMED[name].defaults
    parameters = inspect.signature(scheduler_class(name)).parameters.values()
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    return takes_any or argument in known_arguments(name)


@_cached
def _takes_metric(cls: Any) -> bool:
    """Whether the step of a scheduler takes the value of a metric."""
    if issubclass(cls, ReduceLROnPlateau):
        return True
    _, *arguments = inspect.signature(cls.step).parameters.values()
    first = next(iter(arguments), None)
    return (
        first is not None
        and first.default is inspect.Parameter.empty
        and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    )


@_cached
def _parameters_of(cls: Any) -> frozenset[str]:
    """What a constructor takes, by way of `**kwargs` also what its bases take."""
    names: set[str] = set()
    for one in cls.__mro__:
        if "__init__" in vars(one):
            parameters = inspect.signature(vars(one)["__init__"]).parameters
            names |= parameters.keys()
            if all(each.kind is not each.VAR_KEYWORD for each in parameters.values()):
                break
    return frozenset(names)


def scheduler_class(name: str) -> type[LRScheduler]:
    """Find a scheduler.

    Args:
        name: A key of `NAMED`, a class of `torch.optim.lr_scheduler`, or `package.module:Class`.

    Raises:
        DeepOBSError: There is none of this name, or it is none.
    """
    if name in _TAKE_FUNCTIONS:
        raise ArgumentError(
            f"{name} takes functions, which no file can hold. Write a subclass of LRScheduler that "
            "computes the rates, and name it as package.module:Class."
        )
    if name in NAMED:
        return NAMED[name]
    known = _names_in_torch()
    if ":" in name:
        found = import_target(name, "The scheduler")
    elif name in known:
        found = getattr(lr_scheduler, name)
    else:
        raise UnknownNameError(
            sentences(
                f"torch.optim.lr_scheduler has no scheduler {name!r}.",
                closest(name, [*NAMED, CONSTANT, RECOMMENDED, *known]),
                f"There are {_all_names()}.",
            )
        )
    if not (isinstance(found, type) and issubclass(found, LRScheduler)):
        raise ArgumentError(f"A scheduler must be a subclass of LRScheduler, got {found!r}.")
    return found


def _all_names() -> str:
    of_torch = ", ".join(_names_in_torch())
    return f"the schedules {', '.join([CONSTANT, *NAMED])}, and of torch {of_torch}"


def _names_in_torch() -> Sequence[str]:
    return sorted(
        name
        for name, value in vars(lr_scheduler).items()
        if isinstance(value, type)
        and issubclass(value, LRScheduler)
        and value is not LRScheduler
        and not name.startswith("_")
        and name not in _TAKE_FUNCTIONS
    )
