"""The environment variables that DeepOBS heeds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deepobs import config
from deepobs.cli.diagnosis.findings import Fact, Trouble
from deepobs.errors import ArgumentError, closest, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN = {
    "DEEPOBS_BASELINE_DIR": config.get_baseline_dir,
    "DEEPOBS_CACHE_DIR": config.get_cache_dir,
    "DEEPOBS_DATA_DIR": config.get_data_dir,
    "DEEPOBS_FAKE_DATA": config.get_fake_data_fraction,
    "DEEPOBS_NUM_WORKERS": config.get_num_workers,
    "DEEPOBS_PLUGINS": None,
    "DEEPOBS_STRICT_PLUGINS": None,
}
"""All variables, each with what reads it and refuses a value that is not permitted."""

_PREFIX = "DEEPOBS_"


def variables() -> Iterator[Fact | Trouble]:
    """Which variables are set, and whether DeepOBS knows them and their values."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    for name, value in sorted(ours.items()):
        yield Fact(name, value)
        if name not in KNOWN:
            yield Trouble(
                f"DeepOBS knows no environment variable {name}, which is set to {value!r}.",
                sentences(closest(name, KNOWN), f"Unset it, or use one of {', '.join(KNOWN)}."),
            )
            continue
        read = KNOWN[name]
        try:
            if read is not None:
                read()
        except ArgumentError as error:
            yield Trouble(str(error), f"Set {name} to such a value, or unset it.")
    if not ours:
        yield Fact("set", None, f"none that begins with {_PREFIX}")
