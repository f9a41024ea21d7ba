"""Runs under several protocols: never averaged, selected among or ranked with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from result_files import write_result

from deepobs.errors import UnknownNameError
from deepobs_analysis import load, select
from deepobs_analysis.caveats import caveats
from deepobs_analysis.summaries import summarize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs_analysis.results import Results

SHORT, LONG = [2.0, 1.0, 0.5], [2.0, 1.0, 0.5, 0.4]


def training(**parts: Any) -> dict[str, Any]:
    return {"schedule": parts}


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two and three epochs, the longer one with more seeds."""
    directory = tmp_path / "mixed"
    write_result(directory, seed=1, test_losses=SHORT)
    for seed in (1, 2):
        write_result(directory / "long", seed=seed, test_losses=LONG)
        write_result(directory / "long", seed=seed, test_losses=LONG, optimizer="Adam")
    write_result(directory, problem="two_d_beale")
    return directory


def rows(results: Results) -> set[tuple[str, str, str]]:
    return {(each.problem, each.optimizer, each.configuration) for each in select(results)}


def test_a_problem_under_two_protocols_has_a_name_for_each(mixed: Path) -> None:
    results = load(mixed)
    assert rows(results) == {
        ("quadratic_deep (epochs = 2)", "SGD", "lr = 0.1"),
        ("quadratic_deep (epochs = 3)", "SGD", "lr = 0.1"),
        ("quadratic_deep (epochs = 3)", "Adam", "lr = 0.1"),
        ("two_d_beale", "SGD", "lr = 0.1"),
    }
    assert set(results.runs["testproblem"]) == {"quadratic_deep", "two_d_beale"}
    assert results.metric("quadratic_deep (epochs = 2)").name == "loss"


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"batch_size": 64}, ["(batch size = 128)", "(batch size = 64)"]),
        (
            training(validation_size=100),
            ["(validation size = 0)", "(validation size = 100)"],
        ),
        (training(train_fraction=0.5), ["(train fraction = 0.5)", "(train fraction = 1)"]),
        (training(max_steps=50), ["(max steps = 50)"]),
        (training(precision="bf16"), ["(precision = bf16)", "(precision = full)"]),
        (training(accumulate=4), ["(micro-batches = 1)", "(micro-batches = 4)"]),
        (training(compile_mode="default"), ["(compile = default)", "(compile = none)"]),
        (training(channels_last=True), ["(channels last = no)", "(channels last = yes)"]),
        (training(clip_norm=0.5), []),
        ({"weight_decay": 0.1}, []),
    ],
)
def test_a_protocol_is_what_runs_must_share_to_compare(
    tmp_path: Path, changed: dict[str, Any], names: list[str]
) -> None:
    write_result(tmp_path / "one")
    write_result(tmp_path / "two", optimizer="Adam", **changed)
    problems = [name.removeprefix("quadratic_deep").strip() for name in load(tmp_path).problems]
    assert [name for name in problems if name] == names


def test_a_format_that_records_less_is_no_other_protocol(tmp_path: Path) -> None:
    write_result(tmp_path / "old", layout="1.1")
    write_result(tmp_path / "new")
    assert load(tmp_path).problems == ["quadratic_deep"]


def test_a_problem_can_be_asked_for_with_and_without_its_protocol(mixed: Path) -> None:
    results = load(mixed)
    both = results.only(problems=["quadratic_deep"])
    assert both.problems == ["quadratic_deep (epochs = 2)", "quadratic_deep (epochs = 3)"]
    assert results.only(problems=["quadratic_deep (epochs = 2)"]).optimizers == ["SGD"]
    with pytest.raises(UnknownNameError, match="quadratic_deep"):
        results.only(problems=["quadratic"])


def test_across_protocols_the_differing_values_are_parts_of_configurations(mixed: Path) -> None:
    results = load(mixed, across_protocols=True)
    assert rows(results) == {
        ("quadratic_deep", "SGD", "lr = 0.1, epochs = 3"),
        ("quadratic_deep", "Adam", "lr = 0.1, epochs = 3"),
        ("two_d_beale", "SGD", "lr = 0.1"),
    }
    assert results.warnings == []


def test_references_under_another_protocol_are_told_apart(tmp_path: Path) -> None:
    write_result(tmp_path / "ours", test_losses=SHORT)
    write_result(tmp_path / "theirs", test_losses=LONG)
    write_result(tmp_path / "theirs", problem="two_d_beale")
    ours, theirs = load(tmp_path / "ours"), load(tmp_path / "theirs")
    assert rows(ours.beside(theirs)) == {
        ("quadratic_deep (epochs = 2)", "SGD", "lr = 0.1"),
        ("quadratic_deep (epochs = 3)", "SGD (in theirs)", "lr = 0.1"),
    }
    across = [load(tmp_path / name, across_protocols=True) for name in ("ours", "theirs")]
    assert across[0].beside(across[1]).problems == ["quadratic_deep"]


def test_several_protocols_are_a_warning_and_a_caveat(mixed: Path) -> None:
    results = load(mixed)
    (warning,) = results.warnings
    assert "quadratic_deep was run under several protocols" in warning
    assert "(epochs = 2), quadratic_deep (epochs = 3)" in warning
    found = {each.title: each for each in caveats(summarize(results))}
    (finding,) = found["Problems were run under several protocols"].findings
    assert finding.text == "quadratic_deep (epochs = 2) and quadratic_deep (epochs = 3)."
    assert "Optimizers were trained for different numbers of epochs" not in found


def test_the_target_of_a_problem_is_found_under_every_protocol(mixed: Path) -> None:
    sources = {row.problem: row.target.source for row in summarize(load(mixed)) if row.target}
    assert sources["quadratic_deep (epochs = 2)"] == "published with the problem"


def test_tables_warn_of_several_protocols(
    mixed: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = command_line("table", str(mixed))
    assert code == 0 and "quadratic_deep (epochs = 3)" in out
    assert "was run under several protocols" in " ".join(err.split())
    code, out, err = command_line("table", str(mixed), "--across-protocols")
    assert code == 0 and "(epochs" not in out and "several protocols" not in out + err
