"""Reading a directory of results into one table."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepobs.console.text import counted
from deepobs.errors import ArgumentError, MissingDataError, UnknownNameError
from deepobs.resources import gc_paused
from deepobs_analysis import result_files, results_cache
from deepobs_analysis.code_versions import newest_in_words, older_code
from deepobs_analysis.configurations import unknown_splits
from deepobs_analysis.experiment_results import (
    Part,
    experiment_runs,
    is_experiment,
    part_of_experiment,
)
from deepobs_analysis.json_values import NoResultError
from deepobs_analysis.result_files import TUNING, Excluded, Found, readable
from deepobs_analysis.result_formats import Run
from deepobs_analysis.results import Results, SkippedFile, kind_of
from deepobs_analysis.run_protocols import PARTS
from deepobs_analysis.run_table import FoundRun, placed_runs, table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from deepobs_analysis.code_versions import CodeChoice
    from deepobs_analysis.result_files import Content
    from deepobs_analysis.results import SelectionSeeds
    from deepobs_analysis.run_table import PlacedRun
    from deepobs_analysis.tuning_records import TuningRecord

_MOMENT = re.compile(r"__(\d{4}(?:-\d+){5,6})\.json$")


@dataclass
class _Files:
    """What the files below a directory hold, and why some of them are skipped."""

    root: Path
    contents: dict[Found, Content] = field(default_factory=dict)
    tunings: list[TuningRecord] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def _moment(file: Found) -> tuple[str, int, str]:
    """When a result was written."""
    # The name says it even of copies, whose time of change is that of copying.
    match = _MOMENT.search(file.name)
    return match[1] if match else "", file.modified, file.name


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
            version may be mixed. Of an experiment file, exactly its runs, as it is now, are read
            from `output_dir`, under the names that it gives to optimizers.
        output_dir: Where the results of an experiment file are.
        cache: Whether to keep what was read from a directory in the user's cache, and to read only
            the files that changed since.
        code: Where results come from several versions of one's own code, "newest" skips those of
            the older ones, and "all" makes each version of an optimizer or problem another one:
            "Mine@1f3c2a4b".
        by: Hyperparameters, "groups", "schedule" or "batch_size", whose values make optimizers of
            their own: "Momentum, momentum = 0.99".
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
    root = Path(output_dir) if is_experiment(given) else given
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
            part = part_of_experiment(experiment, given, files.contents, files.tunings)
        found = _with_roles(part, has_labels=experiment is not None)
        unknown = unknown_splits([each.run for each in found], by, given)
        if unknown and must_split:
            raise UnknownNameError(next(iter(unknown.values())))
        placed = _latest(
            placed_runs(
                found,
                by=[each for each in by if each not in unknown],
                across_protocols=across_protocols,
                tuned=_tuned_parts(part.tunings),
                by_version=code == "all",
            ),
            part.skipped,
        )
        skipped = tuple(_skipped(part.skipped, files.contents))
        synthetic = [each.synthetic for each in skipped if each.synthetic]
        on_real_data = {each.run.problem for each in placed}
        return Results(
            table(files.root, placed),
            skipped,
            tunings=tuple(_named(part.tunings, placed, has_labels=experiment is not None)),
            selection_seeds=selection_seeds,
            remarks=(
                *part.remarks,
                *_synthetic_in_words(synthetic, on_real_data),
                *_versions_in_words(placed),
                *unknown.values(),
            ),
            source=f"in {given.resolve().name}",
        )


def _skipped(
    reasons: Mapping[str, str], contents: Mapping[Found, Content]
) -> Iterator[SkippedFile]:
    synthetic = {
        file.name: content.synthetic
        for file, content in contents.items()
        if isinstance(content, Excluded)
    }
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


def _versions_in_words(placed: Sequence[PlacedRun]) -> Iterator[str]:
    """Of which optimizers and problems there are versions, and which of these is the newest."""
    moments = [_moment(each.found.file) for each in placed]
    of_optimizers, of_problems = ([each.versions[place] for each in placed] for place in (0, 1))
    yield from newest_in_words([each.optimizer for each in placed], of_optimizers, moments)
    problems = [f"{each.run.problem}{each.versions[1]}" for each in placed]
    yield from newest_in_words(problems, of_problems, moments)


def _files(root: Path, *, cache: bool) -> _Files:
    """Read a directory, or a single file.

    Raises:
        MissingDataError: There is neither.
    """
    if root.is_dir():
        files = _Files(root)
        found = list(result_files.walk(root, files.skipped))
        results = [file for file in found if not file.name.endswith(TUNING)]
        read = _read_changed if cache else _read
        files.contents = read(root, results, files.skipped)
        for file in found:
            if file.name.endswith(TUNING):
                # No file is a reason to raise: the runs of a broken record count as all others.
                try:
                    files.tunings.append(result_files.read_tuning(root / file.name, file))
                except OSError as error:
                    files.skipped[file.name] = result_files.unreadable(error)
                except NoResultError as error:
                    files.skipped[file.name] = str(error)
        return files
    if root.is_file():
        files = _Files(root.parent)
        files.contents = _read(root.parent, [result_files.described(root)], files.skipped)
        return files
    raise MissingDataError(
        f"There are no results at {root}: no such file or directory. Give the directory that "
        "`deepobs run` or `deepobs bench` wrote results to."
    )


def _read_changed(
    root: Path, found: Iterable[Found], unread: dict[str, str]
) -> dict[Found, Content]:
    known = results_cache.read(root)
    fresh = _read(root, [file for file in found if file not in known], unread)
    # In the order in which files are found: the order of rows, and so of equal results, must not
    # depend on what the cache held.
    either = {**known, **fresh}
    contents = {file: either[file] for file in found if file in either}
    if contents.keys() != known.keys():
        results_cache.write(root, contents)
    return contents


def _read(root: Path, found: Iterable[Found], unread: dict[str, str]) -> dict[Found, Content]:
    contents = {}
    for file in found:
        try:
            contents[file] = result_files.read(root / file.name, file)
        except OSError as error:
            unread[file.name] = result_files.unreadable(error)
    return contents


def _part_of_directory(files: _Files, code: CodeChoice) -> Part:
    runs = {file: run for file, run in files.contents.items() if isinstance(run, Run)}
    skipped = {**files.skipped, **_reasons(files.contents, {run.run_id for run in runs.values()})}
    if code == "newest":
        older = older_code(runs, {file: _moment(file) for file in runs})
        runs = {file: run for file, run in runs.items() if file not in older}
        skipped |= {file.name: reason for file, reason in older.items()}
    return Part(list(runs.items()), files.tunings, skipped)


def _with_roles(part: Part, *, has_labels: bool) -> list[FoundRun]:
    """The runs with their roles in tunings, of an experiment in those of the same label."""
    roles: dict[tuple[str, str], str] = {}
    for record in part.tunings:
        # A run of the report can be one of a trial, too, and of another tuning.
        for run_id in record.trial_ids:
            roles.setdefault((record.label, run_id), "selection")
        for run_id in record.report_ids:
            roles[record.label, run_id] = "report"
    return [
        FoundRun(file, run, roles.get((run.label if has_labels else "", run.run_id), ""))
        for file, run in part.runs
    ]


def _tuned_parts(tunings: Iterable[TuningRecord]) -> dict[str, set[str]]:
    """By test problem, which parts of protocols were tuned: they are hyperparameters there."""
    tuned: dict[str, set[str]] = defaultdict(set)
    for record in tunings:
        tuned[record.problem] |= PARTS.keys() & record.protocol["space"].keys()
    return tuned


def _named(
    tunings: Iterable[TuningRecord], placed: Iterable[PlacedRun], *, has_labels: bool
) -> Iterator[TuningRecord]:
    """The records with the names of problems and optimizers that their runs have."""
    names = {
        (each.run.label if has_labels else "", each.run.run_id): (each.problem, each.optimizer)
        for each in placed
    }
    for record in tunings:
        # Those of the report first: a trial can be a run that another label was executed under.
        for run_id in (*sorted(record.report_ids), *sorted(record.trial_ids)):
            if (record.label, run_id) in names:
                problem, optimizer = names[record.label, run_id]
                yield replace(record, problem=problem, optimizer=optimizer)
                break
        else:
            yield replace(record, optimizer=record.label or record.optimizer)


def _latest(placed: Iterable[PlacedRun], skipped: dict[str, str]) -> list[PlacedRun]:
    """The latest result of every run, in the order of the table; the others are skipped."""
    latest: dict[tuple[str, str, int, int], PlacedRun] = {}
    for each in sorted(placed, key=lambda placed: _moment(placed.found.file)):
        if each.order in latest:
            older = latest[each.order].found
            skipped[older.file.name] = "it is an older result of the same run"
            # The record of the tuning can have the identity that an earlier release gave the run.
            role = each.found.role or older.role
            each = each._replace(found=each.found._replace(role=role))
        latest[each.order] = each
    return [latest[order] for order in sorted(latest)]


def _reasons(contents: Mapping[Found, Content], done: set[str]) -> dict[str, str]:
    """Why files hold no run, except for runs that failed or were interrupted and then completed."""
    return {
        file.name: content.reason
        for file, content in contents.items()
        if isinstance(content, Excluded) and not (content.run_id and content.run_id in done)
    }
