"""Transcripts: problems, data sets and tunings of one's own need no package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plugin_sources import OWN_PROBLEM
from transcripts import Terminal

if TYPE_CHECKING:
    from pathlib import Path

EXPERIMENT = """
problems = ["line:Line"]
seeds = "1..2"
[optimizers.SGD]
grid = { lr = [0.01, 0.1] }
"""
FORGETFUL = '''

class Forgetful(Line):
    """Takes a validation size, and does not pass it on."""

    def __init__(self, batch_size, weight_decay=None, device=None, *, validation_size=0, **options):
        super().__init__(batch_size, weight_decay, device, **options)
'''
SCRIPT = '''
import torch

from deepobs_bench.executors import ExecutorOptions, open_executor
from deepobs_bench.sweep import Sweep
from deepobs_bench.tuning.settings import TuningSettings
from deepobs_bench.tuning.tune import tune


class Mine(torch.optim.SGD):
    """An optimizer of the script itself."""

    def step(self, closure=None):
        return super().step(closure)


if __name__ == "__main__":
    settings = TuningSettings(space={"lr": [0.001, 0.01]}, sampler="grid", report_seeds=[1])
    with open_executor("processes", ExecutorOptions(jobs=2)) as workers:
        sweep = Sweep(workers, output_dir="results")
        options = {"num_epochs": 1}
        result = tune("quadratic_deep", Mine, settings, sweep=sweep, options=options, jobs=2)
    print("winner", result.best.setting)
'''


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal in a directory with a problem of one's own."""
    terminal = Terminal(tmp_path)
    terminal.save("line.py", OWN_PROBLEM)
    return terminal


def test_a_problem_in_a_file_works_wherever_a_name_does(terminal: Terminal) -> None:
    """Before: a problem needed an installed package with a plugin.

    Now `module:Class` is enough for `info`, `estimate`, `run`, `bench`, `tune` and `table`.
    """
    terminal.save("experiment.toml", EXPERIMENT)
    assert "A line through points." in terminal.type("deepobs info line:Line")
    assert "Full run" in terminal.type("deepobs estimate line:Line SGD --lr 0.1 --seconds 0.1")
    assert "2 epochs" in terminal.type("deepobs run line:Line SGD --lr 0.1 --seed 1")
    benched = terminal.type("deepobs bench experiment.toml --no-estimate --jobs 2")
    assert "4 runs: 1 done, 3 pending" in benched
    grid = "--sampler grid --space lr=0.1,0.2 --report-seeds 1,2"
    assert "Winner: " in terminal.type(f"deepobs tune line:Line SGD {grid} --out tuned")
    table = terminal.type("deepobs table results --columns problem,optimizer,seeds")
    assert ["line:Line", "SGD", "2"] in [line.split() for line in table.splitlines()]


def test_changed_data_and_problems_of_ones_own_train_again(terminal: Terminal) -> None:
    """Before: nothing recorded the code of a problem or of its data.

    Now both are a part of the identity of the run.
    """
    run = "deepobs run line:Line SGD --lr 0.1"
    terminal.type(run)
    assert "Result already exists" in terminal.type(run)
    for edit in (("SLOPE = 2.0", "SLOPE = 3.0"), (".square()", ".abs()")):
        terminal.save("line.py", OWN_PROBLEM, edit)
        assert "Result already exists" not in terminal.type(run)
    assert len(terminal.results()) == 3


def test_a_name_that_is_a_path_says_what_to_write(terminal: Terminal) -> None:
    """Before: "There is no test problem 'line.py'", and no word on what to write.

    Now the message says it, and names the file that was imported where a module hides one's own.
    """
    terminal.save("statistics.py", OWN_PROBLEM)
    for name, said in (
        ("line.py", "That is the path of a file; name a class in it as line:Class."),
        ("statistics:Line", f"which hides {terminal.directory}/statistics.py: rename your file."),
    ):
        assert said in terminal.type(f"deepobs run {name} SGD --lr 0.1", status=2)


def test_problems_of_a_notebook_have_short_names(terminal: Terminal) -> None:
    """Before: a class of a notebook could be no problem at all.

    Now the class itself works, and `deepobs.register` gives it a name.
    """
    printed = terminal.python(f"""
{OWN_PROBLEM}

import deepobs

deepobs.register(Line, "steep", epochs=1)
for problem in (Line, "steep"):
    specification = deepobs.specify(problem, "SGD", {{"lr": 0.1}})
    record = deepobs.run(specification, output_dir="results").record
    print(record.testproblem, record.num_epochs)
""")
    assert printed.splitlines() == ["__main__:Line 2", "steep 1"]


def test_an_option_that_a_data_set_ignores_is_an_error_before_training(terminal: Terminal) -> None:
    """Before: the run went on without a validation set, and its result said that it had one.

    Now it is refused before it trains, in worker processes, too, and leaves no result.
    """
    terminal.save("line.py", f"{OWN_PROBLEM}{FORGETFUL}")
    said = terminal.type("deepobs run line:Forgetful SGD --lr 0.1 --validation-size 10", status=2)
    assert "ignores validation_size=10: it has no valid_loader" in said
    experiment = (
        ("line:Line", "line:Forgetful"),
        ("seeds =", "defaults.validation_size = 10\nseeds ="),
    )
    terminal.save("experiment.toml", EXPERIMENT, *experiment)
    said = terminal.type("deepobs bench experiment.toml --no-estimate --jobs 2", status=1)
    assert "ignores validation_size=10: it has no valid_loader" in said
    assert not terminal.results()


def test_an_optimizer_of_a_script_is_tuned_by_processes(terminal: Terminal) -> None:
    """Before: every trial failed, as workers have no class of `__main__`, and nothing was said.

    Now the class is sent to them; where all trials fail, the first reason is the error.
    """
    terminal.save("tuned.py", SCRIPT)
    assert "winner {'lr':" in terminal.type("python tuned.py")
    assert len(terminal.results()) == 3
    failing = ("return super().step(closure)", 'raise RuntimeError("no such luck")')
    terminal.save("tuned.py", SCRIPT, failing)
    said = terminal.type("python tuned.py", status=1)
    assert "None of the 2 trials has a result. The first failed with error" in said
    assert "no such luck" in said


def test_a_tuning_of_which_all_trials_fail_is_an_error(terminal: Terminal) -> None:
    """Before: the command showed a table without a winner, and no reason.

    Now it fails with the first reason and the command that repeats the run.
    """
    terminal.save(
        "mine.py",
        "import torch\n\n\nclass Mine(torch.optim.SGD):\n    def step(self, closure=None):\n"
        '        raise RuntimeError("no such luck")\n',
    )
    grid = "--sampler grid --space lr=0.1,0.2 --needs plain"
    said = terminal.type(f"deepobs tune line:Line mine:Mine {grid}", status=1)
    assert "no such luck" in said
    assert "deepobs run line:Line mine:Mine --lr 0.1" in said
