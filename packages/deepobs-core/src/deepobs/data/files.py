"""What is known about the files of a data set, and how they get into the data directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataStatus:
    """Whether a data set can be used.

    Attributes:
        state: `ready`; `embedded` in a package or generated, so always there; or `missing`.
        detail: Where it is or what is missing, in a line.
        path: The directory it was found in or would be put into, `None` where it has none.
    """

    state: Literal["ready", "embedded", "missing"]
    detail: str
    path: Path | None = None
