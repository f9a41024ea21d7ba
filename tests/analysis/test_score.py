"""Scores over all problems, and what does not count."""

from __future__ import annotations

import json
import math

import pytest
from result_files import write_result

from deepobs.cli.main import main
from deepobs.errors import UnknownNameError
from deepobs_analysis import load
from deepobs_analysis.scores import scores_of
from deepobs_analysis.summaries import summarize

# Epochs to 1.01, 1 % short of the final loss of the best, on two problems.
CURVES = {
    ("easy", "SGD"): [9, 9, 1, 1],
    ("easy", "Adam"): [9, 1, 1, 1],
    ("hard", "SGD"): [9, 9, 9, 1],
    ("hard", "Adam"): [9, 9, 9, 5],
}


@pytest.fixture
def results(tmp_path):
    for (problem, optimizer), losses in CURVES.items():
        for seed in range(3):
            write_result(
                tmp_path, problem=problem, optimizer=optimizer, seed=seed, test_losses=losses
            )
    return tmp_path


def scored(directory, **options):
    scores = scores_of(summarize(load(directory)), **options)
    return scores, {score.optimizer: score for score in scores.scores}


def test_scores_are_those_of_hand_computed_times(results):
    scores, by_name = scored(results)
    assert (scores.timed, scores.compared, scores.skipped) == (["easy", "hard"],) * 2 + ({},)
    # SGD takes 2 and 1 times as long as the fastest: (4 - 2) / 3 and 1. Adam never gets there.
    assert by_name["SGD"].ratios == {"easy": 2, "hard": 1}
    assert by_name["SGD"].benchmark_score == pytest.approx((2 / 3 + 1) / 2)
    assert by_name["Adam"].benchmark_score == pytest.approx(1 / 2)
    assert [score.optimizer for score in scores.scores] == ["SGD", "Adam"]


def test_optimizers_are_compared_with_sgd(results):
    scores, by_name = scored(results)
    assert scores.base == "SGD"
    assert (by_name["SGD"].speedup, by_name["SGD"].improvement) == (None, None)
    # They tie on one problem and Adam always loses on the other.
    assert by_name["Adam"].improvement.value == 1 / 4
    # On each, all or none of nine pairs tie or win: three seeds tell little.
    assert by_name["Adam"].improvement.interval == pytest.approx((0.049, 0.638), abs=0.001)
    assert by_name["Adam"].improvement.seeds == 3


def test_a_speedup_is_over_all_problems(results, capsys):
    for seed in range(3):
        write_result(results, problem="hard", optimizer="Adam", seed=seed, test_losses=[9, 9, 1, 1])
    _, by_name = scored(results)
    assert by_name["Adam"].speedup[:2] == (pytest.approx((2 * 3 / 2) ** 0.5), 2)
    assert main(["score", str(results)]) == 0
    assert "1.73 (2 problems)" in capsys.readouterr().out


def test_where_targets_are_missed_the_cells_say_it_and_no_speedup_ranks(results, capsys):
    _, by_name = scored(results)
    speedup = by_name["Adam"].speedup
    # On the easy problem alone it is twice as fast.
    assert math.isnan(speedup.geometric_mean)
    assert (speedup.reached, speedup.reached_by_reference, speedup.of) == (1, 2, 2)
    assert by_name["Adam"].reached == (1, 2)
    assert main(["score", str(results)]) == 0
    out = capsys.readouterr().out
    assert "0.500 (reached on 1 of 2)" in out
    assert "2.00" not in out.partition("PROBLEM")[0]
    assert "never (0 of 3)" in out
    assert main(["score", str(results), "--against", "Adam"]) == 0
    assert "reached on 2 of 2, Adam on 1" in capsys.readouterr().out


def test_ratios_say_how_many_seeds_they_rest_on(results, capsys):
    write_result(results, problem="hard", optimizer="SGD", seed=0, test_losses=[9, 9, 9, 9])
    write_result(results, problem="hard", optimizer="Adam", seed=0, test_losses=[9, 9, 9, 1])
    _, by_name = scored(results)
    assert (by_name["SGD"].ratios["hard"], by_name["SGD"].seeds["hard"]) == (1, (2, 3))
    assert main(["score", str(results)]) == 0
    out = capsys.readouterr().out
    assert "1.00 (reached by 2 of 3 seeds)" in out
    assert "reached by 1 of 3 seeds" in out


def test_scores_are_normalized_by_the_untrained_model_and_the_target(results):
    _, by_name = scored(results)
    share = (9 - 1) / (9 - 1.01)
    assert by_name["SGD"].normalized.value == pytest.approx(share)
    # Of six scores, three of 8 / 7.99 and three of 4 / 7.99, one at each end is dropped.
    assert by_name["Adam"].normalized.value == pytest.approx((share + 4 / 7.99) / 2)


def test_equal_results_give_equal_intervals(tmp_path):
    for seed, final in enumerate((1, 2, 4, 8)):
        write_result(tmp_path, problem="acme", seed=seed, test_losses=[20, 9, final])
    intervals = [scored(tmp_path)[1]["SGD"].normalized.interval for _ in range(2)]
    assert intervals[0] == intervals[1]
    assert intervals[0].low < intervals[0].high


def test_intervals_say_how_many_seeds_they_rest_on(results, capsys):
    assert main(["score", str(results)]) == 0
    assert "0.25 [0.05, 0.64] (3 seeds)" in capsys.readouterr().out


def test_of_a_single_seed_there_is_no_interval(tmp_path, capsys):
    for optimizer, loss in (("Adam", 1), ("SGD", 2)):
        write_result(tmp_path, optimizer=optimizer, problem="acme", test_losses=[9, 5, loss])
    assert main(["score", str(tmp_path)]) == 0
    table, _, explanation = capsys.readouterr().out.partition("\n\n")
    assert "[" not in table
    assert "One seed has no interval" in explanation


def test_what_does_not_count_is_said(results):
    write_result(results, problem="lonely", test_losses=[9, 1])
    for optimizer in ("SGD", "Adam"):
        losses = [9, float("nan")]
        write_result(
            results, problem="nothing", optimizer=optimizer, test_losses=losses, layout="1.2"
        )
        write_result(results, problem="flat", optimizer=optimizer, test_losses=[1, 1])
    scores, _ = scored(results)
    assert scores.skipped == {
        "flat": "even untrained models reach its target, so it counts in scores and speedups only",
        "lonely": "it was not run with Adam",
        "nothing": "it has no target, because half of the seeds of every optimizer diverged",
    }
    assert (scores.timed, scores.compared) == (["easy", "flat", "hard"], ["easy", "hard"])


def test_a_unit_that_was_not_recorded_leaves_no_times(tmp_path):
    write_result(tmp_path, problem="acme", layout="1.1")
    scores, by_name = scored(tmp_path, unit="seconds")
    assert scores.skipped == {
        "acme": "seconds were not recorded for all of its runs, so it counts in no score or speedup"
    }
    assert (scores.timed, scores.compared) == ([], ["acme"])
    assert (by_name["SGD"].benchmark_score, by_name["SGD"].ratios) == (None, {})


def test_an_unknown_base_is_refused(results):
    with pytest.raises(UnknownNameError, match="Did you mean 'Adam'"):
        scored(results, against="Adm")


def test_the_command_shows_scores_ratios_and_what_is_left_out(results, capsys):
    write_result(results, problem="lonely", test_losses=[9, 1])
    assert main(["score", str(results)]) == 0
    out, err = capsys.readouterr()
    assert "SPEEDUP VS SGD" in out
    assert "reached on 1 of 2" in out
    assert "All columns of the first table rest on 2 problems." in out
    assert err == "Skipped: lonely: it was not run with Adam.\n"


def test_the_command_writes_json(results, capsys):
    assert main(["score", str(results), "--json", "--unit", "steps"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["unit"] == "steps"
    assert [score["optimizer"] for score in scores["scores"]] == ["SGD", "Adam"]
    assert scores["scores"][1]["ratios"] == {"easy": 1, "hard": "inf"}
    speedup = scores["scores"][1]["speedup"]
    assert speedup["geometric_mean"] is None
    assert (speedup["reached"], speedup["of"]) == (1, 2)
    assert scores["scores"][1]["reached"] == {"reached": 1, "of": 2}
