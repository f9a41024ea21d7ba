"""One optimizer on one problem of an experiment: its runs, or its tunings."""

from __future__ import annotations

import contextlib
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import DeepOBSError
from deepobs.plugins import registry
from deepobs.runs import specify
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench.blame import Refusal, blamed
from deepobs_bench.choices import choices_for, place_in_grid
from deepobs_bench.mistakes import Mistake
from deepobs_bench.schedules import options_of
from deepobs_bench.schema import CONSTANT
from deepobs_bench.tuning.candidates import Base, require_space
from deepobs_bench.tuning.protocol import complete
from deepobs_bench.values import MOST_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.records import RunSpecification
    from deepobs_bench.mistakes import Location
    from deepobs_bench.schema import Choices, Experiment
    from deepobs_bench.tuning import TuningSettings
    from deepobs_bench.tuning.protocol import TuningProtocol

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTuning:
    """A search for hyperparameters, and what the experiment calls its parts.

    Attributes:
        problem: Name of the problem.
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the schedule of the learning rate.
        optimizer_class: The optimizer, as `specify` takes it.
        settings: How to search.
        hyperparameters: Those that are not tuned.
        options: Arguments of `specify` that all of its runs have.
        config: Settings of `deepobs.config` that hold for them, as `temporary` takes them.
        num_runs: How many runs it has, those of the report among them.
        example: A run like them; `None` where what is not tuned is not enough for one.
    """

    problem: str
    optimizer: str
    schedule: str
    optimizer_class: str
    settings: TuningSettings
    hyperparameters: dict[str, Any]
    options: Options
    config: dict[str, Any]
    num_runs: int
    example: RunSpecification | None


class Expansion:
    """What an experiment asks for of one optimizer on one problem.

    Args:
        experiment: What its file says.
        problem: Name of the problem.
        label: Name of the optimizer in the experiment.
        options: How the problem is trained.
    """

    def __init__(self, experiment: Experiment, problem: str, label: str, options: Options) -> None:
        self._experiment = experiment
        self._problem = problem
        self._label = label
        self._optimizer = experiment.optimizers[label]
        self._choices = choices_for(experiment, problem, label)
        own = self._optimizer.model_dump(include={"needs", "parameter_groups"}, exclude_none=True)
        self._options = {**options, **own}
        self._refusals: dict[str, list[Refusal]] = {}
        self._others: list[Mistake] = []

    def runs(self) -> list[PlannedRun]:
        """The runs that the optimizer does not refuse; none where it is tuned."""
        if self._optimizer.tune is not None or self._has_too_many():
            return []
        return [
            PlannedRun(self._label, name, specification.model_copy(update={"random_seed": seed}))
            for name, options in self._schedules()
            for specification in self._settings(name, options)
            for seed in self._experiment.seeds
        ]

    def tunings(self, config: dict[str, Any]) -> Iterator[PlannedTuning]:
        """The searches, one for each schedule; none where the optimizer is not tuned.

        Args:
            config: Settings that hold for their runs; they are in force now.
        """
        settings = self._optimizer.tune
        if settings is None:
            return
        for name, options in self._schedules():
            try:
                protocol = self._protocol(settings, options)
            except DeepOBSError as error:
                self._others.append(Mistake(("optimizers", self._label, "tune"), str(error)))
                return
            yield PlannedTuning(
                problem=self._problem,
                optimizer=self._label,
                schedule=name,
                optimizer_class=self._optimizer.class_,
                settings=settings,
                hyperparameters=self._choices.hyperparameters,
                options=options,
                config=config,
                num_runs=protocol.trials * len(protocol.seeds) + len(protocol.report_seeds),
                example=self._example({**options, "validation_size": protocol.validation_size}),
            )

    def mistakes(self) -> Iterator[Mistake]:
        """Why there are no more of them."""
        yield from self._others
        names = list(self._choices.grid)
        lengths = [len(values) for values in self._choices.grid.values()]
        for refusals in self._refusals.values():
            for value, message in blamed(refusals, lengths):
                yield Mistake(self._place_of(names, value), message)

    def _has_too_many(self) -> bool:
        points = math.prod(map(len, self._choices.grid.values()))
        runs = points * len(self._experiment.seeds) * len(list(self._schedules()))
        if runs <= MOST_POINTS:
            return False
        message = f"must have at most {MOST_POINTS} points, got {points}"
        if points <= MOST_POINTS:
            message = (
                f"must have at most {MOST_POINTS} runs on a problem, got {runs}: {points} points "
                "with all seeds and schedules"
            )
        self._others.append(Mistake(("optimizers", self._label, "grid"), message))
        return True

    def _schedules(self) -> Iterator[tuple[str, Options]]:
        """The names of the schedules, and the options of `specify` with each of them."""
        described = self._experiment.schedules
        for name in self._choices.schedules or tuple(described) or (CONSTANT,):
            yield name, {**self._options, **options_of(described.get(name))}

    def _settings(self, schedule: str, options: Options) -> Iterator[RunSpecification]:
        for positions, hyperparameters in _points(self._choices):
            try:
                yield specify(self._problem, self._optimizer.class_, hyperparameters, **options)
            except DeepOBSError as error:
                self._refusals.setdefault(schedule, []).append(Refusal(positions, str(error)))

    def _protocol(self, settings: TuningSettings, options: Options) -> TuningProtocol:
        problem = registry().problems.spec(self._problem)
        name = find_optimizer(self._optimizer.class_).name
        protocol = complete(settings, problem, name, options=options, jobs=1)
        given = self._choices.hyperparameters
        base = Base(self._problem, self._optimizer.class_, given, options)
        require_space(base, protocol.space)
        return protocol

    def _example(self, options: Options) -> RunSpecification | None:
        given = self._choices.hyperparameters
        with contextlib.suppress(DeepOBSError):  # such as a learning rate that has no default
            return specify(self._problem, self._optimizer.class_, given, **options)
        return None

    def _place_of(self, names: list[str], value: tuple[int, int] | None) -> Location:
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
