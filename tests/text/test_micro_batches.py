"""Micro-batches of a text: their gradients, and the recurrent state that they carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from accumulated_gradients import assert_equal_gradients

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.problems import Problem


@pytest.mark.parametrize("name", ["excerpt_gpt", "excerpt_lstm", "tolstoi_char_rnn"])
def test_micro_batches_have_the_gradient_of_the_batch(name: str) -> None:
    config.set_fake_data(0.01)
    # Of the second batch: the recurrent network carries the state of the first one.
    assert_equal_gradients(name, 3, batch_size=4)


def test_micro_batches_carry_their_parts_of_the_state(set_up: Callable[..., Problem]) -> None:
    problem: Any = set_up("tolstoi_char_rnn", batch_size=5)
    batches = list(problem.dataset.train_loader)[:3]
    problem.model.train()
    for layer in (problem.model.dropout, problem.model.dropout_between):
        layer.p = 0.0
    whole = [problem.logits(batch) for batch in batches]
    state = problem.carried_state()["state"]
    problem.dataset.train_loader.passes_started += 1
    again = list(problem.dataset.train_loader)[:3]
    for batch, expected in zip(again, whole, strict=True):
        for _ in range(2):  # as by closures
            parts = [problem.logits(part) for part in problem.split_batch(batch, 3)]
            torch.testing.assert_close(torch.cat(parts, dim=1), expected)
    torch.testing.assert_close(problem.carried_state()["state"], state)


def test_rebuilt_batches_are_not_split(set_up: Callable[..., Problem]) -> None:
    problem = set_up("tolstoi_char_rnn")
    with pytest.raises(ArgumentError, match="do not know their place in the text"):
        problem.split_batch(tuple(next(iter(problem.dataset.train_loader))), 2)


@pytest.mark.parametrize(
    ("optimizer", "parts", "every"),
    [("SGD", 3, "1epoch"), ("LBFGS", 3, "1epoch"), ("SGD", 1, "1step"), ("LBFGS", 3, "1step")],
)
def test_runs_resume_with_the_state_of_all_micro_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, parts: int, every: str
) -> None:
    monkeypatch.setattr("deepobs.runs.training.STEPS_BETWEEN_REPORTS", 2)
    hyperparameters = {"lr": 0.05, "max_iter": 2} if optimizer == "LBFGS" else {"lr": 0.05}
    options = {"num_epochs": 1, "train_log_interval": 1, "evaluate_every": every}
    with config.temporary(fake_data=0.004):
        specification = specify(
            "tolstoi_char_rnn", optimizer, hyperparameters, accumulate=parts, **options
        )

    class AtStep(RunObserver):
        def steps_taken(self, steps: int, metrics: Any) -> None:
            if steps >= 3:
                raise KeyboardInterrupt

    plan = CheckpointPlan(every_seconds=0.0, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(specification, output_dir=tmp_path, checkpoints=plan, observers=[AtStep()])
    resumed = run(specification, output_dir=tmp_path, checkpoints=plan).record
    undisturbed = run(specification.model_copy(update={"evaluate_every": "1epoch"})).record
    assert resumed.resumed_at_steps
    assert resumed.minibatch_train_losses == undisturbed.minibatch_train_losses
    assert resumed.test_losses[-1] == undisturbed.test_losses[-1]
