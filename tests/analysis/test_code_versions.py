"""Results from several versions of one's own code: all of them shown, each as a row of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from result_files import write_seeds

from deepobs.cli.main import main
from deepobs_analysis import compare, load, select

NOISE = np.array([0.0, 0.02, -0.02])
MOMENTS = {"aa11": "2026-01-01", "bb22": "2026-01-02", "cc33": "2026-01-03"}


def write_version(source, final, *, optimizer="Mine", code=None, **changed):
    write_seeds(
        Path("results"),
        optimizer,
        final + NOISE,
        optimizer_source="" if optimizer == "SGD" else source,
        optimizer_target="" if optimizer == "SGD" else f"own:{optimizer}",
        code=code or {},
        started_at=f"{MOMENTS[source]}T00:00:00+00:00",
        moment=f"{MOMENTS[source]}-03-04-05-000006",
        run_id=source * 4,
        **changed,
    )


@pytest.fixture
def results(tmp_path, monkeypatch):
    """SGD, and three versions of Mine, of which the oldest is the best on the test set."""
    monkeypatch.chdir(tmp_path)
    for number, source in enumerate(MOMENTS):
        write_version(source, 1.0 + number)
    write_version("aa11", 2.5, optimizer="SGD")
    return tmp_path


def test_all_versions_are_rows_of_their_own_and_none_is_selected_among_them(results):
    everything = load("results", code="all")
    assert everything.optimizers == ["Mine@aa11", "Mine@bb22", "Mine@cc33", "SGD"]
    assert [each.configurations for each in select(everything)] == [1, 1, 1, 1]
    assert everything.remarks == (
        "Of Mine there are results of 3 versions of its code; the newest is Mine@cc33.",
    )
    assert load("results").optimizers == ["Mine", "SGD"]


@pytest.mark.parametrize(
    "command", [["table"], ["score"], ["report", "-o", "shown.svg"], ["plot", "overview"]]
)
def test_each_command_shows_all_versions(results, capsys, command):
    where = ["-o", "shown.svg"] if command[0] == "plot" else []
    assert main([*command, "results", "--code", "all", *where]) == 0
    shown, err = capsys.readouterr()
    if where or command[0] == "report":
        shown = Path("shown.svg").read_text()
    for source in MOMENTS:
        assert f"Mine@{source}" in shown
    assert "the newest is Mine@cc33" in err


def test_one_version_and_released_code_need_no_suffix(results):
    for source in ("aa11", "bb22"):
        write_version(source, 1.0, optimizer="Other", code={"lr_scheduler": "5555"})
    write_version("aa11", 1.0, optimizer="Alone")
    names = load("results", code="all").optimizers
    assert {"Alone", "SGD", "Other@aa11", "Other@bb22"} <= set(names)


def test_versions_of_a_problem_are_problems_of_their_own(results):
    for source, problem in (("aa11", "77"), ("cc33", "88")):
        for optimizer in ("One", "Two"):
            write_version(
                source, 1.0, optimizer=optimizer, problem="own", code={"problem": problem}
            )
    everything = load("results", code="all").only(problems=["own"])
    assert everything.problems == ["own@77", "own@88"]
    assert not any("protocols" in warning for warning in everything.warnings)
    remarks = everything.remarks
    assert "Of own there are results of 2 versions of its code; the newest is own@88." in remarks
    comparison = compare("One@newest", "Two@newest", "results", problems=["own"])
    assert [match.problem for match in comparison.matches] == ["own@88"]


def test_a_row_is_compared_under_the_name_that_it_has(results):
    (match,) = compare("Mine@aa11", "Mine@newest").matches
    assert match.names == ("Mine@aa11", "Mine@cc33")
    assert match.difference.value == pytest.approx(2)
