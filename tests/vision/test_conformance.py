"""The image problems and their data pass the checks that others are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deepobs_vision import plugin

if TYPE_CHECKING:
    from collections.abc import Callable

PROBLEMS = [spec.name for spec in plugin.deepobs_problems()]
DATASETS = [spec.name for spec in plugin.deepobs_datasets()]

LARGE = [name for name in PROBLEMS if "vgg" in name]
"""Networks of over a hundred million weights, all of one class: what takes many steps or
evaluations of them takes minutes, and is left to the slow tests."""

LONG = [
    "gradients_agree_with_finite_differences",
    "noise_in_training_follows_torchs_seed",
    "evaluation_does_not_depend_on_the_batch_split",
    "a_new_pass_starts_afresh",
    "the_same_seed_gives_the_same_training",
    "evaluating_within_an_epoch_disturbs_nothing",
    "its_weights_can_be_saved_and_loaded",
    "it_can_be_copied",
    "the_run_loop_trains_it",
]


@pytest.mark.deepobs_checks(datasets=DATASETS)
def test_data_sets_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


@pytest.mark.deepobs_checks(problems=[name for name in PROBLEMS if name not in LARGE], batch_size=2)
def test_problems_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


@pytest.mark.deepobs_checks(problems=LARGE, batch_size=2, leave_out=LONG)
def test_large_problems_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


@pytest.mark.slow
@pytest.mark.deepobs_checks(problems=LARGE, batch_size=2)
def test_large_problems_conform_in_all(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()
