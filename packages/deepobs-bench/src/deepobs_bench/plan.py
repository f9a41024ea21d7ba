"""The plan of an experiment: its runs, and its searches for hyperparameters."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from deepobs import config
from deepobs.errors import ArgumentError, DeepOBSError, closest, sentences
from deepobs.resources import gc_paused
from deepobs.runs import specify
from deepobs_bench._choices import (
    Refusal,
    choices_for,
    place_in_grid,
    refused_values,
    schedule_options,
    wrong_choices,
)
from deepobs_bench._validation import MAX_CONFIGURATIONS, Mistake, refusal
from deepobs_bench.experiment import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deepobs.records import RunSpecification
    from deepobs_bench.experiment import Choices, Experiment
    from deepobs_bench.tuning.protocol import TuningProtocol
    from deepobs_bench.tuning.settings import TuningSettings

    Options = dict[str, Any]
    """Keyword arguments of `specify`."""

_KEYS = ("problem", "optimizer", "schedule", "seed")


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run, with the experiment's names of its parts.

    Attributes:
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the learning-rate schedule.
        specification: The run.
    """

    optimizer: str
    schedule: str
    specification: RunSpecification

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The names by which `only` selects the run, by key."""
        specification = self.specification
        return {
            "problem": (specification.testproblem,),
            "optimizer": (self.optimizer, specification.optimizer),
            "schedule": (self.schedule,),
            "seed": (str(specification.random_seed),),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTuning:
    """A search for hyperparameters, with the experiment's names of its parts.

    Attributes:
        problem: Name of the problem.
        optimizer: Name of the optimizer in the experiment.
        schedule: Name of the learning-rate schedule.
        optimizer_class: The optimizer, as `specify` takes it.
        settings: How to search.
        hyperparameters: Those that are not tuned.
        options: Arguments of `specify` that all runs share.
        config: Values of `deepobs.config` for the runs, as `temporary` takes them.
        num_runs: Number of runs, including those of the report.
        example: A run like them; `None` if what is not tuned does not suffice for one.
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

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The names by which `only` selects the tuning, by key; it has seeds of its own."""
        return {
            "problem": (self.problem,),
            "optimizer": (self.optimizer, self.optimizer_class),
            "schedule": (self.schedule,),
            "seed": (),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an experiment asks for.

    Attributes:
        runs: Runs that are known from the start, in the order of the file.
        tunings: Searches for hyperparameters, whose runs depend on each other.
    """

    runs: list[PlannedRun] = field(default_factory=list)
    tunings: list[PlannedTuning] = field(default_factory=list)

    @property
    def specifications(self) -> list[RunSpecification]:
        """The distinct runs: two optimizers of the file can share some."""
        specifications = (run.specification for run in self.runs)
        return list({each.run_id: each for each in specifications}.values())


def plan(
    experiment: Experiment,
    file: str,
    *,
    fake_data: float | None = None,
    device: str | None = None,
) -> Plan:
    """Describe every run of an experiment, and check all of them before any work starts.

    Args:
        experiment: The experiment, from `load`.
        file: Name of its file, for messages.
        fake_data: Size of synthetic data sets, which overrides the experiment.
        device: Where to run; `None` for `config.get_default_device()`.

    Raises:
        ExperimentError: Hyperparameters or schedules do not fit the optimizers; all are listed.
        ArgumentError: The device does not exist here.
    """
    mistakes = list(wrong_choices(experiment))
    if mistakes:
        raise refusal(file, mistakes)
    planned = Plan()
    here = config.resolve_device(device)
    # A plan of 10,000 runs creates hundreds of thousands of objects, none of which is garbage.
    with config.temporary(default_device=here), gc_paused():
        for problem in experiment.all_problems():
            training = _training(experiment, problem)
            if fake_data is not None:
                training["fake_data"] = fake_data
            settings = _config(training)
            # `specify` reads them from the configuration: they are part of the run's identity.
            with config.temporary(**settings):
                for label in experiment.optimizers:
                    expansion = _Expansion(experiment, problem, label, _options(training))
                    planned.runs.extend(expansion.runs())
                    planned.tunings.extend(expansion.tunings(settings))
                    mistakes += expansion.mistakes()
    if mistakes:
        raise refusal(file, mistakes)
    return planned


def only(patterns: Sequence[str], plan: Plan) -> Plan:
    """Select the runs and tunings that match patterns.

    Args:
        patterns: Such as `problem=digits_*`, with the wildcards `*`, `?` and `[...]`. A run must
            match one pattern of every key that is given; a pattern of seeds matches no tuning.
        plan: What to select from.

    Raises:
        ArgumentError: A pattern has another form, or nothing matches.
    """
    wanted: dict[str, list[str]] = defaultdict(list)
    for pattern in patterns:
        key, separator, value = pattern.partition("=")
        if not value or key not in _KEYS:
            hint = closest(key, _KEYS) if separator else ""
            allowed = f"Allowed: {', '.join(f'{key}=PATTERN' for key in _KEYS)}."
            raise ArgumentError(sentences(f"{pattern!r} does not select runs.", hint, allowed))
        wanted[key].append(value)
    described = [*(run.names for run in plan.runs), *(tuning.names for tuning in plan.tunings)]
    for key, values in wanted.items():
        _require_matches(key, values, described)
    selected = Plan(
        [run for run in plan.runs if _matches_all(wanted, run.names)],
        [tuning for tuning in plan.tunings if _matches_all(wanted, tuning.names)],
    )
    if not selected.runs and not selected.tunings:
        raise ArgumentError(
            f"No run of the experiment matches all of {', '.join(patterns)}. Remove one of them; "
            "--dry-run shows the runs."
        )
    return selected


def _matches_all(wanted: Mapping[str, list[str]], names: Mapping[str, tuple[str, ...]]) -> bool:
    return all(
        any(_matches(pattern, names[key]) for pattern in patterns)
        for key, patterns in wanted.items()
    )


def _matches(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _require_matches(
    key: str, patterns: Iterable[str], described: Iterable[Mapping[str, tuple[str, ...]]]
) -> None:
    """Refuse a pattern that matches nothing on its own: it is misspelled."""
    known = list(dict.fromkeys(names[key] for names in described))
    names = [names[0] for names in known if names]
    for pattern in patterns:
        if not any(_matches(pattern, each) for each in known):
            message = f"No run of the experiment has {key}={pattern}."
            allowed = f"Allowed: {', '.join(names)}."
            raise ArgumentError(sentences(message, closest(pattern, names), allowed))


def _training(experiment: Experiment, problem: str) -> dict[str, Any]:
    """What the file says about training on a problem, by its keys."""
    override = experiment.overrides.get(problem)
    return {
        **experiment.defaults.model_dump(exclude_none=True),
        **(override.model_dump(exclude_none=True, exclude={"optimizers"}) if override else {}),
    }


def _config(training: Mapping[str, Any]) -> dict[str, Any]:
    """What `specify` reads from the configuration, as `config.temporary` takes it."""
    settings = {"fake_data": training["fake_data"]} if "fake_data" in training else {}
    if "dtype" in training:
        settings["dtype"] = getattr(torch, training["dtype"])
    return settings


_NAMES_IN_SPECIFY = {
    "epochs": "num_epochs",
    "batch_size": "batch_size",
    "weight_decay": "weight_decay",
    "validation_size": "validation_size",
    "full_evaluation": "full_evaluation",
    "bare_losses": "bare_losses",
    "log_interval": "train_log_interval",
}


def _options(training: Mapping[str, Any]) -> Options:
    named = {
        theirs: training[ours] for ours, theirs in _NAMES_IN_SPECIFY.items() if ours in training
    }
    return {**named, "reshuffle": not training.get("same_order", False)}


class _Expansion:
    """What an experiment asks for of one optimizer on one problem."""

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
        """The runs that the optimizer accepts; none if it is tuned."""
        if self._optimizer.tune is not None or self._has_too_many():
            return []
        # Copied for each seed: `specify` checks much, none of which depends on the seed.
        return [
            PlannedRun(self._label, name, specification.model_copy(update={"random_seed": seed}))
            for name, options in self._schedules()
            for specification in self._configurations(name, options)
            for seed in self._experiment.seeds
        ]

    def tunings(self, settings: dict[str, Any]) -> Iterator[PlannedTuning]:
        """The searches, one for each schedule; `settings` of `deepobs.config` are in force."""
        if self._optimizer.tune is None:
            return
        for name, options in self._schedules():
            try:
                protocol = self._protocol(self._optimizer.tune, options)
            except DeepOBSError as error:
                self._others.append(Mistake(("optimizers", self._label, "tune"), str(error)))
                return
            yield PlannedTuning(
                problem=self._problem,
                optimizer=self._label,
                schedule=name,
                optimizer_class=self._optimizer.class_,
                settings=self._optimizer.tune,
                hyperparameters=self._choices.hyperparameters,
                options=options,
                config=settings,
                num_runs=protocol.trials * len(protocol.seeds) + len(protocol.report_seeds),
                example=self._example({**options, "validation_size": protocol.validation_size}),
            )

    def mistakes(self) -> Iterator[Mistake]:
        """Why there are no more runs and searches."""
        yield from self._others
        names = list(self._choices.grid)
        lengths = [len(values) for values in self._choices.grid.values()]
        for refusals in self._refusals.values():
            for value, message in refused_values(refusals, lengths):
                place: tuple[str | int, ...] = ("optimizers", self._label)
                if value is not None:
                    name = names[value[0]]
                    grid = place_in_grid(self._experiment, self._problem, self._label, name)
                    place = (*grid, value[1])
                yield Mistake(place, message)

    def _has_too_many(self) -> bool:
        # Before the points are made: a grid of a few lines can have more than memory holds.
        points = math.prod(map(len, self._choices.grid.values()))
        runs = points * len(self._experiment.seeds) * len(list(self._schedules()))
        if runs <= MAX_CONFIGURATIONS:
            return False
        message = f"must have at most {MAX_CONFIGURATIONS} points, got {points}"
        if points <= MAX_CONFIGURATIONS:
            message = (
                f"must have at most {MAX_CONFIGURATIONS} runs on a problem, got {runs}: {points} "
                "points with all seeds and schedules"
            )
        self._others.append(Mistake(("optimizers", self._label, "grid"), message))
        return True

    def _schedules(self) -> Iterator[tuple[str, Options]]:
        """The names of the schedules, and the options of `specify` with each of them."""
        described = self._experiment.schedules
        for name in self._choices.schedules or tuple(described) or (CONSTANT,):
            yield name, {**self._options, **schedule_options(described.get(name))}

    def _configurations(self, schedule: str, options: Options) -> Iterator[RunSpecification]:
        for positions, hyperparameters in _points(self._choices):
            try:
                yield specify(self._problem, self._optimizer.class_, hyperparameters, **options)
            except DeepOBSError as error:
                self._refusals.setdefault(schedule, []).append(Refusal(positions, str(error)))

    def _protocol(self, settings: TuningSettings, options: Options) -> TuningProtocol:
        # Imported here: most experiments tune nothing.
        from deepobs_bench.tuning.candidates import Base
        from deepobs_bench.tuning.protocol import complete

        given = self._choices.hyperparameters
        return complete(settings, Base(self._problem, self._optimizer.class_, given, options))

    def _example(self, options: Options) -> RunSpecification | None:
        given = self._choices.hyperparameters
        with contextlib.suppress(DeepOBSError):  # such as a learning rate without a default
            return specify(self._problem, self._optimizer.class_, given, **options)
        return None


def _points(choices: Choices) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """The points of a grid: the position of each value on its axis, and all hyperparameters."""
    names = list(choices.grid)
    for point in itertools.product(*map(enumerate, choices.grid.values())):
        values = dict(zip(names, (value for _, value in point), strict=True))
        yield tuple(position for position, _ in point), {**choices.hyperparameters, **values}
