"""Repeating runs of a reference set, to see whether they come out the same here."""

from __future__ import annotations

import fnmatch
import inspect
import json
import math
import random
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, DeepOBSError, closest, sentences
from deepobs_analysis.packed_results import DIGITS_AT_ENDS
from deepobs_analysis.results import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs.run_specifications import RunSpecification
    from deepobs_analysis.results import Results

BEFORE = 10.0 ** (1 - DIGITS_AT_ENDS)
"""Largest relative difference before training: what the digits that are kept can show."""

AFTER = 0.01
"""Largest difference after training, as a fraction of what training changed, on top of what the
digits that are kept, and single examples, can show."""

_KEYS = ("problem", "optimizer", "seed")


@dataclass(frozen=True, slots=True)
class Repetition:
    """A run of a set, and how it ends here.

    Attributes:
        problem: The test problem.
        optimizer: The optimizer, as the set calls it.
        configuration: Its configuration.
        seed: The seed.
        kept: Test performance before and after training in the set; NaN where it was not finite.
        now: The same here; empty if the run was skipped.
        example: What one test example makes of an accuracy; 0 for losses.
        versions: By name, what it ran with there and here where these differ.
        skipped: Why it could not be repeated, if so.
    """

    problem: str
    optimizer: str
    configuration: str
    seed: int
    kept: tuple[float, float]
    now: tuple[float, float] | tuple[()] = ()
    example: float = 0.0
    versions: Mapping[str, tuple[str, str]] | None = None
    skipped: str = ""

    @property
    def before(self) -> float:
        """The relative difference before training."""
        if not self.now:
            return math.nan
        return _ratio(abs(self.kept[0] - self.now[0]), abs(self.kept[0]))

    @property
    def after(self) -> float:
        """The difference after training, as a fraction of what training changed.

        Without what the digits that are kept, and single examples, can show: where training hardly
        changed anything, that is more than it changed.
        """
        if not self.now:
            return math.nan
        shown = max(BEFORE * abs(self.kept[1]), self.example)
        difference = abs(self.kept[1] - self.now[1])
        change = abs(self.kept[1] - self.kept[0])
        return 0.0 if difference <= shown else _ratio(difference - shown, change)

    def is_same(self, metric: Metric) -> bool:
        """Whether it comes out as in the set, within what rounding explains.

        Where training fails, how far is as random as in a run with another seed: it must fail.
        """
        both_failed = all(_has_failed(those, metric) for those in (self.kept, self.now))
        return (both_failed or self.after <= AFTER) and self.before <= BEFORE


def sample(
    results: Results, count: int, seed: int, patterns: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Draw runs of a set.

    Args:
        results: The set.
        count: How many.
        seed: Of the draw.
        patterns: Such as "problem=digits_*": of a key that is given, a run must match one.

    Returns:
        Rows of `results.runs`.

    Raises:
        ArgumentError: A pattern has another form, or no run matches all of them.
    """
    wanted: dict[str, list[str]] = {}
    for pattern in patterns:
        key, _, value = pattern.partition("=")
        if key not in _KEYS or not value:
            allowed = f"Allowed: {', '.join(f'{each}=PATTERN' for each in _KEYS)}."
            message = f"{pattern!r} does not select runs."
            raise ArgumentError(sentences(message, closest(key, _KEYS), allowed))
        wanted.setdefault(key, []).append(value)
    found: list[dict[str, Any]] = [
        {str(key): value for key, value in row.items()}
        for row in results.runs.to_dict("records")
        if all(
            any(fnmatch.fnmatchcase(str(row[key]), value) for value in values)
            for key, values in wanted.items()
        )
    ]
    if not found:
        raise ArgumentError(
            f"No run of the set matches {', '.join(patterns)}. `deepobs baselines show SET` lists "
            "its problems and optimizers."
        )
    # Without regard to what the rows are sorted by.
    return random.Random(seed).sample(found, min(count, len(found)))  # noqa: S311 # no secret


def repeat(row: Mapping[str, Any]) -> Repetition:
    """Execute a run of a set once more.

    Args:
        row: A row of `Results.runs`.
    """
    document = json.loads(Path(row["file"]).read_bytes())
    curve = Metric(row["metric"]).curve("test")
    names = {name: row[name] for name in ("problem", "optimizer", "configuration", "seed")}
    kept = _ends(document[curve])
    example = 0.0 if curve == "test_losses" else 1 / row["test_examples"]
    try:
        specification = _specification(document)
        if specification.run_id != document["run_id"]:
            return Repetition(**names, kept=kept, skipped="this DeepOBS or its code is another one")
        # Imported here as it comes with torch, which showing results must not wait for.
        from deepobs.runs import run

        record = run(specification).record
    except DeepOBSError as error:
        return Repetition(**names, kept=kept, skipped=" ".join(str(error).split()))
    there = document["versions"]
    differing = {
        name: (there.get(name, "none"), version)
        for name, version in record.versions.items()
        if there.get(name) != version
    }
    now = _ends(getattr(record, curve))
    return Repetition(**names, kept=kept, now=now, example=example, versions=differing)


def _specification(document: Mapping[str, Any]) -> RunSpecification:
    from deepobs.runs import specify

    named = {**document, **document["training_params"]}
    taken = inspect.signature(specify).parameters.keys() & named.keys()
    # As the command that reproduces the run names them.
    _, _, problem, optimizer, *_ = shlex.split(document["command"])
    return specify(
        **{name: named[name] for name in taken}
        | {
            "testproblem": problem,
            "optimizer": optimizer,
            "hyperparameters": document["optimizer_hyperparams"],
            "needs": document["optimizer_needs"] or None,
            # Files state it even where it is that of the problem.
            "weight_decay": None,
            "device": "cpu",
        }
    )


def _ends(curve: Sequence[float | None]) -> tuple[float, float]:
    first, last = (math.nan if value is None else value for value in (curve[0], curve[-1]))
    return first, last


def _has_failed(ends: Sequence[float], metric: Metric) -> bool:
    """Whether a run is no better after training than before; a diverged one is as before."""
    before, after = ends
    return not (after > before if metric.higher_is_better else after < before)


def _ratio(difference: float, scale: float) -> float:
    if difference == 0:
        return 0.0
    return difference / scale if scale else math.inf
