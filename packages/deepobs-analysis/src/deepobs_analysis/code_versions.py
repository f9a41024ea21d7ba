"""Results from several versions of one's own code: which version is the newest."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from deepobs.console.text import counted
from deepobs_analysis.run_protocols import OF_THE_PROBLEM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deepobs_analysis.configurations import Kind
    from deepobs_analysis.run_columns import Runs

    _Key: TypeAlias = tuple[str, ...]

CodeChoice: TypeAlias = Literal["newest", "all"]
CODE_CHOICES: tuple[CodeChoice, ...] = get_args(CodeChoice)

RELEASED = "released"
"""The version of code that is not one's own."""


def older_code(runs: Runs) -> dict[int, str]:
    """Find the runs of code that has changed since.

    Each part of a run, such as its optimizer or its test problem, has versions of its own. The
    newest is that of the latest result, over all test problems: an optimizer is never compared by
    its old code on some problems and by its new code on others.

    Args:
        runs: The runs.

    Returns:
        The indices of those of older code, and what to say about each.
    """
    kinds, where = runs.combinations("optimizer", "problem", "target", "rest")
    parts = [list(_versions(*kind)) for kind in kinds]
    versions: dict[_Key, set[str]] = defaultdict(set)
    for key, _, version in chain.from_iterable(parts):
        versions[key].add(version)
    changed = {key for key, those in versions.items() if len(those) > 1}
    rows = np.flatnonzero([any(key in changed for key, *_ in those) for those in parts])
    newest: dict[_Key, tuple[tuple[Any, ...], str]] = {}
    of_changed = np.flatnonzero(np.isin(where, rows)).tolist()
    for row in of_changed:
        moment = runs.file(row).moment
        for key, _, version in parts[where[row]]:
            newest[key] = max(newest.get(key, ((), "")), (moment, version))
    older = {}
    for row in of_changed:
        for key, owner, version in parts[where[row]]:
            latest = newest[key][1]
            if version != latest:
                older[row] = (
                    f"it was run with older code of {owner} ({version or RELEASED}; the newest "
                    f"is {latest or RELEASED}; --code all includes it)"
                )
    return older


def names_of_versions(kinds: Sequence[Kind]) -> list[tuple[str, str]]:
    """What is added to the names of optimizers and problems of whose code there are versions.

    Args:
        kinds: The kinds of runs.

    Returns:
        For each kind, "@" and the fingerprint of the code of its optimizer, with that of other
        parts such as a schedule, and of its problem; "" for what has one version.
    """
    versions = [
        list(_versions(kind.optimizer, kind.problem, kind.target, kind.rest)) for kind in kinds
    ]
    known: dict[_Key, set[str]] = defaultdict(set)
    for key, _, version in chain.from_iterable(versions):
        known[key].add(version)
    names = []
    for those in versions:
        several = [(key[0], version) for key, _, version in those if len(known[key]) > 1]
        of_problem = [version for part, version in several if part in OF_THE_PROBLEM]
        of_optimizer = [version for part, version in several if part not in OF_THE_PROBLEM]
        names.append((_suffix(of_optimizer), _suffix(of_problem)))
    return names


def newest_in_words(
    names: Iterable[str], suffixes: Iterable[str], moments: Iterable[tuple[Any, ...]]
) -> Iterator[str]:
    """Sentences on which versions there are, and which is the newest.

    Args:
        names: What the optimizer or the problem of each run is called.
        suffixes: What of that is from `names_of_versions`.
        moments: When the result of each was written.
    """
    latest: dict[str, dict[str, tuple[Any, ...]]] = defaultdict(dict)
    for name, suffix, moment in zip(names, suffixes, moments, strict=True):
        if suffix:
            of_name = latest[name.removesuffix(suffix)]
            of_name[name] = max(of_name.get(name, ()), moment)
    for name, those in sorted(latest.items()):
        newest = max(those, key=lambda called: those[called])
        count = counted(len(those), "version")
        yield f"Of {name} there are results of {count} of its code; the newest is {newest}."


def _suffix(versions: list[str]) -> str:
    return f"@{'+'.join(version or RELEASED for version in versions)}" if versions else ""


def code_of(rest: str) -> dict[str, str]:
    """The fingerprint of each part of a run that is code of one's own, such as "optimizer".

    Args:
        rest: That of its identity.
    """
    known = json.loads(rest)
    if known["format"] != "own":
        return {}
    of_optimizer = {"optimizer": known["source"]} if known.get("source") else {}
    return {**of_optimizer, **known.get("code", {})}


def _versions(
    optimizer: str, problem: str, target: str, rest: str
) -> Iterator[tuple[_Key, str, str]]:
    """For each part of a run: a key for all of its versions, what it is called, and its version."""
    known = json.loads(rest)
    if known["format"] != "own":
        return
    of_class = target.rpartition(":")[2]
    yield ("optimizer", optimizer, of_class), optimizer, known.get("source", "")
    for part, version in known.get("code", {}).items():
        owner = problem if part in OF_THE_PROBLEM else optimizer
        yield (part, owner), f"the {part} of {owner}", version


def version_of_optimizer(code: Mapping[str, str]) -> str:
    """The fingerprint of an optimizer that is one's own, and of other parts, given `code_of`."""
    return "+".join(code[part] for part in sorted(code) if part not in OF_THE_PROBLEM)
