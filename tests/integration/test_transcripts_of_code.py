"""Transcripts: a result is never taken for that of other code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from transcripts import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SKIPPED = "Result already exists; use --overwrite to rerun."

OPTIMIZER = '''\
from helpers import bounded
from bases import Descent

STRETCH = 1.0


class Mine(Descent):
    """Gradient descent with bounded steps."""

    def direction(self, gradient):
        return STRETCH * bounded(gradient)
'''
BASE = """\
import torch


class Descent(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(self.direction(parameter.grad), alpha=group["lr"])
"""
HELPER = """\
import limits


def bounded(gradient):
    return gradient.clamp(-limits.LARGEST, limits.LARGEST)
"""
LIMITS = "LARGEST = 2.0\n"
SCHEDULER = """\
from torch.optim.lr_scheduler import LambdaLR


class Falling(LambdaLR):
    def __init__(self, optimizer):
        super().__init__(optimizer, lambda epoch: 0.5**epoch)
"""
FILES = {
    "mine.py": OPTIMIZER,
    "bases.py": BASE,
    "helpers.py": HELPER,
    "limits.py": LIMITS,
    "schedules.py": SCHEDULER,
}
RUN = "deepobs run quadratic_deep mine:Mine --epochs 1 --lr-scheduler schedules:Falling"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal in an empty directory."""
    return Terminal(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A terminal in a directory with an optimizer of one's own, what it uses, and a result."""
    terminal = Terminal(tmp_path_factory.mktemp("project"))
    for name, text in FILES.items():
        terminal.save(name, text)
    assert SKIPPED not in terminal.type(RUN)
    return terminal


@pytest.fixture
def project(trained: Terminal) -> Iterator[Terminal]:
    """The same directory, whose files are as they were after each test."""
    yield trained
    for name, text in FILES.items():
        trained.save(name, text)


def test_a_class_that_is_redefined_without_a_file_trains_again(terminal: Terminal) -> None:
    """Before: the result of the old class came back, as a class without a file had no fingerprint.

    Now the code itself is hashed: the new class trains, and its own result is found again.
    """
    cell = """
import deepobs, torch

class Mine(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data -= SCALE * parameter.grad * group["lr"]

result = deepobs.run("quadratic_deep", Mine, {"lr": 0.01}, num_epochs=1, output_dir="results")
print("trained" if result.is_new else "found", result.record.test_losses[-1])
"""
    slow, fast = (cell.replace("SCALE", scale) for scale in ("1.0", "2.0"))
    first = terminal.python(slow)
    changed = terminal.python(fast)
    again = terminal.python(slow)
    assert first.startswith("trained")
    assert changed.startswith("trained")
    assert again == first.replace("trained", "found")
    assert changed.split()[1] != first.split()[1]


def test_a_class_that_a_notebook_redefines_trains_again(terminal: Terminal) -> None:
    """Before: executing an edited cell again gave the result of the cell before the edit.

    Now the edited cell trains, in the same process, and so does a cell that edits a helper only.
    """
    terminal.python("""
import deepobs, torch

cells = {"__name__": "__main__"}
exec("import torch\\ndef scaled(gradient): return gradient", cells)
CLASS = '''
class Mine(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data -= FACTOR * scaled(parameter.grad) * group["lr"]
'''

def result_of(edit):
    exec(edit, cells)
    mine = cells["Mine"]
    return deepobs.run("quadratic_deep", mine, {"lr": 0.01}, num_epochs=1, output_dir="results")

first = result_of(CLASS.replace("FACTOR", "1.0"))
assert first.is_new
assert not result_of(CLASS.replace("FACTOR", "1.0")).is_new
of_class = result_of(CLASS.replace("FACTOR", "3.0"))
assert of_class.is_new
of_helper = result_of("def scaled(gradient): return gradient / 2")
assert of_helper.is_new
losses = {result.record.test_losses[-1] for result in (first, of_class, of_helper)}
assert len(losses) == 3, losses
""")


@pytest.mark.parametrize(
    ("file", "edit"),
    [
        ("mine.py", ("STRETCH * ", "2 * STRETCH * ")),
        ("mine.py", ("STRETCH = 1.0", "STRETCH = 1.5")),
        ("bases.py", ('group["lr"])', 'group["lr"] / 2)')),
        ("helpers.py", (".clamp(", ".mul(2).clamp(")),
        ("limits.py", ("2.0", "0.5")),
        ("schedules.py", ("0.5**epoch", "0.9**epoch")),
    ],
    ids=["class", "constant", "base class", "helper", "local module", "scheduler"],
)
def test_what_a_class_uses_trains_again_when_it_changes(
    project: Terminal, file: str, edit: tuple[str, str]
) -> None:
    """Before: only the text of the class counted, and "already there" was said of other code.

    Now a changed helper, constant, base class, local module or scheduler is another run.
    """
    project.save(file, FILES[file], edit)
    assert SKIPPED not in project.type(RUN)


def test_comments_and_formatting_train_nothing_again(project: Terminal) -> None:
    """Before and now: they are no other code, now in all files that the class uses."""
    for name, text in FILES.items():
        project.save(name, f"# A comment.\n\n{text}\n\n\n# Another one.\n")
    sum_up = ("STRETCH * bounded(gradient)", "(STRETCH*bounded( gradient ))")
    project.save("mine.py", OPTIMIZER, sum_up)
    assert SKIPPED in project.type(RUN)


def test_one_optimizer_has_one_identity_wherever_it_is_run(project: Terminal) -> None:
    """Before: a script, `python -m`, a worker and the command line had results of their own.

    Now they share one result: all but the first find it.
    """
    main = """

if __name__ == "__main__":
    import deepobs

    result = deepobs.run("quadratic_deep", Mine, {"lr": 0.01}, num_epochs=1, output_dir="script")
    print("trained" if result.is_new else "found")
"""
    project.save("mine.py", OPTIMIZER + main)
    project.save(
        "experiment.toml",
        'problems = ["quadratic_deep"]\nseeds = [42]\n[defaults]\nepochs = 1\n'
        '[optimizers.Mine]\nclass = "mine:Mine"\nhyperparameters = { lr = 0.01 }\n',
    )
    assert project.type("python mine.py") == "trained\n"
    assert project.type("python -m mine") == "found\n"
    run = "deepobs run quadratic_deep mine:Mine --lr 0.01 --epochs 1"
    assert SKIPPED in project.type(f"{run} --out script")
    # A worker trains, and the command line finds its result.
    benched = project.type("deepobs bench experiment.toml --jobs 2 --no-estimate --out worker")
    assert "1 run: 0 done, 1 pending" in benched
    assert SKIPPED in project.type(f"{run} --out worker")


def test_explicit_defaults_are_one_run(terminal: Terminal) -> None:
    """Before: `--lr 0.01` with and without the default betas was trained, and shown, twice.

    Now arguments at their defaults, 1 and 1.0, lists and tuples, and needs that would be found
    anyway are one run.
    """
    run = "deepobs run quadratic_deep Adam --epochs 1"
    terminal.type(f"{run} --lr 1")
    same = '--lr 1.0 -o betas="[0.9,0.999]" -o weight_decay=0.0 -o amsgrad=False --needs plain'
    assert SKIPPED in terminal.type(f"{run} {same}")
    assert len(terminal.results()) == 1


def test_results_of_older_code_are_named_and_skipped(project: Terminal) -> None:
    """Before: results of several versions of one's code were averaged, or one of them won.

    Now `table`, `score` and `report` say which is newest, and take it unless told otherwise; all
    versions are rows of their own.
    """
    run = f"{RUN} --out versions"
    project.type(f"{run} --seed 1 --seed 2")
    project.save("mine.py", OPTIMIZER, ("STRETCH = 1.0", "STRETCH = 1.5"))
    project.type(f"{run} --seed 1")
    rows = "deepobs table versions --columns optimizer,seeds"
    for command in (rows, "deepobs score versions", "deepobs report versions"):
        said = project.type(command)
        assert "2 files in versions skipped" in said
        assert "it was run with older code of Mine" in said
        assert "--code all includes it" in said
    assert seeds_in(project.type(rows)) == "1"
    everything = project.type(f"{rows} --code all")
    named = [line.split() for line in everything.splitlines() if line.startswith("Mine + Falling@")]
    assert sorted(words[-1] for words in named) == ["1", "2"]
    assert "the newest is Mine + Falling@" in everything


def seeds_in(table: str) -> str:
    """The last column of the row of one's own optimizer."""
    (row,) = [line for line in table.splitlines() if line.startswith("Mine ")]
    return row.split()[-1]
