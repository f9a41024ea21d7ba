"""What was tried to find the setting of an optimizer: the other settings, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs_analysis.measures import decades_within, expected_best_of, share_diverged
from deepobs_analysis.selection import higher_is_better, setting_performances

if TYPE_CHECKING:
    import pandas as pd

    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.selection import Selection

BUDGET = 5
"""For how many random settings the expected best one is told."""


@dataclass(frozen=True, slots=True)
class Trials:
    """All that was tried of an optimizer on a problem.

    Attributes:
        expected_best: The performance to expect of the best of `BUDGET` settings drawn at random,
            by the curve that decided; `None` where there are fewer.
        decades: How many orders of magnitude the learning rates around the best one span that come
            within 10 % of it; `None` without at least two of them.
        share_diverged: The share of runs that diverged, over all settings.
        runs: How many runs there are.
        learning_rates: The smallest and the largest one that was tried; both NaN without.
        tuning_seeds: The seeds that more than half of the settings were run with, if there was a
            choice: those that it was made by.
    """

    expected_best: float | None
    decades: float | None
    share_diverged: float
    runs: int
    learning_rates: tuple[float, float]
    tuning_seeds: tuple[int, ...]


def trials_of(selection: Selection, runs: pd.DataFrame) -> Trials:
    """Look at all that was tried.

    Args:
        selection: What was chosen.
        runs: All runs of its optimizer on its problem.
    """
    curve = selection.chosen_by
    means = setting_performances(runs[runs[curve].notna()], curve, mode=selection.mode)["mean"]
    of_setting = runs.groupby("setting")["hyperparameters"].first()
    rates = np.array([_learning_rate(of_setting[setting]) for setting in means.index])
    return Trials(
        expected_best=_expected_best(means, curve),
        decades=_decades(rates, means, curve),
        share_diverged=share_diverged(runs["has_diverged"].to_numpy()),
        runs=len(runs),
        learning_rates=(float(rates.min()), float(rates.max())),
        tuning_seeds=_tuning_seeds(runs),
    )


def _expected_best(means: pd.Series[float], curve: str) -> float | None:
    if len(means) < BUDGET:
        return None
    better = higher_is_better(curve)
    return expected_best_of(means.to_numpy(), BUDGET, higher_is_better=better)


def _decades(rates: Floats, means: pd.Series[float], curve: str) -> float | None:
    if not (rates > 0).all() or len(np.unique(rates)) < 2:
        return None
    return decades_within(rates, means.to_numpy(), higher_is_better=higher_is_better(curve))


def _learning_rate(hyperparameters: dict[str, object]) -> float:
    """The learning rate, NaN where it is none that could be compared."""
    rate = hyperparameters.get("lr")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not np.isfinite(rate):
        return np.nan
    return float(rate)


def _tuning_seeds(runs: pd.DataFrame) -> tuple[int, ...]:
    settings = runs["setting"].nunique()
    if settings < 2:
        return ()
    having = runs.groupby("seed")["setting"].nunique()
    return tuple(sorted(int(seed) for seed in having.index[having > settings / 2]))
