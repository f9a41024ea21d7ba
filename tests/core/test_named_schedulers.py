"""Schedules by name: warm-up, cosine, trapezoid, constant, and what a problem recommends."""

import dataclasses
import math
from typing import ClassVar

import pytest
import torch

from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.plugins import registry
from deepobs.plugins.specs import ProblemSpec
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.schedulers import build_scheduler, check_scheduler

STEPS = 14  # two epochs of quadratic_deep


class Rates(torch.optim.SGD):
    """Notes its learning rates."""

    noted: ClassVar[list[float]] = []

    def step(self, closure=None):
        self.noted.append(float(self.param_groups[0]["lr"]))
        super().step()


def factors(scheduler, **options):
    """The factor of the learning rate at each step."""
    options = {"num_epochs": 2, **options}
    specification = specify(
        "quadratic_deep", Rates, {"lr": 0.01}, lr_scheduler=scheduler, **options
    )
    Rates.noted.clear()  # of the steps by which it was tried
    run(specification)
    return [rate / 0.01 for rate in Rates.noted]


def described(name, **arguments):
    return {"name": name, "arguments": arguments}


def test_a_warm_up_rises_linearly_and_stays():
    expected = [0.2, 0.4, 0.6, 0.8] + [1.0] * 10
    assert factors(described("warmup", warmup=4)) == pytest.approx(expected)


def test_a_cosine_falls_over_the_whole_run():
    expected = [0.5 * (1 + math.cos(math.pi * step / STEPS)) for step in range(STEPS)]
    assert factors("cosine") == pytest.approx(expected)


def test_a_cosine_after_a_warm_up_falls_to_its_end_factor():
    falling = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    found = factors(described("cosine", warmup=4, end_factor=0.1))
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8, *falling])


def test_a_trapezoid_rises_stays_and_falls_linearly():
    found = factors(described("trapezoid", warmup=3, decay=5))
    expected = [0.25, 0.5, 0.75] + [1.0] * 6 + [1.0, 0.8, 0.6, 0.4, 0.2]
    assert found == pytest.approx(expected)


def test_fractions_are_parts_of_the_run_also_of_one_that_ends_after_some_steps():
    in_steps = factors(described("trapezoid", warmup=2, decay=5), max_steps=10, num_epochs=None)
    assert factors(described("trapezoid", warmup=0.2, decay=0.5), max_steps=10) == in_steps
    assert len(in_steps) == 10


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("max_steps", [1, 2, 5, 14])
def test_fractions_that_add_up_to_the_run_fit_into_any_run(warmup, max_steps):
    trapezoid = described("trapezoid", warmup=warmup, decay=1 - warmup)
    assert len(factors(trapezoid, max_steps=max_steps)) == max_steps


def test_a_run_of_no_steps_can_have_a_schedule():
    assert factors(described("cosine", warmup=0.1), num_epochs=0) == []


def test_constant_is_the_same_run_as_no_schedule():
    plain = specify("quadratic_deep", "SGD", num_epochs=1)
    constant = specify("quadratic_deep", "SGD", num_epochs=1, lr_scheduler="constant")
    assert constant.run_id == plain.run_id


def test_defaults_are_part_of_the_identity_and_no_steps_are_no_part_of_the_run():
    written = described("cosine", warmup=0, end_factor=0)
    short, full = (
        specify("quadratic_deep", "SGD", num_epochs=1, lr_scheduler=one)
        for one in ("cosine", written)
    )
    assert short.run_id == full.run_id
    assert short.lr_scheduler.arguments == {"warmup": 0.0, "end_factor": 0.0}
    assert short.lr_scheduler.every == "step"


def test_the_command_of_a_run_has_its_schedule():
    specification = specify(
        "quadratic_deep", "SGD", num_epochs=1, lr_scheduler=described("warmup", warmup=3)
    )
    assert "--lr-scheduler warmup --lr-scheduler-option warmup=3" in reproduction_command(
        specification
    )


@pytest.mark.parametrize(
    ("scheduler", "error", "message"),
    [
        ("cosin", UnknownNameError, "Did you mean 'cosine'.*constant, warmup, cosine, trapezoid"),
        (described("cosine", warm_up=3), ArgumentError, "has no argument 'warm_up'.*'warmup'"),
        (described("cosine", warmup=2.5), ArgumentError, "an integer number of steps; got 2.5"),
        (described("cosine", warmup=-1), ArgumentError, "got -1"),
        (described("cosine", warmup=True), ArgumentError, "got True"),
        (described("cosine", end_factor=2), ArgumentError, "from 0.0 to 1.0; got 2"),
        (described("trapezoid", warmup=0.5, decay=0.6), ArgumentError, "add up to 1 at most"),
        ({"name": "cosine", "every": "epoch"}, ArgumentError, "advances every 'step'"),
        (described("ChainedScheduler", schedulers=[{"name": "cosine"}]), ArgumentError, "whole"),
    ],
)
def test_a_schedule_that_cannot_be_used_is_refused(scheduler, error, message):
    with pytest.raises(error, match=message):
        check_scheduler(scheduler)


@pytest.mark.parametrize("num_steps", [1, 5, 15, 25])
def test_fractions_that_add_up_to_1_fit_any_run(num_steps):
    optimizer = torch.optim.SGD([torch.zeros(())], lr=1.0)
    for percent in range(101):
        parts = {"warmup": percent / 100, "decay": (100 - percent) / 100}
        scheduler = check_scheduler(described("trapezoid", **parts))
        build_scheduler(scheduler, optimizer, {"num_steps": num_steps})


def test_a_warm_up_and_a_decay_that_are_rounded_up_together_have_no_step_more_than_the_run():
    # 0.1 and 0.9 of 15 steps are 1.5 and 13.5, both of which are rounded up.
    scheduler = described("trapezoid", warmup=0.1, decay=0.9)
    rising, falling = [1 / 3, 2 / 3], [1 - step / 13 for step in range(13)]
    found = factors(scheduler, max_steps=15, num_epochs=3)
    assert found == pytest.approx(rising + falling)


@pytest.mark.parametrize(
    "scheduler", [described("cosine", warmup=17), described("trapezoid", warmup=9, decay=8)]
)
def test_a_warm_up_that_is_longer_than_the_run_is_refused_when_the_run_is_specified(scheduler):
    with pytest.raises(ArgumentError, match=r"longer than the run, which has at most 16 steps"):
        specify("quadratic_deep", "SGD", num_epochs=2, lr_scheduler=scheduler)


def test_a_warm_up_that_is_longer_than_the_run_on_synthetic_data_is_refused_before_training():
    # The description speaks of the last, incomplete batch of an epoch, too.
    specification = specify(
        "quadratic_deep", "SGD", num_epochs=2, lr_scheduler=described("cosine", warmup=16)
    )
    with pytest.raises(ArgumentError, match="longer than the run of 14 steps"):
        run(specification)


def test_constant_takes_no_arguments():
    with pytest.raises(ArgumentError, match="takes no arguments"):
        specify("quadratic_deep", "SGD", lr_scheduler=described("constant", warmup=0.1))


@pytest.fixture
def recommending():
    """A problem that recommends a schedule."""
    known = registry().problems
    quadratic = known.offer("quadratic_deep").spec
    spec = dataclasses.replace(
        quadratic, name="recommending", recommended_lr_scheduler=described("cosine", warmup=0.1)
    )
    known.register(spec)
    yield spec
    del known._offers["recommending"]


def test_what_a_problem_recommends_is_the_same_run_as_the_schedule_written_out(recommending):
    recommended, written = (
        specify(recommending.name, "SGD", num_epochs=2, lr_scheduler=one)
        for one in ("recommended", described("cosine", warmup=0.1))
    )
    assert recommended.run_id == written.run_id


def test_arguments_change_what_a_problem_recommends(recommending):
    found = specify(
        recommending.name, "SGD", lr_scheduler=described("recommended", end_factor=0.1)
    ).lr_scheduler
    assert found.name == "cosine"
    assert found.arguments == {"warmup": 0.1, "end_factor": 0.1}


def test_a_problem_that_recommends_nothing_says_what_there_is():
    with pytest.raises(ArgumentError, match=r"two_d_beale recommends no.*constant, warmup, cosine"):
        specify("two_d_beale", "SGD", lr_scheduler="recommended")


@pytest.mark.parametrize("value", ["cosine", {"arguments": {}}, {"name": "cosine", "warmup": 3}])
def test_a_recommendation_is_a_mapping_with_a_name(value):
    with pytest.raises(ArgumentError, match="recommended_lr_scheduler"):
        ProblemSpec(
            name="mine",
            target="a:B",
            summary="",
            batch_size=1,
            epochs=1,
            recommended_lr_scheduler=value,
        )
