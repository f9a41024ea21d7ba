"""The text problems and their data pass the checks that others are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deepobs_text import plugin

if TYPE_CHECKING:
    from collections.abc import Callable

DATASETS = [spec.name for spec in plugin.deepobs_datasets()]
LARGE = ["tolstoi_gpt"]
"""It is the class of `excerpt_gpt`, but every check of it takes many minutes."""
SMALL = [spec.name for spec in plugin.deepobs_problems() if spec.name not in LARGE]
OF_DESCRIPTION_AND_CONSTRUCTOR = [
    "its_summary_says_what_it_is",
    "its_data_set_is_registered",
    "its_target_can_be_imported",
    "its_default_batch_size_fits_its_data",
    "its_recommended_schedule_is_valid",
    "it_can_be_built",
    "its_constructor_takes_the_arguments_of_the_protocol",
    "invalid_arguments_are_rejected",
    "it_can_be_pickled",
]


@pytest.mark.deepobs_checks(datasets=DATASETS, problems=SMALL)
def test_what_deepobs_text_offers_conforms(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


@pytest.mark.deepobs_checks(problems=LARGE, only=OF_DESCRIPTION_AND_CONSTRUCTOR)
def test_large_problems_are_described_and_built_as_they_must(
    deepobs_check: Callable[[], None],
) -> None:
    deepobs_check()


@pytest.mark.slow
@pytest.mark.deepobs_checks(problems=LARGE, batch_size=2)
def test_large_problems_conform(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()
