"""Choosing some of the runs of an experiment: `problem=digits_*`, `optimizer=SGD`, `seed=42`."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from typing import TYPE_CHECKING

from deepobs.errors import ArgumentError, closest, sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_bench.expansion import PlannedRun, PlannedTuning
    from deepobs_bench.plan import Plan

    Words = Mapping[str, tuple[str, ...]]
    """The names by which something can be chosen, by key."""

KEYS = ("problem", "optimizer", "schedule", "seed")


def only(patterns: Sequence[str], plan: Plan) -> Plan:
    """Keep the runs and tunings that the patterns match.

    Args:
        patterns: Texts such as `problem=digits_*`, with the wildcards `*`, `?` and `[...]`. A run
            has to match one pattern of every key that is given; tunings have seeds of their own,
            and are left out where seeds are asked for.
        plan: What to choose from.

    Raises:
        ArgumentError: A pattern has another form, or nothing matches it.
    """
    wanted: dict[str, list[str]] = defaultdict(list)
    for pattern in patterns:
        key, value = _parsed(pattern)
        wanted[key].append(value)
    runs = [(_words_of_run(run), run) for run in plan.runs]
    tunings = [(_words_of_tuning(tuning), tuning) for tuning in plan.tunings]
    described = [words for words, _ in (*runs, *tunings)]
    for key, values in wanted.items():
        _require_matches(key, values, described)
    chosen = type(plan)(
        [run for words, run in runs if _matches_all(wanted, words)],
        [tuning for words, tuning in tunings if _matches_all(wanted, words)],
    )
    if not chosen.runs and not chosen.tunings:
        raise ArgumentError(
            f"No run of the experiment matches all of {', '.join(patterns)}. Leave one of them "
            "out; --dry-run shows what there is."
        )
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


def _words_of_run(run: PlannedRun) -> Words:
    """The names by which a run can be chosen."""
    specification = run.specification
    return {
        "problem": (specification.testproblem,),
        "optimizer": (run.optimizer, specification.optimizer),
        "schedule": (run.schedule,),
        "seed": (str(specification.random_seed),),
    }


def _words_of_tuning(tuning: PlannedTuning) -> Words:
    return {
        "problem": (tuning.problem,),
        "optimizer": (tuning.optimizer, tuning.optimizer_class),
        "schedule": (tuning.schedule,),
        "seed": (),
    }


def _matches_all(wanted: Mapping[str, list[str]], words: Words) -> bool:
    return all(
        any(_matches(pattern, words[key]) for pattern in patterns)
        for key, patterns in wanted.items()
    )


def _matches(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _require_matches(key: str, patterns: Iterable[str], described: Iterable[Words]) -> None:
    """Refuse a pattern that matches nothing by itself: it is misspelt."""
    known = list(dict.fromkeys(words[key] for words in described))
    names = [names[0] for names in known if names]
    for pattern in patterns:
        if not any(_matches(pattern, each) for each in known):
            raise ArgumentError(
                sentences(
                    f"No run of the experiment has {key}={pattern}.",
                    closest(pattern, names),
                    f"There are: {', '.join(names)}.",
                )
            )
