"""`deepobs bench`, called as a function: what it plans, runs, prints and refuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from plugin_sources import PREAMBLE

from deepobs.resources import usable_cores
from deepobs_bench._bench_output import bench_progress
from deepobs_bench.experiment_files import load
from deepobs_bench.paces import kind_of
from deepobs_bench.plan import plan
from deepobs_bench.workload import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SMALL = """
problems = ["quadratic_deep", "two_d_beale"]
seeds = [1, 2]
[defaults]
epochs = 1
[optimizers.SGD]
grid.lr = [1e30, 1e-5]
[optimizers.heavy]
class = "SGD"
hyperparameters = { lr = 1e-5, momentum = 0.9 }
"""

MISSING_DATA = f"""
from deepobs.data.base import DataStatus
{PREAMBLE}

class Absent:
    @classmethod
    def status(cls, data_dir):
        return DataStatus("missing", "no files found")

@hookimpl
def deepobs_datasets():
    return [DatasetSpec(
        name="acme_data", target="acme_obs:Absent", summary="Ours", train_size=10, test_size=10
    )]

@hookimpl
def deepobs_problems():
    return [ProblemSpec(
        name="acme_mlp", target="deepobs.problems.synthetic:QuadraticDeep", summary="Ours",
        dataset="acme_data", batch_size=8, epochs=1,
    )]
"""


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads of torch, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bench(command_line: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Writes an experiment and calls `deepobs bench` with it, in the directory of the test."""

    def call(text: str, *args: str, name: str = "experiment.toml") -> tuple[int, str, str]:
        (tmp_path / name).write_text(text)
        serial = () if "--executor" in args else ("--executor", "serial")
        quick = () if "--dry-run" in args else ("--no-estimate",)
        return command_line("bench", name, "--device", "cpu", *serial, *quick, *args)

    return call


def _results(directory: Path) -> dict[str, dict[str, Any]]:
    """What the result files hold, by their paths."""
    paths = sorted(directory.rglob("*.json"))
    return {str(path): json.loads(path.read_text()) for path in paths}


def _rows(out: str, heading: str) -> list[list[str]]:
    """The rows of the table with this heading, up to the empty line after it."""
    lines = out.splitlines()
    first = next(n for n, line in enumerate(lines) if heading in line)
    return [line.split() for line in lines[first + 1 : lines.index("", first)]]


def test_every_run_leaves_a_result_and_a_line_and_a_table_ends_it(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    code, out, err = bench(SMALL, "--out", "here")
    assert (code, err) == (0, "")
    assert len(_results(tmp_path / "here")) == 2 * (2 + 1) * 2
    assert out.startswith("12 runs: 0 done, 12 pending. Results are kept in here.\n")
    assert "[12/12] SGD on two_d_beale, seed 2: after 1 epoch test loss " in out
    rows = _rows(out, "BEST CONFIGURATION")
    assert [row[:2] for row in rows] == [
        ["quadratic_deep", "SGD"],
        ["quadratic_deep", "heavy"],
        ["two_d_beale", "SGD"],
        ["two_d_beale", "heavy"],
    ]
    assert rows[0][2] == "loss"
    assert rows[0][-6:] == ["4", "2", "0", "lr", "=", "1e-05"]
    assert "selected on the test set, which makes figures on it too good: quadratic_deep" in out


def test_the_deviation_is_that_of_the_population(bench: Callable[..., Any], tmp_path: Path) -> None:
    _, out, _ = bench(SMALL, "--only", "problem=two_d_beale", "--only", "optimizer=heavy")
    finals = [result["test_losses"][-1] for result in _results(tmp_path / "results").values()]
    (row,) = _rows(out, "BEST CONFIGURATION")
    assert len(finals) == 2
    # Of two values, it is half of what lies between them.
    assert row[4:6] == ["±", f"{abs(finals[0] - finals[1]) / 2:.2g}"]
    assert "population standard deviations over the seeds" in out


def test_running_it_again_runs_nothing_and_shows_the_same_table(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    _, first, _ = bench(SMALL)
    before = _results(tmp_path / "results")
    code, second, _ = bench(SMALL)
    assert code == 0
    assert "12 runs: 12 done, 0 pending." in second
    assert "[1/" not in second
    assert _results(tmp_path / "results") == before
    assert _rows(first, "BEST CONFIGURATION") == _rows(second, "BEST CONFIGURATION")


def test_changing_one_seed_runs_what_has_this_seed(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    one = 'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\nseeds = [1, 2]\ndefaults.epochs = 1'
    bench(one)
    before = _results(tmp_path / "results")
    _, out, _ = bench(one.replace("[1, 2]", "[1, 3]"))
    assert "2 runs: 1 done, 1 pending." in out
    assert "[1/1] SGD on quadratic_deep, seed 3: " in out
    assert len(_results(tmp_path / "results").keys() - before.keys()) == 1


def test_another_order_of_keys_and_another_format_run_nothing(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    bench(SMALL)
    before = _results(tmp_path / "results")
    code, out, _ = bench(
        "optimizers:\n  heavy: {hyperparameters: {momentum: 0.9, lr: 1e-5}, class: SGD}\n"
        "  SGD: {grid: {lr: [1e-5, 1e30]}}\n"
        "defaults: {epochs: 1}\nseeds: 1..2\nproblems: [two_d_beale, quadratic_deep]\n",
        name="experiment.yaml",
    )
    assert code == 0
    assert "12 runs: 12 done" in out
    assert _results(tmp_path / "results") == before


def test_a_dry_run_shows_what_there_is_to_do_and_does_nothing(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    bench(SMALL, "--only", "problem=quadratic_deep", "--only", "seed=1")
    before = _results(tmp_path / "results")
    code, out, err = bench(SMALL, "--dry-run")
    assert (code, err) == (0, "")
    rows = _rows(out, "PENDING")
    assert [row[:6] for row in rows] == [
        ["quadratic_deep", "SGD", "2", "4", "2", "2"],
        ["quadratic_deep", "heavy", "1", "2", "1", "1"],
        ["two_d_beale", "SGD", "2", "4", "0", "4"],
        ["two_d_beale", "heavy", "1", "2", "0", "2"],
    ]
    assert all(row[-1] in ("ms", "s") for row in rows)
    assert "12 runs: 3 done, 9 pending." in out
    assert "They will take about " in out
    assert _results(tmp_path / "results") == before


def test_a_dry_run_without_estimate_leaves_times_open(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    _, out, _ = bench(SMALL, "--dry-run", "--no-estimate")
    assert {row[-1] for row in _rows(out, "PENDING")} == {"?"}
    assert "They will take" not in out
    assert not (tmp_path / "results").exists()


def test_a_plan_says_which_jobs_compete_for_cores(
    bench: Callable[..., Any],
    install: Callable[..., Any],
    fresh_registry: object,
    two_threads: None,
) -> None:
    install("acme-obs", MISSING_DATA)
    text = 'problems = ["quadratic_deep", "acme_mlp"]\noptimizers = ["SGD"]\n'
    jobs = usable_cores() + 1
    plan = ("--dry-run", "--no-estimate", "--jobs", str(jobs))
    shown = " ".join(bench(text, *plan)[1].split())
    assert "Each run of acme_mlp uses 2 threads, however many jobs there are" in shown
    assert f"With --threads 1, {jobs} jobs do not compete" in shown
    assert "compete" not in bench(text, *plan, "--threads", "1")[1]
    assert "compete" not in bench(text, "--dry-run", "--no-estimate")[1]


def test_rows_name_the_schedule_once(bench: Callable[..., Any]) -> None:
    _, out, _ = bench(
        'problems = ["quadratic_deep"]\ndefaults.epochs = 2\n'
        '[optimizers.SGD]\nhyperparameters.lr = 0.001\nschedules = ["constant", "steps"]\n'
        "[schedules.steps]\nepochs = [1]\nfactors = [0.1]\n"
    )
    heading = next(line for line in out.splitlines() if "BEST CONFIGURATION" in line)
    assert "SCHEDULE" not in heading
    rows = [" ".join(row) for row in _rows(out, "BEST CONFIGURATION")]
    assert [row.partition(" loss ")[0] for row in rows] == [
        "quadratic_deep SGD",
        "quadratic_deep SGD + steps",
    ]


def test_lines_of_runs_name_the_schedule(bench: Callable[..., Any]) -> None:
    _, out, _ = bench(
        'problems = ["quadratic_deep"]\ndefaults.epochs = 2\n'
        '[optimizers.SGD]\nhyperparameters.lr = 0.001\nschedules = ["constant", "a", "b", "c"]\n'
        "[schedules.a]\nepochs = [0, 1]\nfactors = [1, 0.1]\n"
        '[schedules.b]\nscheduler = "StepLR"\narguments.step_size = 1\n'
        '[schedules.c]\nscheduler = "StepLR"\narguments.step_size = 9\nevery = "step"\n'
    )
    lines = [line for line in out.splitlines() if line.startswith("[")]
    assert [line.partition("; lr = 0.001")[2] for line in lines] == [
        "",
        ", lr x 1 from epoch 0, lr x 0.1 from epoch 1",
        ", StepLR(step_size=1)",
        ", StepLR(step_size=9) every step",
    ]


def test_the_best_setting_is_chosen_on_validation_data_where_there_are_some(
    bench: Callable[..., Any],
) -> None:
    _, out, _ = bench(SMALL + "[overrides.quadratic_deep]\nvalidation_size = 256\n")
    assert "The best configuration was selected on validation data: quadratic_deep." in out
    assert "on the test set, which makes figures on it too good: two_d_beale." in out
    assert "Selection seeds are among those reported: SGD." in out
    rows = _rows(out, "FINAL VALIDATION")
    assert rows[0].count("loss") == 2


def test_a_run_that_fails_is_reported_with_its_log_and_ends_nothing(
    bench: Callable[..., Any], own_optimizers: str, tmp_path: Path
) -> None:
    text = (
        'problems = ["quadratic_deep"]\ndefaults.epochs = 1\n'
        f'[optimizers.broken]\nclass = "{own_optimizers}:BrokenStep"\n[optimizers.SGD]\n'
    )
    code, out, err = bench(text)
    assert code == 1
    assert len(_results(tmp_path / "results")) == 1
    rows = _rows(out, "BEST CONFIGURATION")
    assert rows[0] == ["quadratic_deep", "broken", "-", "1", "0", "1", "-"]
    assert rows[1][1] == "SGD"
    failed, log = err.splitlines()
    assert failed.startswith("Failed: BrokenStep on quadratic_deep, seed 42: failed (error): ")
    path = tmp_path / log.partition(": ")[2]
    assert "no_such_buffer" in json.loads(path.read_text())["log"]


def test_tuned_optimizers_are_in_the_table(bench: Callable[..., Any], tmp_path: Path) -> None:
    text = (
        'problems = ["quadratic_deep"]\ndefaults.epochs = 1\n[optimizers.Adam]\n'
        "[optimizers.SGD.tune]\nsampler = 'grid'\nspace.lr = [1e20, 0.001]\nreport_seeds = '5..6'\n"
    )
    code, out, _ = bench(text)
    assert code == 0
    assert "1 run: 0 done, 1 pending; 1 tuning of 4 runs." in out
    adam, sgd = _rows(out, "BEST CONFIGURATION")
    assert (adam[1], sgd[1]) == ("Adam", "SGD")
    assert sgd[-3:] == ["lr", "=", "0.001"]
    assert "Selection seeds" not in out
    assert len(_results(tmp_path / "results")) == 1 + 4
    assert len(list((tmp_path / "results").rglob("*.tuning"))) == 1
    _, again, _ = bench(text)
    assert "[1/" not in again
    assert _rows(again, "BEST CONFIGURATION") == [adam, sgd]


def test_results_are_written_for_programs(
    bench: Callable[..., Any], own_optimizers: str, tmp_path: Path
) -> None:
    code, out, err = bench(
        'problems = ["quadratic_deep"]\ndefaults = { epochs = 1, validation_size = 256 }\n'
        "seeds = [1, 2]\n[optimizers.SGD]\ngrid.lr = [1e30, 1e-5]\n"
        f'[optimizers.broken]\nclass = "{own_optimizers}:BrokenStep"\nhyperparameters.lr = 0.1\n',
        "--json",
    )
    assert code == 1
    written = json.loads(out)
    best, broken = written["standings"]
    ours = [r for r in _results(tmp_path).values() if r["optimizer_hyperparams"]["lr"] == 1e-5]
    assert sorted(best.pop("test")) == sorted(r["test_losses"][-1] for r in ours)
    assert sorted(best.pop("valid")) == sorted(r["valid_losses"][-1] for r in ours)
    assert best.pop("hyperparameters")["lr"] == 1e-5
    assert best == {
        "problem": "quadratic_deep",
        "optimizer": "SGD",
        "schedule": "constant",
        "metric": "loss",
        "chosen_on": "valid",
        "configurations": 2,
        "seeds": 2,
        "runs": 4,
        "diverged": 2,
        "failed": 0,
        "pending": 0,
        "is_synthetic": False,
        "has_seeds_of_the_choice": True,
    }
    assert (broken["hyperparameters"], broken["test"], broken["failed"]) == (None, [], 2)
    assert [failure["seed"] for failure in written["failures"]] == [1, 2]
    assert "no_such_buffer" in (tmp_path / written["failures"][0]["log"]).read_text()
    assert (written["tuning_files"], written["failed_tunings"]) == ([], {})
    assert written["is_out_of_time"] is False
    assert "[6/6] " in err
    assert "Failed: BrokenStep on quadratic_deep, seed 1" in err


def test_a_plan_is_written_for_programs(bench: Callable[..., Any]) -> None:
    text = SMALL + "[optimizers.Adam.tune]\nsampler = 'grid'\nspace.lr = [0.1, 0.001]\n"
    bench(text, "--only", "problem=two_d_beale", "--only", "optimizer=heavy")
    code, out, err = bench(text, "--only", "problem=two_d_beale", "--dry-run", "--json")
    assert (code, err) == (0, "")
    written = json.loads(out)
    sgd, heavy, adam = written["parts"]
    for name in ("seconds", "low", "high"):
        key = "seconds" if name == "seconds" else f"seconds_{name}"
        parts = sgd.pop(key) + adam.pop(key)
        assert written.pop(key) == pytest.approx(parts + getattr(START, name))
    assert sgd == {
        "problem": "two_d_beale",
        "optimizer": "SGD",
        "schedule": "constant",
        "is_tuned": False,
        "configurations": 2,
        "runs": 4,
        "done": 0,
        "pending": 4,
    }
    assert (heavy["done"], heavy["pending"], heavy["seconds"]) == (2, 0, 0)
    assert (adam["is_tuned"], adam["configurations"], adam["runs"]) == (True, None, 12)
    assert (adam["done"], adam["pending"]) == (None, None)
    del written["parts"]
    assert written == {
        "runs": 6,
        "done": 2,
        "pending": 4,
        "results_of_older_code": 0,
        "with_checkpoints": [],
        "runs_of_tunings": 12,
        "runs_of_unknown_duration": 0,
        "unmeasured": [],
        "on_synthetic_data": [],
        "missing_data": {},
        "output_dir": "results",
    }


def test_a_plan_without_estimate_leaves_times_open_for_programs_too(
    bench: Callable[..., Any],
) -> None:
    _, out, _ = bench(SMALL, "--dry-run", "--no-estimate", "--json")
    written = json.loads(out)
    assert (written["seconds"], written["runs_of_unknown_duration"]) == (None, 12)
    assert {part["seconds"] for part in written["parts"]} == {None}


def test_fake_data_on_the_command_line_stand_in(bench: Callable[..., Any], tmp_path: Path) -> None:
    bench(
        'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\n'
        "defaults = {epochs = 1, fake_data = false}\n",
        *("--fake-data", "0.5"),
    )
    (result,) = _results(tmp_path / "results").values()
    assert "--fake-data 0.5" in result["command"]


def test_a_tuning_whose_trials_all_failed_counts_as_a_failure(
    bench: Callable[..., Any], own_optimizers: str
) -> None:
    code, _, err = bench(
        'problems = ["quadratic_deep"]\ndefaults.epochs = 1\n[optimizers.mine]\n'
        f'class = "{own_optimizers}:BrokenStep"\nneeds = ["plain"]\n'
        'tune = { sampler = "grid", space = { lr = [0.1, 0.2] } }\n'
    )
    assert code == 1
    assert "Failed: the tuning of mine on quadratic_deep: None of the 2 trials has a resu" in err
    assert "no_such_buffer" in err


def test_time_that_is_up_starts_no_further_run(bench: Callable[..., Any], tmp_path: Path) -> None:
    code, _, err = bench(SMALL + "[budget]\nhours = 1e-9\n")
    assert code == 1
    assert len(_results(tmp_path / "results")) == 1
    assert "the hours of the budget are over; 11 runs of the experiment" in err
    assert "Repeat the command to continue." in err
    code, _, _ = bench(SMALL)
    assert code == 0
    assert len(_results(tmp_path / "results")) == 12


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--only", "problem=digits"], "No run of the experiment has problem=digits."),
        (["--only", "two_d_beale"], "'two_d_beale' does not select runs."),
        (["--executor", "nobody"], "There is no executor 'nobody'"),
        (["--executor", "loky"], "as a function of your own that makes their executor"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--fake-data", "2"], "fake_data must be from 0 to 1"),
    ],
)
def test_a_mistake_in_the_command_exits_with_2(
    bench: Callable[..., Any], tmp_path: Path, args: list[str], message: str
) -> None:
    code, _, err = bench(SMALL, "--no-estimate", *args)
    assert code == 2
    assert message in err
    assert not _results(tmp_path)


def test_mistakes_in_the_file_are_shown_line_by_line(bench: Callable[..., Any]) -> None:
    code, out, err = bench(SMALL.replace("epochs = 1", "epoch = 1").replace("heavy", "heavi.x"))
    assert (code, out) == (2, "")
    assert err.startswith("Error: experiment.toml: ")
    assert "experiment.toml: defaults.epoch: Unknown key. Did you mean" in err
    assert "experiment.toml: optimizers.heavi" in err
    assert "Traceback" not in err


def test_data_that_are_missing_do_not_keep_a_plan_from_being_shown(
    bench: Callable[..., Any], install: Callable[..., Any], fresh_registry: object
) -> None:
    install("acme-obs", MISSING_DATA)
    code, out, err = bench(
        'problems = ["acme_mlp", "quadratic_deep"]\noptimizers = ["SGD"]\n', "--dry-run"
    )
    assert code == 0
    assert _rows(out, "PENDING")[0] == ["acme_mlp", "SGD", "1", "1", "0", "1", "?"]
    assert "with 1 job, and 1 run of unknown duration, estimated" in out
    assert "Of unknown duration: SGD on acme_mlp (1 run): " in out
    assert "`deepobs data prepare acme_data`" in err


def test_recorded_times_are_preferred_to_measuring(
    bench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\nseeds = "1..3"\ndefaults.epochs = 2'
    bench(one, "--only", "seed=1")
    ((path, result),) = _results(tmp_path / "results").items()
    result["train_seconds"] = [100.0, 100.0]
    result["eval_seconds"] = [10.0, 10.0, 10.0]
    (tmp_path / path).write_text(json.dumps(result, indent=1))
    _, out, _ = bench(one, "--dry-run", "--jobs", "2")
    assert "7 min 40 s" in out  # two runs of two epochs, and an evaluation before each
    assert "about 3 min 58 s (3 min 7 s to 5 min 18 s) with 2 jobs, estimated" in out


def test_a_dry_run_measures_every_kind_of_run_once(
    bench: Callable[..., Any], own_optimizers: str, tmp_path: Path
) -> None:
    text = (
        'problems = ["quadratic_deep", "two_d_beale"]\ndefaults.epochs = 2\n[optimizers.SGD]\n'
        f'[optimizers.mine]\nclass = "{own_optimizers}:Working"\nhyperparameters.lr = 0.1\n'
        "[optimizers.Adam.tune]\nspace = { lr = 'log:1e-4:1', batch_size = [16, 32] }\n"
        "select_on = 'test'\n"
    )
    code, out, err = bench(text, "--dry-run")
    assert (code, err) == (0, "")
    assert re.search(r"about \S.* \(\S.* to \S.*\) with 1 job, estimated", out)
    assert not [row for row in _rows(out, "PENDING") if row[-1] == "?"]
    measured = (tmp_path / "cache" / "paces.json").read_text()
    assert len(json.loads(measured)) == 2 * (2 + 2)
    assert bench(text, "--dry-run") == (0, out, "")
    assert (tmp_path / "cache" / "paces.json").read_text() == measured


def test_a_tuning_that_is_done_takes_no_more_time(bench: Callable[..., Any]) -> None:
    text = (
        'problems = ["two_d_beale"]\ndefaults.epochs = 1\n[optimizers.SGD.tune]\n'
        "space = { lr = 'log:1e-6:1e-4' }\ntrials = 2\nreport_seeds = [1]\nselect_on = 'test'\n"
    )
    assert "1 tuning of 3 runs. " in bench(text, "--dry-run")[1]
    assert bench(text)[0] == 0
    code, out, _ = bench(text, "--dry-run")
    assert code == 0
    assert "1 tuning of 3 runs (1 done). " in out
    assert "They will take" not in out
    assert _rows(out, "PENDING")[0][-3:] == ["3", "0", "-"]


def test_the_last_of_several_runs_at_a_time_takes_its_time(bench: Callable[..., Any]) -> None:
    text = 'problems = ["two_d_beale"]\nseeds = [1, 2, 3]\noptimizers = ["SGD"]\n'
    seconds = [
        json.loads(bench(text, "--dry-run", "--json", "--jobs", jobs, "--threads", "1")[1])
        for jobs in ("1", "2", "3", "4")
    ]
    one, two, three, four = (each["seconds"] - START.seconds for each in seconds)
    assert two == pytest.approx(one * 2 / 3)
    assert three == four == pytest.approx(one / 3)


def test_what_cannot_be_measured_is_named_with_the_reason(
    bench: Callable[..., Any], own_optimizers: str
) -> None:
    text = (
        'problems = ["quadratic_deep"]\n[optimizers.SGD]\n[optimizers.mine]\n'
        f'class = "{own_optimizers}:BrokenStep"\nneeds = ["plain"]\n'
        "hyperparameters.lr = 0.1\n"
    )
    _, out, _ = bench(text, "--dry-run")
    assert "and 1 run of unknown duration" in out
    assert "Of unknown duration: mine on quadratic_deep (1 run): AttributeError: " in out
    assert "no_such_buffer" in out
    unmeasured = json.loads(bench(text, "--dry-run", "--json")[1])["unmeasured"]
    assert [one["runs"] for one in unmeasured] == [1]


def test_a_broken_cache_of_paces_is_replaced(bench: Callable[..., Any], tmp_path: Path) -> None:
    one = 'problems = ["two_d_beale"]\noptimizers = ["SGD"]\ndefaults.epochs = 1\n'
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "paces.json").write_text('{"a": {"epoch": 1}}')
    code, out, err = bench(one, "--dry-run")
    assert (code, err) == (0, "")
    assert "estimated" in out
    assert len(json.loads((tmp_path / "cache" / "paces.json").read_text())) == 1


def test_many_seeds_and_settings_are_planned_as_one_kind(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(SMALL)
    runs = [run.specification for run in plan(load(path), str(path)).runs]
    assert len({kind_of(run) for run in runs}) == 2 * 2  # with and without momentum


def test_a_terminal_shows_a_bar_and_only_failures_as_lines(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    from io import StringIO

    from rich.console import Console

    from deepobs.runs import run, specify

    specification = specify("quadratic_deep", "SGD", num_epochs=1)
    console = Console(file=StringIO(), force_terminal=True, width=100)
    with bench_progress(3, 2, console=console) as notify:
        record = run(specification).record
        notify(specification, record, was_done=True)
        notify(specification, record, was_done=False)
    shown = console.file.getvalue()
    assert "Runs" in shown
    assert "1/3" in shown
    assert "2 running" in shown
    assert "after 1 epoch" not in shown


def test_the_command_works_as_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(SMALL)
    command = [sys.executable, "-m", "deepobs", "bench", "experiment.toml", "--no-estimate"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert len(_results(tmp_path / "results")) == 12


def test_after_an_interruption_the_same_command_goes_on(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    text = SMALL.replace("[1, 2]", '"1..100"')
    (tmp_path / "experiment.toml").write_text(text)
    command = [sys.executable, "-m", "deepobs", "bench", "experiment.toml", "--no-estimate"]
    with subprocess.Popen(
        [*command, "--device", "cpu"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert "600 pending" in process.stdout.readline()
        assert process.stdout.readline().startswith("[1/600] ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Results so far are kept: repeat the command to continue." in err
    assert "Traceback" not in err
    done = len(_results(tmp_path / "results"))
    assert 1 <= done < 600
    _, out, _ = bench(text, "--dry-run", "--no-estimate")
    assert f"600 runs: {done} done, {600 - done} pending." in out
