"""Result files for tests in the formats of all versions of DeepOBS, written without training.

Defaults: SGD on quadratic_deep, two completed epochs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepobs.records import SCHEMA_VERSION
from deepobs.run_specifications import RunSpecification
from deepobs.runs import reproduction_command
from deepobs_bench.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deepobs_analysis import Results

Format = Literal["1.1", "1.2", "own"]

LOSSES = (2.0, 1.0, 0.5)
MOMENT = "2026-01-02-03-04-05-000006"


def write_result(
    directory: Path,
    *,
    problem: str = "quadratic_deep",
    optimizer: str = "SGD",
    lr: float | None = 0.1,
    seed: int = 42,
    test_losses: Sequence[float | None] = LOSSES,
    train_losses: Sequence[float | None] | None = None,
    test_accuracies: Sequence[float | None] | None = None,
    train_accuracies: Sequence[float | None] | None = None,
    valid_losses: Sequence[float | None] | None = None,
    valid_accuracies: Sequence[float | None] | None = None,
    hyperparameters: dict[str, Any] | None = None,
    schedule: dict[str, Any] | None = None,
    layout: Format = "own",
    moment: str = MOMENT,
    **changed: Any,
) -> Path:
    """Write a result file, and return its path.

    Args:
        directory: Results are written into `<directory>/<problem>/<optimizer>/<setting>`.
        problem: Name of the test problem.
        optimizer: Name as the file has it, such as "AdamOptimizer" in those of DeepOBS 1.1.
        lr: The learning rate, `None` for none.
        seed: The random seed.
        test_losses: An entry before the first and after every epoch. The number of epochs follows.
        train_losses: By default those of the test set.
        test_accuracies: `None` for a problem without.
        train_accuracies: By default those of the test set.
        valid_losses: `None` for no validation set.
        valid_accuracies: `None` for no validation set.
        hyperparameters: Those besides the learning rate.
        schedule: `lr_sched_epochs` and `lr_sched_factors`, or `lr_scheduler`.
        layout: Which DeepOBS writes the file.
        moment: When it was written: the end of its name.
        **changed: Keys of the file and their values; `...` for a value takes the key away.
    """
    curves = {
        "train_losses": train_losses or test_losses,
        "test_losses": test_losses,
        "train_accuracies": train_accuracies or test_accuracies,
        "test_accuracies": test_accuracies,
        "valid_losses": valid_losses,
        "valid_accuracies": valid_accuracies,
    }
    common = {
        "testproblem": problem,
        "batch_size": 128,
        "num_epochs": len(test_losses) - 1,
        "random_seed": seed,
        "weight_decay": None,
        "minibatch_train_losses": [2.0, 1.5, 1.0],
        **{name: list(curve) for name, curve in curves.items() if curve is not None},
    }
    settings = {} if lr is None else {"lr": lr}
    settings |= hyperparameters or {}
    rest = _OF_FORMAT[layout](optimizer, settings, schedule or {}, len(test_losses) - 1)
    content = {**rest, **common, **changed}
    content = {key: value for key, value in content.items() if value is not ...}
    setting = "__".join(f"{name}__{value}" for name, value in settings.items()) or "defaults"
    path = directory / problem / optimizer / setting / f"random_seed__{seed}__{moment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
    return path


def write_seeds(
    directory: Path,
    optimizer: str,
    finals: Iterable[float],
    *,
    problem: str = "acme",
    first_seed: int = 0,
    **changed: Any,
) -> None:
    """Write a result for each of consecutive seeds.

    Args:
        directory: See `write_result`, as for the other arguments.
        optimizer: Name of the optimizer.
        finals: The last test loss of each seed, after those of 9 and 5.
        problem: Name of the test problem.
        first_seed: The first seed.
        **changed: Further arguments of `write_result`.
    """
    for seed, final in enumerate(finals, start=first_seed):
        losses = [9, 5, float(final)]
        write_result(
            directory,
            problem=problem,
            optimizer=optimizer,
            seed=seed,
            test_losses=losses,
            **changed,
        )


def assert_same(first: Results, second: Results) -> None:
    """Whether results are equal, to the last bit."""
    assert first.skipped == second.skipped and first.tunings == second.tunings
    assert first.remarks == second.remarks and len(first.runs) == len(second.runs)
    assert first.runs.dtypes.equals(second.runs.dtypes)
    for name in first.runs.columns:
        for one, other in zip(first.runs[name], second.runs[name], strict=True):
            if isinstance(one, np.ndarray):
                assert isinstance(other, np.ndarray) and one.dtype == other.dtype == np.float64
                assert one.tolist() == other.tolist()
            else:
                assert repr(one) == repr(other)


def write_failure(
    directory: Path, *, kind: str = "error", message: str = "ValueError: no", run_id: str = "0" * 16
) -> Path:
    """Write the file of a failed run, and return its path.

    Args:
        directory: Where to write it.
        kind: What kind of failure it is.
        message: What happened.
        run_id: Identity of the run.
    """
    specification = RunSpecification(
        testproblem="quadratic_deep",
        optimizer="SGD",
        optimizer_target="torch.optim:SGD",
        hyperparameters={"lr": 0.1},
        batch_size=128,
        num_epochs=2,
    )
    failure = Failure(
        run_id=run_id,
        kind=kind,  # type: ignore[arg-type]  # pydantic checks it
        message=message,
        specification=specification,
        command=reproduction_command(specification),
        started_at="2026-01-02T03:04:05+00:00",
        seconds=1.0,
    )
    path = directory / f"random_seed__42__{MOMENT}.failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(failure.model_dump_json(indent=1))
    return path


def _own(
    optimizer: str, settings: dict[str, Any], schedule: dict[str, Any], num_epochs: int
) -> dict[str, Any]:
    training = {
        "lr_sched_epochs": None,
        "lr_sched_factors": None,
        "lr_scheduler": None,
        "validation_size": 0,
        "reshuffle": True,
        "train_log_interval": 10,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": "0123456789abcdef",
        "status": "completed",
        "optimizer_name": optimizer,
        "optimizer_target": f"torch.optim:{optimizer}",
        "optimizer_source": "",
        "optimizer_hyperparams": settings,
        "optimizer_needs": [],
        "parameter_groups": {},
        "training_params": training | schedule,
        "diverged_at_epoch": None,
        "diverged_at_step": None,
        "train_seconds": [0.5] * num_epochs,
        "eval_seconds": [0.1] * (num_epochs + 1),
        "steps": 7 * num_epochs,
        "gradient_evaluations": 7 * num_epochs,
        "fake_data": False,
        "full_evaluation": False,
        "bare_losses": False,
        "dataset": {"name": "quadratic", "fingerprint": None, "split_sizes": {"train": 1000}},
        "dtype": "float32",
        "device": "cpu",
        "hardware": {"processor": "a processor", "cores": 2},
        "versions": {"python": "3.11.7", "torch": "2.14.1", "deepobs-core": "1.2.0"},
        "command": f"deepobs run quadratic_deep {optimizer}",
        "started_at": "2026-01-02T03:04:05+00:00",
    }


def _of_1_2(
    optimizer: str, settings: dict[str, Any], schedule: dict[str, Any], num_epochs: int
) -> dict[str, Any]:
    del num_epochs
    return {
        "optimizer_name": optimizer,
        "optimizer_hyperparams": settings,
        "training_params": schedule,
    }


def _of_1_1(
    optimizer: str, settings: dict[str, Any], schedule: dict[str, Any], num_epochs: int
) -> dict[str, Any]:
    del num_epochs
    hyperparameters = dict(settings)
    return {
        "optimizer": optimizer,
        "learning_rate": hyperparameters.pop("lr", None),
        "lr_sched_epochs": None,
        "lr_sched_factors": None,
        "train_log_interval": 10,
        "hyperparams": hyperparameters,
        **schedule,
    }


_OF_FORMAT = {"own": _own, "1.2": _of_1_2, "1.1": _of_1_1}


def tuned_run(seed: int, run_id: str, value: float | None = 0.5) -> dict[str, Any]:
    """A run as the record of a tuning has it; a value of `None` is that of one that failed."""
    status = "completed" if value is not None else "failed"
    return {"seed": seed, "run_id": run_id, "status": status, "value": value, "message": ""}


def write_tuning(directory: Path, name: str = "tuning__grid__1.tuning", **changed: Any) -> Path:
    """A tuning of two learning rates, whose report has two seeds."""
    trials = [
        {
            "number": number,
            "setting": {"lr": lr},
            "status": "completed",
            "value": value,
            "runs": [tuned_run(42, f"trial{number}", value)],
        }
        for number, (lr, value) in enumerate([(0.1, 1.2), (0.2, 0.4)])
    ]
    content = {
        "schema_version": 1,
        "testproblem": "quadratic_deep",
        "optimizer": "SGD",
        "hyperparameters": {"momentum": 0.9},
        "training": {"num_epochs": 2},
        "protocol": {
            "space": {"lr": [0.1, 0.2]},
            "sampler": "grid",
            "select_on": "valid",
            "metric": "loss",
            "seeds": [42],
        },
        "explanation": ["Each point of a grid is tried."],
        "trials": trials,
        "winner": 1,
        "report": [tuned_run(seed, f"report{seed}") for seed in (43, 44)],
    } | changed
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
