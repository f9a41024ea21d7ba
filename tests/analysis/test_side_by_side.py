"""Many result files are read by several processes, with the same outcome as by one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from result_files import write_failure, write_result

from deepobs_analysis import load, result_files, side_by_side
from deepobs_analysis.run_columns import FIELDS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def results_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of all kinds, which are many enough for a process each."""
    monkeypatch.setattr(side_by_side, "_FEWEST", 2)
    monkeypatch.setattr(side_by_side, "_BATCH", 2)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 3)
    directory = tmp_path / "results"
    write_result(directory, layout="1.1", seed=1, test_losses=[1.0, float("nan")])
    write_result(directory, layout="1.2", seed=2, test_accuracies=[0.1, 0.2, 0.3])
    write_result(directory, seed=3, valid_losses=[3.0, 2.0, 1.0], optimizer="Größe")
    write_result(directory, seed=4, iterates=[[0.0, 1.0]] * 3)
    write_failure(directory)
    (directory / "broken.json").write_text("{")
    odd = os.fsdecode(b"\xff" + "ö\n".encode())
    write_result(directory / odd, seed=5)
    (directory / "gone.json").symlink_to("nowhere")
    return directory


def assert_read(root: Path) -> None:
    found = list(result_files.walk(str(root), {}))
    unread: dict[str, str] = {}
    alone, excluded = side_by_side.read_files(root, found, unread)
    together, excluded_together = side_by_side.read_many(root, found, unread)
    assert excluded == excluded_together
    assert alone.names.tolist() == together.names.tolist() and len(alone) == 5
    for name in FIELDS:
        assert repr(alone.of_each(name).tolist()) == repr(together.of_each(name).tolist())
    for name in ("train_losses", "test_losses", "test_accuracies", "valid_losses", "iterates"):
        assert repr(alone.curves(name)) == repr(together.curves(name))


def test_several_processes_read_the_same_as_one(results_dir: Path) -> None:
    assert_read(results_dir)


def test_files_are_read_where_no_process_can_be_started(
    results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert_read(results_dir)
    monkeypatch.setattr(sys, "executable", "/no/such/interpreter")
    assert_read(results_dir)


def test_modules_in_the_working_directory_are_not_imported(
    results_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("open('imported', 'w')")
    (tmp_path / "json.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    assert len(load(results_dir, cache=False).runs) == 5
    assert not (tmp_path / "imported").exists()
