"""Learning curves in long form: a row for each measured value, as plotting libraries want it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepobs.metrics import METRICS, series_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs_analysis.measures.arrays import Floats

COLUMNS = (
    *("problem", "optimizer", "label", "hyperparameters", "seed"),
    *("epoch", "step", "split", "metric", "value"),
)


def tidy_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """The curves of runs, a row for each of `COLUMNS`; see `Results.curves`."""
    parts = list(_parts(runs))
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _parts(runs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for run in runs.to_dict("records"):
        for name in METRICS:
            values = run[series_name(name)]
            if values is None:
                continue
            split, _, metric = name.partition("_")
            at = run["evaluated_at"]
            # Integers, as long as no evaluation is within an epoch.
            epochs = at.astype(np.int64) if np.array_equal(at, np.floor(at)) else at
            steps = np.rint(at * run["steps_per_epoch"])
            yield _part(run, epochs, steps, split, metric, values)
        if run["gradient_norms"] is not None:
            steps, norms = run["gradient_norms"].reshape(-1, 2).T
            epochs = steps / run["steps_per_epoch"]
            yield _part(run, epochs, steps, "train", "gradient_norm", norms)


def _part(
    run: Mapping[Any, Any], epochs: Any, steps: Floats, split: str, metric: str, values: Floats
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "problem": run["problem"],
            "optimizer": run["optimizer_name"],
            "label": run["optimizer"],
            "hyperparameters": _words(run["hyperparameters"]),
            "seed": run["seed"],
            "epoch": epochs,
            "step": steps,
            "split": split,
            "metric": metric,
            "value": values,
        },
        columns=list(COLUMNS),
    )


def _words(hyperparameters: Mapping[str, Any]) -> str:
    """As text, since frames are grouped by what has a hash."""
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(hyperparameters.items())
    )
