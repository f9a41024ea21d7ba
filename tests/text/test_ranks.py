"""Recurrent state in runs whose batches are divided among processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deepobs.plugins import registry
from deepobs_text.sequences import SequenceBatch

if TYPE_CHECKING:
    from pathlib import Path

RUN = "run tolstoi_char_rnn SGD --lr 1.5 --epochs 2 --fake-data 0.001 --batch-size 5 --device cpu"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def test_each_process_carries_the_state_of_its_sequences(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    for name, launcher in (("alone", []), ("together", TORCHRUN)):
        subprocess.run(
            [sys.executable, *launcher, "-m", "deepobs", *RUN.split(), "--out", name],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            timeout=240,
        )
        [path] = (tmp_path / name).rglob("random_seed__*.json")
        records.append(json.loads(path.read_text()))
    alone, together = records
    for losses in ("train_losses", "test_losses", "minibatch_train_losses"):
        assert together[losses] == pytest.approx(alone[losses], rel=1e-5)
    assert together["test_accuracies"] == alone["test_accuracies"]


def test_states_of_rows_are_joined_to_those_of_the_batch() -> None:
    problem_class: Any = registry().problems.load("tolstoi_char_rnn")
    problem = problem_class.__new__(problem_class)
    state = {
        "number": 3,
        "state": tuple((torch.randn(1, 5, 4), torch.randn(1, 5, 4)) for _ in range(2)),
    }
    parts = [problem.split_carried_state(state, rows) for rows in (slice(0, 2), slice(2, 5))]
    joined = problem.join_carried_states(parts)
    assert joined["number"] == 3
    for layer, expected in zip(joined["state"], state["state"], strict=True):
        assert all(torch.equal(*pair) for pair in zip(layer, expected, strict=True))


def test_rows_of_a_batch_know_their_place_in_the_pass() -> None:
    batch = SequenceBatch((torch.arange(8).view(4, 2), torch.arange(1, 9).view(4, 2)))
    batch.reading, batch.number = object(), 7  # type: ignore[assignment]
    part = batch.rows(slice(1, 3))
    assert part.reading is batch.reading
    assert part.number == 7
    assert part[0].tolist() == [[2, 3], [4, 5]]


def test_micro_batches_with_a_state_are_not_divided_among_processes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *TORCHRUN, "-m", "deepobs", *RUN.split(), "--accumulate", "2"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode != 0
    assert "whose micro-batches cannot be divided among processes" in " ".join(done.stderr.split())
