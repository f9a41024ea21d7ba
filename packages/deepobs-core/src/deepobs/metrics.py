"""What evaluations measure; apart from records, which take a while to import."""

from __future__ import annotations

_SERIES_OF = {"loss": "losses", "accuracy": "accuracies"}


def series_name(metric: str) -> str:
    """The field of a `RunRecord` that holds a metric over the epochs.

    Args:
        metric: "loss" or "accuracy", with or without its split: "train_loss".

    Returns:
        Its plural: "losses", "train_losses".
    """
    split, separator, kind = metric.rpartition("_")
    return f"{split}{separator}{_SERIES_OF[kind]}"


METRICS = tuple(f"{split}_{kind}" for split in ("train", "valid", "test") for kind in _SERIES_OF)
"""All that an evaluation can measure: `train_loss`, `train_accuracy`, `valid_loss`, ..."""
