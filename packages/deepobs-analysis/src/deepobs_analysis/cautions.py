"""What a careful reader of results must know, found by rules that are stated here."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs_analysis.leads import FEWEST_SEEDS
from deepobs_analysis.luck import failing_seeds, lucky_seeds, named
from deepobs_analysis.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from deepobs_analysis.standings import Standing


class Finding(NamedTuple):
    """Something that was found.

    Attributes:
        text: What, in a sentence.
        problem: The problem that it is about; empty for all.
    """

    text: str
    problem: str = ""


class Caution(NamedTuple):
    """Something to know before numbers are believed.

    Attributes:
        title: What it is about, in a few words.
        findings: What was found.
        advice: What to make of it.
    """

    title: str
    findings: tuple[Finding, ...]
    advice: str


def cautions(rows: Sequence[Standing]) -> list[Caution]:
    """Look for all that is known to mislead readers.

    Args:
        rows: From `standings`.

    Returns:
        The gravest first.
    """
    found = (
        _of_rows(
            rows,
            "Some seeds fail with a setting that was chosen",
            failing_seeds,
            "A mean over such seeds describes neither group. A choice by one seed cannot see this: "
            "tune with several seeds, or take the next setting.",
        ),
        _of_rows(
            rows,
            "Seeds of settings that were chosen diverged",
            _diverged_seeds,
            "They count with the performance before training.",
        ),
        _chosen_on_test(rows),
        _of_rows(
            rows,
            "The seed of the choice was a lucky one",
            lucky_seeds,
            "A setting that is chosen by few seeds tends to look better than it is: compare means "
            "over all seeds, and mistrust differences of this size.",
        ),
        _of_rows(
            rows,
            "The best learning rate is at the border of what was tried",
            _border,
            "A better one may lie beyond.",
        ),
        _of_rows(
            rows,
            f"Fewer than {FEWEST_SEEDS} seeds",
            _few_seeds,
            "What other seeds would give is not known; no interval is shown.",
        ),
        *(_unequal(rows, *rule) for rule in _UNEQUAL),
        _mixed(rows),
    )
    return [caution for caution in found if caution is not None]


def _of_rows(
    rows: Iterable[Standing], title: str, rule: Callable[[Standing], str | None], advice: str
) -> Caution | None:
    """What a rule finds in single rows."""
    texts = ((row.problem, rule(row)) for row in rows)
    found = tuple(Finding(text, problem) for problem, text in texts if text is not None)
    return Caution(title, found, advice) if found else None


def _diverged_seeds(row: Standing) -> str | None:
    diverged = int(row.selection.runs["has_diverged"].sum())
    return f"{named(row)}: {diverged} of {len(row.seeds)}." if diverged else None


def _border(row: Standing) -> str | None:
    rates = row.trials.learning_rates
    rate = row.selection.hyperparameters.get("lr")
    if rate is None or not rates[0] < rates[1] or not np.isclose(rate, rates, rtol=1e-6).any():
        return None
    which = "smallest" if np.isclose(rate, rates[0], rtol=1e-6) else "largest"
    return f"{named(row)}: {rate:.4g} is the {which} that was tried."


def _few_seeds(row: Standing) -> str | None:
    return f"{named(row)}: {len(row.seeds)}." if len(row.seeds) < FEWEST_SEEDS else None


def _chosen_on_test(rows: Iterable[Standing]) -> Caution | None:
    chosen = [row for row in rows if row.selection.was_chosen_on_test]
    if not chosen:
        return None
    problems = dict.fromkeys(row.problem for row in chosen)
    return Caution(
        "Settings were chosen on the test set",
        (Finding(f"{counted(len(chosen), 'setting')}, on {listed(problems)}."),),
        "Figures on the test set are too good by what the choice gained. Runs with a validation "
        "set (validation_size) are chosen on that instead.",
    )


_UNEQUAL: tuple[tuple[str, Callable[[Standing], object], str], ...] = (
    (
        "Optimizers have different numbers of seeds",
        lambda row: len(row.seeds),
        "Means of few seeds vary more.",
    ),
    (
        "Optimizers were tuned with different effort",
        lambda row: row.selection.settings,
        "Numbers of settings are given. The best of many settings tends to be better.",
    ),
    (
        "Optimizers were trained with different batch sizes",
        lambda row: row.selection.runs["batch_size"].iloc[0],
        "Epochs are then different numbers of steps.",
    ),
    (
        "Optimizers were trained for different numbers of epochs",
        lambda row: row.selection.runs["num_epochs"].iloc[0],
        "Performances after the last epoch do not compare.",
    ),
)


def _unequal(
    rows: Iterable[Standing], title: str, value: Callable[[Standing], object], advice: str
) -> Caution | None:
    """What differs between the optimizers of a problem and should not."""
    by_problem: dict[str, list[Standing]] = defaultdict(list)
    for row in rows:
        by_problem[row.problem].append(row)
    unequal = {
        problem: those for problem, those in by_problem.items() if len(set(map(value, those))) > 1
    }
    findings = tuple(
        Finding(f"{problem}: {listed(f'{row.optimizer} {value(row)}' for row in those)}.", problem)
        for problem, those in unequal.items()
    )
    return Caution(title, findings, advice) if findings else None


def _mixed(rows: Sequence[Standing]) -> Caution | None:
    findings = tuple(map(Finding, _mixtures(rows)))
    if not findings:
        return None
    advice = "Performances hardly depend on this, times in seconds do."
    return Caution("Runs were done in different circumstances", findings, advice)


def concerning(problem: str, found: Iterable[Caution]) -> list[Caution]:
    """What concerns a single problem.

    Args:
        problem: The problem.
        found: From `cautions`.
    """
    parts = [
        each._replace(findings=tuple(one for one in each.findings if one.problem == problem))
        for each in found
    ]
    return [part for part in parts if part.findings]


def _mixtures(rows: Sequence[Standing]) -> Iterator[str]:
    """What differs between the runs of the settings that are shown, where it is recorded."""
    runs = [row.selection.runs for row in rows]
    devices = sorted({device for each in runs for device in each["device"] if device})
    formats = sorted({name for each in runs for name in each["format"]})
    versions: dict[str, set[str]] = defaultdict(set)
    for each in runs:
        for recorded in each["versions"]:
            for name, version in recorded.items():
                versions[name].add(str(version))
    if len(formats) > 1:
        known = {"own": "this version", "1.1": "1.1 (TensorFlow)", "1.2": "1.2"}
        yield f"Results of DeepOBS {listed(known[name] for name in formats)}."
    if len(devices) > 1:
        yield f"On {listed(devices)}."
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            yield f"With {name} {listed(sorted(found))}."
