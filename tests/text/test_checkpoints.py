"""Interrupted runs on text: the hidden state and dropout go on."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import torch
from interruptions import assert_resumes_exactly

from deepobs import config
from deepobs.runs import specify, training

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs_text.char_rnn import CharRNN


@pytest.fixture(autouse=True)
def frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs can be interrupted every two steps."""
    monkeypatch.setattr(training, "STEPS_BETWEEN_REPORTS", 2)


@pytest.mark.parametrize("hyperparameters", [{"lr": 0.1}, {"lr": 0.1, "max_iter": 2}])
def test_a_recurrent_run_goes_on_to_the_bit_in_the_middle_of_an_epoch(
    hyperparameters: dict[str, float], tmp_path: Path
) -> None:
    config.set_fake_data(0.001)
    optimizer = "LBFGS" if "max_iter" in hyperparameters else "SGD"
    specification = specify(
        "tolstoi_char_rnn", optimizer, hyperparameters, num_epochs=2, batch_size=16
    )
    assert_resumes_exactly(specification, tmp_path, step=6)


def test_the_hidden_state_goes_on_where_batches_do_not_know_their_pass(
    set_up: Callable[..., CharRNN],
) -> None:
    torch.manual_seed(0)
    problem, other = set_up("tolstoi_char_rnn"), set_up("tolstoi_char_rnn")
    other.model.load_state_dict(problem.model.state_dict())
    for one in (problem, other):
        one.model.dropout.p = one.model.dropout_between.p = 0.0
    first, second = (tuple(batch) for batch in itertools.islice(problem.dataset.train_loader, 2))

    problem.get_batch_loss(first)
    iter(other.dataset.train_loader)
    other.restore_carried_state(problem.carried_state(), second)
    assert torch.equal(other.get_batch_loss(second), problem.get_batch_loss(second))
