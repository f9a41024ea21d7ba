"""What a step costs beside one of a reference."""

from __future__ import annotations

import math

import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import relative_step_time


def test_it_is_the_ratio_of_the_median_seconds_per_step():
    # Seconds per step 0.09, 0.03, 0.03 beside 0.02, 0.01, 0.02, 0.03.
    ratio = relative_step_time([9.0, 3.0, 3.0], 100, [2.0, 0.5, 4.0, 6.0], [100, 50, 200, 200])
    assert ratio == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("seconds", "steps", "message"),
    [
        ([], 100, "The seconds must hold at least one number"),
        ([1.0, 0.0], 100, "The seconds must be above 0, got 0.0"),
        ([1.0, math.nan], 100, "The seconds must be finite, got nan"),
        ([1.0], 0, "The steps must be above 0"),
        ([1.0, 2.0, 3.0], [100, 100], "one number or as many as the 3 seconds, got 2"),
    ],
)
def test_what_gives_no_time_per_step_is_refused(seconds, steps, message):
    with pytest.raises(ArgumentError, match=message):
        relative_step_time(seconds, steps, [1.0], 1)
    with pytest.raises(ArgumentError, match=message):
        relative_step_time([1.0], 1, seconds, steps)
