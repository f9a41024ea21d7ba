"""The plan of an experiment: its runs, and its searches for hyperparameters."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from deepobs import config
from deepobs.errors import ArgumentError, DeepOBSError, closest, joined, sentences
from deepobs.plugins import registry
from deepobs.resources import gc_paused
from deepobs.runs.specification import check_sizes, specify_each
from deepobs_bench._choices import (
    choices_for,
    place_of_tuning,
    refused_values,
    schedule_options,
    tuning_for,
)
from deepobs_bench._validation import MAX_CONFIGURATIONS, mistake_at, refusal
from deepobs_bench.experiment import CONSTANT, row_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.experiment import Experiment
    from deepobs_bench.tuning.planned import PlannedTuning

    Options = dict[str, Any]
    """Keyword arguments of `specify`."""

_KEYS = ("problem", "optimizer", "schedule", "seed")
_SIZES = ("batch_size", "validation_size", "train_fraction")


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
        distinct: dict[str, RunSpecification] = {}
        for run in self.runs:
            distinct.setdefault(run.specification.run_id, run.specification)
        return list(distinct.values())


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
        ArgumentError: Hyperparameters or schedules do not fit the optimizers; all are listed.
        ArgumentError: The device does not exist here.
    """
    planned, mistakes = expand(experiment, fake_data=fake_data, device=device)
    if mistakes:
        raise refusal(file, mistakes)
    return planned


def expand(
    experiment: Experiment, *, fake_data: float | None = None, device: str | None = None
) -> tuple[Plan, list[str]]:
    """Describe the runs of an experiment as `plan` does, and say why others cannot be."""
    planned, mistakes = Plan(), []
    here = config.resolve_device(device)
    # A plan of 10,000 runs creates hundreds of thousands of objects, none of which is garbage.
    with gc_paused():
        for problem in experiment.all_problems():
            settings, options = _training(experiment, problem, fake_data)
            # `specify` reads them from the configuration: they are part of the run's identity.
            with config.temporary(default_device=here, **settings):
                if wrong := _wrong_sizes(experiment, problem, options):
                    mistakes.append(wrong)
                for label in experiment.optimizers_on(problem):
                    expansion = _Expansion(experiment, problem, label, options)
                    if experiment.optimizers[label].tune is None:
                        planned.runs.extend(expansion.runs())
                    else:
                        planned.tunings.extend(expansion.tunings(settings))
                    mistakes += expansion.mistakes
    return planned, mistakes


def _wrong_sizes(experiment: Experiment, problem: str, options: Options) -> str:
    """Say what is wrong with the sizes of batches and splits, and drop them from the options."""
    sizes = {name: options[name] for name in _SIZES if name in options}
    if not sizes:
        return ""
    try:
        check_sizes(registry().problems.offer(problem).spec, **sizes)
    except ArgumentError as error:
        for name in sizes:
            del options[name]
        if sizes.get("validation_size"):  # what follows the held-out examples is no mistake
            options["validation_size"] = registry().problems.offer(problem).spec.batch_size
        override = experiment.overrides.get(problem)
        is_of_problem = override and any(getattr(override, name) is not None for name in sizes)
        place = ("overrides", problem) if is_of_problem else ("defaults",)
        return mistake_at(place, str(error))
    return ""


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
            allowed = f"Allowed: {joined(names)}."
            raise ArgumentError(sentences(message, closest(pattern, names), allowed))


_NAMES_IN_SPECIFY = {
    "epochs": "num_epochs",
    "max_steps": "max_steps",
    "train_fraction": "train_fraction",
    "evaluate_every": "evaluate_every",
    "bn_recalibration": "bn_recalibration",
    "precision": "precision",
    "accumulate": "accumulate",
    "clip_norm": "clip_norm",
    "clip_value": "clip_value",
    "log_gradient_norm": "log_gradient_norm",
    "compile": "compile_mode",
    "channels_last": "channels_last",
    "batch_size": "batch_size",
    "weight_decay": "weight_decay",
    "validation_size": "validation_size",
    "full_evaluation": "full_evaluation",
    "bare_losses": "bare_losses",
    "log_interval": "train_log_interval",
}


def _training(
    experiment: Experiment, problem: str, fake_data: float | None
) -> tuple[dict[str, Any], Options]:
    """How to train on a problem: values of `deepobs.config`, and arguments of `specify`."""
    training = experiment.defaults.model_dump(exclude_none=True)
    override = experiment.overrides.get(problem)
    if override is not None:
        training |= override.model_dump(exclude_none=True, exclude={"optimizers"})
    if fake_data is not None:
        training["fake_data"] = fake_data
    settings = {"fake_data": training["fake_data"]} if "fake_data" in training else {}
    if "dtype" in training:
        settings["dtype"] = getattr(torch, training["dtype"])
    options = {
        theirs: training[ours] for ours, theirs in _NAMES_IN_SPECIFY.items() if ours in training
    }
    return settings, {**options, "reshuffle": not training.get("same_order", False)}


class _Expansion:
    """What an experiment asks for of one optimizer on one problem.

    Attributes:
        mistakes: Why there are no more runs and tunings.
    """

    def __init__(self, experiment: Experiment, problem: str, label: str, options: Options) -> None:
        self.mistakes: list[str] = []
        self._experiment = experiment
        self._problem = problem
        self._label = label
        self._optimizer = experiment.optimizers[label]
        self._choices = choices_for(experiment, problem, label)
        own = self._optimizer.model_dump(include={"needs", "parameter_groups"}, exclude_none=True)
        described = {name: schedule_options(one) for name, one in experiment.schedules.items()}
        names = self._choices.schedules or tuple(described) or (CONSTANT,)
        self._schedules = [
            (
                name,
                {**options, **own, "label": row_name(label, name), **described.get(name, {})},
            )
            for name in names
        ]

    def runs(self) -> Iterator[PlannedRun]:
        """The runs that the optimizer accepts."""
        # Before the points are made: a grid of a few lines can have more than memory holds.
        points = math.prod(map(len, self._choices.grid.values()))
        seeds = self._experiment.seeds
        if points * len(seeds) * len(self._schedules) > MAX_CONFIGURATIONS:
            self.mistakes.append(self._too_many(points))
            return
        for schedule, options in self._schedules:
            for one in self._configurations(options):
                # Copied for each seed: `specify` checks much, none of which depends on the seed.
                for seed in seeds:
                    is_same = seed == one.random_seed
                    run = one if is_same else one.model_copy(update={"random_seed": seed})
                    yield PlannedRun(self._label, schedule, run)

    def _configurations(self, options: Options) -> Iterator[RunSpecification]:
        grid, refusals = self._choices.grid, []
        points = (
            self._choices.hyperparameters | dict(zip(grid, values, strict=True))
            for values in itertools.product(*grid.values())
        )
        positions = itertools.product(*(range(len(values)) for values in grid.values()))
        runs = specify_each(self._problem, self._optimizer.class_, points, **options)
        for position, run in zip(positions, runs, strict=True):
            if isinstance(run, DeepOBSError):  # the user learns of all mistakes at once
                refusals.append((position, str(run)))
            else:
                yield run
        if refusals:
            problem, label = self._problem, self._label
            self.mistakes += refused_values(self._experiment, problem, label, refusals)

    def _too_many(self, points: int) -> str:
        message = f"must have at most {MAX_CONFIGURATIONS} points, got {points}"
        if points <= MAX_CONFIGURATIONS:
            runs = points * len(self._experiment.seeds) * len(self._schedules)
            message = (
                f"must have at most {MAX_CONFIGURATIONS} runs on a problem, got {runs}: {points} "
                "points with all seeds and schedules"
            )
        return mistake_at(("optimizers", self._label, "grid"), message)

    def tunings(self, config: dict[str, Any]) -> Iterator[PlannedTuning]:
        """The tunings, one for each schedule; `config` holds the values of `deepobs.config`."""
        # Imported here: most experiments tune nothing.
        from deepobs_bench.tuning.planned import planned_tuning

        where = self._experiment, self._problem, self._label
        for name, options in self._schedules:
            try:
                settings = tuning_for(*where)
                assert settings is not None  # noqa: S101 # the optimizer is tuned
                yield planned_tuning(
                    settings,
                    problem=self._problem,
                    optimizer=self._label,
                    schedule=name,
                    optimizer_class=self._optimizer.class_,
                    hyperparameters=self._choices.hyperparameters,
                    options=options,
                    config=config,
                )
            except DeepOBSError as error:  # every schedule would say the same
                place = place_of_tuning(*where)
                self.mistakes += [mistake_at(place, line) for line in str(error).splitlines()]
                return
