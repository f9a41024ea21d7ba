"""Reading a directory of results into one table."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepobs.console.text import counted
from deepobs.errors import ArgumentError, MissingDataError, UnknownNameError
from deepobs.resources import gc_paused
from deepobs_analysis import known_files, result_files, results_cache
from deepobs_analysis.code_versions import newest_in_words, older_code
from deepobs_analysis.configurations import Identity, NamedConfigurations, unknown_splits
from deepobs_analysis.experiment_results import (
    Part,
    experiment_runs,
    is_experiment,
    part_of_experiment,
)
from deepobs_analysis.json_values import NoResultError
from deepobs_analysis.known_files import known_directories
from deepobs_analysis.result_archives import is_archive, unpacked
from deepobs_analysis.result_files import TUNING, Directories, Excluded, Found, readable
from deepobs_analysis.results import Results, SkippedFile, kind_of
from deepobs_analysis.results_cache import Kept
from deepobs_analysis.run_columns import Runs, columns_of, joined, objects
from deepobs_analysis.run_protocols import PARTS
from deepobs_analysis.run_table import placed_runs, table
from deepobs_analysis.side_by_side import read_files, read_many

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from deepobs_analysis.code_versions import CodeChoice
    from deepobs_analysis.configurations import Names
    from deepobs_analysis.known_files import Changes
    from deepobs_analysis.results import SelectionSeeds
    from deepobs_analysis.results_cache import KnownDirectories
    from deepobs_analysis.run_columns import Integers, Objects
    from deepobs_analysis.run_table import PlacedRuns
    from deepobs_analysis.tuning_records import TuningRecord

# It holds a hundred megabytes in a large study, and some hundred files are read in less time.
_SHARE_WORTH_WRITING = 0.01


@dataclass
class _Files:
    """What the files below a directory hold, and why some of them are skipped.

    Attributes:
        root: The directory.
        runs: The runs in them.
        excluded: Those that hold none, and why.
        configurations: What configurations were called before.
        num_changed: How many files the cache does not know as they are now.
        directories: The directories that they are in; see `Kept`.
        tuning_files: The files with records of tunings.
        tunings: The records in them.
        skipped: Why others are skipped, by their names.
    """

    root: Path
    runs: Runs = field(default_factory=lambda: columns_of([]))
    excluded: Mapping[Found, Excluded] = field(default_factory=dict)
    configurations: NamedConfigurations = field(default_factory=lambda: NamedConfigurations({}))
    num_changed: int = 0
    directories: KnownDirectories | None = None
    tuning_files: list[Found] = field(default_factory=list)
    tunings: list[TuningRecord] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def load(
    path: str | os.PathLike[str],
    *,
    output_dir: str | os.PathLike[str] = "results",
    cache: bool = True,
    code: CodeChoice = "newest",
    by: Sequence[str] = (),
    across_protocols: bool = False,
    selection_seeds: SelectionSeeds = "exclude",
    must_split: bool = True,
) -> Results:
    """Read the results of runs.

    Runs whose files lack the metric of their problem are included: DeepOBS 1.2 dropped all
    accuracies of a run that had one of 0. Their accuracies are `None`.

    Args:
        path: A directory, searched recursively, or one file. Files of DeepOBS 1.1, 1.2 and of this
            version may be mixed. An archive is unpacked in the user's cache. Of an experiment file,
            exactly its runs, as it is now, are read from `output_dir`, under the names that it
            gives to optimizers.
        output_dir: Where the results of an experiment file are.
        cache: Whether to keep what was read from a directory in the user's cache, and to read only
            the files that changed since.
        code: Where results come from several versions of one's own code, "newest" skips those of
            the older ones, and "all" makes each version of an optimizer or problem another one:
            "Mine@1f3c2a4b".
        by: Hyperparameters, "groups", "schedule", "clip_norm" or "batch_size", whose values make
            optimizers of their own: "Momentum, momentum = 0.99".
        across_protocols: Whether runs of a problem with other numbers of epochs, batch sizes or
            training examples are of the same problem. By default, the name of the problem says
            which is which: "digits_mlp (epochs = 10)".
        selection_seeds: Whether `select` shows tuned optimizers with the seeds of the report alone
            ("exclude"), or with those of the trials, too ("include").
        must_split: Whether it is an error if no run has a name in `by`; else `Results.remarks` say
            so, for results that are compared with others that have it.

    Returns:
        The runs, and which files were skipped and why: no single file is a reason to raise.

    Raises:
        MissingDataError: There is no such file or directory.
        ArgumentError: That is no path.
        UnknownNameError: No run has a name in `by`.
        DeepOBSError: The experiment file has mistakes, or no package reads it.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(
            "Results are loaded from the path of a directory, a result file or an experiment file; "
            f"got {kind_of(path)}."
        )
    given, by = Path(path), [by] if isinstance(by, str) else by
    root = unpacked(given) if is_archive(given) else given
    root = Path(output_dir) if is_experiment(given) else root
    experiment = experiment_runs(given, root) if is_experiment(given) else None
    if experiment is not None and not root.is_dir():
        raise MissingDataError(
            f"There are no results of the experiment {given}: the directory {root} does not exist. "
            f"`deepobs bench {given}` executes its runs; --out names another directory."
        )
    # The collector would look for cycles among millions of numbers of JSON, which have none, and
    # reading would take twice as long.
    with gc_paused():
        files = _files(root, cache=cache)
        if experiment is None:
            part = _part_of_directory(files, code)
        else:
            part = part_of_experiment(experiment, given, files.runs, files.excluded, files.tunings)
        unknown = {}
        if by:
            identities, _ = part.runs.combinations(*Identity._fields)
            unknown = unknown_splits([Identity(*each) for each in identities], by, given)
        if unknown and must_split:
            raise UnknownNameError(next(iter(unknown.values())))
        with _keeping(files, is_wanted=cache and root.is_dir()) as named:
            placed = placed_runs(
                part.runs,
                _roles(part, has_labels=experiment is not None),
                by=[each for each in by if each not in unknown],
                across_protocols=across_protocols,
                tuned=_tuned_parts(part.tunings),
                by_version=code == "all",
                named=files.configurations,
            )
            named.set_result(files.configurations)
            placed = _latest(placed, part.skipped)
            runs = table(files.root, placed)
        skipped = tuple(_skipped(part.skipped, files.excluded))
        synthetic = [each.synthetic for each in skipped if each.synthetic]
        return Results(
            runs,
            skipped,
            tunings=tuple(_named(part.tunings, placed, has_labels=experiment is not None)),
            selection_seeds=selection_seeds,
            remarks=(
                *part.remarks,
                *_synthetic_in_words(synthetic, set(runs["testproblem"])),
                *(_versions_in_words(placed) if code == "all" else ()),
                *unknown.values(),
            ),
            source=f"in {given.resolve().name}",
        )


def _skipped(
    reasons: Mapping[str, str], excluded: Mapping[Found, Excluded]
) -> Iterator[SkippedFile]:
    synthetic = {file.name: each.synthetic for file, each in excluded.items()}
    for name, reason in sorted(reasons.items()):
        yield SkippedFile(readable(name), reason, synthetic.get(name, ""))


def _synthetic_in_words(problems: Sequence[str], on_real_data: Collection[str]) -> Iterator[str]:
    """What is not shown as it was run on synthetic data, given the problem of each such run."""
    lost = sorted(set(problems) - set(on_real_data))
    if len(lost) == 1:
        yield f"{lost[0]} is not shown: all of its runs used synthetic data."
    elif lost:
        names = f"{', '.join(lost[:-1])} and {lost[-1]}"
        yield f"{names} are not shown: all of their runs used synthetic data."
    for problem in sorted(set(problems) & set(on_real_data)):
        runs = counted(problems.count(problem), "run")
        yield f"Of {problem}, {runs} on synthetic data cannot be shown with the others."


def _versions_in_words(placed: PlacedRuns) -> Iterator[str]:
    """Of which optimizers and problems there are versions, and which of these is the newest."""
    moments = [placed.runs.file(row).moment for row in range(len(placed.runs))]
    of_optimizers, of_problems = zip(*placed.versions, strict=True) if moments else ((), ())
    yield from newest_in_words(placed.optimizers, of_optimizers, moments)
    plain = zip(placed.runs.of_each("problem"), of_problems, strict=True)
    yield from newest_in_words(
        [f"{each}{version}" for each, version in plain], of_problems, moments
    )


def _files(root: Path, *, cache: bool) -> _Files:
    """Read a directory, or a single file.

    Raises:
        MissingDataError: There is neither.
    """
    if root.is_dir():
        files = _Files(root)
        known, changes = Kept(), None
        if cache:
            known, changes = results_cache.read(root, partial(known_files.changes, str(root)))
        if changes is None:
            _walk(files, known)
        else:
            _update(files, known, changes)
        for file in sorted(files.tuning_files):
            # No file is a reason to raise: the runs of a broken record count as all others.
            try:
                files.tunings.append(result_files.read_tuning(str(root), file))
            except OSError as error:
                files.skipped[file.name] = result_files.unreadable(error)
            except NoResultError as error:
                files.skipped[file.name] = str(error)
        return files
    if root.is_file():
        files = _Files(root.parent)
        single = [result_files.described(root)]
        files.runs, files.excluded = read_files(root.parent, single, files.skipped)
        return files
    raise MissingDataError(
        f"There are no results at {root}: no such file or directory. Give the directory that "
        "`deepobs run` or `deepobs bench` wrote results to."
    )


def _walk(files: _Files, known: Kept) -> None:
    """Find all files, and read those that are not known."""
    visited = Directories()
    row_of = {name: row for row, name in enumerate(known.runs.names)}
    stamps = known.runs.stamps.tolist()
    rows: list[int] = []
    excluded: dict[Found, Excluded] = {}

    def changed() -> Iterator[Found]:
        for file in result_files.walk(str(files.root), files.skipped, visited):
            row = row_of.get(file.name)
            if file.name.endswith(TUNING):
                files.tuning_files.append(file)
            elif row is not None and tuple(stamps[row]) == file[1:]:
                rows.append(row)
            elif file in known.excluded:
                excluded[file] = known.excluded[file]
            else:
                yield file

    read = read_many(files.root, changed(), files.skipped)
    _combine(files, known, read, np.array(rows, dtype=np.int64), excluded)
    if visited.is_plain and not files.skipped:
        files.directories = known_directories(visited)


def _update(files: _Files, known: Kept, changes: Changes) -> None:
    """Read the files that were changed."""
    files.tuning_files = changes.tunings
    read = read_many(files.root, changes.changed, files.skipped)
    excluded = {file: known.excluded[file] for file in changes.excluded}
    _combine(files, known, read, changes.rows, excluded)
    # Listing a directory takes a tenth of the time of reading a file.
    files.num_changed += changes.num_listed // 10
    if not files.skipped:
        files.directories = changes.directories


def _combine(
    files: _Files,
    known: Kept,
    read: tuple[Runs, Mapping[Found, Excluded]],
    rows: Integers,
    excluded: Mapping[Found, Excluded],
) -> None:
    """Put what was read together with what is known.

    Args:
        files: Receives the runs.
        known: The known files.
        read: What was read from those that were changed.
        rows: The known runs whose files were not changed.
        excluded: The known files that hold no run and were not changed.
    """
    runs, further = read
    num_gone = len(known.runs) - len(rows) + len(known.excluded) - len(excluded)
    files.num_changed = len(runs) + len(further) + num_gone
    files.configurations = NamedConfigurations(known.configurations)
    files.excluded = {**excluded, **further}
    files.runs = joined([known.runs.part(rows), runs]) if files.num_changed else known.runs


@contextlib.contextmanager
def _keeping(files: _Files, *, is_wanted: bool) -> Iterator[Future[NamedConfigurations]]:
    """Write the cache while the block names configurations, which it gives to the future."""
    named: Future[NamedConfigurations] = Future()
    if not is_wanted:
        yield named
        return
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_keep, files, named)
        try:
            yield named
        finally:
            named.cancel()  # without effect, unless the block failed before
        writing.result()


def _keep(files: _Files, named: Future[NamedConfigurations]) -> None:
    """Write the cache anew, unless it would save less than that takes.

    Args:
        files: The files.
        named: Receives their configurations once they are named.
    """

    def configurations() -> dict[str, Names]:
        # With other options other configurations are named: those of both are kept.
        known = {} if files.num_changed else named.result().known
        return {**known, **named.result().used}

    worthwhile = _SHARE_WORTH_WRITING * len(files.runs)
    if (
        files.num_changed > worthwhile
        or files.num_changed + named.result().newly_named > worthwhile
    ):
        kept = Kept(
            files.runs,
            files.excluded,
            directories=files.directories,
            tunings=files.tuning_files,
        )
        results_cache.write(files.root, kept, configurations)


def _part_of_directory(files: _Files, code: CodeChoice) -> Part:
    runs = files.runs
    done = set(runs.of_each("run_id"))
    skipped = {**files.skipped, **_reasons(files.excluded, done)}
    if code == "newest":
        older = older_code(runs)
        skipped |= {runs.names[row]: reason for row, reason in older.items()}
        if older:
            runs = runs.part(np.setdiff1d(np.arange(len(runs)), list(older)))
    return Part(runs, files.tunings, skipped)


def _roles(part: Part, *, has_labels: bool) -> Objects:
    """The roles of the runs in tunings, of an experiment in those of the same label."""
    roles: dict[tuple[str, str], str] = {}
    for record in part.tunings:
        # A run of the report can be one of a trial, too, and of another tuning.
        for run_id in record.trial_ids:
            roles.setdefault((record.label, run_id), "selection")
        for run_id in record.report_ids:
            roles[record.label, run_id] = "report"
    return objects(roles.get(key, "") for key in _keys(part.runs, has_labels=has_labels))


def _keys(runs: Runs, *, has_labels: bool) -> Iterator[tuple[str, str]]:
    """What records of tunings call the runs: their label in the experiment, and their identity."""
    labels = runs.of_each("label") if has_labels else itertools.repeat("", len(runs))
    return zip(labels, runs.of_each("run_id"), strict=True)


def _tuned_parts(tunings: Iterable[TuningRecord]) -> dict[str, set[str]]:
    """By test problem, which parts of protocols were tuned: they are hyperparameters there."""
    tuned: dict[str, set[str]] = defaultdict(set)
    for record in tunings:
        tuned[record.problem] |= PARTS.keys() & record.protocol["space"].keys()
    return tuned


def _named(
    tunings: Sequence[TuningRecord], placed: PlacedRuns, *, has_labels: bool
) -> Iterator[TuningRecord]:
    """The records with the names of problems and optimizers that their runs have."""
    if not tunings:
        return
    called = zip(placed.problems, placed.optimizers, strict=True)
    names = dict(zip(_keys(placed.runs, has_labels=has_labels), called, strict=True))
    for record in tunings:
        # Those of the report first: a trial can be a run that another label was executed under.
        for run_id in (*sorted(record.report_ids), *sorted(record.trial_ids)):
            if (record.label, run_id) in names:
                problem, optimizer = names[record.label, run_id]
                yield replace(record, problem=problem, optimizer=optimizer)
                break
        else:
            yield replace(record, optimizer=record.label or record.optimizer)


def _latest(placed: PlacedRuns, skipped: dict[str, str]) -> PlacedRuns:
    """The latest result of every run; the others are skipped."""
    is_same = (placed.order[1:] == placed.order[:-1]).all(axis=1)
    if not is_same.any():
        return placed
    is_shown = np.ones(len(placed.order), dtype=bool)
    # Sorted by what they are, results of the same run are neighbors.
    for those in np.split(np.arange(len(is_shown)), np.flatnonzero(~is_same) + 1):
        *older, latest = sorted(those.tolist(), key=lambda row: placed.runs.file(row).moment)
        for row in older:
            is_shown[row] = False
            skipped[placed.runs.names[row]] = "it is an older result of the same run"
        # The record of the tuning can have the identity that an earlier release gave the run.
        roles = [placed.roles[row] for row in (latest, *reversed(older))]
        placed.roles[latest] = next(filter(None, roles), "")
    return placed.part(is_shown)


def _reasons(excluded: Mapping[Found, Excluded], done: set[str]) -> dict[str, str]:
    """Why files hold no run, except for runs that failed or were interrupted and then completed."""
    return {
        file.name: each.reason
        for file, each in excluded.items()
        if not (each.run_id and each.run_id in done)
    }
