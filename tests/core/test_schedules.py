"""Schedulers of torch, by name."""

from typing import ClassVar

import pytest
import torch
from torch.optim import lr_scheduler

from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.optimizer_state import optimizer_state, set_optimizer_state
from deepobs.runs.schedulers import check_scheduler
from deepobs.runs.schedules import build_schedule

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
            "ExponentialLR has no argument 'gama'. Did you mean 'gamma'.*It takes gamma",
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
    arguments = {"base_lr": 0.1, "max_lr": 1, "cycle_momentum": True}
    cyclic = {"name": "CyclicLR", "arguments": arguments}
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
    state = optimizer_state(optimizer, problem.model, schedule)
    set_optimizer_state(state, resumed_optimizer, problem.model, resumed)
    assert steps(optimizer, schedule, 6) == steps(resumed_optimizer, resumed, 6)


def test_a_step_schedule_goes_on_after_the_optimizer_loaded_a_state():
    specification = specify(
        "quadratic_deep", "SGD", {"lr": 1}, lr_sched_epochs=[2], lr_sched_factors=[0.5]
    )
    optimizer = build_optimizer(specification, set_up_problem(specification))
    schedule = build_schedule(specification, optimizer, 7)
    optimizer.load_state_dict(optimizer.state_dict())
    schedule.evaluated(1, {"train_loss": 0.0})
    assert optimizer.param_groups[0]["lr"] == 1.0
    schedule.evaluated(1, {"train_loss": 0.0})
    assert optimizer.param_groups[0]["lr"] == 0.5


class Beta(torch.optim.Adam):
    """Notes its second beta."""

    noted: ClassVar[list[float]] = []

    def step(self, closure=None):
        self.noted.append(self.param_groups[0]["betas"][1])
        super().step()


class BetaWarmUp(lr_scheduler.LRScheduler):
    """Raises the second beta of Adam, and leaves the rate."""

    def get_lr(self):
        for group in self.optimizer.param_groups:
            group["betas"] = (group["betas"][0], 1 - 0.1 / (1 + self.last_epoch))
        return [group["lr"] for group in self.optimizer.param_groups]


class Table(lr_scheduler.LRScheduler):
    """Reads its rates from a list, and fails at its end; draws a random number at every step."""

    def __init__(self, optimizer, rates):
        self.rates = rates
        optimizer.register_step_post_hook(lambda *_: self.hooked.append(1))
        super().__init__(optimizer)

    hooked: ClassVar[list[int]] = []

    def get_lr(self):
        torch.rand(1)
        return [self.rates[self.last_epoch] for _ in self.base_lrs]


class Adding(torch.optim.SGD):
    """Moves its last parameter into a group of its own after the tenth step."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        if self.steps == 10:
            self.add_param_group({"params": [self.param_groups[0]["params"].pop()]})
        super().step()


class TensorRate(torch.optim.SGD):
    """Keeps its rate in a tensor, whose object a compiled step would remember."""

    noted: ClassVar[list[torch.Tensor]] = []

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=torch.tensor(lr, dtype=torch.float64))
        self.noted[:] = [self.param_groups[0]["lr"]]


@pytest.fixture
def here(monkeypatch):
    """The name under which this module can be imported."""
    import sys

    monkeypatch.setitem(sys.modules, "my_schedulers", sys.modules[__name__])
    return "my_schedulers"


def one_cycle(optimizer, hyperparameters, **arguments):
    arguments = {"max_lr": 0.01, "total_steps": "num_steps", **arguments}
    return specify(
        "quadratic_deep",
        optimizer,
        hyperparameters,
        num_epochs=2,
        lr_scheduler={"name": "OneCycleLR", "arguments": arguments, "every": "step"},
    )


class Momenta(torch.optim.SGD):
    """Notes its momentum."""

    noted: ClassVar[list[float]] = []

    def step(self, closure=None):
        self.noted.append(self.param_groups[0]["momentum"])
        super().step()


def test_the_momentum_is_that_of_the_hyperparameters_unless_the_schedule_is_asked_to_cycle_it():
    specification = one_cycle(Momenta, {"momentum": 0.25})
    Momenta.noted.clear()
    record = run(specification).record
    assert set(Momenta.noted) == {0.25}
    assert record.training_params["lr_scheduler"]["arguments"]["cycle_momentum"] is False
    assert one_cycle(Momenta, {"momentum": 0.25}, cycle_momentum=False) == specification
    cycling = one_cycle(Momenta, {"momentum": 0.25}, cycle_momentum=True)
    Momenta.noted.clear()
    run(cycling)
    assert Momenta.noted[0] == 0.95
    assert min(Momenta.noted) < 0.9


def test_a_cyclic_schedule_inside_another_leaves_the_momentum_alone_too():
    cyclic = {"name": "CyclicLR", "arguments": {"base_lr": 0.001, "max_lr": 0.01}}
    found = check_scheduler(
        {
            "name": "SequentialLR",
            "arguments": {"schedulers": [{"name": "LinearLR"}, cyclic], "milestones": [3]},
        }
    )
    assert found.arguments["schedulers"] == [
        {"name": "LinearLR"},
        {"name": "CyclicLR", "arguments": {**cyclic["arguments"], "cycle_momentum": False}},
    ]


def test_the_largest_rate_of_a_cycle_can_be_that_of_the_optimizer():
    first, second = (run(one_cycle("SGD", {"lr": lr}, max_lr="lr")).record for lr in (0.01, 0.02))
    assert first.test_losses != second.test_losses
    assert first.test_losses == run(one_cycle("SGD", {"lr": 0.01})).record.test_losses


def warm_plateau(every, milestone, **arguments):
    warm_up = {"start_factor": 0.5, "total_iters": milestone}
    plateau = {"patience": 0, "threshold": 0.9, **arguments}
    return {
        "name": "SequentialLR",
        "arguments": {
            "schedulers": [
                {"name": "LinearLR", "arguments": warm_up},
                {"name": "ReduceLROnPlateau", "arguments": plateau},
            ],
            "milestones": [milestone],
        },
        "every": every,
    }


def test_a_warm_up_in_steps_comes_before_a_plateau():
    specification = specify(
        "quadratic_deep", Rates, {"lr": 0.01}, num_epochs=4, lr_scheduler=warm_plateau("step", 5)
    )
    Rates.noted.clear()
    run(specification)
    warm = [0.005, 0.006, 0.007, 0.008, 0.009]
    assert Rates.noted == pytest.approx([*warm, *[0.01] * 9, *[0.001] * 7, *[0.0001] * 7])
    assert Rates.noted[5] == 0.01


def test_a_warm_up_in_epochs_comes_before_a_plateau():
    scheduler = warm_plateau("epoch", 2)
    specification = specify(
        "quadratic_deep", Rates, {"lr": 0.01}, num_epochs=6, lr_scheduler=scheduler
    )
    Rates.noted.clear()
    run(specification)
    # The first epoch at the full rate is what the next ones are compared with.
    assert Rates.noted[::7] == pytest.approx([0.005, 0.0075, 0.01, 0.01, 0.001, 0.0001])


def test_a_plateau_can_only_come_last():
    scheduler = warm_plateau("epoch", 2)
    scheduler["arguments"]["schedulers"].reverse()
    with pytest.raises(ArgumentError, match="ReduceLROnPlateau can be the last scheduler of Seq"):
        check_scheduler(scheduler)


def test_a_warm_up_before_a_plateau_goes_on_from_its_state():
    specification = specify(
        "quadratic_deep", "SGD", {"lr": 1}, lr_scheduler=warm_plateau("step", 5)
    )
    problem = set_up_problem(specification)

    def continued(before):
        optimizer = build_optimizer(specification, problem)
        schedule = build_schedule(specification, optimizer, 7)
        for step in range(20):
            if step == before:
                state = optimizer_state(optimizer, problem.model, schedule)
                optimizer = build_optimizer(specification, problem)
                schedule = build_schedule(specification, optimizer, 7)
                set_optimizer_state(state, optimizer, problem.model, schedule)
            optimizer.step()
            schedule.after_step()
            if step % 7 == 6:
                schedule.evaluated(step // 7 + 1, {"train_loss": 1.0})
            yield optimizer.param_groups[0]["lr"]

    whole = list(continued(before=None))
    assert list(continued(before=3)) == whole
    assert list(continued(before=12)) == whole


@pytest.mark.parametrize(
    ("name", "arguments", "every", "message"),
    [
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 10}, "step", "after 10 of 14 steps"),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 1}, "epoch", "after 1 of 2 epochs"),
        ("my_schedulers:Table", {"rates": [0.1] * 8}, "step", "after 7 of 14 steps.*IndexError"),
        (
            "SequentialLR",
            {
                "schedulers": [
                    {"name": "LinearLR"},
                    {"name": "OneCycleLR", "arguments": {"max_lr": 0.1, "total_steps": 5}},
                ],
                "milestones": [3],
            },
            "step",
            "after 8 of 14 steps",
        ),
    ],
)
def test_a_schedule_that_is_shorter_than_the_run_is_refused_before_training(
    here, name, arguments, every, message
):
    scheduler = {"name": name, "arguments": arguments, "every": every}
    specification = specify("quadratic_deep", Rates, num_epochs=2, lr_scheduler=scheduler)
    Rates.noted.clear()
    with pytest.raises(ArgumentError, match=message):
        run(specification)
    assert not Rates.noted


def test_the_length_of_a_run_that_ends_after_some_steps_counts():
    scheduler = {"name": "OneCycleLR", "arguments": {"max_lr": 0.01, "total_steps": 10}}
    specification = specify(
        "quadratic_deep", Rates, max_steps=10, lr_scheduler={**scheduler, "every": "step"}
    )
    assert run(specification).record.steps == 10


def test_trying_a_schedule_leaves_the_run_as_it_was(here):
    rates_of_run = [0.01] * 15
    scheduler = {"name": f"{here}:Table", "arguments": {"rates": rates_of_run}, "every": "step"}
    Table.hooked.clear()
    scheduled = run(specify("quadratic_deep", "SGD", num_epochs=2, lr_scheduler=scheduler)).record
    assert len(Table.hooked) == 14
    constant = run(specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=2)).record
    assert scheduled.train_losses[:1] == constant.train_losses[:1]


def test_a_scheduler_is_tried_with_the_optimizer_of_the_run(here):
    scheduler = f"{here}:BetaWarmUp"
    specification = specify("quadratic_deep", Beta, num_epochs=3, lr_scheduler=scheduler)
    Beta.noted.clear()
    run(specification)
    assert Beta.noted[::7] == pytest.approx([0.9, 0.95, 1 - 0.1 / 3])
    with pytest.raises(ArgumentError, match=r"BetaWarmUp cannot be used for SGD.*betas"):
        specify("quadratic_deep", "SGD", lr_scheduler=f"{here}:BetaWarmUp")


def test_the_step_schedule_sets_the_rates_of_groups_that_are_added_during_training():
    added = specify(
        "quadratic_deep",
        Adding,
        {"lr": 0.01},
        num_epochs=4,
        lr_sched_epochs=[1, 3],
        lr_sched_factors=[0.5, 0.1],
    )
    plain = added.model_copy(
        update={"optimizer_target": "torch.optim:SGD", "optimizer": "SGD", "optimizer_source": ""}
    )
    assert run(added, optimizer_class=Adding).record.num_epochs == 4
    optimizer = build_optimizer(plain, set_up_problem(plain))
    schedule = build_schedule(added, optimizer, 7)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    for epoch in (1, 2, 3):
        schedule.evaluated(epoch, {})
    assert [group["lr"] for group in optimizer.param_groups] == [0.001, 0.001]


def test_the_step_schedule_changes_rates_that_are_tensors_in_place():
    specification = specify(
        "quadratic_deep",
        TensorRate,
        {"lr": 0.01},
        num_epochs=3,
        lr_sched_epochs=[1, 2],
        lr_sched_factors=[0.5, 0.1],
    )
    record = run(specification).record
    assert TensorRate.noted[0].item() == pytest.approx(0.001)
    plain = specify(
        "quadratic_deep",
        "SGD",
        {"lr": 0.01},
        num_epochs=3,
        lr_sched_epochs=[1, 2],
        lr_sched_factors=[0.5, 0.1],
    )
    assert record.train_losses == pytest.approx(run(plain).record.train_losses, rel=1e-6)


def test_schedulers_of_torch_work_with_rates_that_are_tensors():
    specification = one_cycle(TensorRate, {"lr": 0.01}, max_lr="lr")
    plain = run(one_cycle("SGD", {"lr": 0.01})).record
    assert run(specification).record.train_losses == pytest.approx(plain.train_losses, rel=1e-6)
