"""Results in Python and notebooks: short texts, tables and tidy curves."""

from __future__ import annotations

import pytest
from result_files import write_result

import deepobs
from deepobs.errors import ArgumentError
from deepobs_analysis import load

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def results(tmp_path):
    write_result(tmp_path, optimizer="SGD", seed=1, test_losses=[3, 2, 1], steps=20)
    write_result(
        tmp_path,
        problem="other",
        optimizer="Adam",
        label="Adam, slow",
        hyperparameters={"betas": [0.9, 0.99]},
        test_losses=[3, 2],
        test_accuracies=[0.1, 0.2],
        valid_losses=[3, 2.5],
    )
    return load(tmp_path)


def test_results_say_what_they_hold_in_a_line_and_a_table(results):
    assert repr(results) == "Results(2 runs of Adam, slow, SGD on other, quadratic_deep)"
    html = results._repr_html_()
    assert repr(results) in html
    assert "quadratic_deep</th><td" in html
    assert len(html) < 3000


def test_html_of_results_is_escaped(tmp_path):
    write_result(tmp_path, problem="p", testproblem=EVIL, optimizer="o", optimizer_name=EVIL)
    results = load(tmp_path)
    assert "<script" not in results._repr_html_() + deepobs.table(results)._repr_html_()


def test_curves_have_a_row_for_each_value(results):
    curves = results.curves()
    assert list(curves.columns) == [
        *("problem", "optimizer", "label", "hyperparameters", "seed"),
        *("epoch", "step", "split", "metric", "value"),
    ]
    # Losses of training and test set; those and accuracies, and the loss of the validation set.
    assert len(curves) == 2 * 3 + 5 * 2
    one = curves[(curves["optimizer"] == "SGD") & (curves["split"] == "test")]
    assert one["value"].tolist() == [3, 2, 1]
    assert one["epoch"].tolist() == [0, 1, 2]
    assert set(one["hyperparameters"]) == {"lr=0.1"}
    other = curves[curves["problem"] == "other"]
    assert set(other["label"]) == {"Adam, slow"}
    assert set(other["hyperparameters"]) == {"betas=[0.9, 0.99], lr=0.1"}
    means = curves.groupby(["problem", "optimizer", "split", "metric"])["value"].mean()
    assert means["other", "Adam", "valid", "loss"] == 2.75


def test_no_runs_have_no_curves(tmp_path):
    results = load(tmp_path)
    assert results.curves().empty
    assert repr(results) == "Results(no runs)"


def test_the_table_is_that_of_the_command_and_has_the_numbers(results, tmp_path):
    table = deepobs.table(results)
    assert repr(table) == repr(deepobs.table(str(tmp_path)))
    heading, adam, sgd = repr(table).splitlines()
    assert heading.startswith("PROBLEM")
    assert adam.startswith("other")
    assert sgd.startswith("quadratic_deep  SGD")
    assert table.frame["final_mean"].tolist() == [0.2, 1]
    names = repr(deepobs.table(results, columns=["optimizer"])).splitlines()
    assert [name.strip() for name in names] == ["OPTIMIZER", "Adam, slow", "SGD"]


def test_loaded_results_take_no_options_of_loading(results):
    with pytest.raises(ArgumentError, match="got code besides"):
        deepobs.table(results, code="all")
