"""Runs that train nothing, or not all of it, say so."""

import pytest
import torch
from torch import nn
from two_layers import TwoLayers

from deepobs.errors import TrainingWarning
from deepobs.runs import run, specify


class MatricesOnly(torch.optim.SGD):
    """Takes the model and trains matrices only."""

    def __init__(self, model, params=None, lr=0.1):
        if params is None:
            params = [one for one in model.parameters() if one.ndim > 1]
        super().__init__(params, lr=lr)


class Nothing(torch.optim.SGD):
    def step(self, closure=None):
        """Forget it."""


class ClearsGradients(torch.optim.SGD):
    """Trains matrices only, and leaves no gradient of the others behind."""

    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = parameter.grad if parameter.ndim > 1 else None
        super().step()


class Normalized(TwoLayers):
    """Batch normalization makes the gradient of the bias in front of it vanish in training."""

    def build_model(self):
        layers = nn.Linear(100, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
        return nn.ModuleDict({"used": nn.Sequential(*layers)})


def record_of(optimizer, problem=TwoLayers, hyperparameters=None, **arguments):
    specification = specify(problem, optimizer, hyperparameters, num_epochs=2, **arguments)
    return run(specification).record


def test_parameters_that_never_changed_are_named():
    with pytest.warns(TrainingWarning, match=r"change 1 of 4 parameters .*: used\.bias\.") as all_:
        record_of(MatricesOnly)
    assert len(all_) == 1


def test_parameters_whose_gradients_the_optimizer_clears_are_named():
    with pytest.warns(TrainingWarning, match=r"change 1 of 4 .*: used\.bias\."):
        record_of(ClearsGradients)


def test_a_run_that_trains_nothing_says_so():
    with pytest.warns(TrainingWarning, match="Nothing on quadratic_deep trained nothing"):
        record_of(Nothing, "quadratic_deep")


def test_parameters_without_a_gradient_are_not_named():
    record_of("SGD", hyperparameters={"lr": 1e-3})


def test_biases_in_front_of_batch_normalization_are_not_named():
    record_of("SGD", Normalized, {"lr": 1e-4})


def test_a_learning_rate_of_zero_says_so_unless_a_schedule_raises_it():
    with pytest.warns(TrainingWarning, match="SGD on TwoLayers trained nothing"):
        record_of("SGD", hyperparameters={"lr": 0.0})
    warm_up = {"lr_sched_epochs": [0, 1], "lr_sched_factors": [0.0, 1.0]}
    record_of("SGD", hyperparameters={"lr": 1e-3}, **warm_up)


def test_looking_for_them_changes_no_number(monkeypatch):
    with pytest.warns(TrainingWarning):
        found = record_of(MatricesOnly)
    monkeypatch.setattr("deepobs.runs.execution.warn_of_untrained", lambda *_: None)
    assert record_of(MatricesOnly).minibatch_train_losses == found.minibatch_train_losses
    assert record_of(MatricesOnly).test_losses == found.test_losses


def test_optional_parameters_beside_the_model_are_left_to_the_class():
    received = []

    class TakesBoth(torch.optim.SGD):
        def __init__(self, model, params, others=None, lr=0.1):
            received.append((params, others))
            super().__init__(params, lr=lr)

    specification = specify(TwoLayers, TakesBoth)
    assert specification.optimizer_needs == ("model",)
    assert isinstance(received[-1][0], list)
    assert received[-1][1] is None
