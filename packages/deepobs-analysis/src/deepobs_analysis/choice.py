"""How the settings that stand for optimizers were chosen, in sentences."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from deepobs.records import series_name
from deepobs_analysis.selection import EXPLANATIONS
from deepobs_analysis.wording import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs_analysis.standings import Standing

_METRIC_OF = {series_name(metric): metric for metric in ("loss", "accuracy")}
_SPLITS = {
    "train": "the training set",
    "valid": "validation data",
    "test": "the test set, which makes figures on it too good",
}


def choice_in_words(rows: Sequence[Standing]) -> list[str]:
    """How settings were chosen: the rule, on which data, and by which seeds.

    Args:
        rows: From `standings`.
    """
    chosen = [row for row in rows if row.selection.settings > 1]
    if not chosen:
        return ["There was nothing to choose: each optimizer was run with one setting a problem."]
    by_curve: dict[str, list[str]] = defaultdict(list)
    for row in chosen:
        by_curve[row.selection.chosen_by].append(row.problem)
    return [
        f"Of several settings, the one shown is {EXPLANATIONS[chosen[0].selection.mode]}.",
        *(_on(curve, problems) for curve, problems in sorted(by_curve.items())),
        *_with_seeds_of_the_choice(chosen),
    ]


def _on(curve: str, problems: Sequence[str]) -> str:
    split, _, kind = curve.partition("_")
    of_curve = listed(dict.fromkeys(problems))
    return f"On {of_curve}, it was chosen by the {_METRIC_OF[kind]} on {_SPLITS[split]}."


def _with_seeds_of_the_choice(chosen: Sequence[Standing]) -> list[str]:
    optimizers = dict.fromkeys(
        row.optimizer for row in chosen if np.isin(row.seeds, row.trials.tuning_seeds).any()
    )
    if not optimizers:
        return []
    return [f"Seeds that took part in the choice are among those shown: {listed(optimizers)}."]
