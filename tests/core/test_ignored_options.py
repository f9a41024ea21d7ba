"""An option that a data set ignores is an error of the run, before it trains."""

from __future__ import annotations

from typing import Any

import broken_datasets
import pytest
from small_classifier import Classifier

from deepobs.errors import ArgumentError
from deepobs.plugins import DatasetSpec
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.estimate import estimate


class Forgets(Classifier):
    """Takes the options, and does not pass them on."""

    def set_up(self) -> None:
        self.options = {}
        super().set_up()


class AlwaysHoldsOut(broken_datasets.Sound):
    """A fixed validation set."""

    def __init__(self, *arguments: Any, **further: Any) -> None:
        super().__init__(*arguments, **further | {"validation_size": 20})


class FixedValidation(Classifier):
    data = AlwaysHoldsOut


class AlwaysReshuffles(Classifier):
    data = broken_datasets.AlwaysReshuffles


class StatesSizes(broken_datasets.AlwaysDrops):
    spec = DatasetSpec(train_size=41, test_size=21)

    @property
    def split_sizes(self) -> dict[str, int]:
        return {"train": 41, "train_eval": 21, "test": 21}


class AlwaysDrops(Classifier):
    data = StatesSizes


class TrainsOnAll(Forgets):
    data = StatesSizes


class Steps(RunObserver):
    """Fails the test as soon as a run starts."""

    def run_started(self, specification: Any, steps_per_epoch: int, resumed_at: int) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (Forgets, {"validation_size": 10}, "ignores validation_size=10: it has no valid_loader"),
        (
            FixedValidation,
            {"validation_size": 10},
            "ignores validation_size=10: it holds out 20 examples",
        ),
        (
            FixedValidation,
            {"validation_size": 30},
            "ignores validation_size=30: it holds out 20 examples",
        ),
        (AlwaysReshuffles, {"reshuffle": False}, "ignores reshuffle=False: it has another order"),
        (TrainsOnAll, {"train_fraction": 0.5}, "ignores train_fraction=0.5: it trains on 41"),
        (AlwaysDrops, {"full_evaluation": True}, "ignores full_evaluation=True: it evaluates 20"),
    ],
)
def test_an_ignored_option_ends_the_run_before_training(
    problem: type, options: dict[str, Any], message: str
) -> None:
    specification = specify(problem, "SGD", {"lr": 0.1}, **options)
    with pytest.raises(ArgumentError, match=message):
        run(specification, observers=[Steps()])
    with pytest.raises(ArgumentError, match=message):
        estimate(specification, seconds=0.0)


@pytest.mark.parametrize(
    "options",
    [{"validation_size": 15}, {"validation_size": 20}, {"reshuffle": False},
     {"full_evaluation": True, "validation_size": 3 + 10}],
)  # fmt: skip
def test_options_that_are_used_are_accepted(options: dict[str, Any]) -> None:
    record = run(specify(Classifier, "SGD", {"lr": 0.1}, **options)).record
    assert (record.valid_losses is not None) is ("validation_size" in options)
