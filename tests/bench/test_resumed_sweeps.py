"""A sweep resumes runs that were interrupted."""

from pathlib import Path

import pytest
from interruptions import numbers

from deepobs.cli.main import main
from deepobs.errors import ArgumentError
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan, checkpoint_path
from deepobs_bench.executors import ExecutorOptions, open_executor
from deepobs_bench.sweep import Sweep

ALWAYS = CheckpointPlan(every_seconds=0.0)
GO_ON = CheckpointPlan(every_seconds=0.0, resume=True)


class Interruption(RunObserver):
    """Ends a run at a step, as a signal would."""

    def __init__(self, at_step):
        self.at_step = at_step

    def steps_taken(self, steps, metrics):
        if steps >= self.at_step:
            raise KeyboardInterrupt


def test_a_sweep_goes_on_with_runs_that_were_interrupted(tmp_path):
    specification = specify("quadratic_deep", "Adam", {"lr": 0.001}, num_epochs=2, batch_size=8)
    kept = {}
    for observers in ([Interruption(225)], []):
        with open_executor("serial", ExecutorOptions()) as executor:
            sweep = Sweep(executor, output_dir=tmp_path, checkpoints=GO_ON, observers=observers)
            try:
                kept.update((each.run_id, o) for each, o in sweep.execute([specification]))
            except KeyboardInterrupt:
                assert checkpoint_path(tmp_path, specification).exists()
    record = kept[specification.run_id]
    assert record.resumed_at_steps
    assert numbers(record) == numbers(run(specification).record)


def test_checkpoints_are_refused_where_only_whole_results_come_back(tmp_path):
    with (
        open_executor("serial", ExecutorOptions()) as executor,
        pytest.raises(ArgumentError, match="shared directory"),
    ):
        Sweep(executor, output_dir=tmp_path, checkpoints=ALWAYS, shared_results=False)


EXPERIMENT = """
problems = ["quadratic_deep"]
seeds = [1, 2]
defaults = { epochs = 3, batch_size = 8 }
[optimizers.mine]
class = "Adam"
hyperparameters.lr = 0.001
"""


@pytest.fixture
def interrupted_experiment(tmp_path, monkeypatch):
    """An experiment of which the run with seed 1 was interrupted in its second epoch."""
    monkeypatch.chdir(tmp_path)
    Path("experiment.toml").write_text(EXPERIMENT)
    options = {"num_epochs": 3, "batch_size": 8, "random_seed": 1, "device": "cpu"}
    specification = specify("quadratic_deep", "Adam", {"lr": 0.001}, **options)
    steps = 125 + 60
    with pytest.raises(KeyboardInterrupt):
        run(
            specification,
            output_dir="results",
            checkpoints=ALWAYS,
            observers=[Interruption(at_step=steps)],
        )
    return ["experiment.toml", "--device", "cpu", "--no-estimate"]


def test_a_dry_run_says_which_runs_continue_and_where(interrupted_experiment, capsys):
    where = "mine on quadratic_deep, seed 1, in epoch 2 of 3"
    assert main(["bench", *interrupted_experiment, "--dry-run", "--resume"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"Continued from checkpoints: 1 run, {where}." in told

    assert main(["bench", *interrupted_experiment, "--dry-run"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"Restarted in spite of checkpoints: 1 run, {where}. Add --resume" in told


def test_a_resumed_sweep_says_which_runs_continue_and_where(interrupted_experiment, capsys):
    assert main(["bench", *interrupted_experiment, "--resume"]) == 0
    told = capsys.readouterr().err
    where = "mine on quadratic_deep, seed 1, in epoch 2 of 3"
    assert f"Continued from checkpoints: 1 run, {where}." in told
    assert main(["bench", *interrupted_experiment, "--resume"]) == 0
    assert "checkpoint" not in capsys.readouterr().err
