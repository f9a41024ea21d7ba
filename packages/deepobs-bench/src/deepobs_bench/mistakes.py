"""What is wrong in an experiment file, each mistake with the place where it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    Location = tuple[str | int, ...]
    """Keys and positions that lead to a value, from the outside in."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_LONGEST_VALUE = 60  # characters


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        location: Where it is; empty where it is the file as a whole.
        message: What is wrong and what is permitted.
    """

    location: Location
    message: str

    def __str__(self) -> str:
        return f"{key_path(self.location)}: {self.message}" if self.location else self.message


def refusal(file: str, mistakes: Iterable[Mistake]) -> ExperimentError:
    """The error that names all mistakes in a file, a line each.

    Args:
        file: Name of the file.
        mistakes: One or more; the same line is not written twice.
    """
    lines = dict.fromkeys(f"{file}: {mistake}" for mistake in mistakes)
    return ExperimentError("\n".join(lines))


def key_path(location: Location) -> str:
    """Write a place as TOML does: `optimizers.SGD.grid.lr[1]`.

    Args:
        location: Keys and positions.
    """
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f"{'.' if path else ''}{part if _BARE_KEY.match(part) else json.dumps(part)}"
    return path


def written(value: object) -> str:
    """A value as experiment files write it, shortened where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]} ..."
