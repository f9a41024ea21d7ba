"""What `deepobs bench --json` writes for other programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deepobs.runs.store import kept
from deepobs_bench.cli.bench_plan import parts_of, time_left
from deepobs_bench.outcomes import FAILURE
from deepobs_bench.time_estimate import Paces

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs_bench.carrying_out import Results
    from deepobs_bench.inventory import Inventory
    from deepobs_bench.outcomes import Failure
    from deepobs_bench.plan import Plan


def plan_for_programs(
    plan: Plan,
    inventory: Inventory,
    paces: Paces | None,
    *,
    jobs: int,
    output_dir: Path,
    missing_data: Mapping[str, str],
) -> dict[str, Any]:
    """Describe what there is to do.

    Args:
        plan: The plan.
        inventory: Which of its runs are there.
        paces: How fast runs go; `None` where nobody looked.
        jobs: How many runs at a time.
        output_dir: Where results are kept.
        missing_data: Names of data sets by names of the problems that need them.
    """
    seconds, num_unknown = time_left(plan, inventory, paces or Paces())
    num_runs, num_missing = len(plan.specifications), len(inventory.missing)
    return {
        "parts": [asdict(part) for part in parts_of(plan, inventory, paces)],
        "runs": num_runs,
        "there": num_runs - num_missing,
        "missing": num_missing,
        "runs_of_tunings": sum(tuning.num_runs for tuning in plan.tunings),
        "seconds": None if seconds is None else seconds / jobs,
        "runs_of_unknown_duration": num_unknown,
        "missing_data": missing_data,
        "output_dir": output_dir,
    }


def results_for_programs(plan: Plan, results: Results, output_dir: Path) -> dict[str, Any]:
    """Describe what came of an experiment.

    Args:
        plan: What was to be done.
        results: What was done.
        output_dir: Where results are kept.
    """
    return {
        "standings": [asdict(standing) for standing in results.standings(plan)],
        "tuning_files": results.tuning_files(output_dir),
        "failures": [_described(failure, output_dir) for failure in results.failures],
        "failed_tunings": results.mistakes,
        "is_out_of_time": results.is_out_of_time,
    }


def _described(failure: Failure, output_dir: Path) -> dict[str, Any]:
    specification = failure.specification
    return {
        "problem": specification.testproblem,
        "optimizer": specification.optimizer,
        "hyperparameters": specification.hyperparameters,
        "seed": specification.random_seed,
        "kind": failure.kind,
        "message": failure.message,
        "log": next(kept(output_dir, specification, suffix=FAILURE), None),
    }
