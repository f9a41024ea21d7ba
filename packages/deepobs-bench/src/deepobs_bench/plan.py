"""The runs that an experiment consists of, and the tunings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from deepobs import config
from deepobs.resources import gc_paused
from deepobs_bench.choices import mistaken_choices
from deepobs_bench.expansion import Expansion, PlannedRun, PlannedTuning
from deepobs_bench.mistakes import refusal
from deepobs_bench.references import problems_of

if TYPE_CHECKING:
    from deepobs.records import RunSpecification
    from deepobs_bench.schema import Experiment

    Training = dict[str, Any]
    """What a file says about training, by the keys of the file."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an experiment asks for.

    Attributes:
        runs: Runs that are known from the beginning, in the order of the file.
        tunings: Searches for hyperparameters, whose runs depend on each other.
    """

    runs: list[PlannedRun] = field(default_factory=list)
    tunings: list[PlannedTuning] = field(default_factory=list)

    @property
    def specifications(self) -> list[RunSpecification]:
        """The runs by themselves, each once, where two optimizers have the same."""
        every = (run.specification for run in self.runs)
        return list({specification.run_id: specification for specification in every}.values())


def plan(
    experiment: Experiment,
    file: str,
    *,
    fake_data: float | None = None,
    device: str | None = None,
) -> Plan:
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
    mistakes = list(mistaken_choices(experiment))
    if mistakes:
        raise refusal(file, mistakes)
    planned = Plan()
    here = config.resolve_device(device)
    with config.temporary(default_device=here), gc_paused():
        for problem in problems_of(experiment):
            training = _training(experiment, problem)
            if fake_data is not None:
                training["fake_data"] = fake_data
            settings = _settings(training)
            with config.temporary(**settings):
                for label in experiment.optimizers:
                    expansion = Expansion(experiment, problem, label, _options(training))
                    planned.runs.extend(expansion.runs())
                    planned.tunings.extend(expansion.tunings(settings))
                    mistakes += expansion.mistakes()
    if mistakes:
        raise refusal(file, mistakes)
    return planned


def _training(experiment: Experiment, problem: str) -> Training:
    override = experiment.overrides.get(problem)
    return {
        **experiment.defaults.model_dump(exclude_none=True),
        **(override.model_dump(exclude_none=True, exclude={"optimizers"}) if override else {}),
    }


def _settings(training: Training) -> dict[str, Any]:
    """What `specify` takes from the configuration, by the names of `config.temporary`."""
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


def _options(training: Training) -> dict[str, Any]:
    """What `specify` takes as arguments."""
    named = {
        theirs: training[ours] for ours, theirs in _NAMES_IN_SPECIFY.items() if ours in training
    }
    return {**named, "reshuffle": not training.get("same_order", False)}
