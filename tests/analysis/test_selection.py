"""Which configuration stands for an optimizer."""

from __future__ import annotations

import pandas as pd
import pytest
from pandas.testing import assert_series_equal
from result_files import write_result

from deepobs.errors import ArgumentError
from deepobs_analysis import load, select
from deepobs_analysis.run_rows import rows_of_pair
from deepobs_analysis.selection import configuration_performances


def the_only(selections):
    (selection,) = selections
    return selection


def lr_of(selection):
    return selection.hyperparameters["lr"]


@pytest.fixture
def grid(tmp_path):
    """0.1 is best at the end, 0.2 in between, and 0.3 ran with the most seeds."""
    write_result(tmp_path, lr=0.1, test_losses=[9, 5, 1])
    write_result(tmp_path, lr=0.2, test_losses=[9, 0.5, 4])
    write_result(tmp_path, lr=0.3, test_losses=[9, 7, 6], seed=42)
    write_result(tmp_path, lr=0.3, test_losses=[9, 7, 8], seed=43)
    return tmp_path


@pytest.mark.parametrize(("mode", "lr"), [("final", 0.1), ("best", 0.2), ("most", 0.3)])
def test_each_rule_chooses_its_own_configuration(grid, mode, lr):
    selection = the_only(select(load(grid), mode=mode))
    assert lr_of(selection) == lr
    assert selection.configurations == 3


def test_a_selection_holds_all_seeds_of_its_configuration(grid):
    selection = the_only(select(load(grid)))
    assert list(selection.runs["seed"]) == [42, 43]
    assert selection.final().tolist() == [6, 8]
    assert selection.best("train").tolist() == [6, 7]
    assert selection.curves().tolist() == [[9, 7, 6], [9, 7, 8]]


def test_curves_of_a_selection_can_be_changed_without_changing_it(grid):
    selection = the_only(select(load(grid)))
    selection.curves()[:] = 0
    assert selection.curves().tolist() == [[9, 7, 6], [9, 7, 8]]
    assert selection.final().tolist() == [6, 8]


def test_rows_of_a_selection_are_its_runs_with_plain_numbers(grid):
    selection = the_only(select(load(grid)))
    for name in selection.runs.columns:
        assert_series_equal(
            pd.Series(selection.rows[name], dtype=selection.runs[name].dtype, name=name),
            selection.runs[name].reset_index(drop=True),
        )
    assert [type(seed) for seed in selection.rows.each("seed")] == [int, int]


def test_of_configurations_with_as_many_seeds_the_best_mean_is_chosen(tmp_path):
    for lr, finals in ((0.1, (1, 8)), (0.2, (4, 4))):
        for seed, value in enumerate(finals):
            write_result(tmp_path, lr=lr, seed=seed, test_losses=[9, value])
    assert lr_of(the_only(select(load(tmp_path)))) == 0.2


def test_an_accuracy_is_better_the_higher_it_is(tmp_path):
    for lr, value in ((0.1, 0.8), (0.2, 0.9), (0.3, 0.7)):
        write_result(
            tmp_path, problem="acme", lr=lr, test_losses=[1, lr], test_accuracies=[0.1, value]
        )
    selection = the_only(select(load(tmp_path)))
    assert (lr_of(selection), selection.metric.name) == (0.2, "accuracy")
    assert lr_of(the_only(select(load(tmp_path), by="test_losses"))) == 0.1


@pytest.mark.parametrize("layout", ["1.1", "1.2"])
@pytest.mark.parametrize("mode", ["final", "best", "most"])
def test_a_run_that_diverged_never_wins(tmp_path, layout, mode):
    nan = float("nan")
    write_result(tmp_path, layout=layout, lr=0.1, test_losses=[9, 8, 7])
    write_result(tmp_path, layout=layout, lr=10.0, test_losses=[9, nan, nan])
    write_result(tmp_path, layout=layout, lr=100.0, test_losses=[9, 1, nan])
    assert lr_of(the_only(select(load(tmp_path), mode=mode))) == 0.1


def test_seeds_that_diverged_count_less_than_seeds_that_completed(tmp_path):
    nan = float("nan")
    for seed in (1, 2):
        write_result(tmp_path, lr=0.1, seed=seed, test_losses=[9, 8])
        losses = [9, nan] if seed == 2 else [9, 1]
        write_result(tmp_path, layout="1.2", lr=0.2, seed=seed, test_losses=losses)
    assert lr_of(the_only(select(load(tmp_path), mode="most"))) == 0.1


def test_validation_data_decide_and_the_test_set_is_reported(tmp_path):
    write_result(tmp_path, lr=0.1, test_losses=[9, 1], valid_losses=[9, 5])
    write_result(tmp_path, lr=0.2, test_losses=[9, 2], valid_losses=[9, 4])
    selection = the_only(select(load(tmp_path)))
    assert (lr_of(selection), selection.chosen_by) == (0.2, "valid_losses")
    assert selection.final().tolist() == [2]
    assert not selection.was_chosen_on_test
    on_test = the_only(select(load(tmp_path), by="test_losses"))
    assert (lr_of(on_test), on_test.was_chosen_on_test) == (0.1, True)


def test_without_a_choice_nothing_was_chosen_on_the_test_set(tmp_path):
    write_result(tmp_path)
    assert not the_only(select(load(tmp_path))).was_chosen_on_test


def test_runs_without_the_metric_are_left_out(tmp_path):
    write_result(tmp_path, problem="acme", lr=0.1, test_accuracies=None, layout="1.2")
    write_result(tmp_path, problem="acme", lr=0.2, test_accuracies=[0.1, 0.2, 0.3], layout="1.2")
    write_result(tmp_path, problem="acme", optimizer="Adam", test_accuracies=None, layout="1.2")
    selection = the_only(select(load(tmp_path)))
    assert (selection.optimizer, lr_of(selection)) == ("SGD", 0.2)


def test_nothing_is_selected_of_nothing(tmp_path):
    assert select(load(tmp_path)) == []


def test_configurations_are_compared_by_their_means(grid):
    runs = rows_of_pair(load(grid), "quadratic_deep", "SGD")
    found = configuration_performances(runs, "test_losses").values()
    assert [each.mean for each in found] == [1, 4, 7]
    assert [each.seeds for each in found] == [1, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "worst"}, "most, final, best; got 'worst'"),
        ({"by": "test_accuracy"}, "There is no curve 'test_accuracy'.*mean 'test_accuracies'"),
    ],
)
def test_unknown_rules_and_curves_are_refused(tmp_path, options, message):
    with pytest.raises(ArgumentError, match=message):
        select(load(tmp_path), **options)


def test_a_curve_that_some_runs_lack_is_refused(tmp_path):
    write_result(tmp_path)
    with pytest.raises(ArgumentError, match="SGD on quadratic_deep have no valid_losses"):
        the_only(select(load(tmp_path))).final("valid")


def test_the_same_seeds_in_another_order_are_a_tie(tmp_path):
    for lr, finals in ((0.1, (0.1, 0.2, 0.7)), (0.2, (0.7, 0.1, 0.2))):
        for seed, final in enumerate(finals):
            write_result(tmp_path, lr=lr, seed=seed, test_losses=[9, final])
    runs = rows_of_pair(load(tmp_path), "quadratic_deep", "SGD")
    first, second = configuration_performances(runs, "test_losses").values()
    assert first.mean == second.mean
