"""Which runs are of one setting, and what tables call it.

A setting is all that the numbers of a run depend on besides its seed. Files of one setting need not
hold it to the last digit: of the runs published with the paper, some have the learning rate
0.06309573444801936 and others of the same setting 0.063095734448. So numbers of one problem,
optimizer and hyperparameter that differ by a billionth or less are one, and so are 0 and 0.0. A
hyperparameter that is not there differs from every value.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Path: TypeAlias = tuple[str, ...]
Leaf: TypeAlias = tuple[str, Any]  # its kind and its value: True is not 1

_RELATIVE_TOLERANCE = 1e-9
_FEWEST_DIGITS, _MOST_DIGITS = 4, 17
_LABELS = {"num_epochs": "epochs", "format": "DeepOBS"}
_LEARNING_RATE = "lr"


class Setting(NamedTuple):
    """A setting among those of its problem and optimizer.

    Attributes:
        text: What it is called: the learning rate, and all else that differs among them.
        rank: Its place in their order, by the learning rate first.
    """

    text: str
    rank: int


def settings_of(identities: Iterable[str]) -> dict[str, Setting]:
    """Find the settings of runs of one problem and optimizer.

    Args:
        identities: Those of `Run`s.

    Returns:
        The setting of each identity.
    """
    items = {identity: _items(json.loads(identity)) for identity in set(identities)}
    leaves = {identity: dict(_leaves(item, ())) for identity, item in items.items()}
    names = _names(leaves.values())
    keys = {identity: _key(leaves[identity], names) for identity in items}
    first_of = {keys[identity]: identity for identity in sorted(items)}
    varying = {path[0] for path, known in names.items() if _varies(path, known, leaves.values())}
    texts = {key: _text(items[first], names, varying) for key, first in first_of.items()}
    rank = {key: place for place, key in enumerate(sorted(first_of))}
    return {identity: Setting(texts[key], rank[key]) for identity, key in keys.items()}


class _Named(NamedTuple):
    """A value that is there at a path: its place among the others, and how it is written."""

    rank: int
    text: str


_Names: TypeAlias = dict[Path, dict[Leaf, _Named]]


def _items(identity: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters and all else side by side, under labels that cannot meet."""
    rest = {_label(name): value for name, value in identity["rest"].items()}
    return {**identity["hyperparameters"], **{f"{name} ": rest[name] for name in rest}}


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Leaf]]:
    """The plain values in lists and dictionaries, by where they are."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, f"[{index}]"))
    else:
        yield path, _leaf(value)


def _leaf(value: Any) -> Leaf:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
        return "number", value
    return "other", value if isinstance(value, str) else json.dumps(value)


def _names(leaves: Iterable[dict[Path, Leaf]]) -> _Names:
    found: dict[Path, set[Leaf]] = defaultdict(set)
    for each in leaves:
        for path, leaf in each.items():
            found[path].add(leaf)
    ordered = sorted(found, key=lambda path: (path[0] != _LEARNING_RATE, path))
    return {path: _named(found[path]) for path in ordered}


def _named(leaves: set[Leaf]) -> dict[Leaf, _Named]:
    """Number the different values at a path, and write them so that they stay different."""
    clusters = _clusters([value for kind, value in leaves if kind == "number"])
    texts = _written([cluster[0] for cluster in clusters])
    others = sorted(value for kind, value in leaves if kind != "number")
    named = {
        ("number", value): _Named(rank, text)
        for rank, (cluster, text) in enumerate(zip(clusters, texts, strict=True))
        for value in cluster
    }
    for rank, value in enumerate(others, start=len(clusters)):
        named["other", value] = _Named(rank, f"'{value}'" if value in texts else value)
    return named


def _clusters(numbers: list[float]) -> list[list[float]]:
    """Group numbers that are one; of each group, the one that is written shortest comes first."""
    ordered = sorted(numbers)
    groups = [ordered[:1]] if ordered else []
    for lower, higher in pairwise(ordered):
        if _are_one(lower, higher):
            groups[-1].append(higher)
        else:
            groups.append([higher])
    return [sorted(group, key=lambda value: len(repr(value))) for group in groups]


def _are_one(first: float, second: float) -> bool:
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
    """A number as it is where it is short; else with so many digits, whatever the last one is."""
    if isinstance(number, int):
        return str(number)
    exact = f"{number:.{digits}g}"
    if float(exact) == number:
        return exact
    return f"{number:#.{digits}g}".removesuffix(".")


def _key(leaves: dict[Path, Leaf], names: _Names) -> tuple[int, ...]:
    return tuple(names[path][leaves[path]].rank if path in leaves else -1 for path in names)


def _varies(path: Path, known: dict[Leaf, _Named], leaves: Iterable[dict[Path, Leaf]]) -> bool:
    is_everywhere = all(path in each for each in leaves)
    return not is_everywhere or len({named.rank for named in known.values()}) > 1


def _text(items: dict[str, Any], names: _Names, varying: set[str]) -> str:
    shown = [name for name in items if name in varying or name == _LEARNING_RATE]
    shown = shown or [name for name in items if not name.endswith(" ")]
    shown.sort(key=lambda name: (name != _LEARNING_RATE, name.endswith(" "), name))
    parts = [f"{name.strip()} = {_value(items[name], (name,), names)}" for name in shown]
    return ", ".join(parts) or "defaults"


def _value(value: Any, path: Path, names: _Names) -> str:
    if isinstance(value, dict) and value:
        parts = (f"{name} {_value(item, (*path, name), names)}" for name, item in value.items())
        return f"({', '.join(parts)})"
    if isinstance(value, list) and value:
        parts = (_value(item, (*path, f"[{i}]"), names) for i, item in enumerate(value))
        return f"({', '.join(parts)})"
    return names[path][_leaf(value)].text
