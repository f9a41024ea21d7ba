"""Choosing some of the runs of an experiment: `problem=digits_*`, `optimizer=SGD`, `seed=42`."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from typing import TYPE_CHECKING

from deepobs.errors import ArgumentError, closest, sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs.experiments.plan import PlannedRun

KEYS = ("problem", "optimizer", "schedule", "seed")


def only(patterns: Sequence[str], runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Keep the runs that the patterns match.

    Args:
        patterns: Texts such as `problem=digits_*`, with the wildcards `*`, `?` and `[...]`. A run
            has to match one pattern of every key that is given.
        runs: The runs to choose from.

    Raises:
        ArgumentError: A pattern has another form, or no run matches it.
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for pattern in patterns:
        key, value = _parsed(pattern)
        by_key[key].append(value)
    described = [(_described(run), run) for run in runs]
    for key, values in by_key.items():
        _require_matches(key, values, [words for words, _ in described])
    chosen = [run for words, run in described if _matches_all(by_key, words)]
    if not chosen and described:
        raise ArgumentError(f"No run of the experiment matches all of {', '.join(patterns)}.")
    return chosen


def _parsed(pattern: str) -> tuple[str, str]:
    key, separator, value = pattern.partition("=")
    if not separator or not value or key not in KEYS:
        raise ArgumentError(
            sentences(
                f"{pattern!r} is no choice of runs.",
                closest(key, KEYS) if separator else "",
                f"Permitted: {', '.join(f'{key}=PATTERN' for key in KEYS)}.",
            )
        )
    return key, value


def _described(run: PlannedRun) -> dict[str, tuple[str, ...]]:
    """The names by which a run can be chosen."""
    specification = run.specification
    return {
        "problem": (specification.testproblem,),
        "optimizer": (run.optimizer, specification.optimizer),
        "schedule": (run.schedule,),
        "seed": (str(specification.random_seed),),
    }


def _matches_all(by_key: Mapping[str, list[str]], words: Mapping[str, tuple[str, ...]]) -> bool:
    return all(
        any(_matches(pattern, words[key]) for pattern in patterns)
        for key, patterns in by_key.items()
    )


def _matches(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _require_matches(
    key: str, patterns: Iterable[str], described: Iterable[Mapping[str, tuple[str, ...]]]
) -> None:
    """Refuse a pattern that matches nothing by itself: it is misspelt."""
    known = list(dict.fromkeys(words[key] for words in described))
    names = [names[0] for names in known]
    for pattern in patterns:
        if not any(_matches(pattern, each) for each in known):
            raise ArgumentError(
                sentences(
                    f"No run of the experiment has {key}={pattern}.",
                    closest(pattern, names),
                    f"There are: {', '.join(names)}.",
                )
            )
