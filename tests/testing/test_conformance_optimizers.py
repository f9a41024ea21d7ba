"""Every check of optimizers catches one that is broken in just this way."""

from __future__ import annotations

import contextlib
import re

import broken_optimizers as optimizers
import pytest
import torch

from deepobs_testing import check_optimizer
from deepobs_testing._checks import CHECKS

CAUGHT = {
    "its_target_can_be_imported": [
        (optimizers.NoOptimizer, "must be a subclass of torch.optim.Optimizer", "")
    ],
    "it_can_be_built": [
        (optimizers.WithoutDefaults, "has no default learning rate: give one", "-o lr=0.01"),
        (optimizers.WithoutGroups, "Its param_groups is None .* expected is a list", "constructor"),
        (optimizers.ReadsItsParametersTwice, "not from a list of the parameters", r"list\(params"),
        (optimizers.Exits, r"sys.exit\(3\)", "broken_optimizers.py, line"),
    ],
    "it_has_the_attributes_of_an_optimizer": [
        (optimizers.WithoutDefaultsAndState, "It has no defaults, state", "call its constructor")
    ],
    "it_trains_all_parameters": [
        (optimizers.MatricesAlone, "30 steps do not change 1.bias, 3.bias", "a run warns")
    ],
    "its_step_protocol_works": [
        (optimizers.Mistaken, r"protocol plain raises KeyError: 'momentum_bufer'", "Fix the step")
    ],
    "steps_change_the_parameters": [
        (optimizers.StandsStill, "After 30 steps .* all parameters are unchanged", "add_")
    ],
    "it_stays_finite_on_a_small_problem": [
        (optimizers.DividesByZero, "not finite within 30 steps", "quotients of 0")
    ],
    "the_same_seed_gives_the_same_steps": [
        (optimizers.Random, "Built twice from one seed, 3 steps end at", "global generator"),
        (optimizers.SharedState, "Built twice from one seed, 3 steps end at", "self.state"),
    ],
    "settings_of_the_process_are_left_alone": [
        (
            optimizers.SeedsEveryStep,
            "A step sets torch's seed to 0",
            "a torch.Generator of its own",
        ),
        (optimizers.OfDoubles, "steps change torch's default type", "zeros_like"),
    ],
    "zero_grad_clears_the_gradients": [
        (optimizers.KeepsGradients, "After zero_grad, 0.weight, .* still has", "Inherit zero_grad")
    ],
    "parameters_without_a_gradient_are_skipped": [
        (optimizers.NeedsEveryGradient, "'NoneType' object has no attribute 'mul_'", "line")
    ],
    "a_closure_is_called": [
        (optimizers.ForgetsTheClosure, "does not call the closure", "at the beginning of step"),
        (optimizers.ReturnsNothing, r"step\(closure\) returns None", "return loss"),
    ],
    "its_groups_have_their_own_learning_rate": [
        (
            optimizers.OneRate,
            "moves alike with the learning rates 0.05 and 0.005",
            r'group\["lr"\]',
        ),
        (optimizers.FirstRate, "Its last parameter group moves alike", r'group\["lr"\]'),
    ],
    "a_schedule_can_change_its_learning_rate": [
        (optimizers.OneRate, "moves alike whether lr in its groups is 0.05", r'group\["lr"\]'),
        (optimizers.RateElsewhere, "takes lr, but .* has only momentum", "schedulers"),
    ],
    "its_state_dict_resumes_bit_for_bit": [
        (
            optimizers.StateInAnAttribute,
            r"4 further steps end elsewhere than without",
            "self.state",
        ),
        (optimizers.HalvesItsState, r"\d+ of \d+ parameters differ, the first is", "self.state"),
    ],
    "an_interrupted_run_resumes_bit_for_bit": [
        (
            optimizers.StateInAGenerator,
            "A checkpoint cannot hold optimizer.rates, a generator",
            "attributes",
        )
    ],
    "its_state_can_be_saved": [
        (optimizers.KeepsAFunction, "cannot be saved and loaded with weights_only=True", "tensors")
    ],
    "the_run_loop_trains_with_it": [(optimizers.StopsEarly, "ValueError: too wide", "line")],
}
CASES = [(check, *case) for check, cases in CAUGHT.items() for case in cases]


@pytest.mark.parametrize(
    ("check", "optimizer", "reason", "remedy"), CASES, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_broken_optimizer_is_caught(check, optimizer, reason, remedy):
    result = check_optimizer(optimizer, only=[check], raise_on_failure=False)[check]
    assert result.outcome == "failed"
    assert re.search(reason, result.reason), result.reason
    assert re.search(remedy, result.remedy), result.remedy


def test_every_check_is_seen_to_fail():
    all_checks = {c.name for c in CHECKS["optimizer"] if not c.is_of_the_description}
    assert all_checks == CAUGHT.keys()


def test_a_sound_optimizer_of_ones_own_passes():
    report = check_optimizer(optimizers.Sound)
    assert [result.outcome for result in report.results] == ["passed"] * len(CAUGHT)


def test_what_has_no_default_can_be_given():
    given = {"lr": 0.1, "horizon": 10}
    assert not check_optimizer(optimizers.WithoutDefaults, hyperparameters=given).failures


class OwnBackward(optimizers.Sound):
    """Computes the gradients of the loss of its closure itself."""

    def step(self, closure):
        loss = closure()
        loss.backward()
        super().step()
        return loss


class LineSearch(optimizers.Sound):
    def step(self, closure):
        with torch.enable_grad():
            loss = closure(backward=False)
            loss.backward()
        super().step()
        return loss


class Named(optimizers.Sound):
    def __init__(self, named_parameters, lr=0.05):
        super().__init__([one for _, one in named_parameters], lr)


class Sampled(optimizers.Sound):
    is_sampled = False

    @contextlib.contextmanager
    def sampled_params(self, train=False):
        self.is_sampled = train
        yield

    def step(self, closure=None):
        loss = None if closure is None else closure()
        if not self.is_sampled:
            raise RuntimeError("sample first")
        self.is_sampled = False
        super().step()
        return loss


class HasTrain(optimizers.Sound):
    def train(self, loader):
        raise RuntimeError("trains a whole epoch")

    def eval(self, loader):
        return 0.0


class Late(optimizers.Sound):
    """Looks at curvature from its tenth step on."""

    number = 0

    def step(self, closure=None):
        loss = None if closure is None else closure()
        self.number += 1
        if self.number >= 10:
            ones = [one for one in self.param_groups[0]["params"] if one.grad is not None]
            torch.autograd.grad(sum(one.grad.sum() for one in ones), ones, retain_graph=True)
        super().step()
        return loss


class ListOnly(optimizers.Sound):
    def __init__(self, params, lr=0.05):
        assert isinstance(params, list)
        super().__init__(params, lr)


KINDS = {
    optimizers.Sound: "plain (a plain step changes parameters)",
    OwnBackward: "backward + closure (a step with closure fails (RuntimeError: Trying",
    LineSearch: "closure (a step with closure changes",
    Named: "named_parameters (named_parameters: the first argument",
    Sampled: "context:sampled_params (context:sampled_params: its step works within",
    HasTrain: "plain (no mode: its train and eval are something else",
    Late: "create_graph (create_graph: later steps fail without it",
}


@pytest.mark.parametrize("optimizer", KINDS, ids=lambda one: one.__name__)
def test_every_kind_passes_and_is_reported(optimizer):
    report = check_optimizer(optimizer, raise_on_failure=False)
    assert [(one.check, one.reason) for one in report.failures] == []
    assert report["its_step_protocol_works"].reason.startswith(KINDS[optimizer])


def test_what_takes_a_list_only_fails_no_other_check():
    report = check_optimizer(ListOnly, raise_on_failure=False)
    assert [one.check for one in report.failures] == ["it_can_be_built"]
    assert not report.having("skipped")
