"""How to tune, as the user says it in an experiment file or by options of `deepobs tune`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from deepobs.run_specifications import DEFAULT_SEED
from deepobs_bench._drafts import Draft
from deepobs_bench._validation import (
    Count,
    Flag,
    Mistake,
    Seed,
    Seeds,
    Trials,
    one_of,
    refused,
    require_none,
)
from deepobs_bench.tuning.presets import preset
from deepobs_bench.tuning.spaces import DimensionSetting

# All words twice: type checkers read `Literal`, and `one_of` gives messages that suggest a word.
Sampler = Annotated[Literal["grid", "random", "tpe", "gp"], one_of("grid", "random", "tpe", "gp")]
PresetName = Annotated[Literal["paper", "crowded-valley"], one_of("paper", "crowded-valley")]
Budget = Annotated[
    Literal["one-shot", "small", "medium", "large"], one_of("one-shot", "small", "medium", "large")
]
Split = Annotated[Literal["valid", "test"], one_of("valid", "test")]
Epoch = Annotated[Literal["final", "best"], one_of("final", "best")]
Metric = Annotated[Literal["accuracy", "loss"], one_of("accuracy", "loss")]

TRIALS_OF_BUDGET: dict[str, int] = {"one-shot": 1, "small": 25, "medium": 50, "large": 75}
"""The budgets of Schmidt, Schneider, Hennig: Descending through a Crowded Valley, ICML 2021."""


class TuningChanges(BaseModel):
    """What is different for one problem in how to tune an optimizer.

    Attributes:
        preset: A published protocol that fills in what is absent.
        budget: A number of trials by name; "one-shot" takes the optimizer's defaults.
        space: What is tried, by name: a hyperparameter such as `lr`, an element of one such as
            `betas[0]`, one of a group of parameters such as `head:lr`, an argument of the schedule
            such as `schedule:gamma`, or `batch_size` and `problem_weight_decay` of the test
            problem.
        sampler: What suggests the next trial.
        trials: How many configurations are tried; all of a grid.
        at_once: How many trials are suggested before the results of any of them are known.
        sampler_seed: Seed of the sampler.
        seeds: Seeds of the runs of every trial; with several, their mean counts.
        report_seeds: Seeds with which the winner is run again.
        select_on: The split on which the winner is selected.
        epoch: Whether the last or the best epoch of a run counts.
        metric: The metric that selects the winner; by default the metric of the problem.
        prune: Whether runs that fall behind the median of those before are stopped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetName | None = None
    budget: Budget | None = None
    space: dict[str, DimensionSetting] | None = None
    sampler: Sampler | None = None
    trials: Trials | None = None
    at_once: Count | None = None
    sampler_seed: Seed = DEFAULT_SEED
    seeds: Seeds | None = None
    report_seeds: Seeds | None = None
    select_on: Split = "valid"
    epoch: Epoch = "final"
    metric: Metric | None = None
    prune: Flag = False


class TuningSettings(TuningChanges):
    """How to tune an optimizer; `protocol.complete` fills in what is absent."""

    @model_validator(mode="after")
    def _is_consistent(self) -> TuningSettings:
        if self.budget and self.trials:
            raise refused(
                f"The budget {self.budget!r} means {TRIALS_OF_BUDGET[self.budget]} trials: "
                "give either a budget or a number of trials."
            )
        if self.budget == "one-shot" and self.space:
            raise refused("one-shot means the defaults of the optimizer: remove the space.")
        if not (self.preset or self.space or self.budget == "one-shot"):
            raise refused(
                "Nothing to try: give a space such as lr=log:1e-5:1e2, a preset (paper or "
                "crowded-valley), or the budget one-shot.",
                absent=("space", "preset", "budget"),
            )
        return self


def changed_settings(
    settings: TuningSettings, changes: TuningChanges, optimizer: str
) -> TuningSettings:
    """Settings with what is different for one problem; spaces are merged by name.

    Args:
        settings: The settings for all problems.
        changes: What is different.
        optimizer: Name of the optimizer, for which a preset may have a space.

    Raises:
        ArgumentError: They contradict each other.
    """
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    special = {name: getattr(changes, name) for name in changes.model_fields_set}
    # Both say how many trials there are: that of the problem replaces the other.
    if special.keys() & {"budget", "trials"}:
        values = {name: values[name] for name in values.keys() - {"budget", "trials"}}
    if special.get("space"):
        general = settings.space or preset(settings.preset, optimizer).space
        special["space"] = {**general, **special["space"]}
    return checked_settings({**values, **special})


def checked_settings(values: dict[str, Any]) -> TuningSettings:
    """Check settings that were given one by one; `None` stands for what is absent.

    Raises:
        ArgumentError: One of them is not allowed.
    """
    given = {name: value for name, value in values.items() if value is not None}
    draft = Draft(given)
    settings = draft.validated(TuningSettings, lambda one: Mistake(one["loc"], one["msg"]))
    require_none(map(str, draft.mistakes))
    assert settings is not None  # noqa: S101 # without mistakes
    return settings
