"""Transcripts: comparisons by seed and protocol, and missed targets that flatter nobody."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING

import pytest
from transcripts import Terminal

if TYPE_CHECKING:
    from pathlib import Path

EXPERIMENT = """
problems = ["quadratic_deep", "two_d_branin"]
seeds = "1..3"
[defaults]
epochs = 1
[optimizers.SGD]
hyperparameters.lr = 0.01
[optimizers."heavy ball"]
class = "Momentum"
hyperparameters = { lr = 0.01, momentum = 0.5 }
[optimizers.Momentum]
hyperparameters = { lr = 0.01, momentum = 0.9 }
"""
BENCH = "deepobs bench experiment.toml --jobs 1 --no-estimate"
PUBLISHED = "deepobs run quadratic_deep Momentum --lr 0.01 -o momentum=0.99 --out published"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A terminal in a directory with the results of an experiment, and of somebody else."""
    terminal = Terminal(tmp_path_factory.mktemp("comparisons"))
    terminal.save("experiment.toml", EXPERIMENT)
    terminal.type(BENCH)
    terminal.type(f"{PUBLISHED} --epochs 2 --seed 4")
    return terminal


@pytest.fixture(autouse=True)
def published(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of somebody else are the published results; each test has a cache of its own."""
    monkeypatch.setenv("DEEPOBS_BASELINE_DIR", str(terminal.directory / "published"))
    monkeypatch.setenv("DEEPOBS_CACHE_DIR", str(tmp_path / "cache"))


def losses(terminal: Terminal, label: str) -> list[float]:
    """The final losses of an optimizer on quadratic_deep, by seed."""
    records = [json.loads(path.read_text()) for path in terminal.results()]
    return [
        record["test_losses"][-1]
        for record in sorted(records, key=lambda record: record["random_seed"])
        if record["testproblem"] == "quadratic_deep"
        and (record["label"] or record["optimizer_name"]) == label
    ]


def test_two_optimizers_are_compared_seed_by_seed(terminal: Terminal) -> None:
    """Before: there was no way to ask which of two is better, and how certain that is.

    Now `compare` gives the difference paired by seed, its interval, and how probable it is that a
    seed of the first is better, per problem and over all.
    """
    said = terminal.type("deepobs compare 'heavy ball' SGD")
    assert "quadratic_deep" in said and "two_d_branin" in said
    assert "paired by shared seeds" in said
    assert "Over 2 comparisons: heavy ball has the better mean in" in said
    alone = "deepobs compare 'heavy ball' SGD --on quadratic_deep --json"
    (match,) = json.loads(terminal.type(alone))["matches"]
    pairs = zip(losses(terminal, "heavy ball"), losses(terminal, "SGD"), strict=True)
    difference = statistics.fmean(theirs - own for own, theirs in pairs)
    assert match["is_paired"] and match["difference"]["value"] == pytest.approx(difference)


def test_published_results_are_compared_by_protocol(terminal: Terminal) -> None:
    """Before: published Momentum 0.99 stood beside Momentum 0.9, of other epochs, without a word.

    Now rows name what differs, and other budgets are compared on request only.
    """
    refused = terminal.type("deepobs compare Momentum 'Momentum (published)'", status=2)
    assert "other protocols (epochs 1 and 2)" in refused
    across = terminal.type("deepobs compare Momentum 'Momentum (published)' --across-protocols")
    assert "epochs 1 against 2; momentum 0.9 against 0.99" in across
    table = terminal.type("deepobs table results --optimizer Momentum --reference")
    (row,) = [line for line in table.splitlines() if "Momentum (published)" in line]
    assert row.startswith("quadratic_deep (epochs = 2)")
    together = terminal.type("deepobs table results --reference --across-protocols")
    (row,) = [line for line in together.splitlines() if "Momentum (published)" in line]
    assert row.startswith("quadratic_deep ")
    assert "epochs 2 (yours: 1); momentum 0.99 (yours: 0.9)" in row


def test_missed_targets_give_no_number_that_flatters(terminal: Terminal) -> None:
    """Before: a speedup over the problems that both solve, and mean times of the lucky seeds.

    Now the cell says on how many problems, and by how many seeds, the target is reached.
    """
    of_quadratic = "quadratic_deep=106.3"
    score = terminal.type(f"deepobs score results --target {of_quadratic} --target two_d_branin=0")
    of_heavy_ball = next(line for line in score.splitlines() if line.startswith("heavy ball"))
    assert "reached on 1 of 2" in of_heavy_ball
    assert "never (0 of 3)" in score
    assert "(3 seeds)" in of_heavy_ball


def test_targets_are_fixed_by_an_option_or_a_file(terminal: Terminal) -> None:
    """Before: targets were those of problems, or of the best optimizer, whatever one knew.

    Now `--target` and `--targets` fix them, and tables say that they were given.
    """
    terminal.save("targets.toml", "[targets]\nquadratic_deep = 1000.0\n")
    columns = "--problem quadratic_deep --columns optimizer,epochs"
    table = terminal.type(f"deepobs table results --targets targets.toml {columns}")
    assert "The target is given for this analysis." in table
    assert [line.split()[-1] for line in table.splitlines()[1:4]] == ["0"] * 3
    table = terminal.type(f"deepobs table results --target quadratic_deep=0 {columns}")
    assert [line.split("  ")[-1].strip() for line in table.splitlines()[1:4]] == [
        "never (0 of 3)"
    ] * 3
    mistyped = terminal.type("deepobs score results --target quadratic_dep=1", status=2)
    assert "Did you mean 'quadratic_deep'?" in mistyped
