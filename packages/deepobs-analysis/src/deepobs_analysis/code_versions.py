"""Results from several versions of one's own code: which version is the newest."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from deepobs.console.text import counted
from deepobs_analysis.run_protocols import OF_THE_PROBLEM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deepobs_analysis.result_files import Found
    from deepobs_analysis.result_formats import Run

    _Key: TypeAlias = tuple[str, ...]

CodeChoice: TypeAlias = Literal["newest", "all"]
CODE_CHOICES: tuple[CodeChoice, ...] = get_args(CodeChoice)

RELEASED = "released"
"""The version of code that is not one's own."""


def older_code(
    runs: Mapping[Found, Run], moments: Mapping[Found, tuple[Any, ...]]
) -> dict[Found, str]:
    """Find the runs of code that has changed since.

    Each part of a run, such as its optimizer or its test problem, has versions of its own. The
    newest is that of the latest result, over all test problems: an optimizer is never compared by
    its old code on some problems and by its new code on others.

    Args:
        runs: Runs by file.
        moments: When the result of each was written.

    Returns:
        The files of older code, and what to say about each.
    """
    newest: dict[_Key, tuple[tuple[Any, ...], str]] = {}
    versions: dict[Found, list[tuple[_Key, str, str]]] = defaultdict(list)
    for file, run in runs.items():
        for key, owner, version in _versions(run):
            versions[file].append((key, owner, version))
            newest[key] = max(newest.get(key, ((), "")), (moments[file], version))
    older = {}
    for file, those in versions.items():
        for key, owner, version in those:
            latest = newest[key][1]
            if version != latest:
                older[file] = (
                    f"it was run with older code of {owner} ({version or RELEASED}; the newest "
                    f"is {latest or RELEASED}; --code all includes it)"
                )
    return older


def names_of_versions(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What is added to the names of optimizers and problems of whose code there are versions.

    Args:
        runs: The runs.

    Returns:
        For each run, "@" and the fingerprint of the code of its optimizer, with that of other parts
        such as a schedule, and of its problem; "" for what has one version.
    """
    versions = [list(_versions(run)) for run in runs]
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


def code_of(run: Run) -> dict[str, str]:
    """The fingerprint of each part of a run that is code of one's own, such as "optimizer"."""
    if run.format != "own":
        return {}
    rest = json.loads(run.identity)["rest"]
    of_optimizer = {"optimizer": rest["source"]} if rest.get("source") else {}
    return {**of_optimizer, **rest.get("code", {})}


def _versions(run: Run) -> Iterator[tuple[_Key, str, str]]:
    """For each part of a run: a key for all of its versions, what it is called, and its version."""
    if run.format != "own":
        return
    rest = json.loads(run.identity)["rest"]
    of_class = run.target.rpartition(":")[2]
    yield ("optimizer", run.optimizer, of_class), run.optimizer, rest.get("source", "")
    for part, version in rest.get("code", {}).items():
        owner = run.problem if part in OF_THE_PROBLEM else run.optimizer
        yield (part, owner), f"the {part} of {owner}", version


def version_of_optimizer(code: Mapping[str, str]) -> str:
    """The fingerprint of an optimizer that is one's own, and of other parts, given `code_of`."""
    return "+".join(code[part] for part in sorted(code) if part not in OF_THE_PROBLEM)
