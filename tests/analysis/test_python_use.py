"""Results in Python and notebooks: short texts, tables and tidy curves."""

from __future__ import annotations

from html import escape

import pytest
from result_files import write_result, write_seeds

import deepobs
from deepobs.errors import ArgumentError, UnknownNameError
from deepobs_analysis import load
from deepobs_analysis.caveats import caveats
from deepobs_analysis.plots.curves import performance
from deepobs_analysis.report import report
from deepobs_analysis.scores import scores_of
from deepobs_analysis.selection import select
from deepobs_analysis.summaries import as_frame, summarize
from deepobs_analysis.winners import contenders, winners

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
    assert repr(results) == "Results(2 runs of 'Adam, slow', SGD on other, quadratic_deep)"
    html = results._repr_html_()
    assert escape(repr(results)) in html
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


def test_the_table_shows_its_notes_in_a_notebook(tmp_path):
    write_seeds(tmp_path, "SGD", [1.0, 1.1, 9.0])
    write_result(tmp_path, problem="fake", optimizer="SGD", fake_data=True)
    table = deepobs.table(tmp_path)
    html = table._repr_html_()
    assert "(1 of 3 failed)" in html
    for words in ("standard deviations", "The target is", "Some seeds fail", "synthetic data"):
        assert words in " ".join(table.notes)
    assert html.count("<br>") >= len(table.notes) - 1


def test_a_comparison_is_its_table_and_html_with_notes(tmp_path):
    write_seeds(tmp_path, "SGD", [2.0, 2.2, 1.9])
    write_seeds(tmp_path, EVIL, [1.0, 1.1, 0.9])
    comparison = deepobs.compare("SGD", EVIL, tmp_path)
    heading, row = repr(comparison).splitlines()
    assert heading.startswith("PROBLEM")
    assert row.startswith("acme") and row.endswith("is better")
    html = comparison._repr_html_()
    assert "<script" not in html
    assert "probability that a seed" in html
    assert '<th style="text-align: left">SGD</th>' in html
    assert len(html) < 5000


def test_rows_and_selections_have_short_texts(results):
    assert repr(summarize(results)[1]) == "Summary(SGD on quadratic_deep, loss 1 ± 0, 1 seed)"
    assert repr(select(results)[1]) == "Selection(SGD on quadratic_deep, lr = 0.1, 1 seed)"


def test_scores_are_a_table(tmp_path):
    write_seeds(tmp_path, "SGD", [2.0, 2.2, 1.9])
    write_seeds(tmp_path, "Mine", [1.0, 1.1, 0.9])
    scores = deepobs.score(tmp_path)
    assert repr(scores) == repr(scores_of(load(tmp_path)))
    heading, *lines = repr(scores).splitlines()
    assert heading.startswith("OPTIMIZER")
    assert {line.split()[0] for line in lines} == {"Mine", "SGD"}
    assert "area under the performance profile" in scores._repr_html_()


def test_figures_and_the_report_are_those_of_the_commands(results, tmp_path):
    figure = deepobs.plot("performance", results, highlight="SGD")
    assert figure.get_size_inches().tolist() == performance(results).get_size_inches().tolist()
    file = deepobs.report(tmp_path, tmp_path / "page.html", title="Mine")
    assert file.read_text() == report(results, title="Mine")
    with pytest.raises(UnknownNameError, match="Did you mean 'performance'"):
        deepobs.plot("perfomance", results)
    with pytest.raises(ArgumentError, match="no option 'hilight'"):
        deepobs.plot("performance", results, hilight="SGD")


def test_what_takes_rows_takes_results(results):
    rows = summarize(results)
    assert list(winners(results)) == list(winners(rows))
    assert contenders(results) == contenders(rows)
    assert caveats(results) == caveats(rows)
    assert as_frame(results).equals(as_frame(rows))


@pytest.mark.parametrize("function", [scores_of, winners, contenders, caveats, as_frame])
@pytest.mark.parametrize("given", ["results", None, 3, [1], {"rows": []}])
def test_what_is_neither_rows_nor_results_is_refused(function, given):
    with pytest.raises(ArgumentError, match="Results, or rows as `summarize` returns them"):
        function(given)


@pytest.mark.parametrize("function", [summarize, select, report, performance])
@pytest.mark.parametrize("given", ["results", None, [1]])
def test_what_is_not_results_is_refused(function, given):
    with pytest.raises(ArgumentError, match=r"Results are needed, as `deepobs\.load"):
        function(given)


def test_other_arguments_of_the_wrong_kind_are_refused(results):
    with pytest.raises(ArgumentError, match=r"Results are needed.*got a str, 'published'"):
        results.beside("published")
    with pytest.raises(ArgumentError, match=r"Targets are a dictionary.*got a float, 0.9"):
        results.with_targets(0.9)
    for given in ((results, "SGD"), ("SGD", "Adam", results)):
        with pytest.raises(ArgumentError, match=r"names of two optimizers.*got a Results"):
            deepobs.compare(*given)
    with pytest.raises(ArgumentError, match=r"loaded from the path.*got a Results"):
        load(results)


def test_a_single_name_needs_no_list(results, tmp_path):
    assert results.only(problems="other").problems == ["other"]
    assert repr(deepobs.table(results, columns="optimizer, seeds")).startswith("OPTIMIZER")
    assert load(tmp_path, by="lr").optimizers == load(tmp_path, by=["lr"]).optimizers
    pair = deepobs.compare("SGD", "SGD", tmp_path, problems="quadratic_deep")
    assert [each.problem for each in pair.matches] == ["quadratic_deep"]


def test_names_that_hold_commas_are_quoted_where_names_are_listed(results):
    with pytest.raises(UnknownNameError, match="Known: 'Adam, slow', SGD"):
        results.only(optimizers=["Adm"])
    with pytest.raises(UnknownNameError, match="Known: 'Adam, slow', SGD"):
        scores_of(results, against="Adm")
    with pytest.raises(UnknownNameError, match="Known: 'Adam, slow', SGD"):
        performance(results, highlight="Adm")


def test_tables_in_notebooks_say_what_bold_means(tmp_path):
    write_seeds(tmp_path, "SGD", [2.0, 2.2, 1.9, 2.01])
    write_seeds(tmp_path, "Adam", [1.0, 1.2, 0.9, 1.01])
    write_seeds(tmp_path, "Mine", [1.2, 1.0, 1.02, 0.91])
    html = deepobs.table(tmp_path)._repr_html_()
    assert "Bold: the best mean of each problem." in html
    assert (
        "Of the others, not significantly worse in test performance, after correction for 3 "
        "comparisons (5 %, Holm): 1 of 2."
    ) in html
