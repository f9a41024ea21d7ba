"""Every check of test problems catches a problem that is broken in just this way."""

from __future__ import annotations

import math
import os
import random
import threading
from pathlib import Path

import broken_problems as problems
import numpy as np
import pytest
import torch

from deepobs import config
from deepobs_testing import ConformanceError, check_testproblem
from deepobs_testing._checks import CHECKS
from deepobs_testing._tensors import relative_distance

CAUGHT = {
    "it_can_be_built": [
        (problems.Raises, "KeyError: 'no_such_key'", "broken_problems.py, line"),
        (problems.Exits, r"sys.exit\(Goodbye\)", "broken_problems.py, line"),
        (
            problems.Nothing,
            "SimpleNamespace, lacks get_batch_loss_and_accuracy",
            "deepobs.problems",
        ),
    ],
    "its_constructor_takes_the_arguments_of_the_protocol": [
        (problems.OfOneArgument, r"\(4, None, 'cpu'\).*TypeError", "weight_decay=None, device=None")
    ],
    "invalid_arguments_are_rejected": [
        (problems.TakesAnything, r"batch_size=0 and .*weight_decay=-1.0.*no_such", "ArgumentError")
    ],
    "it_can_be_set_up": [
        (problems.WithoutModel, "model is None instead of a torch.nn.Module", "self.model"),
        (problems.RaisesWhatNobodyExpects, "BaseException: strange", "broken_problems.py, line"),
        (problems.WithoutDataSet, r"lacks some of .*test_loader", "self.dataset"),
    ],
    "its_batches_are_tuples_of_tensors_on_the_device": [
        (problems.Lists, "train_loader yields a list.*expected is a tuple", "Yield")
    ],
    "its_batches_have_the_requested_size": [
        (problems.HalfBatches, "batch_size=4, the first training batch has 2", "Use the batch_size")
    ],
    "its_loaders_are_sized_and_can_be_read_again": [
        (problems.UsedUp, r"len\(train_eval_loader\) is 5, but the \w+ pass has", "generator")
    ],
    "its_batches_have_one_shape_and_type": [
        (problems.IntegersInEvaluation, r"Batch 1 of train_eval_loader .*int32.*int64", "Give all")
    ],
    "its_evaluation_batches_are_the_same_in_every_pass": [
        (problems.ShuffledEvaluation, "of train_eval_loader is different in the", "shuffle")
    ],
    "what_is_evaluated_is_the_same_for_every_seed": [
        (problems.TestsBySeed, "seeds 1 and 2, 20 of 20 examples of test_loader differ", "fixed")
    ],
    "test_examples_are_never_trained_on": [
        (
            problems.TestsOnTraining,
            "of 20 examples that test_loader yields also come from",
            "Take the",
        )
    ],
    "held_out_examples_are_never_trained_on": [
        (problems.TrainsOnHeldOut, "validation_size=8, 8 of 8 examples", "Take the held-out")
    ],
    "held_out_examples_are_the_same_for_every_seed": [
        (problems.HoldsOutBySeed, r"seeds 1 and 2, \d of 8 held-out examples differ", "fixed seed")
    ],
    "losses_are_finite_tensors": [
        (problems.InfiniteLosses, r"gives \[inf, .*expected are finite", "quotient of 0"),
        (problems.OnlyLosses, "returns a Tensor: .*a pair of losses", r"\(losses, accuracy\)"),
    ],
    "losses_have_one_entry_per_example": [
        (
            problems.AlwaysTheMean,
            r"losses of shape \(\) for .* 4 examples instead of \(4,\)",
            "reduced",
        )
    ],
    "losses_sum_to_the_mean": [
        (problems.RegularizedMean, r'"mean" gives .*the mean of the 4 losses', "regularizer"),
        (problems.WrongSums, r'"mean" gives .*the mean of the 2 losses', "have fewer"),
    ],
    "accuracy_is_a_fraction_or_none": [
        (problems.Percent, r"accuracy \d+.*a fraction from 0 to 1", "without percent"),
        (problems.AccuracyOfEach, "tensor without dimensions", "mean over the examples"),
    ],
    "the_model_has_every_parameter_of_the_loss": [
        (problems.Unregistered, r"does not list: 2, of the shapes .*\(2, 2\)", "ModuleList")
    ],
    "every_parameter_has_a_finite_gradient": [
        (problems.UnusedLayer, "spare.weight, spare.bias has no gradient", "requires_grad"),
        (
            problems.InfiniteGradients,
            "gradient of 0.weight, 4.weight is not finite",
            "square roots",
        ),
        (problems.Saturated, "All gradients are 0", "saturate"),
    ],
    "gradients_agree_with_finite_differences": [
        (problems.Detached, "predicts a slope of .*finite differences give", r"detach\(\)")
    ],
    "evaluation_changes_nothing": [
        (problems.StatisticsInEvaluation, "changes 1.running_mean", "self.training"),
        (problems.TrainsInEvaluation, "changes 1.running_mean", "self.training"),
    ],
    "the_mode_is_left_to_the_caller": [
        (problems.TrainsInEvaluation, "in evaluation mode changes the mode of the model", "caller"),
        (problems.AlwaysEvaluates, "in training mode changes the mode of the model, 0", "caller"),
        (problems.SetUpInEvaluation, "After set_up, the model is in evaluation", r"model.eval\(\)"),
    ],
    "computing_losses_has_no_other_effect": [
        (problems.ChangesTheBatch, "in training mode changes tensor 0 of the batch", "div_"),
        (problems.BackwardInside, "changes the gradient of 0.weight", r"leave backward\(\)"),
        (problems.SeedsEveryStep, "training mode sets torch's seed to 0", "torch.manual_seed"),
    ],
    "settings_of_the_process_are_left_alone": [
        (problems.OfDoubles, "changes torch's default type", "to the user"),
        (problems.SwitchesGradientsOff, "changes torch's grad mode", "to the user"),
    ],
    "a_batch_can_be_evaluated_again": [
        (problems.ChangesTheBatch, r"losses \[.*, then \[.*same weights", "with a closure"),
        (problems.Remembers, r"losses \[.*, then \[.*same weights", "do not count calls"),
    ],
    "evaluating_a_batch_twice_gives_the_same": [
        (problems.OwnNoise, r"losses \[.*, then \[.*evaluation mode", "torch.manual_seed")
    ],
    "noise_in_training_follows_torchs_seed": [
        (
            problems.OwnNoiseInTraining,
            r"losses \[.*, then \[.*training mode",
            "generator of your own",
        )
    ],
    "evaluation_does_not_depend_on_the_batch_split": [
        (problems.Centred, "its halves, evaluated alone, have", "running statistics")
    ],
    "a_new_pass_starts_from_scratch": [
        (problems.Remembers, "in a second pass with the same weights", "Reset the state")
    ],
    "the_same_seed_gives_the_same_weights_and_batches": [
        (problems.UnseededWeights, "seed 1, the models differ in 0.weight", "global generator")
    ],
    "the_same_seed_gives_the_same_training": [
        (problems.LeavesATrace, r"3 steps of SGD have the losses \[", "leaves a trace")
    ],
    "evaluating_within_an_epoch_disturbs_nothing": [
        (problems.Remembers, "an evaluation comes after the first", "training and evaluation apart")
    ],
    "recalibrating_within_an_epoch_disturbs_nothing": [
        (problems.SharesItsNoise, "recalibrated after the first", "independent of each other"),
    ],
    "micro_batches_add_up_to_the_batch": [
        (
            problems.CountsWrongly,
            "parts of a batch add up to one that differs",
            "what batch_weight",
        ),
    ],
    "another_seed_gives_other_weights": [
        (problems.FixedWeights, "seeds 1 and 2 give the same weights", "torch.manual_seed yourself")
    ],
    "set_up_leaves_the_seed_to_the_caller": [
        (problems.SeedsTorch, r"torch.rand gives 0\.\d+ for both", "Do not call torch.manual_seed"),
        (problems.SeedsNumPy, r"numpy.random.random gives 0\.\d+ for both", "numpy.random.seed"),
    ],
    "the_regularizer_is_a_scalar": [
        (problems.RegularizerOfEach, "without dimensions", r"torch.zeros\(\(\)\)")
    ],
    "weight_decay_sets_the_regularizer": [
        (
            problems.IgnoresWeightDecay,
            r"weight_decay=0.25, the regularizer is 0, but",
            "refuse one",
        ),
        (problems.WithoutTheHalf, r"the regularizer is .*0.5 \* weight_decay", "same tensors"),
        (problems.DetachedRegularizer, "the regularizer has no gradient", r"without detach\(\)"),
    ],
    "losses_exclude_the_regularizer": [
        (problems.RegularizedLosses, r"losses \[.* with the same weights and the def", "Leave the")
    ],
    "parameter_groups_cover_every_parameter_once": [
        (problems.GroupsTwice, "lists 0.weight more than once", "by identity"),
        (problems.GroupsOfCopies, "6 tensors that are no parameters", "not copies"),
        (problems.BareGroups, r"returns \[Parameter .*list of dictionaries", "params"),
    ],
    "its_weights_can_be_saved_and_loaded": [
        (problems.HiddenParameters, "does not restore 4.weight, 4.bias", "Register")
    ],
    "it_can_be_pickled": [(problems.HoldsAFunction, "pickle refuses it", "top of a module")],
    "it_can_be_copied": [(problems.HoldsAFile, "copy.deepcopy refuses it", "plain data")],
    "it_stays_on_the_cpu": [(problems.OnMeta, r"elsewhere \(meta\)", r"self.model.to\(device\)")],
    "the_run_loop_trains_it": [(problems.Diverges, "Two steps of SGD .*diverge", "Scale")],
    "mixed_precision_keeps_its_losses_finite": [
        (problems.RoundsToCertainty, "In bf16, a batch has the loss inf", "return logits")
    ],
    "channels_last_changes_no_numbers": [
        (problems.ReadsStrides, "channels-last format .* differs from that of a plain", "reshape")
    ],
    "compiling_changes_no_numbers": [
        (problems.AnotherIfCompiled, "Traced by torch.compile .* differs", "torch.compiler")
    ],
    "shares_of_a_batch_add_up_to_it": [
        (problems.CountsWrongly, "2 processes .* differs from that of a plain", "batch_weight")
    ],
}
CASES = [(check, *case) for check, cases in CAUGHT.items() for case in cases]

NEED_MORE = {"set_up_is_quick_enough", "it_works_on_the_accelerator"}
"""What takes a limit or a machine to fail; those of the description take a registered problem."""


@pytest.mark.parametrize(
    ("check", "problem", "reason", "remedy"), CASES, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_broken_problem_is_caught(check, problem, reason, remedy):
    result = checked(problem, check)
    assert result.outcome == "failed"
    assert_matches(reason, result.reason)
    assert_matches(remedy, result.remedy)


def test_every_check_is_seen_to_fail():
    all_checks = {c.name for c in CHECKS["test problem"] if not c.is_of_the_description}
    assert all_checks == CAUGHT.keys() | NEED_MORE


def test_a_sound_problem_that_derives_from_nothing_of_ours_passes():
    report = check_testproblem(problems.Sound)
    assert not report.failures
    assert {result.check for result in report.having("skipped")} <= {
        "it_works_on_the_accelerator",
        "channels_last_changes_no_numbers",
    }
    assert len(report.results) == len(CAUGHT) + len(NEED_MORE)


@pytest.mark.parametrize(
    "problem",
    [
        problems.SpectralNorm,
        problems.NoiseInLosses,
        problems.Frozen,
        problems.OfFewWeights,
        problems.Coarse,
        problems.HandsArgumentsOn,
    ],
)
def test_what_is_unusual_but_legal_passes(problem):
    check_testproblem(problem)


def test_rounding_is_told_from_other_numbers_in_float64():
    result = checked(problems.RoundsByStrides, "channels_last_changes_no_numbers")
    assert result.outcome == "passed"
    assert_matches(r"rounds differently, by 0.0\d+ of the gradient, and agrees", result.reason)


def test_nothing_is_near_a_gradient_of_zero():
    zero, tiny = torch.zeros(2), torch.tensor([0.0, 1e-9])
    assert relative_distance(tiny, zero) == math.inf
    assert relative_distance(zero, zero) == 0.0


def test_random_weights_are_known_by_their_seed_however_few_they_are():
    assert checked(problems.OfFewWeights, "another_seed_gives_other_weights").outcome == "passed"


def test_what_is_drawn_in_the_default_type_is_no_reason_to_skip_gradients():
    check = "gradients_agree_with_finite_differences"
    assert checked(problems.NoiseInLosses, check).outcome == "passed"


def test_losses_that_cannot_be_computed_fail_one_check_and_others_refer_to_it():
    report = check_testproblem(problems.LabelsOutOfRange, raise_on_failure=False)
    (failure,) = report.failures
    assert failure.check == "losses_are_finite_tensors"
    assert "out of bounds" in failure.reason
    assert "(see losses_are_finite_tensors)" in report["it_can_be_copied"].reason


@pytest.mark.parametrize("problem", [problems.Hangs, problems.HangsInSetUp])
def test_a_problem_that_hangs_is_interrupted_and_the_other_checks_are_skipped(problem):
    report = check_testproblem(
        problem,
        only=["it_can_be_built", "it_can_be_set_up", "losses_sum_to_the_mean"],
        set_up_seconds=0.3,
        raise_on_failure=False,
    )
    (failure,) = report.failures
    assert "was interrupted after 0.3 s" in failure.reason
    assert "(see it_can_be_" in report["losses_sum_to_the_mean"].reason


def test_a_check_that_hangs_is_interrupted():
    report = check_testproblem(
        problems.HangsInLosses,
        only=["losses_are_finite_tensors", "losses_sum_to_the_mean"],
        set_up_seconds=0.5,
        check_seconds=1.0,
        raise_on_failure=False,
    )
    (failure,) = report.failures
    assert failure.reason == "The check was interrupted after 1 s."
    assert report["losses_sum_to_the_mean"].reason == (
        "It takes too long (see losses_are_finite_tensors)"
    )


def test_a_slow_set_up_is_noticed_where_it_cannot_be_interrupted():
    found = []

    def check():
        only = ["set_up_is_quick_enough"]
        report = check_testproblem(
            problems.Slow, only=only, set_up_seconds=0.1, raise_on_failure=False
        )
        found.extend(report.results)

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    assert_matches(r"set_up took \d.* s; the limit is 0.1 s", found[0].reason)


def test_all_failures_are_raised_together():
    with pytest.raises(ConformanceError) as caught:
        check_testproblem(problems.Percent, only=["accuracy_is_a_fraction_or_none"])
    assert isinstance(caught.value, AssertionError)
    assert "The test problem Percent fails 1 of 1 checks." in str(caught.value)
    assert "accuracy_is_a_fraction_or_none: " in str(caught.value)
    assert caught.value.report.failures


def test_settings_and_generators_are_as_they_were():
    class Careless(problems.Sound):
        def set_up(self):
            torch.set_default_dtype(torch.float64)
            torch.use_deterministic_algorithms(True)
            config.set_dtype(torch.float64)
            super().set_up()
            random.seed(0)
            np.random.seed(0)
            torch.set_default_device("meta")
            torch.autograd.set_detect_anomaly(True)
            os.chdir("/")
            os.environ["DEEPOBS_DTYPE"] = "float64"

    torch.manual_seed(7)
    config.set_fake_data(0.5)
    before = states()
    check_testproblem(Careless, only=["losses_are_finite_tensors"], raise_on_failure=False)
    assert states() == before


def states():
    return (
        torch.get_rng_state().tolist(),
        random.getstate(),
        str(np.random.get_state()),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        config.get_dtype(),
        config.get_fake_data_fraction(),
        torch.is_grad_enabled(),
        torch.is_anomaly_enabled(),
        Path.cwd(),
        os.environ.get("DEEPOBS_DTYPE"),
    )


def checked(problem, check):
    return check_testproblem(problem, only=[check], raise_on_failure=False)[check]


def assert_matches(pattern, text):
    import re

    assert re.search(pattern, text, re.DOTALL), f"{pattern!r} is not in {text!r}"
