"""Records of tunings: reading them, and showing the runs of the report alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from result_files import tuned_run as run
from result_files import write_result, write_tuning

from deepobs_analysis import load, select
from deepobs_analysis.caveats import choice_in_words
from deepobs_analysis.summaries import summarize
from deepobs_analysis.trials import attempts

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_analysis.results import Results

GOOD, BAD = [2.0, 1.0, 0.5], [2.0, 1.5, 1.2]


def write_run(directory: Path, run_id: str, lr: float, seed: int, **changed: Any) -> None:
    losses = [2.0, 1.0, 0.4] if run_id.startswith("trial") else GOOD
    write_result(
        directory / run_id,
        lr=lr,
        seed=seed,
        run_id=run_id,
        test_losses=losses,
        valid_losses=GOOD,
        **changed,
    )


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """The winner has three seeds, of which 42 selected it and was lucky."""
    directory = tmp_path / "tuned"
    write_run(directory, "trial0", 0.1, 42)
    write_run(directory, "trial1", 0.2, 42)
    write_run(directory, "report43", 0.2, 43)
    write_run(directory, "report44", 0.2, 44)
    write_tuning(directory)
    return directory


def shown(results: Results) -> dict[str, tuple[list[int], float]]:
    return {
        each.optimizer: (each.runs["seed"].tolist(), float(each.final().mean()))
        for each in select(results)
    }


def test_a_record_says_how_an_optimizer_was_tuned(tuned: Path) -> None:
    (record,) = load(tuned).tunings
    assert (record.problem, record.optimizer, record.winner) == ("quadratic_deep", "SGD", 1)
    assert record.hyperparameters == {"momentum": 0.9} and record.training == {"num_epochs": 2}
    assert record.protocol["space"] == {"lr": [0.1, 0.2]} and record.curve == "valid_losses"
    assert record.best is not None and record.best.setting == {"lr": 0.2}
    assert [trial.value for trial in record.trials] == [1.2, 0.4]
    assert [each.seed for each in record.report] == [43, 44]
    assert record.explanation == ("Each point of a grid is tried.",)


def test_runs_have_roles_in_tunings(tuned: Path) -> None:
    write_result(tuned, optimizer="Adam", run_id="other")
    runs = load(tuned).runs
    roles = dict(zip(zip(runs["optimizer"], runs["seed"], strict=True), runs["role"], strict=True))
    assert roles == {("Adam", 42): "", ("SGD", 42): "selection"} | {
        ("SGD", seed): "report" for seed in (43, 44)
    }


def test_a_later_result_of_a_run_has_its_role_under_another_identity(tuned: Path) -> None:
    # As after `deepobs run --overwrite` of a run that an earlier release identified otherwise.
    write_run(tuned, "identity_of_today", 0.2, 44, moment="2026-02-02-03-04-05-000006")
    results = load(tuned)
    assert [each.reason for each in results.skipped] == ["it is an older result of the same run"]
    assert shown(results) == {"SGD": ([43, 44], 0.5)}


def test_a_tuned_optimizer_is_shown_with_the_seeds_of_the_report(tuned: Path) -> None:
    assert shown(load(tuned)) == {"SGD": ([43, 44], 0.5)}
    (selection,) = select(load(tuned))
    assert selection.is_tuned and selection.chosen_by == "valid_losses"
    assert selection.configurations == 2


def test_selection_seeds_are_shown_where_they_are_asked_for(tuned: Path) -> None:
    seeds, mean = shown(load(tuned, selection_seeds="include"))["SGD"]
    assert seeds == [42, 43, 44] and mean == pytest.approx(1.4 / 3)


def test_a_seed_that_selected_and_reports_is_one_of_the_report(tuned: Path) -> None:
    write_tuning(tuned, report=[run(42, "trial1"), run(43, "report43")])
    assert shown(load(tuned))["SGD"][0] == [42, 43]


def test_all_runs_of_a_tuning_remain_for_figures_of_tuning(tuned: Path) -> None:
    tried = attempts(load(tuned), "quadratic_deep", "SGD")
    assert {each.configuration: each.seeds for each in tried} == {
        "lr = 0.1": (42,),
        "lr = 0.2": (42, 43, 44),
    }


def test_an_optimizer_that_was_not_tuned_is_selected_as_ever(tuned: Path) -> None:
    for lr, seed in ((0.1, 1), (0.1, 2), (0.2, 1)):
        write_result(tuned / "adam", optimizer="Adam", lr=lr, seed=seed, run_id=f"{lr}{seed}")
    assert shown(load(tuned))["Adam"][0] == [1, 2]


def test_a_tuned_batch_size_is_no_part_of_the_protocol(tmp_path: Path) -> None:
    protocol = {
        "space": {"batch_size": [64, 128]},
        "select_on": "valid",
        "metric": "loss",
    }
    write_run(tmp_path, "trial0", 0.1, 42, batch_size=64)
    write_run(tmp_path, "trial1", 0.1, 42, batch_size=128)
    write_run(tmp_path, "report43", 0.1, 43, batch_size=64)
    write_result(tmp_path, optimizer="Adam", batch_size=128, test_losses=BAD, run_id="other")
    assert len(load(tmp_path).problems) == 2
    write_tuning(tmp_path, protocol=protocol)
    results = load(tmp_path)
    assert results.problems == ["quadratic_deep"]
    assert {each.optimizer: each.configuration for each in select(results)} == {
        "Adam": "lr = 0.1, batch size = 128",
        "SGD": "lr = 0.1, batch size = 64",
    }


def test_references_with_other_batch_sizes_stay_other_configurations(tmp_path: Path) -> None:
    test_a_tuned_batch_size_is_no_part_of_the_protocol(tmp_path / "ours")
    for batch_size in (32, 256):
        write_result(tmp_path / "theirs" / str(batch_size), batch_size=batch_size)
    both = load(tmp_path / "ours").beside(load(tmp_path / "theirs"))
    assert both.problems == ["quadratic_deep"]
    theirs = both.runs[both.runs["is_reference"]]
    assert sorted(theirs["configuration"]) == [
        "lr = 0.1, batch size = 256",
        "lr = 0.1, batch size = 32",
    ]


def test_a_record_has_a_short_text(tuned: Path) -> None:
    (record,) = load(tuned).tunings
    assert repr(record).startswith("TuningRecord(SGD on quadratic_deep, ")
    assert "winner {'lr': " in repr(record)
    assert len(repr(record)) < 100


def test_records_of_references_and_filters_follow_their_runs(tuned: Path, tmp_path: Path) -> None:
    both = load(tuned).beside(load(tuned))
    assert [each.optimizer for each in both.tunings] == ["SGD", f"SGD (in {tuned.name})"]
    assert [each.optimizer for each in both.only(optimizers=["SGD"]).tunings] == ["SGD"]
    assert shown(both)[f"SGD (in {tuned.name})"][0] == [43, 44]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"schema_version": 99}, "a newer DeepOBS wrote it (schema_version 99)"),
        ({"trials": 3}, "trials is not a list of dictionaries"),
        ({"winner": 2}, "its winner, trial 2, is none of its 2 trials"),
        ({"protocol": {}}, "its protocol does not say what trials were compared by"),
        ({"report": [{"seed": 1}]}, "run_id is not text: None"),
        ({"testproblem": None}, "testproblem is not text: None"),
    ],
)
def test_a_broken_record_is_a_skipped_file(
    tuned: Path, changed: dict[str, Any], reason: str
) -> None:
    write_tuning(tuned, **changed)
    results = load(tuned)
    (skipped,) = results.skipped
    assert (skipped.file, skipped.reason) == ("tuning__grid__1.tuning", reason)
    assert results.tunings == () and shown(results)["SGD"][0] == [42, 43, 44]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 1}', b"\xff"])
def test_a_record_that_holds_anything_is_a_skipped_file(tuned: Path, content: bytes) -> None:
    (tuned / "tuning__grid__1.tuning").write_bytes(content)
    assert [each.file for each in load(tuned).skipped] == ["tuning__grid__1.tuning"]


def test_words_say_that_the_winner_of_a_tuning_is_shown(tuned: Path) -> None:
    words = " ".join(choice_in_words(summarize(load(tuned))))
    assert "SGD was tuned" in words and "seeds of the report" in words
    assert "include selection seeds" not in words
