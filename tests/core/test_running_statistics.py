"""Running statistics: updated once a step, and for evaluations those of the evaluated weights."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import broken_datasets
import pytest
import torch
from interruptions import Interrupts, interrupt, numbers, resume
from small_classifier import Averages, Classifier
from torch import nn
from torch.optim.swa_utils import update_bn

from deepobs.errors import ArgumentError
from deepobs.plugins import ProblemSpec
from deepobs.runs import environment, run, specify, training
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.evaluation import evaluate
from deepobs.runs.execution import execute
from deepobs.runs.run_state import RunState
from deepobs.runs.timing import with_recalibration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

STEPS_PER_EPOCH = 8


class Normalized(Classifier):
    """Has a network with batch normalization."""

    spec = ProblemSpec(batch_size=5, epochs=2, metric="accuracy")

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), *self.layers(), nn.Linear(8, 2))

    def layers(self) -> tuple[nn.Module, ...]:
        return nn.BatchNorm1d(8), nn.Tanh()


class PerInstance(nn.Module):
    """Instance normalization of a vector, seen as one channel, with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm1d(1, track_running_stats=True)

    def forward(self, points_BF: torch.Tensor) -> torch.Tensor:
        normalized: torch.Tensor = self.norm(points_BF[:, None])[:, 0]
        return normalized


class CountsAndCenters(nn.Module):
    """Keeps a mean in its own way: in a new tensor for each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, points_BF: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean = self.mean.lerp(points_BF.detach().mean(0), 0.1)
            self.batches += 1
        return points_BF - self.mean


class OfManyKinds(Normalized):
    """Running statistics of torch and of others, and noise in training."""

    def layers(self) -> tuple[nn.Module, ...]:
        return (
            nn.BatchNorm1d(8, momentum=None),
            PerInstance(),
            CountsAndCenters(),
            nn.BatchNorm1d(8, momentum=0.3),
            nn.Dropout(0.2),
        )


class WithoutStatistics(Normalized):
    """Normalization of each example, and that of each batch."""

    def layers(self) -> tuple[nn.Module, ...]:
        return nn.LayerNorm(8), nn.BatchNorm1d(8, track_running_stats=False)


class Climbs(torch.optim.SGD):
    """As SAM: descends by the gradients at the top of a climb along those of its first pass."""

    @torch.no_grad()
    def step(self, closure: Any) -> Any:  # type: ignore[override]
        loss = closure()
        parameters = [one for group in self.param_groups for one in group["params"]]
        climbs = [0.05 * one.grad for one in parameters]
        torch._foreach_add_(parameters, climbs)
        closure()
        torch._foreach_sub_(parameters, climbs)
        super().step()
        return loss


class Asks(torch.optim.SGD):
    """As a line search: values alone at two points, then gradients."""

    @torch.no_grad()
    def step(self, closure: Any) -> Any:  # type: ignore[override]
        loss = closure()
        super().step()
        for _ in range(2):
            closure(backward=False)
        return loss


class AddsLosses(torch.optim.SGD):
    """Differentiates the losses of two passes together, after both."""

    def step(self, closure: Any) -> Any:  # type: ignore[override]
        loss = closure() + closure()
        loss.backward()
        super().step()
        return loss


def specified(optimizer: Any, problem: Any = Normalized, **options: Any) -> RunSpecification:
    hyperparameters = options.pop("hyperparameters", {"lr": 0.1})
    return specify(problem, optimizer, hyperparameters, train_log_interval=1, **options)


def begun(specification: RunSpecification, optimizer_class: Any = None) -> RunState:
    problem = set_up_problem(specification)
    optimizer = build_optimizer(specification, problem, optimizer_class)
    return RunState(specification, problem, optimizer)


def trained(specification: RunSpecification, optimizer_class: Any = None) -> tuple[Any, RunRecord]:
    """The model at the end of a run, and its record."""
    with environment.reproducible(specification):
        state = begun(specification, optimizer_class)
        record = execute(state)
        return state.problem.model, record


def buffers_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.named_buffers())


def all_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("problem", [Normalized, OfManyKinds])
@pytest.mark.parametrize("optimizer", [Climbs, Asks, AddsLosses, torch.optim.LBFGS])
def test_a_step_of_several_passes_updates_the_statistics_once(optimizer: Any, problem: Any) -> None:
    own = None if optimizer is torch.optim.LBFGS else optimizer
    model, record = trained(specified(optimizer, problem, max_steps=3), own)
    assert record.gradient_evaluations > 3 or optimizer is Asks
    counts = [int(value) for name, value in buffers_of(model).items() if "batches" in name]
    # Instance normalization never counts its batches.
    assert counts == ([3] if problem is Normalized else [3, 0, 3, 3])


def by_hand(problem: Any, step: Callable[[Any, Any, Any], None], steps: int) -> nn.Module:
    """Train by a hand-written loop, with the same seed."""
    specification = specified("SGD", problem)
    with environment.reproducible(specification):
        own = problem(5)
        own.set_up()
        optimizer = torch.optim.SGD(own.model.parameters(), lr=0.1)
        own.model.train()
        for batch in itertools.islice(own.dataset.train_loader, steps):
            step(own, optimizer, batch)
        model: nn.Module = own.model
        return model


def loss_of(problem: Any, batch: Any) -> torch.Tensor:
    loss: torch.Tensor = problem.get_batch_loss_and_accuracy(batch, reduction="mean")[0]
    return loss


def climb(problem: Any, optimizer: Any, batch: Any) -> None:
    """A step of SAM in which the layers do not see the second pass, as its authors write it."""
    optimizer.zero_grad()
    loss_of(problem, batch).backward()
    layers = [one for one in problem.model.modules() if isinstance(one, nn.BatchNorm1d)]
    weights = list(problem.model.parameters())
    climbs = [0.05 * weight.grad for weight in weights]
    counts = [layer.num_batches_tracked.clone() for layer in layers]
    with torch.no_grad():
        torch._foreach_add_(weights, climbs)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    optimizer.zero_grad()
    loss_of(problem, batch).backward()
    for layer, momentum, count in zip(layers, momenta, counts, strict=True):
        layer.momentum, layer.num_batches_tracked = momentum, count
    with torch.no_grad():
        torch._foreach_sub_(weights, climbs)
    optimizer.step()


def add_losses(problem: Any, optimizer: Any, batch: Any) -> None:
    optimizer.zero_grad()
    first = loss_of(problem, batch)
    after_first = {name: value.clone() for name, value in buffers_of(problem.model).items()}
    (first + loss_of(problem, batch)).backward()
    problem.model.load_state_dict(after_first, strict=False)
    optimizer.step()


@pytest.mark.parametrize(("optimizer", "step"), [(Climbs, climb), (AddsLosses, add_losses)])
def test_weights_and_statistics_are_those_of_a_hand_written_loop(optimizer: Any, step: Any) -> None:
    model, _ = trained(specified(optimizer, max_steps=6), optimizer)
    expected = by_hand(Normalized, step, 6)
    assert all_equal(model.state_dict(), expected.state_dict())


def averages_by_hand(problem: Any, batches: int) -> tuple[list[float], nn.Module]:
    """Two epochs of `Averages`, with the statistics that torch's `update_bn` computes."""
    specification = specified("SGD", problem)
    losses = []
    with environment.reproducible(specification):
        own = problem(5)
        own.set_up()
        optimizer = Averages(own.model.parameters(), lr=0.1)
        losses.append(evaluate(own)["test_loss"])
        generator = own.dataset.train_loader.generator
        for _ in range(2):
            optimizer.train()
            own.model.train()
            for batch in own.dataset.train_loader:
                optimizer.zero_grad()
                loss_of(own, batch).backward()
                optimizer.step()
            optimizer.eval()
            order = generator.get_state()
            statistics = {name: one.clone() for name, one in buffers_of(own.model).items()}
            if batches:
                update_bn(itertools.islice(own.dataset.train_loader, batches), own.model)
            losses.append(evaluate(own)["test_loss"])
            generator.set_state(order)
            own.model.load_state_dict(statistics, strict=False)
        return losses, own.model


@pytest.mark.parametrize("batches", [0, 1, 3, STEPS_PER_EPOCH, 50])
def test_averaged_weights_are_evaluated_with_their_own_statistics(batches: int) -> None:
    model, record = trained(specified(Averages, bn_recalibration=batches), Averages)
    losses, expected = averages_by_hand(Normalized, batches)
    assert record.test_losses == losses
    assert all_equal(model.state_dict(), expected.state_dict())


@pytest.mark.parametrize("evaluate_every", ["1epoch", "3steps", "7steps", "99epochs"])
@pytest.mark.parametrize("problem", [Normalized, OfManyKinds])
@pytest.mark.parametrize("optimizer", [Averages, Climbs, "Adam"])
def test_recalibration_leaves_training_as_it_is(
    optimizer: Any, problem: Any, evaluate_every: str
) -> None:
    own = optimizer if isinstance(optimizer, type) else None
    specification = specified(optimizer, problem, bn_recalibration=0, evaluate_every="99epochs")
    usual, before = trained(specification, own)
    specification = specified(optimizer, problem, bn_recalibration=3, evaluate_every=evaluate_every)
    model, record = trained(specification, own)
    assert all_equal(model.state_dict(), usual.state_dict())
    assert record.minibatch_train_losses == before.minibatch_train_losses
    assert record.test_losses[0] == before.test_losses[0]  # untrained
    assert record.test_losses[-1] != before.test_losses[-1]
    momenta = [one.momentum for one in model.modules() if isinstance(one, nn.BatchNorm1d)]
    assert momenta == ([0.1] if problem is Normalized else [None, 0.3])


def test_other_buffers_are_evaluated_as_training_left_them() -> None:
    specification = specified("SGD", OfManyKinds, bn_recalibration=3)
    with environment.reproducible(specification):
        state = begun(specification)
        seen: list[torch.Tensor] = []
        execute(state)
        (layer,) = [one for one in state.problem.model if isinstance(one, CountsAndCenters)]
        layer.register_forward_pre_hook(
            lambda module, _: None if module.training else seen.append(module.mean.clone())
        )
        kept = layer.mean.clone()
        state.evaluate()
    assert seen
    assert all(torch.equal(mean, kept) for mean in seen)


class Frozen(Normalized):
    """One of the layers keeps the statistics that it was made with, also in training."""

    def layers(self) -> tuple[nn.Module, ...]:
        class Fixed(nn.BatchNorm1d):
            def train(self, mode: bool = True) -> Fixed:
                return super().train(False)

        fixed = Fixed(8)
        nn.init.constant_(fixed.running_var, 4.0)
        return fixed, nn.BatchNorm1d(8)


def test_layers_that_are_frozen_stay_so() -> None:
    specification = specified("SGD", Frozen, bn_recalibration=3)
    with environment.reproducible(specification):
        state = begun(specification)
        variances: list[float] = []
        state.problem.model[1].register_forward_hook(
            lambda module, *_: variances.append(module.running_var.mean().item())
        )
        execute(state)
    assert set(variances) == {4.0}


@pytest.mark.parametrize("evaluate_every", ["1epoch", "3steps"])
@pytest.mark.parametrize("step", [4, 8, 12])
def test_a_run_that_recalibrates_resumes_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, evaluate_every: str
) -> None:
    monkeypatch.setattr(training, "STEPS_BETWEEN_REPORTS", 4)
    specification = specified(Averages, bn_recalibration=3, evaluate_every=evaluate_every)
    expected = run(specification, optimizer_class=Averages).record
    interrupt(specification, tmp_path, Interrupts(step=step), optimizer_class=Averages)
    resumed = resume(specification, tmp_path, optimizer_class=Averages)
    assert resumed.resumed_at_steps
    assert numbers(resumed) == numbers(expected)


def test_only_optimizers_with_modes_recalibrate_by_default() -> None:
    plain, averaging = specified("SGD"), specified(Averages)
    assert (plain.bn_recalibration, averaging.bn_recalibration) == (0, 50)
    assert "recalibration" not in plain.command
    assert "recalibration" not in averaging.command
    for one in (plain, averaging):
        optimizer = "SGD" if one is plain else Averages
        same = specified(optimizer, bn_recalibration=one.bn_recalibration)
        other = specified(optimizer, bn_recalibration=7)
        assert same.run_id == one.run_id != other.run_id
        assert "--bn-recalibration 7" in other.command
    assert "--bn-recalibration 0" in specified(Averages, bn_recalibration=0).command


def test_the_record_says_what_was_recalibrated() -> None:
    for optimizer, problem, asked, recorded in (
        ("SGD", Normalized, None, None),
        ("SGD", Normalized, 4, 4),
        (Averages, Normalized, None, 50),
        (Averages, Normalized, 0, None),
        (Averages, WithoutStatistics, None, None),
    ):
        specification = specified(optimizer, problem, bn_recalibration=asked, num_epochs=1)
        own = Averages if optimizer is Averages else None
        record = run(specification, optimizer_class=own).record
        assert record.training_params.get("bn_recalibration") == recorded


@pytest.mark.parametrize("optimizer", ["SGD", Averages])
def test_to_recalibrate_a_model_without_statistics_is_refused(optimizer: Any) -> None:
    specification = specified(optimizer, WithoutStatistics, bn_recalibration=4)
    message = "WithoutStatistics.* no batch normalization, so bn_recalibration=4"
    with pytest.raises(ArgumentError, match=message):
        run(specification, optimizer_class=None if optimizer == "SGD" else optimizer)


@pytest.mark.parametrize("value", [-1, 2.5, "many"])
def test_other_numbers_of_batches_are_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="bn_recalibration must be"):
        specified("SGD", bn_recalibration=value)


class OneAtATime(broken_datasets.Points):
    """As a loader whose worker processes persist: a new pass ends the one before."""

    def __iter__(self) -> Any:
        self.current = super().__iter__() if not hasattr(self, "current") else self.current
        return self.current


class OnePass(Normalized):
    def set_up(self) -> None:
        super().set_up()
        self.dataset.train_loader.__class__ = OneAtATime


def test_a_loader_that_cannot_start_a_pass_within_another_is_refused() -> None:
    specification = specified("SGD", OnePass, bn_recalibration=4, evaluate_every="3steps")
    with pytest.raises(ArgumentError, match="cannot start a pass within another one"):
        run(specification)


class Streams(Normalized):
    """Carries a state from batch to batch of training."""

    carried = 0.0

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        loss, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        if self.model.training:
            self.carried = 0.5 * self.carried + float(batch[0].sum())
            loss = loss * (1 + abs(self.carried))
        return loss, accuracy

    def carried_state(self) -> float:
        return self.carried

    def restore_carried_state(self, state: float, batch: Any) -> None:
        self.carried = state


def test_states_that_training_carries_are_not_touched() -> None:
    specification = specified("SGD", Streams, num_epochs=1, bn_recalibration=0)
    usual, before = trained(specification)
    options = {"bn_recalibration": 3, "evaluate_every": "1step"}
    model, record = trained(specified("SGD", Streams, num_epochs=1, **options))
    assert all_equal(model.state_dict(), usual.state_dict())
    assert record.minibatch_train_losses == before.minibatch_train_losses


def test_estimates_count_the_passes() -> None:
    specification = specified("SGD", bn_recalibration=50)
    lengths = {"train": STEPS_PER_EPOCH, "train_eval": 4, "test": 4}
    problem = begun(specification).problem
    assert with_recalibration(lengths, specification, problem)["train_eval"] == 4 + STEPS_PER_EPOCH
    assert with_recalibration(lengths, specified("SGD"), problem) == lengths
    without = specified(Averages, WithoutStatistics)
    assert with_recalibration(lengths, without, begun(without, Averages).problem) == lengths
