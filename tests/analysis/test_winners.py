"""Who leads, and whether it is said to be clear."""

from __future__ import annotations

import numpy as np
from result_files import write_seeds

from deepobs_analysis import load
from deepobs_analysis.summaries import summarize
from deepobs_analysis.winners import comparison_in_words, winner_in_words, winners


def won(directory):
    results = load(directory)
    rows = summarize(results)
    best = winners(rows)
    return best, " ".join(comparison_in_words(results, rows, best))


def test_equal_results_have_no_lead(tmp_path):
    write_seeds(tmp_path, "Adam", [0.9] * 3)
    write_seeds(tmp_path, "SGD", [0.9] * 3)
    write_seeds(tmp_path, "Adam", [0.1, 0.2, 0.7], problem="other")
    write_seeds(tmp_path, "SGD", [0.7, 0.1, 0.2], problem="other")
    best, summary = won(tmp_path)
    for winner in best.values():
        assert (winner.difference, winner.is_clear) == (0, False)
        assert winner_in_words(winner).endswith("and SGD has the same.")
    assert "0.9000 ± 0, and SGD has the same." in winner_in_words(best["acme"])
    assert "On acme and other, the best are equal: there is no lead." in summary
    assert "larger than seeds explain" not in summary


def test_a_lead_of_rounding_is_none(tmp_path):
    write_seeds(tmp_path, "Adam", [0.1 + 0.2] * 3)
    write_seeds(tmp_path, "SGD", [0.3] * 3)
    best, _ = won(tmp_path)
    assert (best["acme"].difference, best["acme"].is_clear) == (0, False)


def test_leads_are_corrected_for_all_pairs_on_all_problems(tmp_path):
    noise = np.array([0.0, 0.01, -0.01, 0.005, -0.005])
    for problem in ("one", "two"):
        write_seeds(tmp_path, "SGD", 1 + noise, problem=problem)
        write_seeds(tmp_path, "Adam", 1.017 + noise[::-1], problem=problem)
        write_seeds(tmp_path, "RMSprop", 3 + noise[[2, 0, 1, 4, 3]], problem=problem)
    best, summary = won(tmp_path)
    alone = winners([row for row in summarize(load(tmp_path)) if row.problem == "one"])
    assert (best["one"].comparisons, alone["one"].comparisons) == (6, 3)
    assert best["one"].interval == alone["one"].interval
    assert best["one"].p_value > alone["one"].p_value
    assert (
        "corrected for 6 comparisons (all pairs of optimizers on all problems, by Holm's method)"
    ) in summary


def test_intervals_of_leads_say_how_many_seeds_they_rest_on(tmp_path):
    write_seeds(tmp_path, "SGD", [1.0, 1.01, 1.02])
    write_seeds(tmp_path, "Adam", [2.0, 2.03, 2.01])
    words = winner_in_words(won(tmp_path)[0]["acme"])
    assert "by 1.003, 95 % interval [0.965, 1.041] (3 seeds)" in words


def test_shared_seeds_are_paired(tmp_path):
    levels = np.array([1.0, 2.0, 3.0, 4.0])
    write_seeds(tmp_path, "SGD", levels)
    write_seeds(tmp_path, "Adam", levels + np.array([0.1, 0.11, 0.09, 0.1]))
    write_seeds(tmp_path, "SGD", levels, problem="unpaired")
    write_seeds(tmp_path, "Adam", levels + 0.1, problem="unpaired", first_seed=10)
    best, _ = won(tmp_path)
    assert best["acme"].is_clear
    assert not best["unpaired"].is_clear


def test_too_few_seeds_lead_by_nothing_that_is_said(tmp_path):
    write_seeds(tmp_path, "SGD", [1.0, 1.1])
    write_seeds(tmp_path, "Adam", [2.0, 2.1])
    best, summary = won(tmp_path)
    assert (best["acme"].interval, best["acme"].p_value) == (None, None)
    assert "Holm" not in summary


def test_losses_with_and_without_the_regularizer_are_not_ranked(tmp_path):
    write_seeds(tmp_path, "SGD", [1.0, 1.01, 1.02], bare_losses=True)
    write_seeds(tmp_path, "Adam", [2.0, 2.03, 2.01])
    best, summary = won(tmp_path)
    assert not best["acme"].is_clear
    assert "On acme, the best two cannot be compared: one of the losses includes" in summary
    assert "They cannot be compared" in winner_in_words(best["acme"])
    configurations = {
        row.optimizer: row.selection.configuration for row in summarize(load(tmp_path))
    }
    assert configurations == {
        "SGD": "lr = 0.1, bare losses = true",
        "Adam": "lr = 0.1, bare losses = false",
    }


def test_a_lead_that_correction_takes_back_has_its_p_value(tmp_path):
    noise = np.array([0.0, 0.3, -0.3, 0.1, -0.1])
    for problem in ("one", "two"):
        write_seeds(tmp_path, "SGD", 2 + noise, problem=problem)
    write_seeds(tmp_path, "Adam", 2 + noise - [0.2, 0.05, 0.3, 0.02, 0.25], problem="one")
    write_seeds(tmp_path, "Adam", 2.01 + noise[::-1], problem="two")
    winner = won(tmp_path)[0]["one"]
    assert winner.interval.low > 0 and winner.p_value > 0.05
    p_value = f"{winner.p_value:.2g}"
    assert winner_in_words(winner).endswith(
        f"The lead is not clear after correction for 2 comparisons (p = {p_value})."
    )
