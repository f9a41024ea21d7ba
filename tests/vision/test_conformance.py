"""The image problems and their data pass the checks that others are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deepobs_vision import plugin

if TYPE_CHECKING:
    from collections.abc import Callable

PROBLEMS = [spec.name for spec in plugin.deepobs_problems()]
DATASETS = [spec.name for spec in plugin.deepobs_datasets()]

LARGE = [
    name for name in PROBLEMS if "vgg" in name or name.endswith(("resnet18", "resnet50", "vit_s16"))
]
"""Networks that take billions of operations per image: every check of all of them takes many
minutes, and is left to the slow tests (`nox -s conformance`)."""

SOME_LARGE = ["cifar10_vgg16", "imagenet_vgg19"]
OF_DESCRIPTION_AND_CONSTRUCTOR = [
    "its_summary_says_what_it_is",
    "its_data_set_is_registered",
    "its_target_can_be_imported",
    "its_default_batch_size_fits_its_data",
    "it_can_be_built",
    "its_constructor_takes_the_arguments_of_the_protocol",
    "invalid_arguments_are_rejected",
    "it_can_be_pickled",
]
OF_MANY_EVALUATIONS = [
    "the_mode_is_left_to_the_caller",
    "computing_losses_has_no_other_effect",
    "a_batch_can_be_evaluated_again",
    "losses_exclude_the_regularizer",
    "gradients_agree_with_finite_differences",
    "noise_in_training_follows_torchs_seed",
    "evaluation_does_not_depend_on_the_batch_split",
    "a_new_pass_starts_from_scratch",
    "the_same_seed_gives_the_same_training",
    "evaluating_within_an_epoch_disturbs_nothing",
    "recalibrating_within_an_epoch_disturbs_nothing",
    "micro_batches_add_up_to_the_batch",
    "its_weights_can_be_saved_and_loaded",
    "it_can_be_copied",
    "the_run_loop_trains_it",
    "mixed_precision_keeps_its_losses_finite",
    "channels_last_changes_no_numbers",
    "compiling_changes_no_numbers",
    "shares_of_a_batch_add_up_to_it",
]


@pytest.mark.deepobs_checks(datasets=DATASETS)
def test_data_sets_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


@pytest.mark.deepobs_checks(problems=[name for name in PROBLEMS if name not in LARGE], batch_size=2)
def test_problems_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


@pytest.mark.deepobs_checks(problems=SOME_LARGE, batch_size=2, skip=OF_MANY_EVALUATIONS)
def test_some_large_problems_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


@pytest.mark.deepobs_checks(
    problems=[name for name in LARGE if name not in SOME_LARGE],
    only=OF_DESCRIPTION_AND_CONSTRUCTOR,
)
def test_large_problems_are_described_and_built_as_they_must(
    deepobs_check: Callable[[], None],
) -> None:
    deepobs_check()


@pytest.mark.slow
@pytest.mark.deepobs_checks(problems=LARGE, batch_size=2)
def test_large_problems_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()
