"""Which runs are of one configuration, and what configurations and optimizers are called.

A configuration is all that the numbers of a run depend on besides its seed. Files of one need not
hold it to the last digit: of the runs published with the paper, some have the learning rate
0.06309573444801936 and others of the same configuration 0.063095734448. So numbers of one problem,
optimizer and hyperparameter that differ by a billionth or less are equal, and so are 0 and 0.0. A
missing hyperparameter has the default that the file records; without one, it differs from every
value.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from deepobs.errors import closest, joined, sentences

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from deepobs_analysis.result_formats import Run

# Where a value is: the section, the name, and deeper.
Place: TypeAlias = tuple[str, ...]
# The kind of a value, and the value: in a dictionary of values alone, True would be 1.
Leaf: TypeAlias = tuple[str, Any]

_RELATIVE_TOLERANCE = 1e-9
_FEWEST_DIGITS, _MOST_DIGITS = 4, 17
_LABELS = {"num_epochs": "epochs"}
MEASUREMENT = (
    *("weight_decay", "bare_losses", "full_evaluation", "validation_size"),
    *("dtype", "reshuffle", "batch_size", "num_epochs", "max_steps", "train_fraction"),
    "evaluate_every",
)
"""What performances depend on besides the optimizer; see `RunSpecification`."""

_LEARNING_RATE = ("hyperparameters", "lr")
_FORMAT = ("rest", "format")
_MISSING = -1


class Configuration(NamedTuple):
    """A configuration: its name, which is all that tells it from others, and its place."""

    text: str
    rank: int


class _Named(NamedTuple):
    """A value: its place among the different ones, and how it is written."""

    rank: int
    text: str


_Names: TypeAlias = dict[Place, dict[Leaf, _Named]]


def displayed_names(runs: Sequence[Run], *, by: Collection[str] = ()) -> list[str]:
    """The names of the optimizers of all runs of some results: different for different optimizers.

    An optimizer is what its experiment calls it, which tells its schedules apart: "mine + cosine".
    Without such a label, a learning-rate schedule makes another one: "SGD + CosineAnnealingLR".
    Where two classes share a name, their names include them: "Adam (my_module:Adam)".

    Args:
        runs: The runs.
        by: What else makes another one, where an optimizer was run with several values on a
            problem: hyperparameters, "groups", "batch_size", and "schedule" for its arguments.
    """
    called = [run.label or run.optimizer for run in runs]
    targets = defaultdict(set)
    for run, name in zip(runs, called, strict=True):
        # Files of old formats do not name the class, and must not make a name ambiguous.
        if run.target:
            targets[name].add(run.target)
    names = []
    for run, name in zip(runs, called, strict=True):
        if len(targets[name]) > 1 and run.target:
            name = f"{name} ({run.target})"
        names.append(name)
    names = _with_schedules(runs, names, in_words="schedule" in by)
    return _split(runs, names, [each for each in by if each != "schedule"])


def _with_schedules(runs: Sequence[Run], names: Sequence[str], *, in_words: bool) -> list[str]:
    """Add the learning-rate schedules that labels do not tell apart."""
    schedules = [run.schedule if in_words else run.schedule_name for run in runs]
    of_name: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run, name, schedule in zip(runs, names, schedules, strict=True):
        of_name[name, run.problem].add(schedule)
    # For all problems: a row has one name.
    shared = {name for (name, _), those in of_name.items() if len(those) > 1}
    return [
        f"{name} + {schedule}" if schedule and (not run.label or name in shared) else name
        for run, name, schedule in zip(runs, names, schedules, strict=True)
    ]


def unknown_splits(
    runs: Sequence[Run], by: Collection[str], place: str | os.PathLike[str]
) -> dict[str, str]:
    """The names in `by` that no run has, with what to say about each.

    Args:
        runs: The runs.
        by: See `displayed_names`.
        place: Where the runs are, for the messages.
    """
    if not runs or not by:
        return {}
    identities = {run.identity for run in runs}
    known = sorted({"schedule"}.union(*(_given(json.loads(each)) for each in identities)))
    return {
        each: sentences(
            f"No run in {place} has {each!r} to split optimizers by.",
            closest(each, known),
            f"Known: {joined(known)}.",
        )
        for each in by
        if each not in known
    }


def _split(runs: Sequence[Run], names: Sequence[str], by: Sequence[str]) -> list[str]:
    """Add the values of `by` to the names of optimizers that have several on a problem."""
    if not by:
        return list(names)
    given = {identity: _given(json.loads(identity)) for identity in {run.identity for run in runs}}
    of_name: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for run, name in zip(runs, names, strict=True):
        of_name[name].add((run.problem, run.identity))
    told = {name: _told_by(by, those, given) for name, those in of_name.items()}
    return [
        ", ".join([name, *told[name][run.identity]]) for run, name in zip(runs, names, strict=True)
    ]


def _told_by(
    by: Iterable[str],
    of_optimizer: Collection[tuple[str, str]],
    given: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[str]]:
    """By identity, the values that tell the runs of an optimizer apart.

    Args:
        by: Names of the values.
        of_optimizer: The problem and the identity of each run.
        given: `_given` of each identity.
    """
    told: dict[str, list[str]] = {identity: [] for _, identity in of_optimizer}
    for name in by:
        texts = _texts(name, {identity: given[identity] for identity in told})
        # On different problems, values such as default batch sizes differ without a comparison.
        on_problem: dict[str, set[str]] = defaultdict(set)
        for problem, identity in of_optimizer:
            on_problem[problem].add(texts[identity])
        if any(len(those) > 1 for those in on_problem.values()):
            for identity, text in texts.items():
                told[identity].append(text)
    return told


def _given(content: Mapping[str, Any]) -> dict[str, Any]:
    """What optimizers can be split by, with the values of a run."""
    rest = content["rest"]
    others = {"groups": rest.get("groups"), "batch_size": rest["batch_size"]}
    return {**others, **content.get("defaults", {}), **content["hyperparameters"]}


def _texts(name: str, given: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """How the value of one of `_given` is written, of each identity."""
    values = {identity: those.get(name) for identity, those in given.items()}
    written = _names(dict(_leaves(value, (name,))) for value in values.values())
    label = name.replace("_", " ") if name in ("groups", "batch_size") else name
    return {
        identity: f"no {label}" if value is None else f"{label} = {_value(value, (name,), written)}"
        for identity, value in values.items()
    }


def measurement_of(identity: str) -> dict[str, Any]:
    """What else than the optimizer decides what the performances of a run are, as recorded."""
    rest = json.loads(identity)["rest"]
    return {name: rest[name] for name in MEASUREMENT if name in rest}


def configurations_of(
    identities: Iterable[str], *, differing: Collection[str] = ()
) -> dict[str, Configuration]:
    """The configuration of each identity, of runs of one problem and optimizer.

    Args:
        identities: Those of the runs.
        differing: Names of `MEASUREMENT` in which runs of other optimizers on the problem differ:
            they are part of the names, so that unlike performances do not look alike.
    """
    contents = {identity: json.loads(identity) for identity in sorted(set(identities))}
    _complete(contents.values())
    leaves = {identity: dict(_leaves(content, ())) for identity, content in contents.items()}
    names = _names(leaves.values())
    keys = {identity: _ranks(each, names) for identity, each in leaves.items()}
    one_of = {keys[identity]: content for identity, content in contents.items()}
    shown = _shown(names, one_of, {("rest", name) for name in differing})
    configurations = {
        key: Configuration(_text(one_of[key], shown, names), rank)
        for rank, key in enumerate(sorted(one_of))
    }
    return {identity: configurations[key] for identity, key in keys.items()}


def _complete(contents: Collection[dict[str, Any]]) -> None:
    """Add the default of a hyperparameter where only other runs were given a value for it."""
    given = {name for content in contents for name in content["hyperparameters"]}
    for content in contents:
        defaults = content.pop("defaults", {})
        for name in given & defaults.keys():
            content["hyperparameters"].setdefault(name, defaults[name])


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, Leaf]]:
    """The plain values in dictionaries and lists, with their places."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, (*place, name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*place, str(index)))
    else:
        yield place, _leaf(value)


def _leaf(value: Any) -> Leaf:
    if isinstance(value, str):
        return "text", value
    # True equals 1 and NaN not even itself: as numbers, the first would be merged with 1 and the
    # second make a configuration of every run.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return ("number", value) if is_number and value == value else ("other", json.dumps(value))


def _names(leaves: Iterable[Mapping[Place, Leaf]]) -> _Names:
    """Number and name the values at each place, that of the learning rate first."""
    found: dict[Place, set[Leaf]] = defaultdict(set)
    for each in leaves:
        for place, leaf in each.items():
            found[place].add(leaf)
    places = sorted(found, key=lambda place: (place != _LEARNING_RATE, place))
    return {place: _named(found[place]) for place in places}


def _named(leaves: set[Leaf]) -> dict[Leaf, _Named]:
    clusters = _clusters([value for kind, value in leaves if kind == "number"])
    texts = _written([cluster[0] for cluster in clusters])
    named = {
        ("number", value): _Named(rank, text)
        for rank, (cluster, text) in enumerate(zip(clusters, texts, strict=True))
        for value in cluster
    }
    others = sorted(leaf for leaf in leaves if leaf[0] != "number")
    for rank, (kind, value) in enumerate(others, start=len(clusters)):
        # The text "1" beside the number 1 gets quotes: two configurations never share a name.
        is_taken = any(value == each.text for each in named.values())
        named[kind, value] = _Named(rank, f"'{value}'" if is_taken else value)
    return named


def _clusters(numbers: list[float]) -> list[list[float]]:
    """Group equal numbers; in each group, the one with the shortest text comes first."""
    ordered = sorted(numbers)
    groups = [ordered[:1]] if ordered else []
    # Neighbors are compared, so that the result does not depend on which number comes first.
    for lower, higher in pairwise(ordered):
        if _are_equal(lower, higher):
            groups[-1].append(higher)
        else:
            groups.append([higher])
    return [sorted(group, key=lambda number: len(repr(number))) for group in groups]


def _are_equal(first: float, second: float) -> bool:
    # Integers are exact, such as seeds or sizes near 1e9, which a tolerance would merge.
    if isinstance(first, int) and isinstance(second, int):
        return first == second
    return math.isclose(first, second, rel_tol=_RELATIVE_TOLERANCE)


def _written(numbers: Sequence[float]) -> list[str]:
    """Write different numbers differently, and with few digits."""
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS):
        texts = [_rounded(number, digits) for number in numbers]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(number) for number in numbers]


def _rounded(number: float, digits: int) -> str:
    """A short number unchanged, others with so many digits, including trailing zeros."""
    if isinstance(number, int):
        return str(number)
    short = f"{number:.{digits}g}"
    return short if float(short) == number else f"{number:#.{digits}g}".removesuffix(".")


def _ranks(leaves: Mapping[Place, Leaf], names: _Names) -> tuple[int, ...]:
    return tuple(
        known[leaves[place]].rank if place in leaves else _MISSING for place, known in names.items()
    )


def _shown(
    names: _Names, one_of: Mapping[tuple[int, ...], Any], differing: Collection[Place]
) -> list[Place]:
    """The sections and names that distinguish configurations, and the learning rate."""
    found = defaultdict(set)
    for ranks, content in one_of.items():
        for place, rank in zip(names, ranks, strict=True):
            # Formats know different things besides hyperparameters. Compared between formats, each
            # of them would vary and crowd the name, though the format alone tells them apart.
            is_of_the_format = place[0] == "rest" and place != _FORMAT
            found[place, content["rest"]["format"] if is_of_the_format else ""].add(rank)
    varying = {place for (place, _), ranks in found.items() if len(ranks) > 1}
    shown = [place[:2] for place in names if place in varying or place == _LEARNING_RATE]
    hyperparameters = [place[:2] for place in names if place[0] == "hyperparameters"]
    measured = [place[:2] for place in names if place[:2] in differing]
    return list(dict.fromkeys([*(shown or hyperparameters), *measured]))


def _text(content: Mapping[str, Any], shown: Iterable[Place], names: _Names) -> str:
    parts = [
        f"{_label(*place)} = {_value(content[place[0]][place[1]], place, names)}"
        for place in shown
        if len(place) > 1 and place[1] in content[place[0]]
    ]
    return ", ".join(parts) or "defaults"


def _label(section: str, name: str) -> str:
    """A hyperparameter by its name; all else in words, to tell it from hyperparameters."""
    if section == "hyperparameters":
        return name
    return _LABELS.get(name, name.replace("_", " "))


def _value(value: Any, place: Place, names: _Names) -> str:
    if isinstance(value, dict) and value:
        parts = [f"{name} {_value(item, (*place, name), names)}" for name, item in value.items()]
        return f"({', '.join(parts)})"
    if isinstance(value, list) and value:
        parts = [_value(item, (*place, str(i)), names) for i, item in enumerate(value)]
        return f"({', '.join(parts)})"
    return names[place][_leaf(value)].text
