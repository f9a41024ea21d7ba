"""The learning rate range test: its steps are those of a plain loop, and what it concludes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.runs import specify
from deepobs.runs.lr_range import lr_range, requires_lr


class WithoutRate(torch.optim.Optimizer):
    """An optimizer that has no learning rate."""

    def __init__(self, params: Any, radius: float = 0.1) -> None:
        super().__init__(params, {"radius": radius})

    def step(self, closure: Any = None) -> None:
        del closure


class Required(torch.optim.SGD):
    """An optimizer whose learning rate has no default."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr)


def _losses_of_a_loop(lrs: tuple[float, ...], seed: int) -> list[float]:
    torch.manual_seed(seed)
    problem = registry().problems.load("quadratic_deep")(128, device="cpu")
    problem.set_up()
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=1.0)
    losses: list[float] = []
    while len(losses) < len(lrs):
        for batch in problem.dataset.train_loader:
            if len(losses) == len(lrs):
                break
            optimizer.param_groups[0]["lr"] = lrs[len(losses)]
            optimizer.zero_grad()
            loss = problem.get_batch_loss(batch, "mean")
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_its_steps_are_those_of_a_plain_loop() -> None:
    measured = lr_range(specify("quadratic_deep", "SGD", random_seed=7), steps=30)
    assert list(measured.objectives) == _losses_of_a_loop(measured.lrs, seed=7)


def test_learning_rates_grow_by_the_same_factor() -> None:
    measured = lr_range(specify("quadratic_deep", "SGD"), min_lr=1e-5, max_lr=1e-3, steps=11)
    assert measured.lrs == pytest.approx([1e-5 * 10 ** (step / 5) for step in range(11)])


def test_sgd_on_a_quadratic_diverges_beyond_the_limit_of_its_curvature() -> None:
    measured = lr_range(specify("quadratic_deep", "SGD"), max_lr=100.0)
    curvature = 60.0  # the largest eigenvalues of the problem lie between 30 and 60
    assert measured.diverged is not None and 2 / curvature < measured.diverged < 1
    assert measured.lrs[-1] == measured.diverged
    assert measured.steepest is not None and measured.lowest is not None
    assert measured.steepest < measured.lowest < measured.diverged
    low, high = measured.suggested_range or (0, 0)
    assert (low, high) == (measured.steepest / 10, measured.steepest * 10)


def test_what_diverged_is_no_part_of_the_averages() -> None:
    measured = lr_range(specify("quadratic_deep", "SGD"), max_lr=100.0)
    assert len(measured.smoothed) == len(measured.lrs) - 1
    assert max(measured.smoothed) <= max(measured.objectives[:-1])
    middle = measured.objectives[16:25]
    assert measured.smoothed[20] == pytest.approx(math.fsum(middle) / 9)


def test_noise_is_no_fall() -> None:
    measured = lr_range(specify("quadratic_deep", "SGD"), min_lr=1e-12, max_lr=1e-10)
    assert measured.steepest is measured.lowest is measured.diverged is None
    assert measured.suggested_range is None


def test_groups_keep_the_ratio_of_their_learning_rates() -> None:
    groups = {"head": {"lr": 0.5}}
    specification = specify("deep_linear", "SGD", {"lr": 0.1}, parameter_groups=groups)
    seen: list[list[float]] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    lr_range(specification, optimizer_class=Watched, steps=10, max_lr=1e-3)
    assert len(seen) == 10 and len(seen[0]) == 2
    for first, second in seen:
        assert sorted([first / second, second / first]) == pytest.approx([0.2, 5.0])


def test_it_leaves_the_random_numbers_of_the_process_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    lr_range(specify("quadratic_deep", "SGD"), steps=10)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"min_lr": 0.0}, "min_lr above 0"),
        ({"min_lr": 1.0, "max_lr": 1.0}, "must grow from min_lr"),
        ({"max_lr": math.inf}, "max_lr must be a finite number"),
        ({"steps": 9}, "steps must be 10 or more, got 9"),
    ],
)
def test_an_impossible_range_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        lr_range(specify("quadratic_deep", "SGD"), **arguments)


def test_a_schedule_is_refused() -> None:
    with pytest.raises(ArgumentError, match="omit the schedule"):
        lr_range(specify("quadratic_deep", "SGD", lr_scheduler="cosine"))


def test_an_optimizer_without_a_learning_rate_is_refused() -> None:
    specification = specify("quadratic_deep", WithoutRate)
    with pytest.raises(ArgumentError, match="WithoutRate has no learning rate"):
        lr_range(specification, optimizer_class=WithoutRate)


def test_an_objective_that_is_not_finite_at_the_start_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepobs.problems.synthetic import QuadraticDeep

    def not_a_number(self: QuadraticDeep, *_arguments: Any, **_options: Any) -> Any:
        return next(self.model.parameters()).sum() * math.nan

    monkeypatch.setattr(QuadraticDeep, "get_batch_loss", not_a_number)
    with pytest.raises(ArgumentError, match="quadratic_deep is nan before the first step"):
        lr_range(specify("quadratic_deep", "SGD"))


def test_only_a_learning_rate_without_default_is_required() -> None:
    assert requires_lr(Required)
    assert not requires_lr("SGD")
    assert not requires_lr(WithoutRate)
