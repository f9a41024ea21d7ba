"""Transcripts: the experiment is the unit of analysis, and reports keep tuning honest."""

from __future__ import annotations

import csv
import io
import json
import statistics
from typing import TYPE_CHECKING

import pytest
from transcripts import Terminal

if TYPE_CHECKING:
    from pathlib import Path

ABLATION = """
problems = ["quadratic_deep"]
seeds = "1..3"
[defaults]
epochs = 1
[optimizers."Momentum 0.5"]
class = "Momentum"
hyperparameters = { lr = 0.01, momentum = 0.5 }
[optimizers."Momentum 0.9"]
class = "Momentum"
hyperparameters = { lr = 0.01, momentum = 0.9 }
[optimizers."slow dampened"]
class = "Momentum"
hyperparameters = { lr = 0.001, momentum = 0.9, dampening = 0.5 }
"""
GRID = """
problems = ["quadratic_deep"]
seeds = "1..3"
[defaults]
epochs = 1
[optimizers.Momentum]
grid = { lr = [0.001, 0.01], momentum = [0.5, 0.9] }
"""
TUNED = """
problems = ["quadratic_deep"]
[defaults]
epochs = 1
[optimizers.SGD.tune]
sampler = "grid"
space = { lr = "0.001,0.01" }
report_seeds = [1, 2, 3]
"""
BENCH = "deepobs bench experiment.toml --jobs 1 --no-estimate"


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in an empty directory, with a cache of its own."""
    monkeypatch.setenv("DEEPOBS_CACHE_DIR", str(tmp_path / "cache"))
    return Terminal(tmp_path)


def rows(terminal: Terminal, of: str) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of `deepobs table`, by problem and optimizer."""
    terminal.type(f"deepobs table {of} --format csv --output table.csv")
    text = (terminal.directory / "table.csv").read_text(encoding="utf-8")
    return {(row["problem"], row["optimizer"]): row for row in csv.DictReader(io.StringIO(text))}


def test_labels_of_an_experiment_are_rows_everywhere(terminal: Terminal) -> None:
    """Before: all three were "Momentum", of which tables and figures showed the best one.

    Now what the experiment calls them is in the results, and is a row of tables, scores, figures
    and reports, also of the directory.
    """
    labels = ["Momentum 0.5", "Momentum 0.9", "slow dampened"]
    terminal.save("experiment.toml", ABLATION)
    terminal.type(BENCH)
    for of in ("results", "experiment.toml"):
        assert [optimizer for _, optimizer in rows(terminal, of)] == labels
    score = terminal.type("deepobs score results")
    assert all(f"\n{label} " in score for label in labels)
    terminal.type("deepobs report experiment.toml")
    terminal.type("deepobs plot performance results --output figure.svg")
    for name in ("report.html", "figure.svg"):
        drawn = (terminal.directory / name).read_text(encoding="utf-8")
        assert all(label in drawn for label in labels)


def test_ablations_are_split_by_what_they_vary(terminal: Terminal) -> None:
    """Before: one row with the best of all four configurations.

    Now `--by momentum` gives a row for each momentum, with the best learning rate of each.
    """
    terminal.save("experiment.toml", GRID)
    terminal.type(BENCH)
    table = rows(terminal, "results")
    assert list(table) == [("quadratic_deep", "Momentum")]
    table = rows(terminal, "results --by momentum")
    assert [(each["optimizer"], each["configurations"]) for each in table.values()] == [
        ("Momentum, momentum = 0.5", "2"),
        ("Momentum, momentum = 0.9", "2"),
    ]
    mistyped = terminal.type("deepobs table results --by momentun", status=2)
    assert "Did you mean 'momentum'?" in mistyped


def test_an_experiment_file_takes_exactly_its_runs_as_it_is_now(terminal: Terminal) -> None:
    """Before: after an edit, old runs with more seeds won, and other epochs were averaged in.

    Now the file takes the runs that it has now, and says which are pending; the directory takes
    all, with a row and a caveat for each protocol.
    """
    terminal.save("experiment.toml", ABLATION)
    terminal.type(BENCH)
    longer = (("epochs = 1", "epochs = 2"), ('"1..3"', "[1, 2]"))
    terminal.save("experiment.toml", ABLATION, *longer)
    terminal.type(BENCH)
    table = rows(terminal, "experiment.toml")
    assert {problem for problem, _ in table} == {"quadratic_deep"}
    assert {each["seeds"] for each in table.values()} == {"2"}
    everything = terminal.type("deepobs table results --columns problem,optimizer,seeds")
    assert "quadratic_deep was run under several protocols" in everything
    assert "Problems were run under several protocols" in everything
    found = {problem: each["seeds"] for (problem, _), each in rows(terminal, "results").items()}
    assert found == {"quadratic_deep (epochs = 1)": "3", "quadratic_deep (epochs = 2)": "2"}
    terminal.save("experiment.toml", ABLATION, longer[0])
    said = terminal.type("deepobs table experiment.toml")
    assert "3 of 9 runs of the experiment have no result yet" in said


def test_a_tuned_optimizer_is_shown_with_its_report_seeds_alone(terminal: Terminal) -> None:
    """Before: `bench` said one mean over the report's seeds, `table` another with those of trials.

    Now they agree, the report says how the optimizer was tuned, and `--selection-seeds include`
    counts the seeds of trials, too.
    """
    terminal.save("experiment.toml", TUNED)
    benched = terminal.type(BENCH)
    records = [json.loads(path.read_text()) for path in terminal.results()]
    losses = {
        record["random_seed"]: record["test_losses"][-1]
        for record in records
        if record["optimizer_hyperparams"]["lr"] == 0.01
    }
    reported = [loss for seed, loss in sorted(losses.items()) if seed != 42]
    assert len(losses) == 4 and f"loss {statistics.fmean(reported):.4g}" in benched
    for of in ("experiment.toml", "results"):
        (row,) = rows(terminal, of).values()
        assert (row["seeds"], float(row["final_mean"])) == ("3", statistics.fmean(reported))
    (row,) = rows(terminal, "results --selection-seeds include").values()
    assert (row["seeds"], float(row["final_mean"])) == ("4", statistics.fmean(losses.values()))
    terminal.type("deepobs report experiment.toml")
    page = (terminal.directory / "report.html").read_text(encoding="utf-8")
    for said in ("How SGD was tuned", "grid", "42", "1, 2 and 3"):
        assert said in page, said
