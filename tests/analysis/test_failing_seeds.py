"""Seeds that fail, and how they count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from result_files import write_result

from deepobs_analysis import load
from deepobs_analysis.caveats import caveats
from deepobs_analysis.failing_seeds import failing, two_groups
from deepobs_analysis.report import report
from deepobs_analysis.selection import select
from deepobs_analysis.summaries import summarize
from deepobs_analysis.table_columns import COLUMNS, columns_called
from deepobs_analysis.table_formats import where_seeds_failed
from deepobs_analysis.winners import winner_in_words, winners

NAN = float("nan")


def write_seeds(directory, finals, optimizer="SGD", first=9.0):
    for seed, final in enumerate(finals):
        write_result(
            directory,
            problem="acme",
            optimizer=optimizer,
            seed=seed,
            test_losses=[first, 5.0, final],
            **({"status": "diverged", "diverged_at_epoch": 2} if final == first else {}),
        )
    return directory


def failed(directory):
    (selection,) = select(load(directory))
    return failing(selection).tolist()


def test_seeds_that_diverge_fail(tmp_path):
    assert failed(write_seeds(tmp_path, [1.0, 9.0, 1.1])) == [False, True, False]


def test_of_three_seeds_one_that_gains_less_than_half_fails(tmp_path):
    assert failed(write_seeds(tmp_path, [1.0, 5.5, 1.1])) == [False, True, False]


def test_seeds_that_only_differ_do_not_fail(tmp_path):
    assert failed(write_seeds(tmp_path, [1.0, 1.4, 1.1, 2.0, 1.7])) == [False] * 5


def test_of_many_seeds_the_worse_of_two_groups_fails(tmp_path):
    finals = [1.0, 1.01, 2.0, 1.02, 2.01, 1.0]
    assert failed(write_seeds(tmp_path, finals)) == [False, False, True, False, True, False]
    low, high = two_groups(np.array(finals))
    assert (len(low), len(high)) == (4, 2)


def test_the_statement_changes_where_seeds_fail(tmp_path):
    write_seeds(tmp_path, [1.0, 1.02, 1.01, 9.0, 1.0])
    write_seeds(tmp_path, [2.0, 2.02, 2.01, 2.0, 2.0], optimizer="Adam")
    winner = winners(summarize(load(tmp_path)))["acme"]
    assert winner.first.optimizer == "Adam"
    assert winner.interval is None
    assert not winner.is_clear
    assert winner_in_words(winner).endswith(
        "The lead could be due to the seeds. Of SGD, 1 of 5 seeds failed (20 %, 95 % interval "
        "1 to 72 %); the other 4 end at 1.0075 ± 0.0083."
    )


def test_a_seed_whose_first_loss_is_not_finite_counts_like_an_untrained_one(tmp_path):
    write_seeds(tmp_path, [1.0, 1.02])
    write_result(
        tmp_path,
        problem="acme",
        seed=5,
        test_losses=[NAN] * 3,
        status="diverged",
        diverged_at_epoch=0,
    )
    (row,) = summarize(load(tmp_path))
    assert row.seeds == (0, 1, 5)
    assert (row.failed, row.final.mean) == (1, pytest.approx((1 + 1.02 + 9) / 3))
    assert row.times["epochs"].reached < 3
    assert "1 of 3 seeds failed" in report(load(tmp_path)).replace("\N{NO-BREAK SPACE}", " ")


def test_the_best_epoch_of_a_diverged_seed_is_that_before_training(tmp_path):
    write_seeds(tmp_path, [1.0, 9.0])
    (row,) = summarize(load(tmp_path))
    assert row.best.mean == (1 + 9) / 2


def test_a_diverged_seed_reaches_no_target_in_any_unit(tmp_path):
    for seed in range(3):
        is_lost = seed == 2
        write_result(
            tmp_path,
            problem="acme",
            seed=seed,
            test_losses=[9, 0.5, 9 if is_lost else 0.5],
            steps=9 if is_lost else 14,
            train_seconds=[0.5] if is_lost else [0.5, 0.5],
            **({"status": "diverged", "diverged_at_epoch": 2} if is_lost else {}),
        )
    (row,) = summarize(load(tmp_path))
    assert {unit: time.reached for unit, time in row.times.items()} == dict.fromkeys(
        ("epochs", "steps", "gradient evaluations", "seconds"), 2
    )
    assert row.times["steps"].mean == 7


def lucky(directory):
    titles = [each.title for each in caveats(summarize(load(directory)))]
    return "The selection seed was lucky" in titles


@pytest.mark.parametrize(("of_selection", "is_lucky"), [(0.90, True), (0.93, False), (1.2, False)])
def test_a_selection_seed_is_lucky_if_the_others_did_not_predict_it(
    tmp_path, of_selection, is_lucky
):
    finals = [of_selection, 1.0, 1.03, 1.05, 0.97, 1.04]
    write_seeds(tmp_path, finals)
    write_result(tmp_path, problem="acme", lr=0.5, seed=0, test_losses=[9, 5, 3])
    assert lucky(tmp_path) == is_lucky


def test_equal_seeds_are_not_lucky(tmp_path):
    write_seeds(tmp_path, [0.9] * 6)
    write_result(tmp_path, problem="acme", lr=0.5, seed=0, test_losses=[9, 5, 3])
    assert not lucky(tmp_path)


def test_the_note_on_failed_seeds_is_true_of_every_column(tmp_path):
    for seed, final in enumerate((0.9, 0.91, 0.1)):
        write_result(
            tmp_path,
            problem="acme",
            seed=seed,
            test_losses=[9, 2, 10 * (1 - final)],
            test_accuracies=[0.1, final - 0.05, final],
        )
    results = load(tmp_path)
    columns = columns_called(COLUMNS)
    (note,) = where_seeds_failed(columns, summarize(results))
    over_others, _, all_seeds = note.partition(" over the others. All seeds decide")
    (row,) = summarize(results)
    (without,) = summarize(replace(results, runs=results.runs[results.runs["seed"] != 2]))
    means = [column for column in columns if column.heading in over_others]
    assert [column.name for column in means] == ["final", "best", "loss", "accuracy"]
    for column in means:
        assert column.text(row) == f"{column.text(without)} (1 of 3 failed)"
    assert (COLUMNS["seeds"].heading in all_seeds) and COLUMNS["seeds"].text(row) == "3"
    assert COLUMNS["epochs"].heading in all_seeds
    assert COLUMNS["epochs"].text(row) == "reached by 2 of 3 seeds"
    html = report(results).replace("\N{NO-BREAK SPACE}", " ")
    assert "Where seeds failed, Test performance is over the others." in html
    assert "Where seeds failed, Test performance, Best epoch and Test loss are over" in html
