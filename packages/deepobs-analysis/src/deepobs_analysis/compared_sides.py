"""What can be compared: optimizers, references, versions of code, experiments and directories."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs import config
from deepobs.errors import ArgumentError, UnknownNameError, closest, joined, sentences
from deepobs_analysis.baselines import load_reference, set_names
from deepobs_analysis.code_versions import RELEASED, version_of_optimizer
from deepobs_analysis.reading import load
from deepobs_analysis.reference_names import PUBLISHED, closest_optimizer, place_of, suffix_of
from deepobs_analysis.result_archives import has_results
from deepobs_analysis.summaries import summarize
from deepobs_analysis.wording import skipped_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from deepobs_analysis.code_versions import CodeChoice
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode
    from deepobs_analysis.summaries import Summary

_NEWEST, _OLDER = "newest", "older"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where results are.

    Attributes:
        path: A directory, a result file or an experiment file.
        reference: A set, directory or experiment file that names such as "Adam (in earlier)"
            belong to.
        options: Arguments of `load`.
        mode: How configurations are chosen; see `select`.
        warnings: What there is to know about the results that were read.
    """

    path: Path
    reference: str | os.PathLike[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "most"
    warnings: dict[str, None] = field(default_factory=dict)

    def read(self, path: Path | None = None, *, code: CodeChoice = "newest") -> Results:
        """Read the results at a path, by default that of the source."""
        place = self.path if path is None else path
        results = load(place_of(place), code=code, **self.options)
        self.warnings.update(dict.fromkeys(results.warnings))
        if results.unusable:
            self.warnings[skipped_text(place, results.unusable)] = None
        return results

    def references(self, text: str) -> list[Results]:
        """Read the reference sets that a name can belong to.

        Args:
            text: The name, which may be misspelled.
        """
        # Sets that take time to read, or may not be there, are read where they are meant.
        named = [each for each in set_names() if text.endswith(f"({each})")]
        if "(" in text and not named and has_results(config.get_baseline_dir()):
            named = [PUBLISHED]
        given = [] if self.reference is None or self.reference in named else [self.reference]
        found = []
        for name in [*given, *named]:
            results = load_reference(name, **self.options)
            if name in given and results.unusable:
                self.warnings[skipped_text(Path(name), results.unusable)] = None
            found.append(results.as_reference())
        return found

    def rows(self, results: Results) -> list[Summary]:
        """A row for each optimizer on each problem."""
        # Nothing that is compared depends on targets.
        return summarize(results, mode=self.mode, targets={})


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: what it is called, and how it performed."""

    name: str
    rows: Sequence[Summary]


def sides(first: str, second: str, source: Source) -> list[tuple[Side, Side]]:
    """Find what is compared with what.

    Args:
        first: A name as `compare` takes it.
        second: The other one.
        source: Where the results of names are.

    Returns:
        One pair for two names; for two paths, one for each optimizer that both have.

    Raises:
        DeepOBSError: Something is not known, or there is nothing to compare.
    """
    places = [each for each in (first, second) if place_of(Path(each)).exists()]
    if len(places) == 2 or (places and not _is_optimizer(places[0], source)):
        return _of_places(first, second, _lenient(source))
    if any(map(suffix_of, (first, second))):
        source = _lenient(source)
    return [(_named(first, source), _named(second, source))]


def _lenient(source: Source) -> Source:
    """A source for two sets of results: what only one of them has splits that one."""
    return replace(source, options={**source.options, "must_split": False})


def _is_optimizer(name: str, source: Source) -> bool:
    # Without a warning of older code: that may be what is asked for.
    place = place_of(source.path)
    return place.exists() and name in load(place, **source.options).optimizers


def _of_places(first: str, second: str, source: Source) -> list[tuple[Side, Side]]:
    ours, theirs = (source.read(Path(each)) for each in (first, second))
    shared = [name for name in ours.optimizers if name in theirs.optimizers]
    pairs = [(name, name) for name in shared]
    if not shared and len(ours.optimizers) == len(theirs.optimizers) == 1:
        pairs = [(ours.optimizers[0], theirs.optimizers[0])]
    if not pairs:
        names = [joined(each.optimizers) or "none" for each in (ours, theirs)]
        raise ArgumentError(
            f"No optimizer is in both: {first} has {names[0]}, and {second} has {names[1]}. "
            "Compare two of them by name, with --results."
        )
    return [
        (
            Side(f"{own} in {first}", source.rows(ours.only(optimizers=[own]))),
            Side(f"{other} in {second}", source.rows(theirs.only(optimizers=[other]))),
        )
        for own, other in pairs
    ]


def _named(text: str, source: Source) -> Side:
    if suffix_of(text) and not _is_optimizer(text, source):
        for reference in source.references(text):
            if text in reference.optimizers:
                source.warnings.update(dict.fromkeys(reference.remarks))
                return _only(reference, text, source)
        raise _unknown(text, source)
    name, separator, version = text.rpartition("@")
    # A label may hold the sign itself.
    if separator and not _is_optimizer(text, source):
        return _of_version(source.read(code="all"), name, version, source)
    own = source.read()
    if text not in own.optimizers:
        raise _unknown(text, source)
    return _only(own, text, source)


def _only(results: Results, name: str, source: Source) -> Side:
    return Side(name, source.rows(results.only(optimizers=[name])))


def _unknown(text: str, source: Source) -> UnknownNameError:
    """What to say of a name that neither one's own results nor reference sets have."""
    own = source.read().optimizers if place_of(source.path).exists() else []
    known = [*own, *(name for each in source.references(text) for name in each.optimizers)]
    every = f"Known: {joined(known)}." if known else "There are no runs at all."
    advice = "--reference says where other results are." if suffix_of(text) else ""
    return UnknownNameError(
        sentences(
            f"The results hold no run of the optimizer {text!r}.",
            closest_optimizer(text, known),
            every,
            advice if source.reference is None else "",
        )
    )


def _of_version(results: Results, name: str, wanted: str, source: Source) -> Side:
    """An optimizer by one version of its code: the newest, the one before, or by fingerprint."""
    versions = _newest_first(results, name)
    if not versions:
        raise _unknown(name, source)
    if wanted == _OLDER and len(versions) < 2:
        raise ArgumentError(
            f"All results of {name} in {source.path} are of one version of its code: "
            f"{next(iter(versions))}."
        )
    if wanted in (_NEWEST, _OLDER):
        chosen = list(versions)[wanted == _OLDER]
    else:
        chosen = _beginning_with(wanted, name, list(versions))
    rows = source.rows(results.only(optimizers=[versions[chosen]]))
    return Side(f"{name}@{chosen}", rows)


def _newest_first(results: Results, name: str) -> dict[str, str]:
    """The versions of the code of an optimizer, with what each is called in the results."""
    # By when they ran: fingerprints have no order.
    started = results.runs.groupby("optimizer")["started_at"].max()
    found = {}
    for called in started.sort_values(ascending=False, kind="stable").index:
        base, separator, version = called.rpartition("@")
        if called == name:
            code = results.only(optimizers=[name]).runs["code"].iloc[0]
            found[version_of_optimizer(code) or RELEASED] = name
        elif separator and base == name:
            found[version] = called
    return found


def _beginning_with(wanted: str, name: str, versions: Sequence[str]) -> str:
    # An empty text would be the beginning of every version.
    found = [each for each in versions if wanted and each.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(versions)
    if found:
        raise ArgumentError(
            f"{len(found)} versions of the code of {name} begin with {wanted!r}. Known, the newest "
            f"first: {known}."
        )
    raise UnknownNameError(
        sentences(
            f"There is no version {wanted!r} of the code of {name}.",
            closest(wanted, [_NEWEST, _OLDER, *versions]),
            f"Known: {_NEWEST}, {_OLDER}, or the first characters of one of {known}.",
        )
    )
