"""The runs that an experiment consists of."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from deepobs import config
from deepobs.errors import DeepOBSError
from deepobs.experiments.blame import Refusal, blamed
from deepobs.experiments.choices import choices_for, mistaken_hyperparameters, place_in_grid
from deepobs.experiments.mistakes import Mistake, refusal
from deepobs.experiments.references import problems_of
from deepobs.experiments.schema import CONSTANT
from deepobs.runs import specify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.experiments.schema import Choices, Experiment, Schedule
    from deepobs.runs import RunSpecification

    Options = dict[str, Any]
    """Keyword arguments of `specify`."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run, and what the experiment calls its parts.

    Attributes:
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the schedule of the learning rate.
        specification: The run.
    """

    optimizer: str
    schedule: str
    specification: RunSpecification


def plan(
    experiment: Experiment,
    file: str,
    *,
    fake_data: float | None = None,
    device: str | None = None,
) -> list[PlannedRun]:
    """Describe every run of an experiment, and check all of them before any work starts.

    Args:
        experiment: What to run, from `load`.
        file: Where it is described, for messages.
        fake_data: Size of synthetic data sets, whatever the experiment says; `None` to follow it.
        device: Where to run; `None` for `config.get_default_device()`.

    Raises:
        ExperimentError: Hyperparameters or schedules do not fit the optimizers; all are named.
        ArgumentError: There is no such device here.
    """
    mistakes = list(mistaken_hyperparameters(experiment))
    if mistakes:
        raise refusal(file, mistakes)
    runs: list[PlannedRun] = []
    with config.temporary(default_device=config.resolve_device(device)):
        for problem in problems_of(experiment):
            training = _training(experiment, problem)
            if fake_data is not None:
                training["fake_data"] = fake_data
            with _settings_in_force(training):
                for label in experiment.optimizers:
                    expansion = _Expansion(experiment, problem, label)
                    runs += expansion.runs(_options(training))
                    mistakes += expansion.mistakes()
    if mistakes:
        raise refusal(file, mistakes)
    return runs


def _training(experiment: Experiment, problem: str) -> dict[str, Any]:
    """What the file says about training on a problem, by the keys of the file."""
    override = experiment.overrides.get(problem)
    return {
        **experiment.defaults.model_dump(exclude_none=True),
        **(override.model_dump(exclude_none=True, exclude={"optimizers"}) if override else {}),
    }


@contextlib.contextmanager
def _settings_in_force(training: dict[str, Any]) -> Iterator[None]:
    """Let those hold that `specify` takes from the configuration."""
    settings = {"fake_data": training["fake_data"]} if "fake_data" in training else {}
    if "dtype" in training:
        settings["dtype"] = getattr(torch, training["dtype"])
    with config.temporary(**settings):
        yield


_NAMES_IN_SPECIFY = {
    "epochs": "num_epochs",
    "batch_size": "batch_size",
    "weight_decay": "weight_decay",
    "validation_size": "validation_size",
    "full_evaluation": "full_evaluation",
    "bare_losses": "bare_losses",
    "log_interval": "train_log_interval",
}


def _options(training: dict[str, Any]) -> Options:
    named = {
        theirs: training[ours] for ours, theirs in _NAMES_IN_SPECIFY.items() if ours in training
    }
    return {**named, "reshuffle": not training.get("same_order", False)}


class _Expansion:
    """The runs of one optimizer on one problem.

    Args:
        experiment: What its file says.
        problem: Name of the problem.
        label: Name of the optimizer in the experiment.
    """

    def __init__(self, experiment: Experiment, problem: str, label: str) -> None:
        self._experiment = experiment
        self._problem = problem
        self._label = label
        self._choices = choices_for(experiment, problem, label)
        self._refusals: dict[str, list[Refusal]] = {}

    def runs(self, options: Options) -> list[PlannedRun]:
        """All that the optimizer does not refuse."""
        schedules = self._experiment.schedules
        names = self._choices.schedules or tuple(schedules) or (CONSTANT,)
        return [
            PlannedRun(self._label, name, specification.model_copy(update={"random_seed": seed}))
            for name in names
            for specification in self._settings(
                name, {**options, **_schedule_options(schedules.get(name))}
            )
            for seed in self._experiment.seeds
        ]

    def mistakes(self) -> Iterator[Mistake]:
        """Why others are refused."""
        names = list(self._choices.grid)
        lengths = [len(values) for values in self._choices.grid.values()]
        for refusals in self._refusals.values():
            for value, message in blamed(refusals, lengths):
                yield Mistake(self._place_of(names, value), message)

    def _settings(self, schedule: str, options: Options) -> Iterator[RunSpecification]:
        optimizer = self._experiment.optimizers[self._label]
        own = optimizer.model_dump(include={"needs", "parameter_groups"}, exclude_none=True)
        for positions, hyperparameters in _points(self._choices):
            try:
                yield specify(self._problem, optimizer.class_, hyperparameters, **options, **own)
            except DeepOBSError as error:
                self._refusals.setdefault(schedule, []).append(Refusal(positions, str(error)))

    def _place_of(self, names: list[str], value: tuple[int, int] | None) -> tuple[str | int, ...]:
        if value is None:
            return ("optimizers", self._label)
        axis, position = value
        place = place_in_grid(self._experiment, self._problem, self._label, names[axis])
        return (*place, position)


def _points(choices: Choices) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """The points of the grid: the position of each value on its axis, and all hyperparameters."""
    names = list(choices.grid)
    for point in itertools.product(*map(enumerate, choices.grid.values())):
        values = dict(zip(names, (value for _, value in point), strict=True))
        yield tuple(position for position, _ in point), {**choices.hyperparameters, **values}


def _schedule_options(schedule: Schedule | None) -> Options:
    if schedule is None:
        return {}
    if schedule.scheduler is None:
        return {"lr_sched_epochs": schedule.epochs, "lr_sched_factors": schedule.factors}
    return {
        "lr_scheduler": {
            "name": schedule.scheduler,
            "arguments": schedule.arguments,
            "every": schedule.every,
        }
    }
