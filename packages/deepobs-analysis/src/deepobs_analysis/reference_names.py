"""Names of reference sets and of their optimizers: "Adam (published)", "Adam (in earlier)"."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deepobs.errors import closest

if TYPE_CHECKING:
    from collections.abc import Iterable

PUBLISHED = "published"
"""What is said of the results that are published with the paper."""

SETS = Path(__file__).with_name("reference_sets")
"""The sets that come with this package: archives, each beside the experiment file of its runs."""

SUFFIX = ".zip"


def shipped_sets() -> list[str]:
    """The names of the sets that come with this package, sorted."""
    return sorted(path.stem for path in SETS.glob(f"*{SUFFIX}"))


def archive_of(name: str) -> Path:
    """The archive of a set that comes with this package."""
    return SETS / f"{name}{SUFFIX}"


def place_of(path: Path) -> Path:
    """Where results are: a path as it is, and the archive of a set for its name."""
    name = str(path)
    return archive_of(name) if name in shipped_sets() and not path.exists() else path


def experiment_of(name: str) -> Path:
    """The experiment file of a set that comes with this package."""
    return SETS / f"{name}.toml"


def targets_of_sets() -> dict[str, float]:
    """The targets that follow from the sets that come with this package, by problem."""
    return _targets(SETS)


def suffix_of(name: str) -> str:
    """The suffix of the name of an optimizer, by which it is one of a reference set, or ""."""
    found = _suffixes(SETS).search(name)
    return found[0] if found else ""


def bare(name: str) -> str:
    """The name of an optimizer without the suffix of a reference set."""
    return name.removesuffix(suffix_of(name))


def closest_optimizer(name: str, known: Iterable[str]) -> str:
    """A question after the most similar optimizer, also of a set that was not named; or ""."""
    known = list(known)
    same = [each for each in known if bare(each) == name]
    return f"Did you mean {same[0]!r}?" if same else closest(name, known)


@cache  # asked for each name in each figure
def _suffixes(_directory: Path) -> re.Pattern[str]:
    names = "|".join(map(re.escape, [PUBLISHED, *shipped_sets()]))
    # From the first of them on: the name of a directory may hold parentheses itself.
    return re.compile(rf" \((?:{names}|in .+)\)$")


@cache
def _targets(directory: Path) -> dict[str, float]:
    file = directory / "targets.toml"
    found = tomllib.loads(file.read_text()) if file.is_file() else {"targets": {}}
    return {str(problem): float(value) for problem, value in found["targets"].items()}
