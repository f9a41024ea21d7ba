"""Results from several versions of one's own code: which version is the newest."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from deepobs_analysis.result_files import Found
    from deepobs_analysis.result_formats import Run

CodeChoice: TypeAlias = Literal["newest", "all"]
CODE_CHOICES: tuple[CodeChoice, ...] = get_args(CodeChoice)

_OF_THE_PROBLEM = ("problem", "dataset")


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
    newest: dict[Hashable, tuple[tuple[Any, ...], str]] = {}
    versions: dict[Found, list[tuple[Hashable, str, str]]] = defaultdict(list)
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
                    f"it was run with older code of {owner} ({version or 'released'}; the newest "
                    f"is {latest or 'released'}; --code all includes it)"
                )
    return older


def code_of(run: Run) -> dict[str, str]:
    """The fingerprint of each part of a run that is code of one's own, such as "optimizer"."""
    if run.format != "own":
        return {}
    rest = json.loads(run.identity)["rest"]
    of_optimizer = {"optimizer": rest["source"]} if rest.get("source") else {}
    return {**of_optimizer, **rest.get("code", {})}


def _versions(run: Run) -> Iterator[tuple[Hashable, str, str]]:
    """For each part of a run: a key for all of its versions, what it is called, and its version."""
    if run.format != "own":
        return
    rest = json.loads(run.identity)["rest"]
    of_class = run.target.rpartition(":")[2]
    yield ("optimizer", run.optimizer, of_class), run.optimizer, rest.get("source", "")
    for part, version in rest.get("code", {}).items():
        owner = run.problem if part in _OF_THE_PROBLEM else run.optimizer
        yield (part, owner), f"the {part} of {owner}", version
