"""Tuning with real runs of quadratic_deep: what is tried, chosen, reported and said."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pytest
from plugin_sources import PREAMBLE

from deepobs.errors import ArgumentError
from deepobs.records import RunRecord
from deepobs.runs import RunObserver
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.sweep import Sweep
from deepobs_bench.tuning.result import read
from deepobs_bench.tuning.samplers import OptunaSearch
from deepobs_bench.tuning.settings import TuningSettings
from deepobs_bench.tuning.spaces import parsed
from deepobs_bench.tuning.tune import AllTrialsFailedError, tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification
    from deepobs_bench.tuning.result import TuningResult

LR = {"lr": "log:1e-4:1e-1"}

trains_nothing = pytest.mark.filterwarnings("ignore:.*trained nothing")
"""Of tests whose learning rates are too small on purpose."""


class Counter(RunObserver):
    """Records executed runs."""

    def __init__(self) -> None:
        self.runs: list[RunSpecification] = []

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        self.runs.append(specification)


class Breaker(RunObserver):
    """Ends runs with large learning rates as a crash of the optimizer would."""

    def run_started(
        self, specification: RunSpecification, steps_per_epoch: int, resumed_at: int
    ) -> None:
        if specification.hyperparameters["lr"] > 0.01:
            raise RuntimeError("too large for me")


@pytest.fixture
def tuned(tmp_path: Path) -> Callable[..., TuningResult]:
    """Tunes on quadratic_deep for one epoch, with the settings given."""

    def call(
        optimizer: Any = "SGD",
        *,
        problem: str = "quadratic_deep",
        observer: RunObserver | None = None,
        hyperparameters: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        jobs: int = 1,
        **settings: Any,
    ) -> TuningResult:
        observers = [observer] if observer else []
        return tune(
            problem,
            optimizer,
            TuningSettings(**({"report_seeds": [1, 2]} | settings)),
            sweep=Sweep(SerialExecutor(), output_dir=tmp_path, observers=observers),
            hyperparameters=hyperparameters,
            options={"num_epochs": 1, "device": "cpu"} | (options or {}),
            jobs=jobs,
        )

    return call


def test_the_preset_of_the_paper_tries_its_36_rates_and_reports_ten_seeds(
    tuned: Callable[..., TuningResult],
) -> None:
    counter = Counter()
    result = tuned(preset="paper", report_seeds=None, observer=counter)
    rates = [trial.setting["lr"] for trial in result.trials]
    assert rates == pytest.approx(np.logspace(-5, 2, 36).tolist(), rel=1e-11)
    assert {run.random_seed for run in counter.runs[:36]} == {42}
    assert [run.seed for run in result.report] == list(range(42, 52))
    assert len(counter.runs) == 36 + 9  # that with seed 42 is there
    said = " ".join(result.explanation)
    assert "42 took part in the selection" in said
    assert "The published protocol chose on the test set" in said
    assert result.summary["test_loss"].runs == 10
    assert result.summary_without_selection is not None
    assert result.summary_without_selection["test_loss"].runs == 9


def test_the_deviation_of_the_report_is_that_of_the_population(
    tuned: Callable[..., TuningResult],
) -> None:
    result = tuned(sampler="grid", space={"lr": [0.01]}, report_seeds=[1, 2])
    first, second = (run.metrics["test_loss"] for run in result.report)
    assert first is not None
    assert second is not None
    assert result.summary["test_loss"].std == pytest.approx(abs(first - second) / 2)


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe", "gp"])
def test_to_tune_again_runs_nothing_and_gives_the_same(
    tuned: Callable[..., TuningResult], tmp_path: Path, sampler: str
) -> None:
    grid = {"lr": "log:1e-4:1e-1:4", "nesterov": [True, False], "momentum": [0.5]}
    space = {"lr": "log:1e-4:1e2", "nesterov": [True, False], "momentum": "one-minus-log:0.01:0.9"}
    settings: dict[str, Any] = {"sampler": sampler, "space": grid}
    if sampler != "grid":
        settings |= {"space": space, "trials": 14, "at_once": 3}
    first = tuned(**settings)
    counter = Counter()
    assert tuned(observer=counter, **settings) == first
    assert counter.runs == []
    assert read(first.path_in(tmp_path)) == first
    assert len(list(tmp_path.rglob("*.tuning"))) == 1


def test_trials_and_report_carry_the_label_which_makes_no_other_tuning(
    tuned: Callable[..., TuningResult], tmp_path: Path
) -> None:
    labelled = tuned(space={"lr": "0.1,0.2"}, sampler="grid", options={"label": "mine"})
    records = [
        RunRecord.model_validate_json(path.read_bytes()) for path in tmp_path.rglob("*.json")
    ]
    assert {record.label for record in records} == {"mine"}
    assert tuned(space={"lr": "0.1,0.2"}, sampler="grid").tuning_id == labelled.tuning_id


def test_a_sampler_that_learns_does_better_than_its_first_trials(
    tuned: Callable[..., TuningResult],
) -> None:
    result = tuned(sampler="gp", space={"lr": "log:1e-6:1e2"}, trials=20)
    assert result.winner is not None
    assert result.winner >= 10


def test_which_runs_end_first_changes_nothing(
    tuned: Callable[..., TuningResult], tmp_path: Path
) -> None:
    """Of several at once, those whose results are there end before the others."""
    settings: dict[str, Any] = {"sampler": "tpe", "space": LR, "trials": 16, "at_once": 4}
    first = tuned(**settings)
    for number in (0, 2, 7, 12):
        run = first.trials[number].runs[0]
        (path,) = (path for path in tmp_path.rglob("*.json") if run.run_id in path.read_text())
        path.unlink()
    assert tuned(**settings) == first


def test_what_diverges_never_wins(tuned: Callable[..., TuningResult]) -> None:
    result = tuned(sampler="grid", space={"lr": "log:1e-5:1e6:12"})
    diverged = [trial for trial in result.trials if trial.status == "diverged"]
    assert diverged
    assert all(trial.value is None for trial in diverged)
    assert result.best is not None
    values = [trial.value for trial in result.trials if trial.value is not None]
    assert result.best.value == min(values)


def test_where_everything_diverges_nobody_wins(tuned: Callable[..., TuningResult]) -> None:
    result = tuned(sampler="tpe", space={"lr": "log:1e20:1e30"}, trials=12)
    assert (result.best, result.report, result.summary) == (None, (), {})


def test_a_trial_that_fails_is_listed_and_never_wins(
    tuned: Callable[..., TuningResult],
) -> None:
    result = tuned(sampler="grid", space={"lr": [0.1, 1e-3, 1e-4]}, observer=Breaker())
    assert [trial.status for trial in result.trials] == ["failed", "completed", "completed"]
    assert "too large for me" in result.trials[0].message
    assert result.winner == 1


def test_a_setting_that_the_optimizer_refuses_is_listed(
    tuned: Callable[..., TuningResult],
) -> None:
    space = {"momentum": [0.0, 0.9], "nesterov": [True, False]}
    result = tuned(sampler="grid", space=space, hyperparameters={"lr": 0.001})
    assert [trial.status for trial in result.trials] == ["refused"] + 3 * ["completed"]
    assert "Nesterov momentum requires" in result.trials[0].message


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_tuning_whose_trials_all_failed_raises_with_the_first_reason(
    tuned: Callable[..., TuningResult], tmp_path: Path, sampler: str
) -> None:
    with pytest.raises(AllTrialsFailedError, match=r"None of the 2 trials has .*too large for me"):
        tuned(sampler=sampler, space={"lr": [1.0, 0.1]}, trials=2, observer=Breaker())
    assert not list(tmp_path.rglob("*.tuning"))


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_a_sampler_suggests_no_configuration_twice(
    tuned: Callable[..., TuningResult], tmp_path: Path, sampler: str
) -> None:
    space = {"lr": [0.01, 0.001, 1e-4], "momentum": [0.0, 0.5, 0.9], "maximize": [False]}
    result = tuned(sampler=sampler, space=space, trials=8, at_once=3)
    settings = [repr(trial.setting) for trial in result.trials]
    assert len(set(settings)) == len(settings) == 8
    assert result.distinct_configurations == 8
    assert "8 distinct configurations were tried." in result.explanation
    written = json.loads(result.path_in(tmp_path).read_text())
    assert written["distinct_configurations"] == 8


def test_a_random_search_draws_again_what_is_nearly_a_repetition() -> None:
    search = OptunaSearch("random", {"lr": parsed("log:1e-4:1")}, seed=42)
    tried = [configuration["lr"] for configuration in search.ask(8)]
    # The same seed of Optuna draws 0.00420799 and 0.00420705 among the first eight.
    sampler = optuna.samplers.RandomSampler(seed=42)
    study = optuna.create_study(sampler=sampler)
    distribution = optuna.distributions.FloatDistribution(1e-4, 1, log=True)
    drawn = [study.ask({"lr": distribution}).params["lr"] for _ in range(9)]
    del drawn[5]
    assert tried == pytest.approx(drawn, rel=1e-5)
    assert min(np.diff(np.sort(np.log(tried)))) > 1e-3 * np.log(1e4)


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_a_space_with_fewer_points_than_trials_is_tried_as_a_whole_and_says_so(
    tuned: Callable[..., TuningResult], sampler: str
) -> None:
    space = {"lr": [0.01, 0.001], "batch_size": "int:64:66"}
    result = tuned(sampler=sampler, space=space, trials=25)
    assert len(result.trials) == result.distinct_configurations == 6
    expected = "The space has 6 configurations, which all are tried: not 25 trials."
    assert expected in result.explanation


def test_values_that_are_the_same_run_count_as_one_configuration(
    tuned: Callable[..., TuningResult],
) -> None:
    result = tuned(sampler="grid", space={"lr": [0.001], "momentum": [0, 0.0, 0.5]})
    assert len(result.trials) == 3
    assert result.distinct_configurations == 2
    assert "2 distinct configurations were tried." in result.explanation


def test_of_equal_trials_the_first_wins(tuned: Callable[..., TuningResult]) -> None:
    space = {"lr": [0.001], "dampening": [0.5, 0.1]}  # without momentum, there is none to dampen
    result = tuned(sampler="grid", space=space)
    assert result.trials[0].value == result.trials[1].value
    assert result.winner == 0


def test_validation_data_are_held_out_unless_the_test_set_is_asked_for(
    tuned: Callable[..., TuningResult],
) -> None:
    counter = Counter()
    on_validation = tuned(space=LR, trials=3, observer=counter)
    assert {run.validation_size for run in counter.runs} == {128}  # 100 are no full batch
    assert "128 training examples were held out" in " ".join(on_validation.explanation)
    assert on_validation.best is not None
    chosen = on_validation.best.runs[0]
    assert on_validation.best.value == chosen.metrics["valid_loss"]

    counter = Counter()
    on_test = tuned(space=LR, trials=3, select_on="test", observer=counter)
    assert {run.validation_size for run in counter.runs} == {0}
    assert "SELECTED ON THE TEST SET" in " ".join(on_test.explanation)
    assert on_test.best is not None
    assert on_test.best.value == on_test.best.runs[0].metrics["test_loss"]


def test_the_number_of_held_out_examples_can_be_chosen(tuned: Callable[..., TuningResult]) -> None:
    result = tuned(space=LR, trials=2, options={"validation_size": 300})
    assert result.protocol.validation_size == 300


def test_a_tried_batch_size_fits_into_what_is_held_out(tuned: Callable[..., TuningResult]) -> None:
    result = tuned(sampler="grid", space={"lr": [0.01], "batch_size": [50, 200]})
    assert result.protocol.validation_size == 200
    assert [trial.status for trial in result.trials] == ["completed", "completed"]


@trains_nothing
def test_tried_batch_sizes_are_judged_on_the_same_examples(
    tuned: Callable[..., TuningResult], tmp_path: Path
) -> None:
    space = {"lr": [0.0], "batch_size": [30, 70]}  # nothing is learned: the losses are equal
    result = tuned(sampler="grid", space=space, options={"validation_size": 100})
    first, second = (trial.value for trial in result.trials)
    assert first == pytest.approx(second, rel=1e-6)
    assert "all batch sizes are judged on the same examples" in " ".join(result.explanation)
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    assert all(record["full_evaluation"] for record in records)


REGULARIZED = f"""
{PREAMBLE}
from deepobs.problems.synthetic import QuadraticDeep

class Regularized(QuadraticDeep):
    has_regularizer = True

    def get_regularization_loss(self):
        weights = [weight.square().sum() for weight in self.model.parameters()]
        return 0.5 * self.weight_decay * sum(weights)

@hookimpl
def deepobs_problems():
    return [problem("acme_decayed", target="acme_obs:Regularized")]
"""


@trains_nothing
def test_a_tried_weight_decay_of_the_problem_is_judged_by_the_bare_loss(
    tuned: Callable[..., TuningResult],
    tmp_path: Path,
    install: Callable[..., Path],
    fresh_registry: object,
) -> None:
    install("acme-obs", REGULARIZED)
    space = {"lr": [0.0], "problem_weight_decay": [1.0, 0.0]}
    result = tuned(problem="acme_decayed", sampler="grid", space=space)
    first, second = (trial.value for trial in result.trials)
    assert first == second  # of untrained models, which only the regularizer could tell apart
    assert "All losses are without the regularizer" in " ".join(result.explanation)
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    assert all(record["bare_losses"] for record in records)


def test_seeds_of_the_report_are_others_than_those_of_the_choice(
    tuned: Callable[..., TuningResult],
) -> None:
    result = tuned(space=LR, trials=3, seeds=[5, 7], report_seeds=None)
    assert [run.seed for run in result.report] == list(range(8, 18))
    assert "none of which took part in the selection" in " ".join(result.explanation)
    assert result.summary_without_selection is None
    for trial in result.trials:
        assert trial.value == pytest.approx(np.mean([run.value for run in trial.runs]))


def test_the_best_epoch_counts_on_request(tuned: Callable[..., TuningResult]) -> None:
    # The last epoch of such a large rate is worse than the start.
    rates = {"sampler": "grid", "space": {"lr": [0.05, 1e-7]}, "options": {"num_epochs": 3}}
    assert tuned(**rates).winner == 1
    best = tuned(epoch="best", **rates)
    assert best.trials[0].value <= min(run.metrics["valid_loss"] for run in best.trials[0].runs)


def test_a_result_shows_the_winner_and_its_report_and_not_its_lists(
    tuned: Callable[..., TuningResult],
) -> None:
    result = tuned(space={"lr": [0.1, 1e6]}, sampler="grid", hyperparameters={"momentum": 0.0})
    loss = result.summary["test_loss"]
    assert repr(result) == (
        "TuningResult(testproblem='quadratic_deep', optimizer='SGD', sampler='grid', trials=2, "
        f"winner={{'momentum': 0.0, 'lr': 0.1}}, test_loss=({loss.mean}, {loss.std}), "
        "report_seeds='2 of 2 completed')"
    )
    html = result._repr_html_()
    assert "momentum = 0.0, lr = 0.1; 2 of 2 runs of the report completed" in html
    assert f"{loss.mean:.6g}" in html
    without = tuned(space={"lr": [1e6, 1e7]}, sampler="grid")
    assert "winner=None, report_seeds='0 of 0 completed'" in repr(without)
    assert "no winner" in without._repr_html_()
    evil = result.model_copy(update={"optimizer": "<script>"})
    assert "<script>" not in evil._repr_html_()


def test_one_shot_takes_the_defaults(tuned: Callable[..., TuningResult]) -> None:
    result = tuned("Adam", budget="one-shot")
    assert [trial.setting for trial in result.trials] == [{}]
    assert "nothing was tuned" in " ".join(result.explanation)


@pytest.mark.parametrize(("budget", "trials"), [("small", 25), ("medium", 50), ("large", 75)])
def test_budgets_are_those_of_the_crowded_valley(
    tuned: Callable[..., TuningResult], budget: str, trials: int
) -> None:
    result = tuned("Adam", preset="crowded-valley", budget=budget, options={"num_epochs": 0})
    assert len(result.trials) == trials
    for trial in result.trials:
        assert 1e-4 <= trial.setting["lr"] <= 1
        assert 0.5 <= trial.setting["betas[0]"] <= 0.999
        assert 0.8 <= trial.setting["betas[1]"] <= 0.999


def test_an_optimizer_without_a_space_of_the_preset_is_told_so(
    tuned: Callable[..., TuningResult],
) -> None:
    result = tuned("Rprop", preset="crowded-valley", trials=2)
    assert list(result.protocol.space) == ["lr"]
    assert "Rprop has no space in this preset" in " ".join(result.explanation)


def test_one_of_several_numbers_is_tuned_and_the_others_stay(
    tuned: Callable[..., TuningResult],
) -> None:
    counter = Counter()
    tuned(
        "Adam",
        sampler="grid",
        space={"betas[1]": [0.9, 0.99]},
        report_seeds=[42],
        observer=counter,
    )
    assert [run.hyperparameters["betas"] for run in counter.runs] == [[0.9, 0.9], [0.9, 0.99]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": {"learning_rate": [0.1]}}, "SGD has no hyperparameter 'learning_rate'"),
        (
            {"space": {"momentum[0]": [0.1]}},
            r"momentum\[0\] is not an element of .*'momentum'",
        ),
        ({"space": LR, "hyperparameters": {"lr": 1.0}}, "lr is both given and tuned"),
        ({"space": {"batch_size": [9]}, "options": {"batch_size": 8}}, "both given and tuned"),
        ({"space": LR, "sampler": "grid"}, "needs a number of points: write log:0.0001:0.1:10"),
        ({"space": {"lr": [1, 2]}, "sampler": "grid", "trials": 3}, "grid has 2 points, but 3"),
        ({"space": LR, "problem": "quadratic_depp"}, "Did you mean 'quadratic_deep'"),
        ({"space": LR, "trials": 1, "metric": "accuracy"}, "Choose by the loss"),
        ({"space": LR, "options": {"batch_size": 0}}, "batch_size must be 1 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tuned: Callable[..., TuningResult], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((ArgumentError, LookupError), match=message):
        tuned(**arguments)


def test_a_problem_that_cannot_hold_out_examples_is_refused_before_any_run(
    tuned: Callable[..., TuningResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepobs.problems.synthetic import QuadraticDeep

    def plain(
        self: Any, batch_size: int, weight_decay: float | None = None, device: Any = None
    ) -> None:
        super(QuadraticDeep, self).__init__(batch_size, weight_decay, device)

    monkeypatch.setattr(QuadraticDeep, "__init__", plain)
    counter = Counter()
    with pytest.raises(ArgumentError, match="cannot hold out examples for selection"):
        tuned(space=LR, observer=counter)
    assert not counter.runs
    assert tuned(space=LR, trials=2, select_on="test").best is not None


PRUNED: dict[str, Any] = {
    "sampler": "grid",
    "space": {"lr": [0.02, 0.01, 0.009, 0.008, 0.007, 1e-5, 0.015, 1e-6]},
    "prune": True,
    "options": {"num_epochs": 4},
}


def test_runs_that_fall_behind_are_stopped_and_never_look_complete(
    tuned: Callable[..., TuningResult], tmp_path: Path
) -> None:
    result = tuned(**PRUNED)
    statuses = [trial.status for trial in result.trials]
    assert statuses == 5 * ["completed"] + ["pruned", "completed", "pruned"]
    assert "Stopped after epoch 1: the best valid_loss so far, 3" in result.trials[5].message
    assert "worse than the median" in " ".join(result.explanation)
    run_ids = {json.loads(path.read_text())["run_id"] for path in tmp_path.rglob("*.json")}
    assert not run_ids & {result.trials[5].runs[0].run_id, result.trials[7].runs[0].run_id}
    assert result.winner == tuned(**(PRUNED | {"prune": False})).winner


def test_pruning_is_refused_where_runs_have_different_numbers_of_epochs(
    tuned: Callable[..., TuningResult],
) -> None:
    several = {"space": {"lr": [0.01, 0.1], "batch_size": [50, 100]}, "prune": True}
    with pytest.raises(ArgumentError, match="fewer epochs with smaller batches"):
        tuned(sampler="grid", options={"max_steps": 20}, **several)


@pytest.mark.parametrize("evaluate_every", ["2epochs", "5steps"])
def test_pruning_is_refused_where_runs_are_not_evaluated_after_every_epoch(
    tuned: Callable[..., TuningResult], evaluate_every: str
) -> None:
    options = {"evaluate_every": evaluate_every}
    with pytest.raises(ArgumentError, match="so evaluate_every must be 1epoch"):
        tuned(sampler="grid", space={"lr": [0.01, 0.1]}, prune=True, options=options)
    assert tuned(sampler="grid", space={"lr": [0.01, 0.1]}, options=options).best is not None


def test_what_was_stopped_is_stopped_again_without_running(
    tuned: Callable[..., TuningResult], tmp_path: Path
) -> None:
    first = tuned(**PRUNED)
    counter = Counter()
    assert tuned(observer=counter, **PRUNED) == first
    assert counter.runs == []
    for path in tmp_path.rglob("*.failure"):
        path.unlink()
    assert tuned(**PRUNED) == first


def test_runs_that_others_have_completed_are_stopped_all_the_same(
    tuned: Callable[..., TuningResult],
) -> None:
    tuned(**(PRUNED | {"prune": False}))
    counter = Counter()
    after = tuned(observer=counter, **PRUNED)
    assert counter.runs == []
    assert [trial.status for trial in after.trials].count("pruned") == 2


@trains_nothing
def test_another_rule_does_not_count_what_was_stopped_before(
    tuned: Callable[..., TuningResult],
) -> None:
    tuned(**PRUNED)
    counter = Counter()
    slow = {"lr": [1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-5]}
    result = tuned(observer=counter, **(PRUNED | {"space": slow}))
    assert [trial.status for trial in result.trials] == 6 * ["completed"]


def test_result_files_of_runs_are_all_that_readers_of_runs_find(
    tuned: Callable[..., TuningResult], tmp_path: Path
) -> None:
    tuned(space=LR, trials=3)
    for path in tmp_path.rglob("*.json"):
        RunRecord.model_validate_json(path.read_text())


def test_without_optuna_a_grid_works_and_the_others_name_the_extra(tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["optuna"] = None
from deepobs.cli.main import main
words = ["tune", "quadratic_deep", "SGD", "--epochs", "1", "--out", {str(tmp_path)!r}]
words += ["--report-seeds", "1"]
assert main([*words, "--sampler", "grid", "--space", "lr=choice:0.1,0.01"]) == 0
sys.exit(main([*words, "--space", "lr=log:1e-3:1e-2"]))
"""
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    assert "pip install 'deepobs-bench[tune]'" in process.stderr


def test_optuna_is_quiet_and_its_settings_stay(
    tuned: Callable[..., TuningResult], capfd: pytest.CaptureFixture[str]
) -> None:
    import logging

    import optuna

    handlers, verbosity = logging.getLogger().handlers[:], optuna.logging.get_verbosity()
    tuned(sampler="gp", space={"lr": "log:1e-4:1e6"}, trials=12)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers
    assert optuna.logging.get_verbosity() == verbosity
