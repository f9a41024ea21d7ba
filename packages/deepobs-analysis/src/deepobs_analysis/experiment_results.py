"""The part of a directory of results that belongs to an experiment file as it is now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deepobs.errors import MissingDataError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from deepobs.records import ExperimentRuns
    from deepobs_analysis.result_files import Excluded, Found
    from deepobs_analysis.run_columns import Runs
    from deepobs_analysis.tuning_records import TuningRecord

_SUFFIXES = {".toml", ".yaml", ".yml"}


@dataclass(frozen=True, slots=True)
class Part:
    """The part of results that is shown.

    Attributes:
        runs: The runs; one that two optimizers of an experiment share is there under both labels.
        tunings: The records of tunings.
        skipped: Why files are skipped, by their names.
        remarks: What to know about the part, a sentence each.
    """

    runs: Runs
    tunings: list[TuningRecord]
    skipped: dict[str, str]
    remarks: tuple[str, ...] = ()


def is_experiment(path: Path) -> bool:
    """Whether a path is that of an experiment file rather than of results."""
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def experiment_runs(file: Path, output_dir: Path) -> ExperimentRuns:
    """Ask the package that executes experiments for the runs of a file.

    Raises:
        DeepOBSError: The file has mistakes.
        MissingDataError: No installed package reads experiments.
    """
    hook = registry().manager.hook.deepobs_experiment_runs
    runs: ExperimentRuns | None = hook(file=file, output_dir=output_dir)
    if runs is None:
        raise MissingDataError(
            f"No installed package can say which runs the experiment {file} has. Install "
            "deepobs-bench, or give the directory of its results."
        )
    return runs


def part_of_experiment(
    experiment: ExperimentRuns,
    file: Path,
    runs: Runs,
    excluded: Mapping[Found, Excluded],
    tunings: Iterable[TuningRecord],
) -> Part:
    """Find what belongs to an experiment.

    Args:
        experiment: Its runs.
        file: Its file, for messages.
        runs: All runs in its directory of results.
        excluded: The files there that hold no run, and why.
        tunings: The records of all tunings there.
    """
    of_file = {record.file: record for record in tunings}
    own = [
        replace(of_file[str(path)], label=label)
        for label, path in experiment.tunings
        if path is not None and str(path) in of_file
    ]
    labels = {run_id: dict.fromkeys(those) for run_id, those in experiment.labels.items()}
    for record in own:
        for run_id in record.report_ids | record.trial_ids:
            labels.setdefault(experiment.earlier.get(run_id, run_id), {})[record.label] = None
    run_ids = [experiment.earlier.get(run_id, run_id) for run_id in runs.of_each("run_id")]
    shown = [(row, label) for row, each in enumerate(run_ids) for label in labels.get(each, ())]
    rows = np.array([row for row, _ in shown], dtype=np.int64)
    done = set(run_ids)
    synthetic = {
        experiment.earlier.get(each.refused_id, each.refused_id)
        for each in excluded.values()
        if each.synthetic
    }
    skipped = {
        place.name: each.reason
        for place, each in excluded.items()
        if (each.run_id or each.refused_id) in labels.keys() - done
    }
    missing = [
        _share(experiment.labels.keys() - done - synthetic, experiment.labels, "runs"),
        _share(experiment.tunings[len(own) :], experiment.tunings, "tunings"),
    ]
    pending = " and ".join(filter(None, missing))
    remark = (
        f"{pending} of the experiment have no result yet; `deepobs bench {file}` executes them."
    )
    own_runs = runs.part(rows).with_column("label", (label for _, label in shown))
    return Part(own_runs, own, skipped, (remark,) if pending else ())


def _share(missing: Collection[object], of: Collection[object], what: str) -> str:
    return f"{len(missing)} of {len(of)} {what}" if missing else ""
