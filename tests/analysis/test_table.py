"""`deepobs table`, in every format."""

from __future__ import annotations

import csv
import io

import pytest
from result_files import write_result

from deepobs.cli.main import main

EVIL = 'x<script>alert(1)</script>&_"|*'


@pytest.fixture
def results(tmp_path):
    """On acme, Adam is the best, at 0.85 with a deviation of 0.05."""
    for optimizer, finals in (("SGD", (0.5, 0.7)), ("Adam", (0.8, 0.9))):
        for seed, final in enumerate(finals):
            write_result(
                tmp_path / "results",
                problem="acme",
                optimizer=optimizer,
                seed=seed,
                test_losses=[2, 1, 0.5],
                test_accuracies=[0.1, 0.2, final],
            )
    return tmp_path / "results"


@pytest.fixture
def table(results, capsys):
    def shown(*options, directory=results):
        code = main(["table", str(directory), *options])
        output = capsys.readouterr()
        return code, output.out, output.err

    return shown


def test_a_terminal_shows_means_and_deviations(table):
    code, out, err = table()
    assert (code, err) == (0, "")
    heading, adam, sgd, empty, *_ = out.splitlines()
    assert empty == ""
    assert heading.split()[:4] == ["PROBLEM", "OPTIMIZER", "TEST", "PERFORMANCE"]
    assert "0.850 ± 0.050" in adam
    assert "0.60 ± 0.10" in sgd


def test_csv_has_all_numbers_in_full_precision(table):
    _, out, _ = table("--format", "csv")
    adam, sgd = csv.DictReader(io.StringIO(out))
    assert float(adam["final_mean"]) == (0.8 + 0.9) / 2
    assert float(sgd["final_deviation"]) == pytest.approx(0.1)
    assert (adam["seeds"], adam["chosen_by"], adam["loss_mean"]) == ("2", "test_accuracies", "0.5")
    assert adam["expected_best"] == ""


def test_the_best_of_each_problem_is_bold(table):
    columns = ("--columns", "optimizer,final")
    _, latex, _ = table("--format", "latex", *columns)
    assert r"Adam & \textbf{0.850 $\pm$ 0.050} \\" in latex
    assert r"SGD & 0.60 $\pm$ 0.10 \\" in latex
    assert latex.splitlines()[1:3] == [r"\begin{tabular}{lr}", r"\toprule"]
    _, markdown, _ = table("--format", "markdown", *columns)
    assert markdown.splitlines()[1:] == [
        "| --- | ---: |",
        "| Adam | **0.850 ± 0.050** |",
        "| SGD | 0.60 ± 0.10 |",
    ]
    _, html, _ = table("--format", "html", *columns)
    assert "<td><strong>0.850 ± 0.050</strong></td>" in html


def test_equal_values_are_all_bold(tmp_path, table):
    for optimizer, seeds in (("SGD", (1, 2, 3)), ("Adam", (3, 1, 2)), ("RMSprop", (1, 2, 3))):
        for seed, value in enumerate(seeds):
            accuracies = [0.1, 0.2 + value / 10 - (optimizer == "RMSprop") / 10]
            write_result(
                tmp_path / "equal",
                problem="acme",
                optimizer=optimizer,
                seed=seed,
                test_losses=[2, 1],
                test_accuracies=accuracies,
            )
    options = ("--format", "html", "--columns", "optimizer,accuracy", "--problem", "acme")
    _, html, _ = table(*options, directory=tmp_path / "equal")
    assert html.count("<strong>0.400 ± 0.082</strong>") == 2
    assert html.count("<strong>") == 2


def test_a_value_without_another_does_not_stand_out(tmp_path, table):
    write_result(tmp_path / "alone")
    _, html, _ = table("--format", "html", directory=tmp_path / "alone")
    assert "<strong>" not in html


def test_where_seeds_fail_the_others_are_shown_and_how_many_fail(tmp_path, table):
    for seed, final in enumerate((0.9, 0.91, 0.1)):
        write_result(
            tmp_path / "failing",
            problem="acme",
            seed=seed,
            test_losses=[2, 1],
            test_accuracies=[0.1, final],
        )
    _, out, _ = table(directory=tmp_path / "failing")
    assert "0.9050 ± 0.0050 (1 of 3 failed)" in out
    assert (
        "Where seeds failed, Test performance is over the others. All seeds decide what is best, "
        "and count in Epochs to target, Seeds and Diverged."
    ) in out
    _, out, _ = table("--format", "csv", directory=tmp_path / "failing")
    (row,) = csv.DictReader(io.StringIO(out))
    assert float(row["final_mean"]) == pytest.approx((0.9 + 0.91 + 0.1) / 3)
    assert (row["failed"], float(row["others_mean"])) == ("1", pytest.approx(0.905))


def test_lower_losses_are_better(tmp_path, table):
    for optimizer, loss in (("SGD", 1), ("Adam", 2)):
        write_result(tmp_path / "losses", optimizer=optimizer, test_losses=[9, 9, loss])
    _, html, _ = table("--format", "html", "--columns", "optimizer,loss", directory=tmp_path)
    assert "<td>SGD</td><td><strong>1.000</strong></td>" in html


def test_a_loss_without_the_regularizer_is_not_ranked_with_others(tmp_path, table):
    for optimizer, loss, is_bare in (("SGD", 1, True), ("Adam", 3, False), ("RMSprop", 2, False)):
        write_result(
            tmp_path / "bare", optimizer=optimizer, test_losses=[9, loss], bare_losses=is_bare
        )
    options = ("--format", "markdown", "--columns", "optimizer,loss,configuration")
    _, out, _ = table(*options, directory=tmp_path / "bare")
    assert out.splitlines()[2:] == [
        "| Adam | 3.000 | lr = 0.1, bare losses = false |",
        "| RMSprop | **2.000** | lr = 0.1, bare losses = false |",
        "| SGD | 1.000 | lr = 0.1, bare losses = true |",
    ]


def test_names_are_escaped(tmp_path, table):
    write_result(tmp_path / "evil", optimizer="SGD", problem=EVIL, lr=None)
    options = ("--columns", "problem", "--format")
    _, html, _ = table(*options, "html", directory=tmp_path / "evil")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    _, latex, _ = table(*options, "latex", directory=tmp_path / "evil")
    assert r"x\textless{}script\textgreater{}" in latex
    assert r"\&\_''\textbar{}{*}" in latex
    _, markdown, _ = table(*options, "markdown", directory=tmp_path / "evil")
    assert r"&lt;/script&gt;&amp;\_" in markdown
    assert r"\|\*" in markdown


def test_no_format_holds_what_controls_a_terminal(tmp_path, table):
    name = "[a]\x1b[31m\u202eb\nc"
    write_result(tmp_path / "evil", problem=name, optimizer="SGD")
    for name_of_format in ("text", "csv", "latex", "markdown", "html"):
        target = tmp_path / "table"
        table("--format", name_of_format, "-o", str(target), directory=tmp_path / "evil")
        written = target.read_text()
        assert not {"\x1b", "\u202e"} & set(written)
        assert "u202eb c" in written.replace(r" \\ ", " ")  # LaTeX breaks names into lines


def test_a_name_in_brackets_is_no_argument_of_latex(tmp_path, table):
    write_result(tmp_path / "brackets", problem="[1cm]", optimizer="SGD")
    options = ("--format", "latex", "--layout", "rows")
    _, latex, _ = table(*options, directory=tmp_path / "brackets")
    assert "\n{[}1cm] & SGD" in latex


def test_below_a_table_in_text_stands_what_its_numbers_are(table):
    _, out, _ = table()
    notes = out.partition("\n\n")[2]
    assert notes.startswith("Means ± population standard deviations over seeds.\n")
    assert "Epochs to target: mean epochs until the target is reached" in notes
    assert "The metric is accuracy on acme." in notes
    assert (
        "The target is 1 % worse than the median seed of the best optimizer of these results."
        in notes
    )
    assert "Nothing was selected: " in notes
    assert "Caveats (`deepobs report` explains them): Fewer than 3 seeds." in notes
    for name_of_format in ("csv", "latex", "markdown", "html"):
        _, out, err = table("--format", name_of_format)
        assert "Nothing was selected: " not in out
        assert err == ""


def test_configurations_chosen_on_the_test_set_are_told_below_a_table(tmp_path, table):
    for lr in (0.1, 0.2):
        for seed in (1, 2):
            write_result(tmp_path / "grid", optimizer="SGD", lr=lr, seed=seed)
    _, shown, _ = table(directory=tmp_path / "grid")
    table("-o", str(tmp_path / "file.txt"), directory=tmp_path / "grid")
    assert (tmp_path / "file.txt").read_text() == shown
    assert "on the test set, which makes the performance on it look too good." in shown
    assert (
        "Some of the seeds shown also selected the configuration, which flatters it: SGD." in shown
    )


def test_a_choice_on_validation_data_is_told_below_a_table(tmp_path, table):
    for lr in (0.1, 0.2):
        write_result(tmp_path / "grid", lr=lr, valid_losses=[2, 1, 1])
    _, out, _ = table(directory=tmp_path / "grid")
    assert "were selected by the loss on validation data." in out
    assert "too good" not in out


def test_a_table_is_written_to_a_file(tmp_path, table):
    target = tmp_path / "new" / "table.md"
    code, out, _ = table("--format", "markdown", "-o", str(target))
    assert (code, out) == (0, "")
    assert target.read_text().startswith("| Problem |")
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path, table):
    (tmp_path / "file").write_text("")
    code, _, err = table("-o", str(tmp_path / "file" / "table.txt"))
    assert code == 2
    assert "table.txt: File exists" in err


def test_an_unknown_column_is_refused(table):
    code, _, err = table("--columns", "problem,acuracy")
    assert code == 2
    assert "There is no column 'acuracy'. Did you mean 'accuracy'?" in err


def test_a_table_without_columns_is_refused(table):
    code, _, err = table("--columns", ",")
    assert code == 2
    assert "A table needs a column. Known: problem, optimizer," in err


def test_a_reference_set_without_runs_is_refused(tmp_path, table):
    (tmp_path / "nothing").mkdir()
    code, _, err = table("--reference", str(tmp_path / "nothing"))
    assert code == 2
    assert "no run in" in err
    assert "to compare with" in err


def test_a_reference_set_of_other_problems_is_told(tmp_path, table):
    write_result(tmp_path / "others", problem="other")
    code, out, err = table("--reference", str(tmp_path / "others"))
    assert (code, "reference" in out) == (0, False)
    assert err == "Warning: The reference set has none of these problems.\n"


def test_a_part_is_shown(table):
    _, out, _ = table("--optimizer", "Adam")
    assert "SGD" not in out
