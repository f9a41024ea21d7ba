"""A resumed run gives the same results as an uninterrupted one."""

import random

import numpy as np
import pytest
import torch

from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan, checkpoint_path

ALWAYS = CheckpointPlan(every_seconds=0.0)
GO_ON = CheckpointPlan(every_seconds=0.0, resume=True)


class Interruption(RunObserver):
    """Ends a run at a step, as a signal would."""

    def __init__(self, at_step):
        self.at_step = at_step

    def steps_taken(self, steps, metrics):
        if steps >= self.at_step:
            raise KeyboardInterrupt


class RandomSteps(torch.optim.SGD):
    """Draws from all generators."""

    def step(self, closure=None):
        noise = random.gauss() + float(np.random.standard_normal()) + float(torch.randn(()))
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad.mul_(1 + 0.1 * noise)
        return super().step(closure)


def described(optimizer="SGD", hyperparameters=None, **options):
    defaults = {"num_epochs": 4, "batch_size": 8, "train_log_interval": 1}
    return specify(
        "quadratic_deep", optimizer, hyperparameters or {"lr": 1e-3}, **defaults | options
    )


def interrupted_and_resumed(specification, output_dir, at_step):
    with pytest.raises(KeyboardInterrupt):
        run(
            specification,
            output_dir=output_dir,
            checkpoints=ALWAYS,
            observers=[Interruption(at_step)],
        )
    assert checkpoint_path(output_dir, specification).exists()
    return run(specification, output_dir=output_dir, checkpoints=GO_ON).record


def numbers(record):
    names = {
        "train_losses",
        "valid_losses",
        "test_losses",
        "minibatch_train_losses",
        "steps",
        "gradient_evaluations",
        "status",
        "diverged_at_epoch",
        "diverged_at_step",
    }
    return record.model_dump(include=names)


@pytest.mark.parametrize("at_step", [100, 125, 250])  # 125 steps an epoch, reports at 100, 125, ...
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("SGD", {"validation_size": 50}),
        ("Adam", {"reshuffle": False}),
        ("LBFGS", {"hyperparameters": {"lr": 0.1, "max_iter": 3}}),
        (
            "Adam",
            {
                "lr_scheduler": {
                    "name": "OneCycleLR",
                    "every": "step",
                    "arguments": {"max_lr": 0.1, "total_steps": "num_steps"},
                }
            },
        ),
        ("SGD", {"lr_scheduler": "ReduceLROnPlateau"}),
        ("SGD", {"lr_sched_epochs": [1, 2], "lr_sched_factors": [0.5, 0.1]}),
        (RandomSteps, {}),
    ],
    ids=["sgd", "same-order", "closure", "scheduler", "plateau", "step-schedule", "all-generators"],
)
def test_a_resumed_run_gives_the_numbers_of_an_undisturbed_one(
    tmp_path, optimizer, options, at_step
):
    specification = described(optimizer, **options)
    resumed = interrupted_and_resumed(specification, tmp_path / "interrupted", at_step)
    undisturbed = run(specification).record
    assert numbers(resumed) == numbers(undisturbed)
    assert len(resumed.resumed_at_steps) == 1
    assert undisturbed.resumed_at_steps is None
    assert len(resumed.train_seconds) == 4


def test_a_state_of_another_type_than_the_parameters_comes_back_exactly(tmp_path):
    from deepobs import config

    with config.temporary(dtype=torch.bfloat16):
        specification = described("Adagrad", {"lr": 1.0})
    resumed = interrupted_and_resumed(specification, tmp_path, 225)
    assert numbers(resumed) == numbers(run(specification).record)


def test_a_run_can_be_interrupted_again_and_again(tmp_path):
    specification = described("Adam")
    for at_step in (125, 250, 350, 500):
        with pytest.raises(KeyboardInterrupt):
            observers = [Interruption(at_step)]
            run(specification, output_dir=tmp_path, checkpoints=GO_ON, observers=observers)
    record = run(specification, output_dir=tmp_path, checkpoints=GO_ON).record
    assert numbers(record) == numbers(run(specification).record)
    assert record.resumed_at_steps == sorted(record.resumed_at_steps)
    assert len(record.resumed_at_steps) == 4


def test_a_diverging_run_is_resumed_to_the_same_end(tmp_path):
    specification = described("SGD", {"lr": 0.04})
    undisturbed = run(specification).record
    assert undisturbed.status == "diverged"
    assert undisturbed.diverged_at_step > 225
    resumed = interrupted_and_resumed(specification, tmp_path, 125)
    assert numbers(resumed) == numbers(undisturbed)
