"""Synthetic data where the real ones are not there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from deepobs import config

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

FRACTION = 1e-4
"""The size of synthetic splits: ours make a few hundred examples in any case."""


def fake_data_for(dataset_class: Any, chosen: bool | float | None) -> float | None:
    """How large synthetic data have to be, `None` to leave the setting as it is.

    Args:
        dataset_class: The data set; `None` where it is not known.
        chosen: What the caller wants; `None` for synthetic data where the real are missing.
    """
    if chosen is not None:
        return float(chosen)
    if config.get_fake_data() or dataset_class is None:
        return None
    return FRACTION if _is_missing(dataset_class) else None


def in_force(fraction: float | None) -> AbstractContextManager[None]:
    """Let data sets be of this size for a while.

    Args:
        fraction: What `fake_data_for` answered.
    """
    return contextlib.nullcontext() if fraction is None else config.temporary(fake_data=fraction)


def _is_missing(dataset_class: Any) -> bool:
    try:
        return bool(dataset_class.status(config.get_data_dir()).state == "missing")
    except Exception:  # a stranger's class need not know how it is: a check says so
        return False
