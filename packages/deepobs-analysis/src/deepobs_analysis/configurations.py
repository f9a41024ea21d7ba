"""Which runs are of one configuration, and what configurations and optimizers are called.

A configuration is all that the numbers of a run depend on besides its seed. Files of one need not
hold it to the last digit: of the runs published with the paper, some have the learning rate
0.06309573444801936 and others of the same configuration 0.063095734448. So numbers of one problem,
optimizer and hyperparameter that differ by a billionth or less are equal, and so are 0 and 0.0. A
missing hyperparameter has the default that the file records; without one, it differs from every
value.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydantic_core import from_json

from deepobs.errors import closest, joined, sentences
from deepobs.run_specifications import STEP_OPTIONS

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

# Where a value is: the section, the name, and deeper.
Place: TypeAlias = tuple[str, ...]
# The kind of a value, and the value: in a dictionary of values alone, True would be 1.
Leaf: TypeAlias = tuple[str, Any]
# The texts and the ranks of configurations.
Names: TypeAlias = tuple[list[str], list[int]]

_RELATIVE_TOLERANCE = 1e-9
_FEWEST_DIGITS, _MOST_DIGITS = 4, 17
_MOST_TEXTS = 10_000
_LABELS = {"num_epochs": "epochs"}
CLIPPING = ("clip_norm", "clip_value")
"""The options of steps that are a part of the optimizer, as schedules are."""

MEASUREMENT = (
    *("weight_decay", "bare_losses", "full_evaluation", "validation_size"),
    *("dtype", "reshuffle", "batch_size", "num_epochs", "max_steps", "train_fraction"),
    *("evaluate_every", *STEP_OPTIONS),
)
"""What performances depend on besides the optimizer; see `RunSpecification`."""

_OWN, _REST = ("hyperparameters",), ("rest",)
_LEARNING_RATE = (*_OWN, "lr")
_FORMAT = (*_REST, "format")
_MISSING = -1


class Identity(NamedTuple):
    """What the numbers of a run depend on besides the seed: fields of `Run` of these names."""

    hyperparameters: str
    rest: str
    defaults: str = "{}"


class Kind(NamedTuple):
    """What runs share whose optimizers have one name: fields of `Run`.

    The last two matter only where optimizers are split by hyperparameters.
    """

    problem: str
    optimizer: str
    label: str
    target: str
    schedule_name: str
    schedule: str
    rest: str
    hyperparameters: str = "{}"
    defaults: str = "{}"

    @property
    def identity(self) -> Identity:
        """All else that its numbers depend on."""
        return Identity(self.hyperparameters, self.rest, self.defaults)


class Configuration(NamedTuple):
    """A configuration: its name, which is all that tells it from others, and its place."""

    text: str
    rank: int


class _Named(NamedTuple):
    """A value: its place among the different ones, and how it is written."""

    rank: int
    text: str


_Names: TypeAlias = dict[Place, dict[Leaf, _Named]]


def displayed_names(runs: Sequence[Kind], *, by: Collection[str] = ()) -> list[str]:
    """The names of the optimizers of all kinds of runs: different for different optimizers.

    An optimizer is what its experiment calls it, which tells its schedules apart: "mine + cosine".
    Without such a label, a learning-rate schedule makes another one: "SGD + CosineAnnealingLR", and
    so do clipped gradients: "SGD + clip_norm".
    Where two classes share a name, their names include them: "Adam (my_module:Adam)".

    Args:
        runs: The kinds of runs.
        by: What else makes another one, where an optimizer was run with several values on a
            problem: hyperparameters, "groups", "batch_size", those of `CLIPPING`, and "schedule"
            for its arguments.
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
    schedules = [run.schedule if "schedule" in by else run.schedule_name for run in runs]
    names = _with_additions(runs, names, schedules)
    clipping = {rest: _clipping(rest, by) for rest in {run.rest for run in runs}}
    names = _with_additions(runs, names, [clipping[run.rest] for run in runs])
    return _split(runs, names, [each for each in by if each not in ("schedule", *CLIPPING)])


def _with_additions(
    runs: Sequence[Kind], names: Sequence[str], additions: Sequence[str]
) -> list[str]:
    """Add what each was trained with besides its optimizer, if labels do not tell that apart."""
    of_name: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run, name, added in zip(runs, names, additions, strict=True):
        of_name[name, run.problem].add(added)
    # For all problems: a row has one name.
    shared = {name for (name, _), those in of_name.items() if len(those) > 1}
    return [
        f"{name} + {added}" if added and (not run.label or name in shared) else name
        for run, name, added in zip(runs, names, additions, strict=True)
    ]


def _clipping(rest: str, by: Collection[str]) -> str:
    """The option by which gradients were clipped, if they were, with its value if `by` has it."""
    content = from_json(rest)
    found = next((name for name in CLIPPING if name in content), "")
    return f"{found} = {content[found]:g}" if found in by else found


def unknown_splits(
    identities: Collection[Identity], by: Collection[str], place: str | os.PathLike[str]
) -> dict[str, str]:
    """The names in `by` that no run has, with what to say about each.

    Args:
        identities: Those of the runs.
        by: See `displayed_names`.
        place: Where the runs are, for the messages.
    """
    if not identities or not by:
        return {}
    known = sorted({"schedule", *CLIPPING}.union(*map(_given, set(identities))))
    return {
        each: sentences(
            f"No run in {place} has {each!r} to split optimizers by.",
            closest(each, known),
            f"Known: {joined(known)}.",
        )
        for each in by
        if each not in known
    }


def _split(runs: Sequence[Kind], names: Sequence[str], by: Sequence[str]) -> list[str]:
    """Add the values of `by` to the names of optimizers that have several on a problem."""
    if not by:
        return list(names)
    given = {identity: _given(identity) for identity in {run.identity for run in runs}}
    of_name: dict[str, set[tuple[str, Identity]]] = defaultdict(set)
    for run, name in zip(runs, names, strict=True):
        of_name[name].add((run.problem, run.identity))
    told = {name: _told_by(by, those, given) for name, those in of_name.items()}
    return [
        ", ".join([name, *told[name][run.identity]]) for run, name in zip(runs, names, strict=True)
    ]


def _told_by(
    by: Iterable[str],
    of_optimizer: Collection[tuple[str, Identity]],
    given: Mapping[Identity, Mapping[str, Any]],
) -> dict[Identity, list[str]]:
    """By identity, the values that tell the runs of an optimizer apart.

    Args:
        by: Names of the values.
        of_optimizer: The problem and the identity of each run.
        given: `_given` of each identity.
    """
    told: dict[Identity, list[str]] = {identity: [] for _, identity in of_optimizer}
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


def _given(identity: Identity) -> dict[str, Any]:
    """What optimizers can be split by, with the values of a run."""
    hyperparameters, rest, defaults = map(from_json, identity)
    others = {"groups": rest.get("groups"), "batch_size": rest["batch_size"]}
    return {**others, **defaults, **hyperparameters}


def _texts(name: str, given: Mapping[Identity, Mapping[str, Any]]) -> dict[Identity, str]:
    """How the value of one of `_given` is written, of each identity."""
    values = {identity: those.get(name) for identity, those in given.items()}
    written = _names(dict(_leaves(value, (name,))) for value in values.values())
    label = name.replace("_", " ") if name in ("groups", "batch_size") else name
    return {
        identity: f"no {label}" if value is None else f"{label} = {_value(value, (name,), written)}"
        for identity, value in values.items()
    }


def measurement_of(rest: str) -> dict[str, Any]:
    """What else than the optimizer decides what the performances of a run are, as recorded.

    Args:
        rest: That of its identity.
    """
    content = from_json(rest)
    return {name: content[name] for name in MEASUREMENT if name in content}


def configurations_of(
    identities: Iterable[Identity], *, differing: Collection[str] = ()
) -> dict[Identity, Configuration]:
    """The configuration of each identity, of runs of one problem and optimizer.

    Args:
        identities: Those of the runs.
        differing: Names of `MEASUREMENT` in which runs of other optimizers on the problem differ:
            they are part of the names, so that unlike performances do not look alike.
    """
    in_order = sorted(set(identities))
    own = dict(zip(in_order, _completed(in_order), strict=True))
    # The runs of an optimizer share most of the rest, which is looked at once.
    rests = {text: from_json(text) for text in {each.rest for each in in_order}}
    leaves_of_own = {
        each: _own_leaves(each.hyperparameters)
        if those is _parsed(each.hyperparameters)
        else dict(_leaves(those, _OWN))
        for each, those in own.items()
    }
    leaves_of_rest = {text: dict(_leaves(rest, _REST)) for text, rest in rests.items()}
    names_of_own, names_of_rest = _names(leaves_of_own.values()), _names(leaves_of_rest.values())
    ranks = {text: _ranks(each, names_of_rest) for text, each in leaves_of_rest.items()}
    keys = {
        each: (_ranks(leaves_of_own[each], names_of_own), ranks[each.rest]) for each in in_order
    }
    one_of = {key: identity for identity, key in keys.items()}
    varying = _varying(names_of_own, {of_own for of_own, _ in one_of})
    # Formats know different things besides hyperparameters. Compared between formats, each of them
    # would vary and crowd the name, though the format alone tells them apart.
    by_format: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for text, rest in rests.items():
        by_format[rest["format"]].add(ranks[text])
    varying = varying.union(*(_varying(names_of_rest, those) for those in by_format.values()))
    if len(by_format) > 1:
        varying.add(_FORMAT)
    names = {**names_of_own, **names_of_rest}
    shown = _shown(names, varying, {(*_REST, name) for name in differing})
    configurations = {
        key: Configuration(_text(own[identity], rests[identity.rest], shown, names), rank)
        for rank, (key, identity) in enumerate(sorted(one_of.items()))
    }
    return {identity: configurations[key] for identity, key in keys.items()}


class NamedConfigurations:
    """Configurations that were named before: only those of changed sets of runs are named anew.

    Attributes:
        used: By a hash of what they are named from, the texts and the ranks of those that were
            asked for, in the order of their identities.
        newly_named: How many were not known.
    """

    def __init__(self, known: Mapping[str, Names]) -> None:
        self.known = known
        self.used: dict[str, Names] = {}
        self.newly_named = 0

    def of(
        self, digests: bytes, identities: Iterable[tuple[str, ...]], differing: Collection[str]
    ) -> Names:
        """The texts and ranks of configurations; see `configurations_of`.

        Args:
            digests: Hashes of the identities.
            identities: Different ones, in their order.
            differing: See `configurations_of`.
        """
        key = hashlib.sha256("\0".join([*sorted(differing), ""]).encode() + digests).hexdigest()
        named = self.known.get(key)
        if named is None:
            in_order = list(itertools.starmap(Identity, identities))
            found = configurations_of(in_order, differing=differing)
            named = [found[each].text for each in in_order], [found[each].rank for each in in_order]
            self.newly_named += len(in_order)
        self.used[key] = named
        return named


def _completed(identities: Sequence[Identity]) -> list[Mapping[str, Any]]:
    """Their hyperparameters, with the default of one where only others were given a value."""
    found = [_parsed(each.hyperparameters) for each in identities]
    given = set().union(*found)
    completed: list[Mapping[str, Any]] = []
    for identity, hyperparameters in zip(identities, found, strict=True):
        missing = given.difference(hyperparameters)
        defaults = _parsed(identity.defaults) if missing else {}
        added = {name: defaults[name] for name in missing if name in defaults}
        completed.append({**hyperparameters, **added} if added else hyperparameters)
    return completed


# The optimizers of a study share their grids.
@functools.lru_cache(maxsize=_MOST_TEXTS)
def _parsed(text: str) -> Mapping[str, Any]:
    content: dict[str, Any] = from_json(text)
    return content


@functools.lru_cache(maxsize=_MOST_TEXTS)
def _own_leaves(text: str) -> Mapping[Place, Leaf]:
    return dict(_leaves(_parsed(text), _OWN))


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
    for lower, higher in itertools.pairwise(ordered):
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


@functools.lru_cache(maxsize=_MOST_TEXTS, typed=True)
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


def _varying(names: _Names, ranks: Collection[tuple[int, ...]]) -> set[Place]:
    """The places of which not all have the same value."""
    of_places = zip(names, zip(*ranks, strict=True), strict=True)
    return {place for place, those in of_places if len(set(those)) > 1}


def _shown(names: _Names, varying: Collection[Place], differing: Collection[Place]) -> list[Place]:
    """The sections and names that distinguish configurations, and the learning rate."""
    shown = [place[:2] for place in names if place in varying or place == _LEARNING_RATE]
    hyperparameters = [place[:2] for place in names if place[0] == "hyperparameters"]
    measured = [place[:2] for place in names if place[:2] in differing]
    return list(dict.fromkeys([*(shown or hyperparameters), *measured]))


def _text(
    own: Mapping[str, Any], rest: Mapping[str, Any], shown: Iterable[Place], names: _Names
) -> str:
    content = {_OWN[0]: own, _REST[0]: rest}
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
