"""Schedulers that follow an accuracy, or have a rate for each group of parameters."""

from typing import ClassVar

import pytest
import torch

from deepobs.errors import ArgumentError
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.schedulers import check_scheduler

TWO_GROUPS = {"parameter_groups": {"head": {"lr": 0.01}}, "num_epochs": 1}


class Rates(torch.optim.SGD):
    """Notes its learning rates."""

    noted: ClassVar[list[float]] = []

    def step(self, closure=None):
        self.noted.append(float(self.param_groups[0]["lr"]))
        super().step()


def on_plateau(metric=None, optimizer=Rates, problem="digits_logreg", epochs=4, **arguments):
    given = {"patience": 0, **arguments, **({"metric": metric} if metric else {})}
    return specify(
        problem,
        optimizer,
        {"lr": 0.01},
        num_epochs=epochs,
        validation_size=128,
        lr_scheduler={"name": "ReduceLROnPlateau", "arguments": given},
    )


@pytest.mark.parametrize("metric", ["train_loss", "train_accuracy", "valid_loss", "valid_accuracy"])
def test_a_plateau_of_any_metric_of_the_training_and_validation_set_can_be_followed(metric):
    # A threshold that nothing passes: each epoch after the first is one without progress.
    specification = on_plateau(metric, threshold=1000.0, threshold_mode="abs")
    Rates.noted.clear()
    record = run(specification).record
    assert sorted(set(Rates.noted)) == pytest.approx([1e-4, 1e-3, 1e-2])
    arguments = record.training_params["lr_scheduler"]["arguments"]
    assert arguments.get("metric", "train_loss") == metric
    assert ("mode" in arguments) == ("accuracy" in metric)


def test_a_plateau_of_an_accuracy_goes_by_its_rise():
    specification = on_plateau("train_accuracy", threshold=0.0)
    Rates.noted.clear()
    accuracies = run(specification).record.train_accuracies
    rate, best, expected = 0.01, 0.0, []
    for accuracy in accuracies[1:]:
        expected.append(rate)
        rate, best = rate if accuracy > best else rate / 10, max(accuracy, best)
    assert Rates.noted[:: len(Rates.noted) // 4] == pytest.approx(expected)
    assert expected[1] == 0.01


def test_a_mode_that_contradicts_the_metric_is_refused():
    with pytest.raises(ArgumentError, match=r"follows train_loss, of which minimal.*mode='max'"):
        on_plateau(mode="max")
    with pytest.raises(ArgumentError, match=r"follows valid_accuracy, of which maximal"):
        on_plateau("valid_accuracy", mode="min")


def test_to_name_the_default_metric_is_the_same_run_and_another_metric_is_another_one():
    plain = on_plateau()
    assert plain.lr_scheduler.arguments == {"patience": 0}
    assert on_plateau("train_loss").run_id == plain.run_id
    assert on_plateau("valid_loss").run_id != plain.run_id
    named = on_plateau("valid_accuracy")
    assert named.run_id == on_plateau("valid_accuracy", mode="max").run_id
    assert "--lr-scheduler-option metric=valid_accuracy" in reproduction_command(named)


def test_a_metric_that_a_run_does_not_have_is_refused_before_training():
    scheduler = {"name": "ReduceLROnPlateau", "arguments": {"metric": "valid_loss"}}
    with pytest.raises(ArgumentError, match="holds out no validation examples"):
        specify("digits_logreg", "SGD", lr_scheduler=scheduler)
    with pytest.raises(ArgumentError, match="cannot follow the metric 'test_loss'"):
        on_plateau("test_loss")
    with pytest.raises(ArgumentError, match="StepLR follows no metric"):
        check_scheduler({"name": "StepLR", "arguments": {"step_size": 1, "metric": "valid_loss"}})
    specification = on_plateau("train_accuracy", problem="quadratic_deep")
    Rates.noted.clear()
    with pytest.raises(ArgumentError, match="train_accuracy, which this problem does not have"):
        run(specification)
    assert not Rates.noted


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ReduceLROnPlateau", {"min_lr": [0.05, 0.001]}),
        ("CyclicLR", {"base_lr": [0.1, 0.01], "max_lr": [1.0, 0.1]}),
        ("OneCycleLR", {"max_lr": "lr", "total_steps": "num_epochs"}),
    ],
)
def test_a_scheduler_is_tried_with_the_groups_of_the_run(name, arguments):
    scheduler = {"name": name, "arguments": arguments}
    run(specify("digits_logreg", "SGD", {"lr": 0.1}, lr_scheduler=scheduler, **TWO_GROUPS))


def test_values_for_other_than_the_groups_of_the_run_are_refused_before_training():
    scheduler = {"name": "ReduceLROnPlateau", "arguments": {"min_lr": [0.05]}}
    with pytest.raises(ArgumentError, match=r"SGD with min_lr.*expected 2 min_lrs, got 1"):
        run(specify("digits_logreg", "SGD", {"lr": 0.1}, lr_scheduler=scheduler, **TWO_GROUPS))
