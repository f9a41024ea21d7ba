"""tolstoi_transformer: its sizes, what a position sees, and how it starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_text.transformer import Transformer

    SetUp = Callable[..., Transformer]


@pytest.fixture
def problem(set_up: SetUp) -> Transformer:
    torch.manual_seed(0)
    return set_up("tolstoi_transformer", batch_size=2)


def test_it_has_about_a_million_parameters_and_ties_its_head(problem: Transformer) -> None:
    assert sum(parameter.numel() for parameter in problem.model.parameters()) == 1018624
    embeddings = [p for p in problem.model.parameters() if p.shape[0] == 83]
    assert len(embeddings) == 1


def test_sequences_have_128_characters_in_random_order(problem: Transformer) -> None:
    first, other = (next(iter(problem.dataset.train_loader)) for _ in range(2))
    assert first[0].shape == first[1].shape == (2, 128)
    assert torch.equal(first[0][:, 1:], first[1][:, :-1])
    assert not torch.equal(first[0], other[0])


def test_it_starts_undecided(problem: Transformer) -> None:
    batch = next(iter(problem.dataset.test_loader))
    losses, accuracy = problem.get_batch_loss_and_accuracy(batch)
    assert losses.tolist() == pytest.approx([math.log(83)] * 2, abs=0.1)
    assert 0 <= accuracy <= 1


def test_no_position_sees_what_comes_after_it(problem: Transformer) -> None:
    ids = torch.randint(83, (1, 128))
    changed = ids.clone()
    changed[0, 64:] = torch.randint(83, (64,))
    with torch.no_grad():
        one, other = problem.model(ids), problem.model(changed)
    torch.testing.assert_close(one[:, :64], other[:, :64])
    assert not torch.allclose(one[:, 64:], other[:, 64:])


def test_every_position_sees_all_before_it(problem: Transformer) -> None:
    features = problem.model.embedding(torch.randint(83, (1, 128))).detach().requires_grad_()
    problem.model.blocks(features)[0, -1].sum().backward()
    assert (features.grad.abs().amax(dim=2) > 0).all()


def test_shorter_sequences_are_read_too(problem: Transformer) -> None:
    ids = torch.randint(83, (3, 128))
    torch.testing.assert_close(problem.model(ids[:, :50]), problem.model(ids)[:, :50])


def test_what_writes_into_the_residual_stream_starts_smaller(problem: Transformer) -> None:
    for name, parameter in problem.model.named_parameters():
        if parameter.ndim == 2:
            scale = 0.02 / math.sqrt(10) if "to_residual" in name else 0.02
            assert parameter.std().item() == pytest.approx(scale, rel=0.05), name
        else:
            expected = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            assert (parameter == expected).all(), name


def test_a_batch_trains_every_parameter(problem: Transformer) -> None:
    loss, _ = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.train_loader)), "mean")
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in problem.model.parameters())


def test_batches_do_not_depend_on_each_other(problem: Transformer) -> None:
    first, second = (batch for batch, _ in zip(problem.dataset.test_loader, range(2), strict=False))
    with torch.no_grad():
        alone = problem.get_batch_loss_and_accuracy(second)[0]
        problem.get_batch_loss_and_accuracy(first)
        assert torch.equal(problem.get_batch_loss_and_accuracy(second)[0], alone)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_loss_function_gives_the_losses_of_outputs_and_targets(
    problem: Transformer, reduction: str
) -> None:
    problem.model.eval()
    ids, targets = batch = next(iter(problem.dataset.test_loader))
    assert problem.loss_function is not None
    assert problem.loss_function.reduction == "mean"
    losses = type(problem.loss_function)(reduction)(problem.model(ids), targets)
    torch.testing.assert_close(losses, problem.get_batch_loss(batch, reduction))
