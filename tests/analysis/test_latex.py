"""Tables for papers; those that compile them need TeX Live (`nox -s latex`)."""

from __future__ import annotations

import csv
import io
import re

import pytest
from latex_documents import compiled, what_is_missing
from result_files import write_result

from deepobs.cli.main import main
from deepobs_analysis import load
from deepobs_analysis.latex import Value, ValueColumn, escaped, table
from deepobs_analysis.performance_matrix import as_latex
from deepobs_analysis.summaries import summarize
from deepobs_analysis.winners import contenders

needs_latex = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing() or "-")

EVIL = 'x<script>\\end{table}&%_"|*$^~#{}`--\u4f18\N{SNOWMAN}\u00e9'


@pytest.fixture
def results(tmp_path):
    """On acme_mlp, Adam and Momentum are about equal and SGD is worse; one deep problem by loss."""
    ends = {"Adam": (0.93, 0.95, 0.94, 0.96), "Momentum": (0.94, 0.95, 0.93, 0.95), "SGD": (0.5,)}
    for optimizer, finals in ends.items():
        for seed, final in enumerate(finals * (4 // len(finals))):
            write_result(
                tmp_path,
                problem="acme_mlp",
                optimizer=optimizer,
                seed=seed,
                test_losses=[2, 1, 0.5],
                test_accuracies=[0.1, 0.2, final + 0.001 * seed],
            )
            write_result(
                tmp_path,
                problem="deep",
                optimizer=optimizer,
                seed=seed,
                test_losses=[100, 90, 87 + final + 0.01 * seed],
            )
    return tmp_path


@pytest.fixture
def shown(results, capsys):
    def call(command, *options, directory=results):
        code = main([command, str(directory), *options])
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


def write_accuracies(directory, problems, optimizers):
    """Three seeds of each optimizer on each problem, which end alike."""
    for problem in problems:
        for optimizer in optimizers:
            for seed, final in enumerate((0.9, 0.91, 0.92)):
                write_result(
                    directory,
                    problem=problem,
                    optimizer=optimizer,
                    seed=seed,
                    test_losses=[2, 1],
                    test_accuracies=[0.1, final],
                )


def rows_of(latex):
    """The cells of each row below the headings, by the name of the row."""
    body = latex.partition("\\midrule")[2].partition("\\bottomrule")[0]
    lines = [line.removesuffix(" \\\\") for line in body.splitlines() if "&" in line]
    return {line.split(" & ")[0]: line.split(" & ")[1:] for line in lines}


def test_problems_are_columns_and_optimizers_rows(shown):
    code, out, err = shown("table", "--format", "latex")
    assert (code, err) == (0, "")
    assert list(rows_of(out)) == ["Adam", "Momentum", "SGD"]
    assert r"{acme\_mlp} & {deep}" in out
    assert r"acc. / \% $\uparrow$" in out
    assert r"loss $\downarrow$" in out


def test_optimizers_can_be_the_columns(shown):
    _, out, _ = shown("table", "--format", "latex", "--layout", "optimizers")
    assert list(rows_of(out)) == [r"acme\_mlp", "deep"]
    assert "{Adam} & {Momentum} & {SGD}" in out
    assert r"accuracy in \% on acme\_mlp (higher is better); loss on deep (lower" in out


def test_all_numbers_of_a_column_have_the_same_decimals(results):
    for seed, final in enumerate((0.71, 0.81, 0.73, 0.74)):
        write_result(
            results,
            problem="acme_mlp",
            optimizer="Wild",
            seed=seed,
            test_losses=[2, 1, 0.5],
            test_accuracies=[0.1, 0.2, final],
        )
    cells = [row[0] for row in rows_of(as_latex(summarize(load(results)))).values()]
    numbers = [cell.removeprefix(r"\bfseries ").partition("(")[0] for cell in cells]
    assert len(numbers) == 4
    assert len({len(number.partition(".")[2]) for number in numbers}) == 1


def test_all_that_are_not_significantly_worse_are_bold_and_the_caption_says_so(results):
    rows = summarize(load(results))
    assert contenders(rows).of["acme_mlp"] == {"Adam", "Momentum"}
    latex = as_latex(rows)
    bold = {name: cells[0].startswith(r"\bfseries") for name, cells in rows_of(latex).items()}
    assert bold == {"Adam": True, "Momentum": True, "SGD": False}
    assert "all that are not significantly worse (5 \\%, tests paired where seeds agree" in latex
    assert "Holm's correction for 6 comparisons" in latex


def test_without_enough_seeds_only_the_best_is_bold_and_the_caption_says_why(tmp_path):
    for optimizer, final in (("Adam", 0.9), ("SGD", 0.8)):
        write_result(tmp_path, optimizer=optimizer, test_losses=[9, 1 - final])
    latex = as_latex(summarize(load(tmp_path)))
    assert latex.count(r"\bfseries") == 1
    assert "Bold: the best mean on each problem; tests need 3 seeds." in latex


def test_pairs_that_cannot_be_tested_are_no_contenders(results):
    write_result(results, problem="deep", optimizer="Few", test_losses=[100, 90, 87.6])
    found = contenders(summarize(load(results)))
    assert "Few" not in found.of["deep"]
    assert found.untested == ["deep"]
    write_result(results, problem="deep", optimizer="Few", seed=7, test_losses=[100, 90, 80.0])
    assert contenders(summarize(load(results))).of["deep"] == {"Few"}


def test_a_pair_that_was_not_run_and_seeds_that_fail_are_shown_as_such(tmp_path):
    for seed, final in enumerate((0.9, 0.91, 0.1)):
        accuracies = [0.1, final]
        write_result(
            tmp_path, problem="a", seed=seed, test_losses=[2, 1], test_accuracies=accuracies
        )
    write_result(tmp_path, problem="b", optimizer="Adam")
    latex = as_latex(summarize(load(tmp_path)))
    assert rows_of(latex)["SGD"] == [r"90.50(50){\textsuperscript{\dag}}", "{--}"]
    assert "Some seeds fail; the others are shown" in latex


def test_very_large_and_small_values_are_shown_in_powers_of_ten(tmp_path):
    for seed, final in enumerate((1.5e-7, 1.6e-7, 1.7e-7)):
        write_result(tmp_path, problem="small", seed=seed, test_losses=[1, final])
        write_result(tmp_path, problem="large", seed=seed, test_losses=[1e9, final * 1e14])
    latex = as_latex(summarize(load(tmp_path)))
    assert r"loss / $10^{-7}$" in latex
    assert r"loss / $10^{7}$" in latex
    assert rows_of(latex)["SGD"] == ["1.600(82)", "1.600(82)"]


def test_values_that_decimals_of_their_column_cannot_show_have_exponents(tmp_path):
    for seed, last in enumerate((0.11, 0.14, 0.18)):
        write_result(tmp_path, problem="acme", seed=seed, test_losses=[9, last])
        losses = [9, last * 1e-12]
        write_result(tmp_path, problem="acme", optimizer="Adam", seed=seed, test_losses=losses)
    latex = as_latex(summarize(load(tmp_path)))
    assert r"{\textbf{1.4e-13}}" in latex
    assert "0.143(29)" in latex


def test_what_does_not_fit_a_column_stands_below(tmp_path):
    names = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    write_accuracies(tmp_path, [f"{name}_mlp" for name in names], ["SGD"])
    latex = as_latex(summarize(load(tmp_path)))
    assert latex.count(r"\toprule") == 2
    # In two blocks, each has room for numbers that are easier to read.
    assert "separate-uncertainty=true" in latex


def test_one_wide_column_does_not_set_the_others_apart(tmp_path):
    write_accuracies(tmp_path, [f"problem_{place}" for place in range(6)], ["Adam", "SGD"])
    for seed, last in enumerate((1.0, 400.0, 900.0)):
        for name, final in (("Adam", 1 + 1e-6 * seed), ("NAdam", 2 + 1e-6 * seed), ("SGD", last)):
            losses = [2e3, final]
            write_result(tmp_path, problem="a_wide", optimizer=name, seed=seed, test_losses=losses)
    # Four columns have no room for the wide one; beside two others, it leaves four for below.
    assert as_latex(summarize(load(tmp_path))).count(r"\toprule") == 2


def test_a_table_that_no_page_holds_says_so(tmp_path):
    write_accuracies(tmp_path, ["one"], [f"Adam {place}" for place in range(48)])
    rows = summarize(load(tmp_path))
    assert "% About 561 points high without its caption, more than a page has" in as_latex(rows)
    assert "points high" not in as_latex(rows[:-1])


def test_four_problems_and_five_optimizers_take_one_column(tmp_path):
    problems = ["digits_logreg", "digits_mlp", "fmnist_logreg", "cifar10_3c3d"]
    write_accuracies(tmp_path, problems, ["Adam", "AdamW", "Momentum", "RMSprop", "SGD"])
    latex = as_latex(summarize(load(tmp_path)))
    assert latex.count(r"\toprule") == 1
    assert rows_of(latex)["Momentum"] == [r"\bfseries 91.0(8)"] * 4
    assert "In parentheses: deviations, in units of the last digit." in latex
    few = as_latex(summarize(load(tmp_path).only(problems=problems[:1])))
    assert rows_of(few)["Momentum"] == [r"\bfseries 91.00(82)"]
    assert "separate-uncertainty=true" in few


def test_what_other_layouts_cannot_show_is_refused(shown):
    code, _, err = shown("table", "--layout", "problems")
    assert (code, "--layout problems needs --format latex." in err) == (2, True)
    options = ("--format", "latex", "--layout", "optimizers", "--columns", "final")
    code, _, err = shown("table", *options)
    assert code == 2
    assert "shows test performances: omit --columns." in err


def test_a_table_for_papers_is_written_to_a_file(shown, tmp_path):
    assert shown("table", "--format", "latex", "-o", str(tmp_path / "a.tex"))[:2] == (0, "")
    assert (tmp_path / "a.tex").read_text().startswith("% Needs \\usepackage{booktabs}")


def test_text_that_pdflatex_does_not_know_does_not_stop_it():
    assert escaped('"--"\u4f18') == r"''-{}-''\texttt{U+4F18}"
    assert escaped("a\\b\n") == r"a\textbackslash{}b"


def test_scores_are_written_for_papers_notes_and_programs(shown):
    _, latex, _ = shown("score", "--format", "latex")
    assert "{Score}" in latex
    assert r"Bold: the best of a column" in latex
    assert latex.count(r"\toprule") == 1
    assert re.search(r"\d\.\d\d\{\$_\{0\.\d\d\}\^\{\d\.\d\d\}\$\}", latex)
    _, markdown, _ = shown("score", "--format", "markdown")
    assert markdown.splitlines()[1] == "| --- | ---: | ---: | ---: | ---: |"
    _, text, _ = shown("score", "--format", "csv")
    by_name = {row["optimizer"]: row for row in csv.DictReader(io.StringIO(text))}
    assert set(by_name) == {"Adam", "Momentum", "SGD"}
    assert (by_name["SGD"]["against"], by_name["Adam"]["against"]) == ("", "SGD")
    low, high = (float(by_name["Adam"][f"better_seed_{end}"]) for end in ("low", "high"))
    assert low < float(by_name["Adam"]["better_seed"]) <= high
    code, _, err = shown("score", "--format", "csv", "--json")
    assert (code, "Give --json or --format, not both." in err) == (2, True)


@needs_latex
@pytest.mark.parametrize(
    "options",
    [
        ("table",),
        ("table", "--layout", "optimizers"),
        ("table", "--layout", "rows", "--columns", "optimizer,final"),
        ("score",),
    ],
)
def test_tables_compile_and_fit_a_column(shown, tmp_path, options):
    _, latex, _ = shown(*options, "--format", "latex")
    assert compiled(latex, tmp_path / "article") == []


@needs_latex
def test_many_long_names_compile_and_fit_a_column(tmp_path):
    problems = ("wide_resnet_50_problem", "cifar100_all", "mnist_vae", "tolstoi_rnn")
    optimizers = ("Momentum, momentum = 0.99", "Adam", "SGD + CosineAnnealingLR")
    for problem in (*problems, "quadratic_deep", "a", "digits_mlp (epochs = 10)"):
        for place, optimizer in enumerate(optimizers):
            for seed in range(3):
                write_result(
                    tmp_path / "results",
                    problem=problem,
                    optimizer=optimizer,
                    seed=seed,
                    test_losses=[2e3, 1e3, 100 + 3 * place + 0.1234 * seed],
                    layout="1.2",
                )
    rows = summarize(load(tmp_path / "results"))
    for layout in ("problems", "optimizers"):
        assert compiled(as_latex(rows, layout), tmp_path / layout) == []


@needs_latex
def test_hostile_names_compile(tmp_path):
    column = ValueColumn(EVIL, "", [Value(1.0, 1, 0.1, (0.9, 1.1), is_bold=True), "--"])
    text = table([EVIL, "[1cm]"], [column], caption=escaped(EVIL), comments=[EVIL + "\n\\x"])
    compiled(text, tmp_path)
