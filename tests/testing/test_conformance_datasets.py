"""Every check of data sets catches one that is broken in just this way."""

from __future__ import annotations

import re

import broken_datasets as datasets
import pytest

from deepobs_testing import check_dataset
from deepobs_testing._checks import CHECKS

CAUGHT = {
    "it_can_be_built": [
        (datasets.WithoutTestLoader, "lacks some of .*test_loader", "deepobs.data.TensorDataSet"),
        (datasets.Exits, r"sys.exit\(3\)", "broken_datasets.py, line"),
    ],
    "its_constructor_takes_the_arguments_of_the_protocol": [
        (datasets.OfPositionalArguments, "validation_size=0.*TypeError", "drop_remainder=True")
    ],
    "invalid_arguments_are_rejected": [
        (datasets.TakesAnything, "batch_size=0 and .*batch_size=1000000000", "ArgumentError")
    ],
    "its_status_is_reported": [
        (datasets.StateOfAnotherKind, "status returns .*ready, embedded or missing", "DataStatus")
    ],
    "its_batches_are_tuples_of_tensors_on_the_device": [
        (datasets.Lists, "train_loader yields a list", "Yield")
    ],
    "its_batches_have_the_requested_size": [
        (datasets.HalfBatches, "batch_size=4, the first training batch has 2 examples", "too large")
    ],
    "its_loaders_are_sized_and_can_be_read_again": [
        (datasets.UsedUp, r"len\(test_loader|len\(train_eval_loader", "used up")
    ],
    "its_batches_have_one_shape_and_type": [
        (datasets.IntegersInEvaluation, "Batch 1 of train_eval_loader .*int32", "one shape")
    ],
    "its_evaluation_batches_are_the_same_in_every_pass": [
        (datasets.ShuffledEvaluation, "is different in the second pass", "shuffle")
    ],
    "the_last_batch_is_dropped_or_kept_as_requested": [
        (
            datasets.AlwaysDrops,
            "drop_remainder=False, test_loader drops the last, smaller batch",
            "Yield",
        ),
        (datasets.NeverDrops, "drop_remainder=True, test_loader yields a batch of 1", "Drop"),
    ],
    "what_is_evaluated_is_the_same_for_every_seed": [
        (datasets.TestsBySeed, "seeds 1 and 2, 20 of 20 examples of test_loader differ", "fixed")
    ],
    "test_examples_are_never_trained_on": [
        (datasets.TestsOnTraining, "of 20 examples that test_loader yields", "skip this check")
    ],
    "held_out_examples_are_never_trained_on": [
        (datasets.TrainsOnHeldOut, "8 of 8 examples", "Take the held-out"),
        (
            datasets.HoldsOutTwice,
            "size=8, valid_loader yields 16 examples",
            "at most validation_size",
        ),
        (datasets.HoldsOutTests, "20 of 20 examples that valid_loader yields are test", "Hold out"),
    ],
    "held_out_examples_are_the_same_for_every_seed": [
        (datasets.HoldsOutBySeed, "of 8 held-out examples differ", "fixed seed")
    ],
    "the_order_of_training_follows_the_seed": [
        (datasets.OrderByChance, "Built twice with the seed 1, the training batches", "global one"),
        (datasets.OwnOrder, "seeds 1 and 2 give the same order", "several orders"),
    ],
    "every_pass_has_a_new_order": [
        (datasets.OneOrder, "second pass over train_loader has the order of the first", "__iter__")
    ],
    "reshuffle_false_keeps_the_order": [
        (datasets.AlwaysReshuffles, "reshuffle=False, the second pass .* another order", "Keep")
    ],
    "building_it_leaves_global_rngs_alone": [
        (datasets.SeedsNumPy, "global RNG of random", "generator of its own"),
        (datasets.SeedsTorch, r"torch.rand gives 0\.\d+ for both", "Do not call torch.manual_seed"),
    ],
    "its_batches_follow_the_chosen_floating_point_type": [
        (datasets.OnlyFloat32, "batches hold torch.float32", r"config.get_dtype\(\)"),
        (datasets.AlwaysDouble, r"dtype\(torch.float32\), batches hold torch.float64", "get_dtype"),
    ],
}
CASES = [(check, *case) for check, cases in CAUGHT.items() for case in cases]

NEED_MORE = {
    "embedded_data_need_no_network",
    "its_synthetic_data_have_the_same_shapes",
    "it_works_on_the_accelerator",
}
"""What takes a description, a twin or a machine to fail."""


@pytest.mark.parametrize(
    ("check", "dataset", "reason", "remedy"), CASES, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_broken_data_set_is_caught(check, dataset, reason, remedy):
    result = check_dataset(dataset, only=[check], raise_on_failure=False)[check]
    assert result.outcome == "failed"
    assert re.search(reason, result.reason), result.reason
    assert re.search(remedy, result.remedy), result.remedy


def test_every_check_is_seen_to_fail():
    all_checks = {c.name for c in CHECKS["data set"] if not c.is_of_the_description}
    assert all_checks == CAUGHT.keys() | NEED_MORE


def test_a_sound_data_set_that_derives_from_nothing_of_ours_passes():
    report = check_dataset(datasets.Sound)
    assert not report.failures
    assert {r.check for r in report.having("skipped")} == {*NEED_MORE, "its_status_is_reported"}
