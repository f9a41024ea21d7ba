"""What an experiment file tries of an optimizer on a problem, and whether that is possible."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from deepobs.errors import DeepOBSError, closest, sentences
from deepobs.plugins.specs import is_need
from deepobs.run_specifications import LrScheduler
from deepobs.runs import schedulers
from deepobs.runs.constructors import constructor_of, unknown_hyperparameters
from deepobs.runs.optimizer_checks import complete_group
from deepobs.runs.optimizers import check_group, find_optimizer
from deepobs.runs.step_protocols import check_needs
from deepobs_bench._validation import Mistake, mistake_at, written
from deepobs_bench.experiment import CONSTANT, Choices
from deepobs_bench.tuning.presets import preset
from deepobs_bench.tuning.searched_names import SCHEDULE, Base, name_of, unsuitable, with_values
from deepobs_bench.tuning.settings import (
    TuningChanges,
    TuningSettings,
    changed_settings,
    checked_settings,
)

if TYPE_CHECKING:
    import inspect
    from collections.abc import Container, Iterator, Mapping, Sequence

    from deepobs_bench._validation import Location
    from deepobs_bench.experiment import Experiment, Optimizer, OptimizerOverride, Schedule

    Refusal = tuple[tuple[int, ...], str]
    """A point of a grid that the optimizer refused: positions of its values, and the message."""

_OF_THE_PROBLEM = (schedulers.RECOMMENDED, schedulers.CONSTANT)
"""Schedules that are found with the problem, and checked when its runs are planned."""

_EITHER = "is given beside tune: give either a grid, or a space in tune (sampler = grid tries all)"


def choices_for(experiment: Experiment, problem: str, label: str) -> Choices:
    """Merge what is tried of an optimizer in general and on one problem; the latter wins."""
    general = experiment.optimizers[label]
    special = override_of(experiment, problem, label)
    if special is None:
        return general
    # A hyperparameter is fixed, in the grid or tuned: what a problem gives replaces all of them.
    varied = {*special.grid, *((special.tune and special.tune.space) or ())}
    fixed = {k: v for k, v in general.hyperparameters.items() if k not in varied}
    grid = {k: v for k, v in general.grid.items() if k not in special.hyperparameters}
    return Choices.model_construct(  # of values that were checked
        hyperparameters=fixed | special.hyperparameters,
        grid=grid | special.grid,
        schedules=general.schedules if special.schedules is None else special.schedules,
    )


def override_of(experiment: Experiment, problem: str, label: str) -> OptimizerOverride | None:
    """What is different of an optimizer on one problem."""
    override = experiment.overrides.get(problem)
    return override.optimizers.get(label) if override else None


def tuning_for(experiment: Experiment, problem: str, label: str) -> TuningSettings | None:
    """Merge how an optimizer is tuned in general and on one problem.

    Raises:
        ArgumentError: The settings contradict each other.
    """
    optimizer = experiment.optimizers[label]
    special = override_of(experiment, problem, label)
    if optimizer.tune is None or special is None:
        return optimizer.tune
    name = find_optimizer(optimizer.class_).name
    settings = changed_settings(optimizer.tune, special.tune or TuningChanges(), name)
    space = settings.space or preset(settings.preset, name).space
    left = {
        name: one
        for name, one in space.items()
        if name_of(name).scope or name_of(name).whole not in special.hyperparameters
    }
    if left == space:
        return settings
    return checked_settings({**settings.model_dump(exclude_unset=True), "space": left or None})


def place_of_tuning(experiment: Experiment, problem: str, label: str) -> Location:
    """Where the file says how an optimizer is tuned on a problem."""
    special = override_of(experiment, problem, label)
    whose = ("overrides", problem) if special is not None and special.tune is not None else ()
    return (*whose, "optimizers", label, "tune")


def schedule_options(schedule: Schedule) -> dict[str, Any]:
    """The keyword arguments of `specify` for a schedule."""
    if schedule.scheduler is None:
        return {"lr_sched_epochs": schedule.epochs, "lr_sched_factors": schedule.factors}
    described = schedule.model_dump(include={"arguments", "every"}, exclude_none=True)
    return {"lr_scheduler": {"name": schedule.scheduler, **described}}


def follows_a_metric(schedule: Schedule) -> bool:
    """Whether a schedule depends on what a run measures."""
    if schedule.scheduler in (None, *_OF_THE_PROBLEM):
        return False
    described = LrScheduler(**schedule_options(schedule)["lr_scheduler"])
    _, follower, _ = schedulers.split_at_metric(described)
    return follower is not None


def wrong_choices(
    experiment: Experiment, unknown_classes: Container[str], partial_schedules: Container[str]
) -> Iterator[Mistake]:
    """Find schedulers and hyperparameters that do not exist, and keys that exclude each other.

    Args:
        experiment: The experiment.
        unknown_classes: Names of optimizers whose class is not known.
        partial_schedules: Names of schedules whose arguments are not all known.
    """
    for name, schedule in experiment.schedules.items():
        if schedule.scheduler not in (None, *_OF_THE_PROBLEM):
            try:
                if name in partial_schedules:
                    schedulers.require_known_arguments(schedule.scheduler, schedule.arguments)
                else:
                    schedulers.check_scheduler(_with_searched(experiment, name)["lr_scheduler"])
            except DeepOBSError as error:
                yield Mistake(("schedules", name), str(error))
    places: list[tuple[Location, str, Optimizer | OptimizerOverride]] = [
        (("optimizers", label), label, optimizer)
        for label, optimizer in experiment.optimizers.items()
    ]
    places += [
        (("overrides", problem, "optimizers", label), label, choices)
        for problem, override in experiment.overrides.items()
        for label, choices in override.optimizers.items()
    ]
    for place, label, choices in places:
        optimizer = experiment.optimizers.get(label)
        if optimizer is None:  # a wrong name, which is a mistake of its own
            continue
        if optimizer.tune is not None and choices.grid:
            yield Mistake((*place, "grid"), _EITHER)
        if optimizer.tune is None and choices.tune is not None:
            yield Mistake((*place, "tune"), f"needs optimizers.{label}.tune, which is absent")
        if choices is optimizer:
            yield from _wrong_steps_and_groups(place, optimizer, label not in unknown_classes)
        if label not in unknown_classes:
            yield from _unknown(place, choices, optimizer)
            yield from _wrong_values(place, choices, optimizer)
            yield from _unsuitable_names(place, choices, optimizer, experiment.schedules)


def _with_searched(experiment: Experiment, schedule: str) -> dict[str, Any]:
    """The arguments of `specify` for a schedule, with some of the values that are searched."""
    options = schedule_options(experiment.schedules[schedule])
    tried: list[Optimizer | OptimizerOverride] = list(experiment.optimizers.values())
    tried += [one for each in experiment.overrides.values() for one in each.optimizers.values()]
    for choices in tried:
        space = (choices.tune and choices.tune.space) or {}
        for name, dimension in space.items():
            base = Base("", "SGD", options=options)
            is_here = choices.schedules is None or schedule in choices.schedules
            if name_of(name).scope == SCHEDULE and is_here and not [*unsuitable(base, [name])]:
                _, options = with_values(base, {name: dimension.middle()})
    return options


def _unsuitable_names(
    place: Location,
    choices: Optimizer | OptimizerOverride,
    optimizer: Optimizer,
    schedules: Mapping[str, Schedule],
) -> Iterator[Mistake]:
    """Find what is searched, but is not there or has a value already."""
    names = list((choices.tune and choices.tune.space) or {})
    searched = {name_of(name).whole for name in names if not name_of(name).scope}
    general = {k: v for k, v in optimizer.hyperparameters.items() if k not in searched}
    given = {**general, **choices.hyperparameters}
    used = choices.schedules or optimizer.schedules or tuple(schedules) or (CONSTANT,)
    groups = optimizer.parameter_groups
    for schedule in used:
        options: dict[str, Any] = {"parameter_groups": groups}
        if schedule in schedules:
            if schedules[schedule].scheduler in _OF_THE_PROBLEM:
                continue
            options |= schedule_options(schedules[schedule])
        elif schedule != CONSTANT:  # a mistake of its own
            continue
        base = Base("", optimizer.class_, given, options)
        for name, message in list(unsuitable(base, names)):
            names.remove(name)
            yield Mistake((*place, "tune", "space", name), message)


def _wrong_steps_and_groups(
    place: Location, optimizer: Optimizer, has_class: bool
) -> Iterator[Mistake]:
    """Find words of step protocols, roles and hyperparameters of groups that do not exist."""
    needs = optimizer.needs or ()
    each_unknown: list[tuple[str, ...]] = [(word,) for word in needs if not is_need(word)]
    for words in each_unknown or [needs]:
        try:
            check_needs(words)
        except DeepOBSError as error:
            yield Mistake((*place, "needs"), str(error))
    for role, values in (optimizer.parameter_groups or {}).items():
        try:
            hyperparameters = check_group(role, values)
            if has_class:
                complete_group(find_optimizer(optimizer.class_), hyperparameters)
        except DeepOBSError as error:
            yield Mistake((*place, "parameter_groups", role), str(error))


def _unknown(
    place: Location, choices: Optimizer | OptimizerOverride, optimizer: Optimizer
) -> Iterator[Mistake]:
    """Find hyperparameters that the optimizer does not have."""
    optimizer_class = find_optimizer(optimizer.class_).optimizer_class
    places: dict[str, Location] = {
        **{name: ("hyperparameters", name) for name in choices.hyperparameters},
        **{name: ("grid", name) for name in choices.grid},
    }
    searched = ((one.tune and one.tune.space) or () for one in (optimizer, choices))
    given = {*optimizer.hyperparameters, *optimizer.grid, *places, *itertools.chain(*searched)}
    _, parameters = constructor_of(optimizer_class)
    unknown = unknown_hyperparameters(optimizer_class, given)
    for name in (each for each in places if each in unknown):
        message = f"{optimizer.class_} has no such hyperparameter."
        allowed = f"It has: {', '.join(parameters)}."
        hint = sentences(message, closest(name, parameters), allowed)
        yield Mistake((*place, *places[name]), hint)


def _wrong_values(place: Location, choices: Choices, optimizer: Optimizer) -> Iterator[Mistake]:
    """Find lists where a number is needed, and numbers where a list is."""
    _, parameters = constructor_of(find_optimizer(optimizer.class_).optimizer_class)
    for name, value in choices.hyperparameters.items():
        if isinstance(value, list) and isinstance(_default(parameters, name), (int, float)):
            message = f"must be one value, got {written(value)}: several to try belong in grid"
            yield Mistake((*place, "hyperparameters", name), message)
    for name, values in choices.grid.items():
        default = _default(parameters, name)
        if not isinstance(default, (tuple, list)):
            continue
        for index, value in enumerate(values):
            # `betas = [0.9, 0.99]` in a grid means two values; the user meant one pair.
            if not isinstance(value, list):
                message = (
                    f"must be a list such as {written(default)}, got {written(value)}: "
                    "each value of the grid is a whole list"
                )
                yield Mistake((*place, "grid", name, index), message)


def _default(parameters: Mapping[str, inspect.Parameter], name: str) -> Any:
    return parameters[name].default if name in parameters else None


def refused_values(
    experiment: Experiment, problem: str, label: str, refusals: Sequence[Refusal]
) -> Iterator[str]:
    """Trace refused points of a grid back to values with which every point is refused."""
    place = ("optimizers", label)
    grid = choices_for(experiment, problem, label).grid
    num_points = math.prod(map(len, grid.values()))
    # Where every point is refused, no value is at fault, unless for another reason.
    if len(refusals) == num_points:
        by_reason: dict[str, list[Refusal]] = defaultdict(list)
        for refusal in refusals:
            # The message begins with the values of the point.
            by_reason[refusal[1].partition(": ")[2]].append(refusal)
        common, *others = sorted(by_reason.values(), key=len, reverse=True)
        yield mistake_at(place, common[0][1])
        if others and len(others[0]) == len(common):
            yield from (mistake_at(place, those[0][1]) for those in others)
            return
        refusals = [refusal for those in others for refusal in those]
    refusals_of: dict[tuple[str, int], list[Refusal]] = defaultdict(list)
    for refusal in refusals:
        for name, position in zip(grid, refusal[0], strict=True):
            refusals_of[name, position].append(refusal)
    special = override_of(experiment, problem, label)
    explained: set[Refusal] = set()
    for (name, position), those in refusals_of.items():
        if len(those) == num_points // len(grid[name]):
            is_special = special is not None and name in special.grid
            whose = ("overrides", problem, *place) if is_special else place
            yield mistake_at((*whose, "grid", name, position), those[0][1])
            explained.update(those)
    yield from (mistake_at(place, each[1]) for each in refusals if each not in explained)
