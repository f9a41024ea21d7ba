"""Runs in trackio, read back by its own interface."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Any

import pytest
from interruptions import InterruptionError, Interrupts
from tracked_runs import expected, interrupt_and_resume, small

from deepobs.runs import reproduction_command, run
from deepobs.runs.trackers import open_trackers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

if importlib.util.find_spec("trackio") is None:
    pytest.skip("the package trackio is not installed", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A directory of these tests: the package reads the variable when it is first imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
        yield


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project of this test alone."""
    return request.node.name.replace("_", "-")[:40]


def runs(project: str) -> list[Any]:
    import trackio

    return list(trackio.Api().runs(project))


def rows(project: str, name: str) -> list[dict[str, Any]]:
    import trackio

    found: list[dict[str, Any]] = trackio.SQLiteStorage.get_logs(project, name)
    return found


def series(project: str, name: str) -> dict[str, dict[int, float]]:
    """Values by metric and step, each of which is there once."""
    found: dict[str, dict[int, float]] = {}
    for row in rows(project, name):
        for metric, value in row.items():
            if metric not in ("step", "timestamp", "status", "reason"):
                assert row["step"] not in found.setdefault(metric, {}), (metric, row)
                found[metric][row["step"]] = value
    return found


def status_of(project: str, name: str) -> list[str]:
    return [row["status"] for row in rows(project, name) if "status" in row]


def test_a_resumed_run_is_one_record_with_everything_once(tmp_path: Path, project: str) -> None:
    specification = small()
    record = interrupt_and_resume(specification, tmp_path / "results", f"trackio={project}")
    (found,) = runs(project)
    assert found.name == f"SGD on quadratic_deep, lr = 0.001, seed 42 ({record.run_id[:8]})"
    assert series(project, found.name) == expected(record)
    assert status_of(project, found.name) == ["failed", "completed"]
    assert found.config["lr"] == 0.001
    assert found.config["command"] == reproduction_command(specification)
    assert found.config["version.torch"] == record.versions["torch"]
    import trackio

    (result,) = trackio.SQLiteStorage.get_artifacts(project)
    assert result["name"] == f"result-{record.run_id}"
    assert result["size_bytes"] == len(record.to_json().encode())


def test_a_run_that_begins_anew_replaces_its_record(project: str) -> None:
    specification, observers = small(num_epochs=1), open_trackers(f"trackio={project}")
    with pytest.raises(InterruptionError):
        run(specification, observers=[*observers, Interrupts(step=100)])
    run(specification, observers=observers)
    (found,) = runs(project)
    assert status_of(project, found.name) == ["completed"]
    assert list(series(project, found.name)["test_loss"]) == [0, 125]


def test_values_that_are_not_finite_stay_so(project: str) -> None:
    record = run(small(lr=1e30), observers=open_trackers(f"trackio={project}")).record
    (found,) = runs(project)
    assert status_of(project, found.name) == ["diverged"]
    (loss,) = series(project, found.name)["minibatch_train_loss"].values()
    assert not math.isfinite(loss)
    assert record.status == "diverged"


def test_several_processes_log_into_one_database(
    command_line: Callable[..., Any], tmp_path: Path, project: str
) -> None:
    (tmp_path / "experiment.toml").write_text(
        'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\nseeds = [1, 2, 3, 4, 5, 6]\n'
        "defaults.epochs = 2\ndefaults.batch_size = 8"
    )
    code, _, err = command_line(
        *("bench", "experiment.toml", "--no-estimate", "--jobs", "4"),
        *("--track", f"trackio={project}"),
    )
    assert (code, err) == (0, "")
    found = runs(project)
    assert sorted(one.config["random_seed"] for one in found) == [1, 2, 3, 4, 5, 6]
    for one in found:
        assert status_of(project, one.name) == ["completed"]
        assert list(series(project, one.name)["test_loss"]) == [0, 125, 250]
