"""What evaluations average over, and how they add."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from deepobs.errors import ProtocolError
from deepobs.plugins import ProblemSpec, registry
from deepobs.problems.problem import reduced
from deepobs.problems.synthetic import SyntheticProblem
from deepobs.runs import evaluation
from deepobs.runs.evaluation import (
    batches_at_once,
    evaluate,
    evaluated_loaders,
    evaluating,
    mean_loss_and_accuracy,
)

# Two batches of as many examples, padded to different lengths.
PADDED = [
    (torch.zeros(4, 5, dtype=torch.int64), torch.ones(4)),
    (torch.zeros(4, 1, dtype=torch.int64), torch.zeros(4)),
]


class Foreign:
    """A problem that derives from nothing of ours: the second part of a batch says who is right."""

    def __init__(self, batches: Any) -> None:
        self.model = nn.Linear(1, 1)
        self.dataset = SimpleNamespace(
            train_eval_loader=batches, valid_loader=None, test_loader=batches
        )

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        mean = batch[1].float().mean()
        return mean, mean

    def get_regularization_loss(self) -> torch.Tensor:
        return torch.zeros(())


def test_padded_batches_of_another_package_count_by_their_examples() -> None:
    assert mean_loss_and_accuracy(Foreign(PADDED), PADDED) == (0.5, 0.5)  # type: ignore[arg-type]
    metrics = evaluate(Foreign(PADDED))  # type: ignore[arg-type]
    assert set(metrics.values()) == {0.5}


def test_a_problem_may_count_something_else_than_examples() -> None:
    class ByTokens(Foreign):
        def batch_weight(self, batch: Any) -> int:
            return int(batch[0].numel())

    loss, accuracy = mean_loss_and_accuracy(ByTokens(PADDED), PADDED)  # type: ignore[arg-type]
    assert loss == accuracy == 20 / 24


@pytest.mark.parametrize("weight", [0, -1, 2.5, None])
def test_a_weight_that_is_none_is_refused(weight: Any) -> None:
    class Wrong(Foreign):
        def batch_weight(self, batch: Any) -> Any:
            return weight

    with pytest.raises(ProtocolError, match="batch_weight"):
        evaluate(Wrong(PADDED))  # type: ignore[arg-type]


@pytest.mark.parametrize("correct", [1, 7, 333, 1000, 1022, 1023])
def test_as_many_correct_examples_are_the_same_accuracy_in_any_batches(correct: int) -> None:
    is_correct = torch.arange(1023) < correct
    found = set()
    for size in (1, 3, 7, 50, 128, 1023):
        order = torch.randperm(1023, generator=torch.Generator().manual_seed(size))
        batches = [(part, part) for part in is_correct[order].split(size)]
        found.add(mean_loss_and_accuracy(Foreign(batches), batches)[1])  # type: ignore[arg-type]
    assert found == {correct / 1023}


def test_accuracies_that_are_no_counts_are_averaged() -> None:
    batches = [(torch.zeros(2), torch.full((2,), 0.3)), (torch.zeros(6), torch.full((6,), 0.1))]
    _, accuracy = mean_loss_and_accuracy(Foreign(batches), batches)  # type: ignore[arg-type]
    assert accuracy == pytest.approx((2 * 0.3 + 6 * 0.1) / 8, rel=1e-7)


def test_an_accuracy_that_is_not_finite_stays_so() -> None:
    batches = [(torch.zeros(2), torch.ones(2)), (torch.zeros(2), torch.full((2,), math.nan))]
    _, accuracy = mean_loss_and_accuracy(Foreign(batches), batches)  # type: ignore[arg-type]
    assert accuracy is not None
    assert math.isnan(accuracy)


def _set_up(problem_class: Any = "quadratic_deep", batch_size: int = 128, **options: Any) -> Any:
    loaded = registry().problems.load(problem_class)
    problem = loaded(batch_size, device="cpu", **options)
    torch.manual_seed(3)
    problem.set_up()
    with torch.no_grad():
        for parameter in problem.model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return problem


@pytest.mark.parametrize("name", ["quadratic_deep", "two_d_rosenbrock", "two_d_beale"])
@pytest.mark.parametrize("batch_size", [128, 100, 7])
@pytest.mark.parametrize("drop_remainder", [True, False])
def test_groups_of_batches_give_the_bits_of_single_ones(
    name: str, batch_size: int, drop_remainder: bool
) -> None:
    problem = _set_up(name, batch_size, validation_size=150, drop_remainder=drop_remainder)
    splits = evaluated_loaders(problem.dataset).items()
    with evaluating(problem):
        singly = {split: mean_loss_and_accuracy(problem, loader)[0] for split, loader in splits}
    metrics = evaluate(problem)
    assert metrics == {f"{split}_loss": loss for split, loss in singly.items()}
    assert evaluate(problem) == metrics


def test_the_comparison_of_groups_leaves_weights_and_random_numbers_alone() -> None:
    problem = _set_up("two_d_branin", 64)
    # What autograd keeps for a step in progress must not count as changed.
    loss = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.test_loader)), "mean")[0]
    before = {name: value.clone() for name, value in problem.model.state_dict().items()}
    random = torch.get_rng_state()
    problem.model.train()
    evaluation._chosen.clear()
    assert batches_at_once(problem)
    assert problem.model.training
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in problem.model.state_dict().items():
        assert torch.equal(value, before[name])
    loss.backward()


class Grouped(SyntheticProblem):
    """The squared distances to a point, without a matrix product, so that all machines agree."""

    spec = ProblemSpec(dataset="quadratic", batch_size=100, epochs=1, independent_examples=True)

    def build_model(self) -> nn.Module:
        return nn.Linear(100, 1)

    def batch_losses(self, batch: Any, reduction: Any) -> tuple[torch.Tensor, None]:
        return reduced((batch[0] - self.model.weight).square().sum(dim=1), reduction), None


class WithoutSaying(Grouped):
    spec = ProblemSpec(dataset="quadratic", batch_size=100, epochs=1)


class OfTheBatch(Grouped):
    def batch_losses(self, batch: Any, reduction: Any) -> tuple[torch.Tensor, None]:
        distances = batch[0] - self.model.weight - batch[0].mean()
        return reduced(distances.square().sum(dim=1), reduction), None


class OfManyRows(Grouped):
    """Rounds one loss another way where there are more rows, as kernels may."""

    def batch_losses(self, batch: Any, reduction: Any) -> tuple[torch.Tensor, None]:
        losses, _ = super().batch_losses(batch, "none")
        if reduction == "none" and len(losses) > 100:
            first = torch.nextafter(losses[:1], torch.tensor(torch.inf))
            losses = torch.cat([first, losses[1:]])
        return reduced(losses, reduction), None


class Noisy(Grouped):
    def batch_losses(self, batch: Any, reduction: Any) -> tuple[torch.Tensor, None]:
        torch.rand(())
        return super().batch_losses(batch, reduction)


class WithAnotherMean(Grouped):
    def batch_losses(self, batch: Any, reduction: Any) -> tuple[torch.Tensor, None]:
        losses, _ = super().batch_losses(batch, "none")
        return losses.median() if reduction == "mean" else losses, None


class Weighted(Grouped):
    def batch_weight(self, batch: Any) -> int:
        return 2 * len(batch[0])


def test_independent_examples_are_evaluated_in_few_calls() -> None:
    sizes = []

    class Counted(Grouped):
        def batch_losses(self, batch: Any, reduction: Any) -> tuple[torch.Tensor, None]:
            sizes.append(len(batch[0]))
            return super().batch_losses(batch, reduction)

    problem = _set_up(Counted, 100)
    assert batches_at_once(problem) == {"train": 10, "test": 10}
    sizes.clear()
    evaluate(problem)
    assert sizes == [1000, 1000]


@pytest.mark.parametrize(
    "problem_class", [WithoutSaying, OfTheBatch, OfManyRows, Noisy, WithAnotherMean, Weighted]
)
def test_where_groups_could_give_other_numbers_batches_are_evaluated_singly(
    problem_class: type,
) -> None:
    problem = _set_up(problem_class, 100)
    assert batches_at_once(problem) == {}
    loaders = evaluated_loaders(problem.dataset)
    with evaluating(problem):
        expected = mean_loss_and_accuracy(problem, loaders["test"])[0]
    assert evaluate(problem)["test_loss"] == expected


def test_the_comparison_is_not_fooled_by_weights_of_zero() -> None:
    class OfWeightedRows(OfManyRows):
        def batch_losses(self, batch: Any, reduction: Any) -> tuple[torch.Tensor, None]:
            losses, _ = super().batch_losses(batch, "none")
            return reduced(losses * self.model.bias, reduction), None

    problem = _set_up(OfWeightedRows, 100)
    with torch.no_grad():
        problem.model.bias.zero_()
    assert evaluate(problem) == {"train_loss": 0, "test_loss": 0}
    assert batches_at_once(problem) == {}


def test_a_model_with_options_around_its_forward_is_evaluated_a_batch_at_a_time() -> None:
    problem = _set_up()
    problem.model.forward = problem.model.forward  # as a run in mixed precision has it
    assert batches_at_once(problem) == {}
