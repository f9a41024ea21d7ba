"""From an experiment file to its table: exactly its runs, with its names and its report seeds."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deepobs.errors import ArgumentError
from deepobs.runs import run, specify
from deepobs_analysis import load, select
from deepobs_analysis.report import report
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.experiment_files import load as load_experiment
from deepobs_bench.plan import plan
from deepobs_bench.standings import execute
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_analysis.results import Results
    from deepobs_bench.standings import Standing

    CommandLine = Callable[..., tuple[int, str, str]]
    Bench = Callable[[], list[Standing]]

PLAIN = """
problems = ["quadratic_deep"]
seeds = [1, 2]
defaults.epochs = 1
[optimizers.SGD]
grid.lr = [0.01, 0.02]
[optimizers."Momentum 0.5"]
class = "Momentum"
hyperparameters = { lr = 0.01, momentum = 0.5 }
[optimizers."the same"]
class = "SGD"
hyperparameters.lr = 0.01
"""
TUNED = """
problems = ["quadratic_deep", "digits_logreg"]
defaults.epochs = 1
[optimizers.SGD.tune]
space.lr = "0.001,0.01"
sampler = "grid"
report_seeds = [1, 2, 3]
[optimizers."heavy ball"]
class = "Momentum"
hyperparameters.momentum = 0.5
[optimizers."heavy ball".tune]
space.lr = "0.001,0.01"
sampler = "grid"
report_seeds = [1, 2, 3]
"""
OF_EARLIER = """
problems = ["quadratic_deep"]
seeds = [1, 2]
defaults = { epochs = 1, validation_size = 128 }
[optimizers.tuned]
class = "SGD"
hyperparameters.momentum = 0.0
tune = { space.lr = "0.001,0.01", sampler = "grid", report_seeds = [1, 2] }
[optimizers.plain]
class = "SGD"
hyperparameters = { lr = 0.01, momentum = 0.0 }
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of an experiment in the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "experiment.toml"


@pytest.fixture
def bench(experiment: Path) -> Bench:
    """Executes the experiment in this process, as `deepobs bench` does."""

    def call() -> list[Standing]:
        planned = plan(load_experiment(experiment), str(experiment), device="cpu")
        sweep = Sweep(SerialExecutor(), output_dir=experiment.parent / "results")
        return execute(planned, sweep, jobs=1).standings(planned)

    return call


def shown(results: Results) -> dict[tuple[str, str], tuple[list[int], float]]:
    """The seeds and the mean of each optimizer on each problem."""
    return {
        (each.problem, each.optimizer): (
            each.runs["seed"].tolist(),
            statistics.fmean(each.final()),
        )
        for each in select(results)
    }


def seeds(results: Results) -> dict[str, list[int]]:
    return {optimizer: of for (_, optimizer), (of, _) in shown(results).items()}


SCHEDULES = """
problems = ["quadratic_deep"]
seeds = [1, 2]
defaults.epochs = 2
[schedules.half]
epochs = [1]
factors = [0.5]
[schedules.tenth]
epochs = [1]
factors = [0.1]
[optimizers.mine]
class = "SGD"
hyperparameters.lr = 0.001
"""


def test_every_schedule_of_the_file_is_a_row_as_in_bench(
    experiment: Path, bench: Bench, command_line: CommandLine
) -> None:
    experiment.write_text(SCHEDULES)
    rows = {f"{each.optimizer} + {each.schedule}": each.test for each in bench()}
    for place in (experiment, "results"):
        table = select(load(place))
        assert {each.optimizer: tuple(each.final()) for each in table} == rows
        assert rows.keys() == {"mine + half", "mine + tenth"}
    answer = command_line("compare", "mine + half", "mine + tenth", "--results", "experiment.toml")
    assert answer[0] == 0 and "quadratic_deep" in answer[1]


def test_an_experiment_is_shown_by_its_own_names(experiment: Path, bench: Bench) -> None:
    experiment.write_text(PLAIN)
    bench()
    results = load("experiment.toml")
    assert seeds(results) == {"Momentum 0.5": [1, 2], "SGD": [1, 2], "the same": [1, 2]}
    assert results.remarks == () and results.skipped == ()
    # The directory calls a run that two optimizers share by the first of the names only.
    assert load("results").optimizers == ["Momentum 0.5", "SGD"]


def test_bench_and_table_say_the_same_of_a_plain_experiment(experiment: Path, bench: Bench) -> None:
    experiment.write_text(PLAIN)
    standings = {(each.problem, each.optimizer): each.test for each in bench()}
    read = shown(load("experiment.toml"))
    assert read.keys() == standings.keys()
    for pair, values in standings.items():
        assert read[pair][1] == statistics.fmean(values)


def test_bench_and_table_say_the_same_of_tuned_optimizers(
    experiment: Path, bench: Bench, command_line: CommandLine
) -> None:
    experiment.write_text(TUNED)
    standings = bench()
    assert len(standings) == 4
    for read in (load("experiment.toml"), load("results")):
        of_table = shown(read)
        assert len(of_table) == 4
        for each in standings:
            seeds, mean = of_table[each.problem, each.optimizer]
            assert seeds == [1, 2, 3] and mean == statistics.fmean(each.test)
    code, out, err = command_line("table", "experiment.toml", "--format", "csv")
    assert code == 0, err
    assert len(out.splitlines()) == 5 and "heavy ball" in out


def test_tune_and_table_say_the_same(tmp_path: Path, command_line: CommandLine) -> None:
    words = ("quadratic_deep", "SGD", "--epochs", "1", "--report-seeds", "42..44")
    space = ("--space", "lr=0.001,0.01", "--sampler", "grid", "--seeds", "42,7")
    executor = ("--executor", "serial")
    code, out, err = command_line("tune", *words, *space, *executor, "--json")
    assert code == 0, err
    summary = json.loads(out)["summary"]["test_loss"]
    (of_table,) = shown(load("results")).values()
    assert of_table == ([42, 43, 44], pytest.approx(summary["mean"], rel=1e-15))
    (included,) = shown(load("results", selection_seeds="include")).values()
    assert included[0] == [7, 42, 43, 44]
    code, out, err = command_line("table", "results", "--selection-seeds", "include")
    assert code == 0 and re.search(r"±.* 4 ", out)


def test_after_an_edit_only_the_present_runs_count(experiment: Path, bench: Bench) -> None:
    experiment.write_text(PLAIN.replace("[1, 2]", "[1, 2, 3]"))
    bench()
    experiment.write_text(PLAIN.replace("epochs = 1", "epochs = 2").replace("[1, 2]", "[1]"))
    bench()
    results = load("experiment.toml")
    assert seeds(results) == {"Momentum 0.5": [1], "SGD": [1], "the same": [1]}
    assert set(results.runs["num_epochs"]) == {2}
    # The directory holds both, and the older runs with more seeds stay apart.
    assert load("results").problems == [
        "quadratic_deep (epochs = 1)",
        "quadratic_deep (epochs = 2)",
    ]


def test_runs_that_are_pending_are_named(
    experiment: Path, bench: Bench, command_line: CommandLine
) -> None:
    experiment.write_text(PLAIN)
    bench()
    experiment.write_text(PLAIN.replace("[1, 2]", "[1, 2, 3]"))
    (remark,) = load("experiment.toml").remarks
    assert remark == (
        "3 of 9 runs of the experiment have no result yet; `deepobs bench experiment.toml` "
        "executes them."
    )
    code, _, err = command_line("table", "experiment.toml")
    assert code == 0 and "3 of 9 runs of the experiment" in " ".join(err.split())


def test_the_report_says_first_how_many_runs_are_pending(experiment: Path, bench: Bench) -> None:
    experiment.write_text(PLAIN)
    bench()
    pending = "of the experiment have no result yet"
    assert pending not in report(load("experiment.toml"))
    experiment.write_text(PLAIN.replace("[1, 2]", "[1, 2, 3]"))
    page = report(load("experiment.toml"))
    heading = page.index("Read this first")
    assert heading < page.index(f"3 of 9 runs {pending}") < page.index("Overview</h2>")


def test_the_record_of_a_tuning_is_that_of_the_present_settings(
    experiment: Path, bench: Bench
) -> None:
    experiment.write_text(TUNED)
    bench()
    wider = TUNED.replace("0.001,0.01", "0.001,0.01,0.02").replace("[1, 2, 3]", "[4, 5]")
    experiment.write_text(wider)
    results = load("experiment.toml")
    assert results.runs.empty and results.tunings == ()
    assert results.remarks[0].startswith("4 of 4 tunings of the experiment have no result yet")
    bench()
    results = load("experiment.toml")
    assert set(map(str, seeds(results).values())) == {"[4, 5]"}
    assert {len(record.trials) for record in results.tunings} == {3}
    assert {record.optimizer for record in results.tunings} == {"SGD", "heavy ball"}
    experiment.write_text(TUNED)
    assert set(map(str, seeds(load("experiment.toml")).values())) == {"[1, 2, 3]"}


def test_tuned_runs_of_earlier_releases_keep_their_roles(experiment: Path, bench: Bench) -> None:
    experiment.write_text(OF_EARLIER)
    for lr, seed in ((0.001, 42), (0.01, 42), (0.01, 1), (0.01, 2)):
        specification = specify(
            "quadratic_deep",
            "SGD",
            {"lr": lr, "momentum": 0.0},
            num_epochs=1,
            validation_size=128,
            random_seed=seed,
        )
        # As before: an argument at its default was a part of the identity.
        earlier = specification.model_copy(update={"at_defaults": ()})
        assert earlier.run_id != specification.run_id
        run(earlier, output_dir="results")
    files = sorted(Path("results").rglob("*.json"))
    bench()
    assert sorted(Path("results").rglob("*.json")) == files
    assert seeds(load("results")) == {"SGD": [1, 2]}
    # The runs of the report belong to both.
    assert seeds(load("experiment.toml")) == {"plain": [1, 2], "tuned": [1, 2]}
    (record,) = load("experiment.toml").tunings
    assert (record.problem, record.optimizer) == ("quadratic_deep", "tuned")


def test_jobs_that_a_tuning_was_executed_with_are_none_of_its_settings(
    experiment: Path, bench: Bench
) -> None:
    pytest.importorskip("optuna")
    experiment.write_text(
        'problems = ["quadratic_deep"]\ndefaults.epochs = 1\n[optimizers.SGD.tune]\n'
        'space.lr = "log:1e-4:1e-2"\nsampler = "tpe"\ntrials = 3\nreport_seeds = [1]\n'
    )
    planned = plan(load_experiment(experiment), str(experiment), device="cpu")
    sweep = Sweep(SerialExecutor(), output_dir=experiment.parent / "results")
    execute(planned, sweep, jobs=2)
    assert seeds(load("experiment.toml")) == {"SGD": [1]}


def test_runs_on_synthetic_data_are_said_to_be_that(
    experiment: Path, bench: Bench, command_line: CommandLine
) -> None:
    text = 'problems = ["fmnist_logreg"]\n[defaults]\nepochs = 1\nfake_data = 0.01\n'
    experiment.write_text(f"{text}[optimizers.SGD]\nhyperparameters.lr = 0.1\n")
    bench()
    results = load("experiment.toml")
    assert results.runs.empty
    (skipped,) = results.skipped
    assert "synthetic data" in skipped.reason
    sentence = "fmnist_logreg is not shown: all of its runs used synthetic data."
    assert results.remarks == (sentence,)
    code, _, err = command_line("table", "experiment.toml")
    assert code != 0 and sentence in " ".join(err.split())
    code, out, _ = command_line("bench", "experiment.toml")
    assert code == 0 and "fmnist_logreg (synthetic data)" in out


def test_a_problem_on_synthetic_data_is_named_once_in_place_of_its_files(
    experiment: Path, bench: Bench, command_line: CommandLine
) -> None:
    text = 'problems = ["fmnist_logreg", "quadratic_deep"]\nseeds = [1, 2]\ndefaults.epochs = 1\n'
    experiment.write_text(
        f"{text}overrides.fmnist_logreg.fake_data = 0.01\n"
        "[optimizers.SGD]\nhyperparameters.lr = 0.01\n"
    )
    bench()
    sentence = "fmnist_logreg is not shown: all of its runs used synthetic data."
    for place in ("experiment.toml", "results"):
        for command in ("table", "score"):
            code, _, err = command_line(command, place)
            assert code == 0 and " ".join(err.split()) == f"Warning: {sentence}"
        page = report(load(place))
        assert sentence in page and ".json" not in page


def test_results_can_be_elsewhere(
    experiment: Path, bench: Bench, command_line: CommandLine
) -> None:
    experiment.write_text(PLAIN)
    bench()
    (experiment.parent / "results").rename(experiment.parent / "elsewhere")
    code, out, _ = command_line("score", "experiment.toml", "--out", "elsewhere")
    assert code == 0 and "Momentum 0.5" in out
    code, _, err = command_line("table", "experiment.toml")
    assert code == 2 and "the directory results does not exist" in " ".join(err.split())
    for command in ("table", "score", "plot", "report"):
        code, out, _ = command_line(command, "--help")
        assert re.search("--out.*--by|--by.*--out", out, flags=re.DOTALL)


def test_mistakes_in_the_file_are_said_and_no_plugin_is_blamed(
    experiment: Path, command_line: CommandLine
) -> None:
    experiment.write_text(PLAIN.replace("quadratic_deep", "quadratic_depp"))
    with pytest.raises(ArgumentError, match="quadratic_deep"):
        load("experiment.toml")
    code, _, err = command_line("table", "experiment.toml")
    assert code == 2 and "quadratic_depp" in err and "disabled" not in err
