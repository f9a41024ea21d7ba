"""Names and numbers as figures show them."""

from __future__ import annotations

import math

from deepobs.console.text import clean
from deepobs.records import METRICS, series_name
from deepobs_analysis.results import REFERENCE_SUFFIX

_ELLIPSIS = "…"
_SPLITS = {"train": "training", "valid": "validation", "test": "test"}

TITLES = {
    series_name(metric): f"{_SPLITS[metric.partition('_')[0]]} {metric.partition('_')[2]}"
    for metric in METRICS
}
"""What the axis of each curve is called, such as "test accuracy"."""


def shown(name: object, longest: int = 28) -> str:
    """A name that matplotlib draws as it is, whatever it holds.

    Args:
        name: What somebody called something.
        longest: How many characters there is room for; the middle of a longer name is left out.
    """
    text = clean(name)
    suffix = REFERENCE_SUFFIX if text.endswith(REFERENCE_SUFFIX) else ""
    short = _shortened(text.removesuffix(suffix), longest) + suffix
    # Matplotlib leaves out of a legend what begins with an underscore.
    visible = f"\N{NO-BREAK SPACE}{short}" if short.startswith("_") else short
    return visible.replace("$", r"\$")


def number(value: float) -> str:
    """A number in as few digits as tell it apart: 0.847, 23.1, 1.2e-05."""
    return f"{value:.3g}" if math.isfinite(value) else str(value)


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = (longest - 1) // 3
    return f"{text[: longest - 1 - end].rstrip()}{_ELLIPSIS}{text[len(text) - end :].lstrip()}"
