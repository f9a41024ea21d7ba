"""What the names of a search space stand for: checks of them, and values put in their places.

A name is a hyperparameter such as `lr`, one of a group of parameters as in `head:lr`, or what a
schedule is described by, as in `schedule:gamma`; with `[0]`, one element of it. What a schedule
takes from a search can also stand as a word in its arguments, in several of them at once.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, DeepOBSError, closest, sentences
from deepobs.plugins import registry
from deepobs.problems.roles import ROLES
from deepobs.run_specifications import LrScheduler
from deepobs.runs.constructors import constructor_of, unknown_hyperparameters
from deepobs.runs.optimizer_checks import unknown_hyperparameter, unknown_in_group
from deepobs.runs.optimizers import OPTIMIZER, OTHERS, find_optimizer
from deepobs.runs.schedulers import (
    CONSTANT,
    RECOMMENDED,
    chosen_scheduler,
    known_arguments,
    takes_argument,
)
from deepobs_bench.tuning.spaces import PROBLEM_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch

SCHEDULE = "schedule"
_NAME = re.compile(r"(?:(?P<scope>\w+):)?(?P<name>\w+)(?:\[(?P<position>\d+)\])?\Z")
_STEPS = {"epochs": "lr_sched_epochs", "factors": "lr_sched_factors"}
_SCHEDULER = "lr_scheduler"
_GROUPS = "parameter_groups"


@dataclass(frozen=True)
class Base:
    """What all trials share.

    Attributes:
        testproblem: Name of a test problem.
        optimizer: Name of an optimizer, `package.module:Class` or a class.
        hyperparameters: Those that are not tuned.
        options: Other arguments of `specify`.
    """

    testproblem: str
    optimizer: str | type[torch.optim.Optimizer]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put what the problem recommends in place of this word, since it can be searched."""
        given = _scheduler_of(self.options) or {}
        if self.testproblem and given.get("name") in (CONSTANT, RECOMMENDED):
            problem = registry().problems.offer(self.testproblem).spec
            options = {**self.options, _SCHEDULER: chosen_scheduler(given, problem)}
            object.__setattr__(self, "options", options)


class Name(NamedTuple):
    """The parts of a name: `schedule` or a role, or neither; what is tuned, and which element."""

    scope: str
    whole: str
    position: int | None = None


def name_of(text: str) -> Name:
    """Take a name of a space apart."""
    match = _NAME.match(text)
    if match is None:
        return Name("", text)
    position = match["position"]
    return Name(match["scope"] or "", match["name"], None if position is None else int(position))


def unsuitable(base: Base, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Find names that no values could turn into runs.

    Args:
        base: What all trials share.
        names: Those of the space.

    Yields:
        Each such name, and what is wrong with it.
    """
    texts = list(names)
    all_names = {*base.hyperparameters, *(name_of(text).whole for text in texts)}
    for text in texts:
        name = name_of(text)
        try:
            if text in PROBLEM_OPTIONS:
                _require_open(base.options.get(PROBLEM_OPTIONS[text]) is None, text)
            elif name.scope == SCHEDULE:
                _check_in_schedule(base.options, text, name)
            elif name.scope:
                _check_in_group(base, text, name)
            else:
                _check_hyperparameter(base, text, name, all_names)
        except DeepOBSError as error:
            yield text, str(error)


def unknown_given(base: Base, names: Iterable[str]) -> Iterator[str]:
    """Say which hyperparameters the optimizer does not have that are given beside a space."""
    all_names = {*base.hyperparameters, *names}
    for name in base.hyperparameters:
        try:
            _require_hyperparameter(base, name, all_names)
        except DeepOBSError as error:
            yield str(error)


def _require_open(is_open: bool, text: str) -> None:
    if not is_open:
        raise ArgumentError(f"{text} is both given and tuned: remove one of them.")


def _check_hyperparameter(base: Base, text: str, name: Name, all_names: set[str]) -> None:
    _require_open(text not in base.hyperparameters, text)
    _require_hyperparameter(base, name.whole, all_names)
    if name.position is not None:
        _elements(text, name, base.hyperparameters.get(name.whole, _default(base, name.whole)))


def _require_hyperparameter(base: Base, name: str, all_names: Iterable[str]) -> None:
    choice = find_optimizer(base.optimizer)
    # Of all, since one that wraps another gets that one's, too.
    if name in unknown_hyperparameters(choice.optimizer_class, all_names):
        raise unknown_hyperparameter(choice, name)


def _check_in_group(base: Base, text: str, name: Name) -> None:
    allowed = [*ROLES, OTHERS, SCHEDULE]
    if name.scope not in allowed:
        raise ArgumentError(
            sentences(
                f"{text} names no parameter role.",
                closest(name.scope, allowed),
                f"Roles are {', '.join([*ROLES, OTHERS])}; {SCHEDULE} stands for the schedule.",
            )
        )
    values = _groups_of(base.options).get(name.scope, {})
    _require_open(name.position is not None or name.whole not in values, text)
    choice = find_optimizer(values.get(OPTIMIZER, base.optimizer))
    if name.whole != OPTIMIZER and unknown_in_group(choice, [name.whole]):
        raise unknown_hyperparameter(choice, name.whole, f" for {text}")
    if name.position is not None:
        _elements(text, name, _in_group(base, name))


def _check_in_schedule(options: Mapping[str, Any], text: str, name: Name) -> None:
    steps = {key: options.get(argument) for key, argument in _STEPS.items()}
    scheduler = _scheduler_of(options)
    if scheduler is None and all(value is None for value in steps.values()):
        raise ArgumentError(
            f"{text} is tuned, but the learning rate is constant: give a schedule, or remove it "
            "from the space."
        )
    if scheduler is None:
        if name.whole not in steps:
            raise ArgumentError(
                sentences(
                    f"A step schedule has no {name.whole!r}.",
                    closest(name.whole, steps),
                    "It has epochs and factors, as in schedule:factors[0].",
                )
            )
        _require_open(name.position is not None or steps[name.whole] is None, text)
        if name.position is not None:
            _elements(text, name, steps[name.whole])
        return
    arguments = scheduler.get("arguments") or {}
    if _has_word(arguments, name.whole):
        if name.position is not None:
            raise ArgumentError(f"{text} is a word in the arguments, and has no elements.")
        return
    _require_open(name.position is not None or name.whole not in arguments, text)
    if not takes_argument(scheduler["name"], name.whole):
        known = known_arguments(scheduler["name"])
        raise ArgumentError(
            sentences(
                f"{scheduler['name']} has no argument {name.whole!r} to tune by {text}.",
                closest(name.whole, known),
                f"It takes {', '.join(known)}; or use {name.whole!r} as a word in its arguments.",
            )
        )
    if name.position is not None:
        _elements(text, name, arguments.get(name.whole))


def _elements(text: str, name: Name, numbers: Any) -> list[Any]:
    """The list of which a name means one element."""
    is_list = isinstance(numbers, (list, tuple))
    if not is_list or name.position is None or name.position >= len(numbers):
        described = "has no default" if numbers is None else f"is {numbers!r}"
        what = "argument" if name.scope == SCHEDULE else "hyperparameter"
        raise ArgumentError(
            f"{text} is not an element of the {what} {name.whole!r}, which {described}."
        )
    return list(numbers)


def with_values(base: Base, setting: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put values where the names of a space say.

    Args:
        base: What all trials share.
        setting: Values by name.

    Returns:
        The hyperparameters, and the other arguments of `specify`, as if they were given so.

    Raises:
        ArgumentError: A name stands for nothing there.
    """
    hyperparameters, options = dict(base.hyperparameters), dict(base.options)
    for text, value in setting.items():
        name = name_of(text)
        if text in PROBLEM_OPTIONS:
            options[PROBLEM_OPTIONS[text]] = value
        elif name.scope == SCHEDULE:
            options = _with_schedule(options, text, name, value)
        elif name.scope:
            groups = _groups_of(options)
            before = _in_group(Base("", base.optimizer, hyperparameters, options), name)
            values = {**groups.get(name.scope, {}), name.whole: _placed(text, name, before, value)}
            options[_GROUPS] = {**groups, name.scope: values}
        else:
            before = hyperparameters.get(name.whole, _default(base, name.whole))
            hyperparameters[name.whole] = _placed(text, name, before, value)
    return hyperparameters, options


def _placed(text: str, name: Name, before: Any, value: Any) -> Any:
    """A value, or a list with it as the named element."""
    if name.position is None:
        return value
    # A new list: that one can be the default of the optimizer's class, which all instances share.
    elements = _elements(text, name, before)
    elements[name.position] = value
    return elements


def _with_schedule(options: dict[str, Any], text: str, name: Name, value: Any) -> dict[str, Any]:
    scheduler = _scheduler_of(options)
    if scheduler is None:
        key = _STEPS[name.whole]
        return {**options, key: _placed(text, name, options.get(key), value)}
    arguments = scheduler.get("arguments") or {}
    if _has_word(arguments, name.whole):
        arguments = _replaced(arguments, name.whole, value)
    else:
        before = arguments.get(name.whole)
        arguments = {**arguments, name.whole: _placed(text, name, before, value)}
    return {**options, _SCHEDULER: {**scheduler, "arguments": arguments}}


def without_values(base: Base, shared: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Put in place of tuned values what was given there.

    Args:
        base: What all trials share.
        shared: Fields of the specification of a trial, without what all trials do not share.
        names: Those of the space.
    """
    scheduler = (_scheduler_of(base.options) or {}).get("arguments") or {}
    groups = _groups_of(base.options)
    for name in map(name_of, names):
        if name.scope == SCHEDULE and _SCHEDULER in shared:
            touched = {key for key, one in scheduler.items() if _has_word({key: one}, name.whole)}
            arguments = shared[_SCHEDULER].setdefault("arguments", {})
            _restore(arguments, scheduler, touched or {name.whole})
        elif name.scope == SCHEDULE:
            _restore(shared, base.options, {_STEPS[name.whole]})
        elif name.scope:
            _restore(shared[_GROUPS][name.scope], groups.get(name.scope, {}), {name.whole})
    return shared


def _restore(values: dict[str, Any], given: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        values.pop(name, None)
        if given.get(name) is not None:
            values |= in_json_types("Values that are not tuned", {name: given[name]})


def _scheduler_of(options: Mapping[str, Any]) -> dict[str, Any] | None:
    given = options.get(_SCHEDULER)
    if isinstance(given, LrScheduler):
        return given.model_dump()
    return {"name": given} if isinstance(given, str) else given


def _groups_of(options: Mapping[str, Any]) -> dict[str, Any]:
    return options.get(_GROUPS) or {}


def _in_group(base: Base, name: Name) -> Any:
    """What a group of parameters has without the search."""
    values = _groups_of(base.options).get(name.scope, {})
    if name.whole in values:
        return values[name.whole]
    if OPTIMIZER in values:
        return _default(Base("", values[OPTIMIZER]), name.whole)
    return base.hyperparameters.get(name.whole, _default(base, name.whole))


def _default(base: Base, name: str) -> Any:
    choice = find_optimizer(base.optimizer)
    _, parameters = constructor_of(choice.optimizer_class)
    if name in choice.defaults or name not in parameters:
        return choice.defaults.get(name)
    default = parameters[name].default
    return None if default is inspect.Parameter.empty else default


def _has_word(value: Any, word: str) -> bool:
    """Whether a word is among the values in lists and dictionaries."""
    if isinstance(value, dict):
        return any(_has_word(one, word) for one in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_word(one, word) for one in value)
    return isinstance(value, str) and value == word


def _replaced(value: Any, word: str, by: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(one, word, by) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(one, word, by) for one in value]
    return by if isinstance(value, str) and value == word else value
