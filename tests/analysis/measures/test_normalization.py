"""Scores that compare between problems."""

from __future__ import annotations

import math

import pytest

from deepobs.errors import ArgumentError
from deepobs_analysis.measures import normalized


def test_untrained_is_zero_and_the_target_one():
    losses = normalized([2.5, 0.5, 1.0, 0.25], untrained=2.5, target=0.5, higher_is_better=False)
    assert losses.tolist() == [0, 1, 0.75, 1.125]
    accuracies = normalized([0.1, 0.9, 0.5], untrained=0.1, target=0.9, higher_is_better=True)
    assert accuracies == pytest.approx([0, 1, 0.5])


def test_worse_than_untrained_is_negative():
    scores = normalized([[4.5], [math.inf]], untrained=2.5, target=0.5, higher_is_better=False)
    assert scores.tolist() == [[-1], [-math.inf]]


@pytest.mark.parametrize("target", [0.1, 0.05])
def test_a_target_that_is_not_better_than_untrained_is_refused(target):
    with pytest.raises(ArgumentError, match=f"got {target} and 0.1, where higher is better"):
        normalized([0.5], untrained=0.1, target=target, higher_is_better=True)


def test_what_is_not_known_is_refused():
    with pytest.raises(ArgumentError, match=r"must be finite, got nan and 0\.9"):
        normalized([0.5], untrained=math.nan, target=0.9, higher_is_better=True)
    with pytest.raises(ArgumentError, match="The values must hold at least one number"):
        normalized([], untrained=0.1, target=0.9, higher_is_better=True)
