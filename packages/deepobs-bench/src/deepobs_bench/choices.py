"""What is tried of an optimizer on a problem, and whether its hyperparameters can be that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.errors import closest, sentences
from deepobs.runs.optimizers import arguments_of, find_optimizer, unknown_hyperparameters
from deepobs_bench.mistakes import Mistake, written
from deepobs_bench.schedules import mistaken_schedules
from deepobs_bench.schema import Choices
from deepobs_bench.tuning.candidates import PROBLEM_OPTIONS, whole

if TYPE_CHECKING:
    import inspect
    from collections.abc import Iterable, Iterator, Mapping

    from deepobs_bench.mistakes import Location
    from deepobs_bench.schema import Experiment, Optimizer

    Parameters = Mapping[str, inspect.Parameter]

_EITHER = "is there beside tune: give either a grid, or a space in tune (sampler = grid tries all)"


def choices_for(experiment: Experiment, problem: str, label: str) -> Choices:
    """What is tried of an optimizer on a problem, where what is said for the problem wins.

    Args:
        experiment: What its file says.
        problem: Name of the problem.
        label: Name of the optimizer in the experiment.
    """
    general = experiment.optimizers[label]
    special = _overriding(experiment, problem, label)
    return Choices.model_construct(  # of values that were checked
        hyperparameters=_without(general.hyperparameters, special.grid) | special.hyperparameters,
        grid=_without(general.grid, special.hyperparameters) | special.grid,
        schedules=general.schedules if special.schedules is None else special.schedules,
    )


def place_in_grid(experiment: Experiment, problem: str, label: str, name: str) -> Location:
    """Where the file says which values of a hyperparameter are tried."""
    if name in _overriding(experiment, problem, label).grid:
        return ("overrides", problem, "optimizers", label, "grid", name)
    return ("optimizers", label, "grid", name)


def mistaken_choices(experiment: Experiment) -> Iterator[Mistake]:
    """Find hyperparameters that an optimizer has not, and what is not permitted together.

    Args:
        experiment: What its file says.
    """
    yield from mistaken_schedules(experiment.schedules)
    for label, optimizer in experiment.optimizers.items():
        if optimizer.tune is not None and optimizer.grid:
            yield Mistake(("optimizers", label, "grid"), _EITHER)
        yield from _mistaken(("optimizers", label), optimizer, optimizer)
    for problem, override in experiment.overrides.items():
        for label, choices in override.optimizers.items():
            place = ("overrides", problem, "optimizers", label)
            optimizer = experiment.optimizers[label]
            if optimizer.tune is not None and choices.grid:
                yield Mistake((*place, "grid"), _EITHER)
            yield from _mistaken(place, choices, optimizer)


def _overriding(experiment: Experiment, problem: str, label: str) -> Choices:
    override = experiment.overrides.get(problem)
    return (override and override.optimizers.get(label)) or Choices()


def _without(values: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _mistaken(place: Location, choices: Choices, optimizer: Optimizer) -> Iterator[Mistake]:
    parameters = arguments_of(find_optimizer(optimizer.class_).optimizer_class)
    yield from _unknown(place, choices, optimizer)
    for name, value in choices.hyperparameters.items():
        if isinstance(value, list) and isinstance(_default(parameters, name), (int, float)):
            message = f"must be one value, got {written(value)}: several to try belong in grid"
            yield Mistake((*place, "hyperparameters", name), message)
    for name, values in choices.grid.items():
        if isinstance(default := _default(parameters, name), (tuple, list)):
            yield from _mistaken_lists((*place, "grid", name), values, default)


def _unknown(place: Location, choices: Choices, optimizer: Optimizer) -> Iterator[Mistake]:
    """Find hyperparameters that the optimizer has not."""
    optimizer_class = find_optimizer(optimizer.class_).optimizer_class
    places: dict[str, Location] = {
        **{name: ("hyperparameters", name) for name in choices.hyperparameters},
        **{name: ("grid", name) for name in choices.grid},
    }
    if choices is optimizer and optimizer.tune is not None:
        tuned = (name for name in optimizer.tune.space or () if name not in PROBLEM_OPTIONS)
        places |= {whole(name): ("tune", "space", name) for name in tuned}
    given = {*optimizer.hyperparameters, *optimizer.grid, *places}
    parameters = arguments_of(optimizer_class)
    unknown = unknown_hyperparameters(optimizer_class, given)
    for name in (name for name in places if name in unknown):
        message = f"{optimizer.class_} has no such hyperparameter."
        every = f"It has: {', '.join(parameters)}."
        hint = sentences(message, closest(name, parameters), every)
        yield Mistake((*place, *places[name]), hint)


def _mistaken_lists(
    place: Location, values: Iterable[object], default: object
) -> Iterator[Mistake]:
    for index, value in enumerate(values):
        if not isinstance(value, list):
            message = (
                f"must be a list such as {written(default)}, got {written(value)}: "
                "each value of the grid is a whole list"
            )
            yield Mistake((*place, index), message)


def _default(parameters: Parameters, name: str) -> Any:
    return parameters[name].default if name in parameters else None
