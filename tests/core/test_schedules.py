"""Schedulers of torch, by name."""

from typing import ClassVar

import pytest
import torch
from torch.optim import lr_scheduler

from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.schedules import build_schedule, check_scheduler

ARGUMENTS = {
    "ChainedScheduler": {"schedulers": [{"name": "ConstantLR"}, {"name": "LinearLR"}]},
    "ConstantLR": {"factor": 0.5},
    "CosineAnnealingLR": {"T_max": "num_epochs"},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.001, "max_lr": 0.01, "cycle_momentum": False},
    "ExponentialLR": {"gamma": 0.9},
    "LinearLR": {},
    "MultiStepLR": {"milestones": [1, 3]},
    "OneCycleLR": {"max_lr": 0.01, "total_steps": "num_steps"},
    "PolynomialLR": {"total_iters": "num_steps"},
    "ReduceLROnPlateau": {"patience": 0, "threshold": 0.9},
    "SequentialLR": {
        "schedulers": [{"name": "LinearLR"}, {"name": "StepLR", "arguments": {"step_size": 1}}],
        "milestones": [2],
    },
    "StepLR": {"step_size": 1},
}


class Halving(lr_scheduler.LRScheduler):
    """A custom scheduler."""

    def get_lr(self):
        return [rate * 0.5**self.last_epoch for rate in self.base_lrs]


class Rates(torch.optim.SGD):
    """Notes its learning rates."""

    noted: ClassVar[list[float]] = []

    def step(self, closure=None):
        self.noted.append(float(self.param_groups[0]["lr"]))
        super().step()


def rates(name, arguments, every, num_epochs=3):
    """The learning rate of each step, seven an epoch."""
    scheduler = {"name": name, "arguments": arguments, "every": every}
    specification = specify(
        "quadratic_deep", Rates, {"lr": 0.01}, num_epochs=num_epochs, lr_scheduler=scheduler
    )
    Rates.noted.clear()
    run(specification)
    return list(Rates.noted)


def by_hand(name, arguments, every, num_epochs=3):
    """The same with torch alone."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.01)
    scheduler = getattr(lr_scheduler, name)(optimizer, **arguments)
    found = []
    for _ in range(num_epochs):
        for _ in range(7):
            found.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if every == "step":
                scheduler.step()
        if every == "epoch":
            scheduler.step()
    return found


def test_every_scheduler_of_torch_that_takes_no_functions_is_tested_here():
    offered = {
        name
        for name, value in vars(lr_scheduler).items()
        if isinstance(value, type) and issubclass(value, lr_scheduler.LRScheduler)
    }
    assert offered - {"LRScheduler", "_LRScheduler", "LambdaLR", "MultiplicativeLR"} == set(
        ARGUMENTS
    )


@pytest.mark.parametrize("every", ["epoch", "step"])
@pytest.mark.parametrize(
    "name", sorted(set(ARGUMENTS) - {"ChainedScheduler", "ReduceLROnPlateau", "SequentialLR"})
)
def test_the_rates_are_those_of_torch(name, every):
    lengths = {"num_epochs": 3, "num_steps": 21}
    arguments = {key: lengths.get(str(value), value) for key, value in ARGUMENTS[name].items()}
    assert rates(name, ARGUMENTS[name], every) == by_hand(name, arguments, every)


def test_schedulers_of_schedulers_are_described_by_what_they_hold():
    found = rates("SequentialLR", ARGUMENTS["SequentialLR"], "epoch", num_epochs=4)
    assert found[::7] == pytest.approx([0.01 / 3, 0.01 / 3 + 0.01 * 2 / 15, 0.01, 0.001])
    chained = rates("ChainedScheduler", ARGUMENTS["ChainedScheduler"], "step", num_epochs=1)
    assert chained[0] == pytest.approx(0.01 / 9)
    assert chained[-1] == pytest.approx(0.01)


def test_a_scheduler_that_goes_by_a_metric_gets_the_training_loss():
    # No loss falls below a tenth of the one before, so that each epoch after the first is too many.
    found = rates("ReduceLROnPlateau", ARGUMENTS["ReduceLROnPlateau"], "epoch", num_epochs=4)
    assert found[::7] == pytest.approx([0.01, 0.01, 0.001, 0.0001])


def test_a_scheduler_of_ones_own_is_named_by_its_module(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "my_schedulers", sys.modules[__name__])
    assert rates("my_schedulers:Halving", {}, "epoch")[::7] == [0.01, 0.005, 0.0025]


def test_a_scheduler_is_recorded_and_part_of_the_identity_and_of_the_command():
    plain = specify("quadratic_deep", "SGD", num_epochs=1)
    scheduler = {"name": "StepLR", "arguments": {"step_size": 2}, "every": "step"}
    scheduled = specify("quadratic_deep", "SGD", num_epochs=1, lr_scheduler=scheduler)
    assert plain.run_id != scheduled.run_id
    assert run(scheduled).record.training_params["lr_scheduler"] == scheduler
    expected = (
        "--lr-scheduler StepLR --lr-scheduler-option step_size=2 --lr-scheduler-interval step"
    )
    assert expected in reproduction_command(scheduled)


@pytest.mark.parametrize(
    ("scheduler", "error", "message"),
    [
        ("StepL", UnknownNameError, "no scheduler 'StepL'.*Did you mean 'StepLR'"),
        ("StepLR", ArgumentError, "with no arguments.*step_size.*It takes step_size, gamma"),
        ("LambdaLR", ArgumentError, "takes functions.*package.module:Class"),
        ("torch.nn:Linear", ArgumentError, "must be a subclass of LRScheduler"),
        ({"nam": "StepLR"}, ArgumentError, "described by name, arguments, every"),
        ({"name": "LinearLR", "every": "batch"}, ArgumentError, "'epoch' or 'step', got 'batch'"),
        ({"name": "ReduceLROnPlateau", "every": "step"}, ArgumentError, "every 'epoch'"),
        (
            {"name": "ExponentialLR", "arguments": {"gama": 0.1}},
            ArgumentError,
            "ExponentialLR cannot be used.*gama",
        ),
        ({"name": "SequentialLR", "arguments": {"schedulers": [3]}}, ArgumentError, "Sequential"),
        ({"name": "StepLR", "arguments": {"step_size": 0}}, ArgumentError, "step_size=0"),
    ],
)
def test_a_scheduler_that_cannot_be_used_is_refused(scheduler, error, message):
    with pytest.raises(error, match=message):
        check_scheduler(scheduler)


def test_a_scheduler_beside_a_step_schedule_is_refused():
    with pytest.raises(ArgumentError, match="not both"):
        specify(
            "quadratic_deep",
            "SGD",
            lr_sched_epochs=[1],
            lr_sched_factors=[0.1],
            lr_scheduler="LinearLR",
        )


def test_a_scheduler_that_does_not_fit_the_optimizer_is_refused_before_training():
    cyclic = {"name": "CyclicLR", "arguments": {"base_lr": 0.1, "max_lr": 1}}
    with pytest.raises(ArgumentError, match=r"CyclicLR cannot be used for Adagrad.*momentum"):
        run(specify("quadratic_deep", "Adagrad", lr_scheduler=cyclic))


@pytest.mark.parametrize("name", ["SequentialLR", "OneCycleLR", "CosineAnnealingWarmRestarts"])
def test_a_schedule_goes_on_from_its_state(name):
    scheduler = {"name": name, "arguments": ARGUMENTS[name], "every": "step"}
    specification = specify("quadratic_deep", "SGD", num_epochs=3, lr_scheduler=scheduler)
    problem = set_up_problem(specification)

    def built():
        optimizer = build_optimizer(specification, problem)
        return optimizer, build_schedule(specification, optimizer, 7)

    def steps(optimizer, schedule, number):
        found = []
        for _ in range(number):
            optimizer.step()
            schedule.after_step()
            found.append(optimizer.param_groups[0]["lr"])
        return found

    optimizer, schedule = built()
    steps(optimizer, schedule, 5)
    resumed_optimizer, resumed = built()
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert steps(optimizer, schedule, 6) == steps(resumed_optimizer, resumed, 6)


def test_a_step_schedule_goes_on_after_the_optimizer_loaded_a_state():
    specification = specify(
        "quadratic_deep", "SGD", {"lr": 1}, lr_sched_epochs=[2], lr_sched_factors=[0.5]
    )
    optimizer = build_optimizer(specification, set_up_problem(specification))
    schedule = build_schedule(specification, optimizer, 7)
    optimizer.load_state_dict(optimizer.state_dict())
    schedule.load_state_dict(schedule.state_dict())
    schedule.epoch_ended(0.0)
    assert optimizer.param_groups[0]["lr"] == 1.0
    schedule.epoch_ended(0.0)
    assert optimizer.param_groups[0]["lr"] == 0.5
