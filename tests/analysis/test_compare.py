"""Two optimizers, references, versions of code or experiments compared, seed by seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from result_files import write_result, write_seeds

from deepobs.cli.main import main
from deepobs.errors import ArgumentError, MissingDataError, UnknownNameError
from deepobs_analysis import compare
from deepobs_analysis.measures import difference_interval

NOISE = np.array([0.0, 0.3, -0.3, 0.1, -0.1])
GAINS = np.array([0.2, 0.21, 0.19, 0.2, 0.22])


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Mine is better than Adam by some 0.2 with each seed, and the other way round on `other`."""
    monkeypatch.chdir(tmp_path)
    write_seeds(Path("results"), "Adam", 2 + NOISE)
    write_seeds(Path("results"), "Mine", 2 + NOISE - GAINS)
    write_seeds(Path("results"), "Adam", 3 + NOISE, problem="other")
    write_seeds(Path("results"), "Mine", 3.01 + NOISE[::-1], problem="other")
    return tmp_path


def test_differences_are_paired_by_shared_seeds(results):
    first, second = compare("Mine", "Adam").matches
    assert (first.problem, first.is_paired, first.names) == ("acme", True, ("Mine", "Adam"))
    assert first.difference.value == pytest.approx(GAINS.mean())
    own, other = [2 + NOISE - GAINS], [2 + NOISE]
    expected = difference_interval(own, other, higher_is_better=False, paired=True)
    assert first.difference.interval == pytest.approx(expected)
    assert first.difference.seeds == 5
    assert (first.better, second.better) == ("Mine", None)


def test_only_the_seeds_that_both_have_are_paired(results):
    write_seeds(Path("results"), "Mine", [9.0, 9.0], first_seed=10)
    match = compare("Mine", "Adam", problems=["acme"]).matches[0]
    assert match.is_paired
    assert (match.difference.seeds, match.probability.seeds) == (5, 5)
    assert match.difference.value == pytest.approx(GAINS.mean())


def test_other_seeds_are_compared_by_welch(results):
    write_seeds(Path("results"), "New", 1 + NOISE, first_seed=100)
    match = compare("New", "Adam", problems=["acme"]).matches[0]
    assert not match.is_paired
    expected = difference_interval([1 + NOISE], [2 + NOISE], higher_is_better=False)
    assert match.difference.interval == pytest.approx(expected)


def test_over_all_problems_there_is_a_probability_and_a_corrected_verdict(results):
    comparison = compare("Mine", "Adam")
    alone = compare("Mine", "Adam", problems=["acme"])
    assert (alone.difference, alone.probability) == (None, None)
    assert comparison.matches[0].p_value == pytest.approx(2 * alone.matches[0].p_value)
    each = [match.probability.value for match in comparison.matches]
    assert comparison.probability.value == pytest.approx(np.mean(each))
    assert comparison.probability.interval.low < comparison.probability.value
    # 0.204 of the 7.204 that training gains on the one, -0.01 of 6 on the other.
    expected = (0.204 / 7.204 - 0.01 / 6) / 2
    assert comparison.difference.value == pytest.approx(expected, rel=1e-6)


def test_too_few_seeds_have_no_interval_and_failing_ones_neither(results):
    write_seeds(Path("results"), "Few", [1.0, 1.1])
    match = compare("Few", "Adam").matches[0]
    assert (match.difference.interval, match.p_value, match.better) == (None, None, None)
    write_seeds(Path("results"), "Broken", [1.0, 1.1, 1.0, 1.2, 9.0])
    match = compare("Broken", "Adam").matches[0]
    assert match.difference.interval is None
    assert match.probability.interval is not None


def test_equal_results_have_no_difference(results, capsys):
    write_seeds(Path("results"), "Same", 2 + NOISE)
    match = compare("Same", "Adam").matches[0]
    assert (match.difference.value, match.better, match.probability.value) == (0, None, 0.5)


def test_a_reference_set_is_compared_by_the_suffix_of_its_names(results, monkeypatch):
    for seed in range(3):
        write_result(
            Path("published"),
            problem="acme",
            optimizer="AdamOptimizer",
            layout="1.1",
            seed=seed,
            test_losses=[9, 5, 2.5 + seed / 100],
        )
    monkeypatch.setenv("DEEPOBS_BASELINE_DIR", str(Path("published").absolute()))
    match = compare("Mine", "Adam (published)").matches[0]
    assert match.names == ("Mine", "Adam (published)")
    # Seeds of TensorFlow draw other numbers.
    assert not match.is_paired
    assert ("order of the data", "new", "repeated") in match.differing
    elsewhere = compare("Mine", "Adam (in published)", reference="./published").matches[0]
    assert elsewhere.difference == match.difference
    for typo in ("Adm (published)", "Adam (publishd)"):
        with pytest.raises(UnknownNameError, match=r"Did you mean 'Adam \(published\)"):
            compare("Mine", typo)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'Adam \(in published\)'"):
        compare("Mine", "Adam (in publishd)", reference="./published")
    with pytest.raises(UnknownNameError, match="--reference says where other results are"):
        compare("Mine", "Adam (in published)")


def test_of_a_reference_set_only_the_problems_of_ones_own_results_count(results, monkeypatch):
    for problem in ("acme", "further"):
        write_seeds(Path("theirs"), "Adam", 2 + NOISE, problem=problem)
    for pair in (("Mine", "Adam (in theirs)"), ("Adam (in theirs)", "Mine")):
        comparison = compare(*pair, reference="theirs")
        assert [match.problem for match in comparison.matches] == ["acme"]
        assert "further" not in comparison.skipped
    assert compare("Mine", "Adam (in theirs)", reference="theirs").skipped == {
        "other": "Adam (in theirs) was not run on it"
    }


def versions(directory):
    for number, (source, lr) in enumerate((("aa11", 3), ("ab22", 2), ("cc33", 1))):
        write_seeds(
            directory,
            "Own",
            lr + NOISE,
            optimizer_source=source,
            optimizer_target="own:Own",
            started_at=f"2026-01-0{number + 1}T00:00:00+00:00",
            moment=f"2026-01-0{number + 1}-03-04-05-000006",
            run_id=source * 4,
        )


def test_versions_of_ones_code_are_compared(results):
    versions(Path("results"))
    newest = compare("Own@newest", "Own@older").matches[0]
    assert newest.names == ("Own@cc33", "Own@ab22")
    assert newest.difference.value == pytest.approx(1)
    assert compare("Own@aa", "Own@newest").matches[0].names == ("Own@aa11", "Own@cc33")
    with pytest.raises(ArgumentError, match="2 versions of the code of Own begin with 'a'"):
        compare("Own@a", "Own@newest")
    with pytest.raises(UnknownNameError, match=r"no version 'newst'.*Did you mean 'newest'"):
        compare("Own@newst", "Own@older")
    with pytest.raises(ArgumentError, match="are of one version of its code: released"):
        compare("Adam@older", "Own@older")


def test_directories_are_compared_by_the_optimizers_that_both_have(results):
    write_seeds(Path("after"), "Adam", 1 + NOISE)
    write_seeds(Path("after"), "SGD", 1 + NOISE)
    comparison = compare("after", "results")
    assert [each.names for each in comparison.matches] == [("Adam in after", "Adam in results")]
    assert comparison.matches[0].difference.value == pytest.approx(1)
    assert comparison.skipped == {"other": "Adam in after was not run on it"}
    with pytest.raises(MissingDataError, match="There are no results at afer"):
        compare("results", "afer")


def test_directories_of_one_optimizer_each_are_compared(results):
    write_seeds(Path("left"), "Adam", 1 + NOISE)
    write_seeds(Path("right"), "SGD", 2 + NOISE)
    assert compare("left", "right").matches[0].names == ("Adam in left", "SGD in right")
    write_seeds(Path("right"), "RMSprop", 2 + NOISE)
    with pytest.raises(
        ArgumentError, match="No optimizer is in both: left has Adam, and right has"
    ):
        compare("left", "right")


def test_other_budgets_are_not_compared_unless_asked(results):
    for seed in range(3):
        write_result(Path("long"), problem="acme", optimizer="Adam", seed=seed, test_losses=[9, 1])
    with pytest.raises(ArgumentError, match=r"acme: .*other protocols \(epochs 2 and 1\)"):
        compare("results", "long")
    (match,) = compare("results", "long", across_protocols=True).matches
    assert ("epochs", "2", "1") in match.differing


def test_fixed_hyperparameters_that_differ_are_named(results):
    for directory, momentum in (("ours", 0.9), ("theirs", 0.99)):
        for lr in (0.1, 1.0):
            write_result(
                Path(directory),
                problem="acme",
                optimizer="Momentum",
                lr=lr,
                hyperparameters={"momentum": momentum},
            )
    (match,) = compare("ours", "theirs").matches
    assert match.differing == (("momentum", "0.9", "0.99"),)


def test_names_that_are_not_known_are_explained(results):
    with pytest.raises(UnknownNameError, match="Did you mean 'Adam'"):
        compare("Mine", "Adm")
    with pytest.raises(UnknownNameError, match=r"not run on 'acne'\. Did you mean 'acme'"):
        compare("Mine", "Adam", problems=["acne"])


def test_the_command_shows_the_comparison(results, capsys):
    assert main(["compare", "Mine", "Adam"]) == 0
    out = capsys.readouterr().out
    acme = next(line for line in out.splitlines() if line.startswith("acme"))
    assert "+0.204 [0.190, 0.218] (5 seeds)" in acme
    assert acme.endswith("Mine is better")
    assert "could be due to the seeds" in out
    assert "Over 2 comparisons: Mine has the better mean in 1; it is significantly better" in out
    assert "Verdicts are corrected for 2 comparisons (Holm)" in out
    write_seeds(Path("results"), "Adam", 2 + NOISE, problem="more")
    write_seeds(Path("results"), "Adam", 2 + NOISE, problem="most")
    assert main(["compare", "Mine", "Adam"]) == 0
    assert capsys.readouterr().err == "Skipped: more, most: Mine was not run on it.\n"
    assert main(["compare", "Mine", "Adam", "--on", "acme", "--results", "results"]) == 0
    assert "Holm" not in capsys.readouterr().out


def test_a_verdict_that_contradicts_its_interval_names_the_corrected_p_value(results, capsys):
    write_seeds(Path("results"), "New", 2 + NOISE - [0.2, 0.05, 0.3, 0.02, 0.25])
    write_seeds(Path("results"), "New", 3.01 + NOISE[::-1], problem="other")
    match = compare("New", "Adam").matches[0]
    assert match.difference.interval.low > 0 and match.p_value > 0.05
    assert main(["compare", "New", "Adam"]) == 0
    out = capsys.readouterr().out
    acme = next(line for line in out.splitlines() if line.startswith("acme"))
    assert acme.endswith(f"  {match.p_value:.2g}  not clear after correction")
    assert "CORRECTED P" in out
    assert "could be due to the seeds" in out  # on the other problem


def test_the_command_writes_json(results, capsys):
    assert main(["compare", "Mine", "Adam", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    first = content["matches"][0]
    assert (first["problem"], first["better"], first["is_paired"]) == ("acme", "Mine", True)
    assert first["difference"]["value"] == pytest.approx(0.204)
    assert set(content["over_all"]) == {"difference", "probability"}


def write_counts(optimizer, counts, problem="acme"):
    """Seeds with as many correct ones of the 320 test examples that batches of 64 leave of 360."""
    for seed, count in enumerate(counts):
        write_result(
            Path("results"),
            problem=problem,
            optimizer=optimizer,
            seed=seed,
            test_accuracies=[0.1, 0.5, count / 320],
            batch_size=64,
            dataset={"name": "acme", "fingerprint": None, "split_sizes": {"test": 360}},
        )


def test_equal_differences_of_accuracies_are_not_certain(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_counts("Mine", [301, 301, 299])
    write_counts("Adam", [300, 300, 298])
    match = compare("Mine", "Adam").matches[0]
    assert match.difference.value == pytest.approx(1 / 320)
    assert match.difference.interval.low < 0 < match.difference.interval.high
    assert (match.better, match.rounding) == (None, 1 / 320)
    assert match.p_value > 0.05
    assert main(["compare", "Mine", "Adam"]) == 0
    shown = capsys.readouterr().out
    assert "could be due to the seeds" in shown
    assert "On acme: Accuracies are multiples of 0.0031, by less of which the seeds vary" in shown
