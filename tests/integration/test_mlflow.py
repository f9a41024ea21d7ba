"""Runs in MLflow, read back by its own client."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from interruptions import InterruptionError, Interrupts
from tracked_runs import expected, interrupt_and_resume, small

from deepobs.errors import OutputError
from deepobs.runs import reproduction_command, run
from deepobs.runs.trackers import open_trackers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("mlflow", reason="the package mlflow is not installed")
pytest.importorskip("sqlalchemy", reason="MLflow's database needs the package sqlalchemy")

# Of its dependencies, while they are imported.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory, and tell nobody of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def client(directory: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{directory / 'mlflow.db'}")


def records(directory: Path, experiment: str = "deepobs") -> list[Any]:
    reader = client(directory)
    return list(reader.search_runs([reader.get_experiment_by_name(experiment).experiment_id]))


def series(directory: Path, run_id: str) -> dict[str, dict[int, float]]:
    """Values by metric and step, each of which is there once."""
    reader, found = client(directory), {}
    for name in reader.get_run(run_id).data.metrics:
        history = reader.get_metric_history(run_id, name)
        found[name] = {one.step: one.value for one in history}
        assert len(found[name]) == len(history), name
    return found


def test_a_resumed_run_is_one_record_with_everything_once(tmp_path: Path) -> None:
    specification = small()
    record = interrupt_and_resume(specification, tmp_path / "results", "mlflow")
    (found,) = records(tmp_path)
    assert series(tmp_path, found.info.run_id) == expected(record)
    assert (found.info.status, found.info.run_name) == (
        "FINISHED",
        "SGD on quadratic_deep, lr = 0.001, seed 42",
    )
    assert found.data.params["lr"] == "0.001"
    assert found.data.params["testproblem"] == "quadratic_deep"
    tags = found.data.tags
    assert tags["deepobs.command"] == reproduction_command(specification)
    assert tags["deepobs.version.torch"] == record.versions["torch"]
    assert (tags["deepobs.run_id"], tags["deepobs.status"]) == (record.run_id, "completed")
    reader = client(tmp_path)
    path = reader.download_artifacts(found.info.run_id, "random_seed__42.json", str(tmp_path))
    with open(path) as stream:  # noqa: PTH123
        assert stream.read() == record.to_json()


def test_a_run_that_begins_anew_replaces_its_record(tmp_path: Path) -> None:
    specification = small(num_epochs=1)
    with pytest.raises(InterruptionError):
        run(specification, observers=[*open_trackers("mlflow=mine"), Interrupts(step=100)])
    (failed,) = records(tmp_path, "mine")
    assert failed.info.status == "FAILED"
    assert failed.data.tags["deepobs.reason"] == "InterruptionError"
    run(specification, observers=open_trackers("mlflow=mine"))
    (found,) = records(tmp_path, "mine")
    assert found.info.run_id != failed.info.run_id
    assert found.info.status == "FINISHED"


def test_values_that_are_not_finite_stay_so_as_far_as_the_database_can(tmp_path: Path) -> None:
    observers = open_trackers("mlflow")
    record = run(small(lr=1e30), observers=observers).record
    assert record.status == "diverged"
    (found,) = records(tmp_path)
    assert found.data.tags["deepobs.status"] == "diverged"
    (logged,) = series(tmp_path, found.info.run_id)["minibatch_train_loss"].values()
    # It stores infinity as the largest number.
    assert math.isnan(logged) or abs(logged) > 1e308


def test_several_processes_log_into_one_database(
    command_line: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "experiment.toml").write_text(
        'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\nseeds = [1, 2, 3, 4, 5, 6, 7, 8]\n'
        "defaults.epochs = 3\ndefaults.batch_size = 8"
    )
    command = ("bench", "experiment.toml", "--no-estimate", "--jobs", "4", "--track", "mlflow")
    code, _, err = command_line(*command)
    assert (code, err) == (0, "")
    found = records(tmp_path)
    assert sorted(one.data.params["random_seed"] for one in found) == list("12345678")
    assert {one.info.status for one in found} == {"FINISHED"}
    assert {len(series(tmp_path, one.info.run_id)["test_loss"]) for one in found} == {4}
    assert len({one.data.tags["deepobs.group"] for one in found}) == 1
    command_line(*command)
    assert len(records(tmp_path)) == 8


def test_a_database_that_cannot_be_opened_is_named_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///broken.db")
    with pytest.raises(OutputError, match=r"broken\.db cannot be opened"):
        open_trackers("mlflow")
