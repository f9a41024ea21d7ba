"""Runs that are trained together as one batched model."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from small_classifier import Classifier
from torch import nn

from deepobs.plugins import ProblemSpec
from deepobs.problems import Problem, reduced
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.pack_estimate import estimate_pack
from deepobs.runs.packing import PackingError, key_of, reason_to_run_alone, run_together

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.records import RunRecord
    from deepobs.run_specifications import RunSpecification

CURVES = ("train_losses", "test_losses", "train_accuracies", "test_accuracies", "iterates")
RATES = [1e-4, 1e-3, 1e-2]


class Network(Classifier):
    """A network with dropout, whose evaluation draws random numbers, too."""

    spec = ProblemSpec(batch_size=5, epochs=3, metric="accuracy")

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        points, classes = batch
        noisy = points + 0.01 * torch.randn(points.shape)
        return super().get_batch_loss_and_accuracy((noisy, classes), reduction)


class Tied(Problem):
    """One matrix that two layers share, and a regularizer."""

    spec = ProblemSpec(batch_size=100, epochs=2, dataset="quadratic", weight_decay=0.1)

    def build_model(self) -> nn.Module:
        model = nn.ModuleDict({"code": nn.Linear(100, 3), "decode": nn.Linear(100, 3, bias=False)})
        model["decode"].weight = model["code"].weight
        return model

    def batch_losses(self, batch: Any, reduction: Any) -> Any:
        decoded = self.model["code"](batch[0]) @ self.model["decode"].weight
        return reduced((decoded - batch[0]).square().sum(dim=1), reduction), None


class Normalizes(Network):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


class Recurrent(Network):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.LSTM(2, 2))


class Branches(Network):
    """Looks at a loss, which no batched model can."""

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        loss, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return (loss if loss.sum() > 0 else 2 * loss), accuracy


class KeepsItsWeights(Network):
    """Computes with weights that it took from its model once."""

    def set_up(self) -> None:
        super().set_up()
        self.weight = self.model[0].weight

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        loss, accuracy = super().get_batch_loss_and_accuracy(batch, reduction)
        return loss + self.weight.square().mean(), accuracy


class Noisy(torch.optim.SGD):
    """Adds noise to its steps."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        with torch.no_grad():
            for weight in self.param_groups[0]["params"]:
                weight.add_(torch.randn_like(weight), alpha=1e-3)


class Replaces(torch.optim.SGD):
    """Puts other tensors in the place of the weights."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        for weight in self.param_groups[0]["params"]:
            weight.data = weight.data.clone()


def together(specifications: list[RunSpecification], **options: Any) -> list[RunRecord]:
    """The records of runs in a pack, all of which have ended."""
    records = []
    for result in run_together(specifications, **options):
        assert not isinstance(result, Exception), result
        records.append(result.record)
    return records


def require_equal(packed: RunRecord, alone: RunRecord) -> None:
    """All but times, and up to the order of sums."""
    for name in CURVES:
        theirs = getattr(alone, name)
        if theirs is None:
            assert getattr(packed, name) is None
        else:
            found = torch.tensor(getattr(packed, name))
            torch.testing.assert_close(found, torch.tensor(theirs), rtol=1e-5, atol=1e-6)
    same = {*CURVES, "minibatch_train_losses", "train_seconds", "eval_seconds"}
    same |= {"packed", "started_at"}
    assert packed.model_dump(exclude=same) == alone.model_dump(exclude=same)
    losses = torch.tensor(packed.minibatch_train_losses)
    torch.testing.assert_close(
        losses, torch.tensor(alone.minibatch_train_losses), rtol=1e-5, atol=1e-6
    )
    for name in ("train_seconds", "eval_seconds"):
        assert len(getattr(packed, name)) == len(getattr(alone, name))


HYPERPARAMETERS: list[tuple[str, list[dict[str, Any]]]] = [
    ("SGD", [{}, {"weight_decay": 0.1}, {"maximize": False}]),
    ("SGD", [{"momentum": m, "dampening": m / 2} for m in (0.0, 0.5, 0.9)]),
    ("SGD", [{"momentum": m, "nesterov": True, "weight_decay": 1 - m} for m in (0.5, 0.9)]),
    ("Momentum", [{}, {}]),
    ("Adam", [{}, {"betas": (0.8, 0.9)}, {"eps": 1e-3, "weight_decay": 0.1}]),
    ("Adam", [{"amsgrad": True}, {"amsgrad": True, "betas": (0.5, 0.9)}]),
    ("AdamW", [{}, {"weight_decay": 0.5}, {"betas": (0.8, 0.9)}]),
    ("RMSprop", [{}, {"alpha": 0.5, "weight_decay": 0.1}, {"momentum": 0.9, "eps": 1e-4}]),
    ("RMSprop", [{"centered": True}, {"centered": True, "alpha": 0.5, "momentum": 0.5}]),
    ("Adagrad", [{}, {"lr_decay": 0.1, "eps": 1e-3}, {"initial_accumulator_value": 0.5}]),
    ("NAdam", [{}, {"betas": (0.8, 0.9)}]),
    ("Adafactor", [{}, {"weight_decay": 0.1}]),
]


@pytest.mark.parametrize("problem", ["quadratic_deep", Network, Tied])
@pytest.mark.parametrize(("optimizer", "choices"), HYPERPARAMETERS)
def test_runs_in_a_pack_have_the_results_that_they_have_alone(
    problem: Any, optimizer: str, choices: list[dict[str, Any]]
) -> None:
    pack = [
        specify(problem, optimizer, {"lr": rate, **values}, num_epochs=2, train_log_interval=1)
        for rate, values in zip(RATES, choices, strict=False)
    ]
    for packed, specification in zip(together(pack), pack, strict=True):
        assert packed.packed == len(pack)
        require_equal(packed, run(specification).record)


@pytest.mark.parametrize("problem", ["two_d_rosenbrock", "two_d_beale", "two_d_branin"])
def test_functions_of_two_variables_record_every_point(problem: str) -> None:
    pack = [specify(problem, "Adam", {"lr": rate}, num_epochs=1) for rate in RATES]
    for packed, specification in zip(together(pack), pack, strict=True):
        require_equal(packed, run(specification).record)


SCHEDULES: list[dict[str, Any]] = [
    {},
    {"lr_sched_epochs": [1, 2], "lr_sched_factors": [0.1, 0.5]},
    {"lr_scheduler": {"name": "ExponentialLR", "arguments": {"gamma": 0.5}}},
    {"lr_scheduler": {"name": "ReduceLROnPlateau", "arguments": {"patience": 0, "factor": 0.1}}},
    {
        "lr_scheduler": {
            "name": "OneCycleLR",
            "arguments": {"max_lr": 0.02, "total_steps": "num_steps"},
            "every": "step",
        }
    },
]


@pytest.mark.parametrize("optimizer", ["Momentum", "NAdam"])
def test_every_run_of_a_pack_has_its_own_schedule(optimizer: str) -> None:
    pack = [
        specify("quadratic_deep", optimizer, {"lr": 0.01}, num_epochs=4, **options)
        for options in SCHEDULES
    ]
    assert len({key_of(one) for one in pack}) == 1
    records = together(pack)
    assert len({one.test_losses[-1] for one in records}) >= len(pack) - 1  # no plateau of NAdam
    for packed, specification in zip(records, pack, strict=True):
        require_equal(packed, run(specification).record)


def test_groups_of_parameters_keep_their_hyperparameters() -> None:
    pack = [
        specify(Network, "SGD", {"lr": 0.01}, parameter_groups={"head": {"lr": rate}}, num_epochs=2)
        for rate in (0.1, 0.001)
    ]
    for packed, specification in zip(together(pack), pack, strict=True):
        require_equal(packed, run(specification).record)


@pytest.mark.parametrize("optimizer", ["SGD", "Momentum", "Adagrad", "Adadelta"])
def test_those_that_diverge_leave_the_others_as_they_are(optimizer: str, tmp_path: Path) -> None:
    rates = [1e-3, 1e30, 1e-2, 1e10]
    pack = [
        specify("quadratic_deep", optimizer, {"lr": rate}, num_epochs=3, train_log_interval=1)
        for rate in rates
    ]
    records = together(pack, output_dir=tmp_path)
    assert len(list(tmp_path.rglob("*.json"))) == len(pack)
    for packed, specification in zip(records, pack, strict=True):
        alone = run(specification).record
        if alone.status == "completed":
            require_equal(packed, alone)
        else:
            for name in ("status", "diverged_at_epoch", "diverged_at_step", "steps"):
                assert getattr(packed, name) == getattr(alone, name)
            assert packed.test_losses == pytest.approx(alone.test_losses)


def test_files_say_how_many_runs_were_packed(tmp_path: Path) -> None:
    pack = [specify("quadratic_deep", "SGD", {"lr": rate}, num_epochs=1) for rate in RATES]
    first, *_ = run_together(pack, output_dir=tmp_path)
    assert not isinstance(first, Exception)
    assert first.path is not None
    assert json.loads(first.path.read_text())["packed"] == 3
    # It is the result of the ordinary run, which says nothing of the kind.
    assert not run(pack[0], output_dir=tmp_path).is_new
    alone = run(pack[0], output_dir=tmp_path, overwrite=True)
    assert alone.path is not None
    assert "packed" not in json.loads(alone.path.read_text())


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Normalizes, "running statistics"),
        (Recurrent, "recurrent layers"),
        (Branches, "cannot be stacked"),
        (KeepsItsWeights, "something else"),
    ],
)
def test_a_problem_that_cannot_be_batched_is_refused(problem: Any, reason: str) -> None:
    pack = [specify(problem, "SGD", {"lr": rate}, num_epochs=1) for rate in RATES]
    with pytest.raises(PackingError, match=reason):
        run_together(pack)


@pytest.mark.parametrize(
    ("optimizer", "reason"), [(Noisy, "random numbers"), (Replaces, "replaces the memory")]
)
def test_an_optimizer_that_would_silently_differ_is_refused(optimizer: Any, reason: str) -> None:
    pack = [specify("quadratic_deep", optimizer, {"lr": rate}, num_epochs=1) for rate in RATES]
    with pytest.raises(PackingError, match=reason):
        run_together(pack)


@pytest.mark.parametrize(
    ("optimizer", "options", "reason"),
    [
        ("LBFGS", {}, "closure"),
        ("SGD", {"max_steps": 3}, "max_steps"),
        ("SGD", {"evaluate_every": "2epochs"}, "evaluate_every"),
        ("SGD", {"bn_recalibration": 5}, "recalibrates"),
        ("SGD", {"accumulate": 2}, "accumulate"),
        ("SGD", {"precision": "bf16"}, "precision"),
        ("SGD", {"log_gradient_norm": True}, "norms of gradients"),
        ("SGD", {}, ""),
    ],
)
def test_what_a_specification_excludes_is_known_before(
    optimizer: str, options: dict[str, Any], reason: str
) -> None:
    found = reason_to_run_alone(specify(Normalizes, optimizer, {"lr": 0.1}, **options))
    assert reason in found
    assert bool(found) == bool(reason)


def test_only_numbers_and_schedules_may_differ_in_a_pack() -> None:
    def key(problem: str = "quadratic_deep", optimizer: str = "SGD", **options: Any) -> str:
        values = {"lr": 0.1} | {k: options.pop(k) for k in ("momentum", "nesterov") if k in options}
        return key_of(specify(problem, optimizer, values, **options))

    same = [key(momentum=0.9), key(lr_sched_epochs=[1], lr_sched_factors=[0.1]), key(label="mine")]
    assert set(same) == {key()}
    others = [
        key("two_d_branin"),
        key(optimizer="Adam"),
        key(momentum=0.9, nesterov=True),
        key(batch_size=64),
        key(random_seed=1),
        key(num_epochs=7),
        key(reshuffle=False),
    ]
    assert len({*others, key()}) == len(others) + 1


def test_an_estimate_compares_a_pack_with_a_run_alone() -> None:
    (specification,) = [specify("two_d_branin", "Adam", {"lr": 0.01}, num_epochs=1)]
    found = estimate_pack(specification, 8, seconds=0.0)
    assert (found.size, found.reason) == (8, "")
    assert found.ratio == found.seconds_alone / found.seconds > 0


@pytest.mark.parametrize(
    ("problem", "optimizer", "reason"),
    [("two_d_branin", "LBFGS", "closure"), (Normalizes, "SGD", "running statistics")],
)
def test_an_estimate_says_why_a_run_is_not_packed(
    problem: Any, optimizer: str, reason: str
) -> None:
    found = estimate_pack(specify(problem, optimizer, {"lr": 0.01}), 2, seconds=0.0)
    assert reason in found.reason
    assert found.ratio == 0


class Stops(RunObserver):
    """Ends a run after its first epoch."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.events.append(f"{epoch} {math.isfinite(metrics['test_loss'])}")
        if epoch == 1:
            raise KeyError("stopped")


def test_an_observer_ends_its_run_alone() -> None:
    pack = [specify("quadratic_deep", "SGD", {"lr": rate}, num_epochs=3) for rate in RATES]
    stops = Stops()
    first, second, third = run_together(pack, observers=[[], [stops], []])
    assert isinstance(second, KeyError)
    assert stops.events == ["0 True", "1 True"]
    for result, specification in ((first, pack[0]), (third, pack[2])):
        assert not isinstance(result, Exception)
        require_equal(result.record, run(specification).record)
