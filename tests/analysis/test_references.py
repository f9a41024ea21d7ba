"""Reference sets beside one's own runs: what differs is said, and other budgets are apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import write_result

from deepobs.cli.main import main
from deepobs_analysis import compare, load
from deepobs_analysis.caveats import caveats
from deepobs_analysis.scores import scores_of
from deepobs_analysis.summaries import summarize


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """Own Momentum with 0.9, selected on validation data, and one with 0.99, on the test set."""
    monkeypatch.chdir(tmp_path)
    for lr, loss in ((0.1, 1), (1.0, 2)):
        for seed in range(3):
            write_result(
                Path("results"),
                problem="acme",
                optimizer="Momentum",
                lr=lr,
                seed=seed,
                hyperparameters={"momentum": 0.9},
                test_losses=[9, 5, loss],
                valid_losses=[9, 5, loss],
            )
            write_result(
                Path("reference"),
                problem="acme",
                optimizer="MomentumOptimizer",
                lr=lr,
                seed=seed,
                hyperparameters={"momentum": 0.99},
                layout="1.1",
                test_losses=[9, 5, loss],
            )
    return tmp_path


def test_rows_of_references_name_what_differs(directory, capsys):
    rows = summarize(load("results").beside(load("reference")))
    own, reference = rows
    assert own.differing == ()
    assert reference.differing == (
        ("momentum", "0.99", "0.9"),
        ("order of the data", "repeated", "new"),
        ("selection", "on the test set", "on validation data"),
    )
    assert main(["table", "results", "--reference", "reference"]) == 0
    out = capsys.readouterr().out
    assert (
        "lr = 0.1; momentum 0.99 (yours: 0.9); order of the data repeated (yours: new); "
        "selection on the test set (yours: on validation data)"
    ) in out
    assert "References were run differently from your runs" in out


def test_a_caveat_says_what_differs(directory):
    rows = summarize(load("results").beside(load("reference")))
    (found,) = (each for each in caveats(rows) if each.title.startswith("References"))
    assert "Momentum (in reference) on acme: momentum 0.99 (yours: 0.9)" in found.findings[0].text


def test_hyperparameters_of_other_optimizers_are_not_compared(directory):
    for file in Path("results").rglob("*.json"):
        file.unlink()
    for seed in range(3):
        write_result(
            Path("results"),
            problem="acme",
            optimizer="Mine",
            seed=seed,
            hyperparameters={"momentum": 0.5},
        )
    (reference,) = (
        row
        for row in summarize(load("results").beside(load("reference")))
        if row.selection.is_reference
    )
    assert [each.what for each in reference.differing] == ["order of the data", "selection"]


def test_other_data_than_those_of_a_reference_are_named(tmp_path):
    for name, fingerprint in (("ours", "1"), ("same", "1"), ("other", "2")):
        data = {"name": "acme", "fingerprint": fingerprint * 64}
        write_result(tmp_path / name, problem="acme", dataset=data)
        # Files of DeepOBS 1.1 do not tell.
        layout = "own" if name == "ours" else "1.1"
        write_result(tmp_path / name, problem="quadratic_deep", layout=layout)
    ours = load(tmp_path / "ours")
    same, other = (ours.beside(load(tmp_path / name)).warnings for name in ("same", "other"))
    assert not any("of other data" in warning for warning in same)
    assert any(warning.startswith("On acme, these results") for warning in other)


def test_no_speedup_is_computed_across_budgets_unless_asked(directory):
    for seed in range(3):
        write_result(
            Path("long"), problem="acme", optimizer="SGD", seed=seed, test_losses=[9, 5, 3, 1]
        )
    apart = scores_of(summarize(load("results").beside(load("long"))), against="SGD (in long)")
    assert all(score.speedup is None or score.speedup.of == 0 for score in apart.scores)
    together = load("results", across_protocols=True).beside(load("long", across_protocols=True))
    rows = summarize(together)
    assert {row.problem for row in rows} == {"acme"}
    assert rows[-1].differing[0] == ("epochs", "3", "2")
    (score,) = (
        each
        for each in scores_of(rows, against="SGD (in long)").scores
        if each.optimizer == "Momentum"
    )
    assert score.speedup.geometric_mean == pytest.approx(3 / 2)


def test_names_of_an_experiment_do_not_hide_other_hyperparameters(directory):
    for label, momentum in (("heavy ball", 0.9), ("heavier ball", 0.95)):
        for seed in range(3):
            write_result(
                Path("labeled") / label,
                problem="acme",
                optimizer="Momentum",
                label=label,
                seed=seed,
                hyperparameters={"momentum": momentum},
            )
    labeled = load("labeled")
    (reference,) = (
        row for row in summarize(labeled.beside(load("reference"))) if row.selection.is_reference
    )
    # Of both, one is named: they are as much alike.
    assert reference.differing[0] == ("momentum", "0.99", "0.95")
    write_result(
        Path("labeled"),
        problem="acme",
        optimizer="Momentum",
        hyperparameters={"momentum": 0.99},
        label="heaviest ball",
    )
    (reference,) = (
        row
        for row in summarize(load("labeled").beside(load("reference")))
        if row.selection.is_reference
    )
    # Now one of one's own has the same momentum: it is the one to compare with.
    assert "momentum" not in [each.what for each in reference.differing]
    comparison = compare("heavy ball", "Momentum (in reference)", "labeled", reference="reference")
    assert ("momentum", "0.9", "0.99") in comparison.matches[0].differing


def test_what_is_to_know_of_a_reference_set_is_kept(directory):
    write_result(Path("reference"), problem="fake", fake_data=True)
    (remark,) = load("results").beside(load("reference")).remarks
    assert remark == "In reference: fake is not shown: all of its runs used synthetic data."


def test_one_name_of_a_reference_holds_in_tables_and_comparisons(directory):
    both = load("results").beside(load("reference"))
    (name,) = [each for each in both.optimizers if each.endswith(")")]
    assert name == "Momentum (in reference)"
    (match,) = compare("Momentum", name, "results", reference="reference").matches
    assert match.names == ("Momentum", name)
