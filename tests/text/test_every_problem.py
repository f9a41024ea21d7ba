"""What holds for every small text problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from deepobs import config
from deepobs.runs import run, specify

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_text.language_model import LanguageModel

    SetUp = Callable[..., LanguageModel]

# Not tolstoi_gpt, which is the class of excerpt_gpt and takes minutes.
NAMES = ("excerpt_gpt", "excerpt_lstm", "tolstoi_char_rnn", "tolstoi_transformer")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_models_follow_the_chosen_precision(name: str, dtype: torch.dtype, set_up: SetUp) -> None:
    config.set_dtype(dtype)
    problem = set_up(name)
    losses, accuracy = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.train_loader)))
    losses.mean().backward()
    assert losses.dtype == dtype
    assert 0 <= accuracy <= 1
    for parameter in problem.model.parameters():
        assert parameter.dtype == parameter.grad.dtype == dtype
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_text_can_be_read_again_and_again(name: str, set_up: SetUp) -> None:
    loader = set_up(name).dataset.test_loader
    first, again = list(loader), list(loader)
    assert len(loader) == len(first) == len(again) > 1
    for batch, same in zip(first, again, strict=True):
        assert all(map(torch.equal, batch, same))


@pytest.mark.parametrize("name", NAMES)
def test_runs_learn_and_repeat_to_the_bit(name: str, set_up: SetUp) -> None:
    del set_up  # for the synthetic text
    specification = specify(name, "Adam", {"lr": 3e-3}, num_epochs=1, batch_size=4)
    first, again = run(specification).record, run(specification).record
    assert first.test_losses == again.test_losses
    assert first.minibatch_train_losses == again.minibatch_train_losses
    assert first.test_losses[1] < first.test_losses[0]
    assert first.fake_data
