"""Which runs an experiment file has now, for those who read results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.records import ExperimentRuns
from deepobs.runs.store import forms_of
from deepobs_bench.experiment import row_name
from deepobs_bench.experiment_files import load
from deepobs_bench.plan import plan

if TYPE_CHECKING:
    from pathlib import Path


def experiment_runs(file: Path, output_dir: Path) -> ExperimentRuns:
    """Plan an experiment, and find the records of its tunings.

    Args:
        file: The experiment file.
        output_dir: Directory of its results.

    Raises:
        ArgumentError: The file has mistakes.
    """
    planned = plan(load(file), str(file))
    labels: dict[str, tuple[str, ...]] = {}
    earlier: dict[str, str] = {}
    for run in planned.runs:
        run_id = run.specification.run_id
        label = row_name(run.optimizer, run.schedule)
        those = labels.get(run_id, ())
        if label not in those:
            labels[run_id] = (*those, label)
        for _, form_id in forms_of(run.specification):
            if form_id != run_id:
                earlier[form_id] = run_id
    tunings = []
    if planned.tunings:
        # Imported here: most experiments tune nothing.
        from deepobs_bench.tuning.planned import result_file_of

        tunings = [
            (row_name(each.optimizer, each.schedule), result_file_of(each, output_dir))
            for each in planned.tunings
        ]
    return ExperimentRuns(labels, earlier, tuple(tunings))
