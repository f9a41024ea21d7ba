"""A mistake is answered with what happened, the value, what is allowed and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mistakes import Mistake, check_answer

if TYPE_CHECKING:
    from pathlib import Path

    from mistakes import CommandLine


RUN = "run quadratic_deep SGD --lr 0.1 --epochs 1"

COMMAND_LINE = [
    Mistake("lst", "'lst'", "Did you mean 'list'"),
    Mistake("list problem", "'problem'", "Did you mean 'problems'"),
    Mistake("list --tag smal", "'smal'", "Did you mean 'small'"),
    Mistake("list datasets --tag small", "datasets", "Only test problems have tags"),
    Mistake("info quadratic_dep", "'quadratic_dep'", "Did you mean 'quadratic_deep'"),
    Mistake("run quadratic_dep SGD", "'quadratic_dep'", "Did you mean 'quadratic_deep'"),
    Mistake("run quadratic_deep SDG", "'SDG'", "Did you mean 'SGD'"),
    Mistake("run quadratic_deep no_module:X", "'no_module:X'", "No module named 'no_module'"),
    Mistake("run quadratic_deep SparseAdam", "SparseAdam", "`deepobs list optimizers`"),
    Mistake("run quadratic_deep", "'OPTIMIZER'", "Usage: deepobs run"),
    Mistake(f"{RUN} --epoch 3", "'--epoch'", "Did you mean '--epochs'"),
    Mistake(f"{RUN} --epochs few", "'few'", "integer"),
    Mistake(f"{RUN} --epochs -1", "-1", "0 or more"),
    Mistake(f"{RUN} --batch-size 0", "0", "1 or more"),
    Mistake(f"{RUN} --batch-size 1001", "1001", "from 1 to 1000"),
    Mistake(f"{RUN} --validation-size 1000", "1000", "from 0 to 999"),
    Mistake(f"{RUN} --validation-size 10 --batch-size 11", "11", "10 examples are held out"),
    Mistake(f"{RUN} --seed -1", "-1", "from 0 to 4294967295"),
    Mistake(f"{RUN} --weight-decay -1", "-1", "0 or more"),
    Mistake(f"{RUN} --weight-decay 0.1", "0.1", "None or 0"),
    Mistake(f"{RUN} --device gpu", "'gpu'", "Available: cpu"),
    Mistake(f"{RUN} --dtype float8", "'float8'", "'float32'"),
    Mistake(f"{RUN} --fake-data 2", "2", "from 0 to 1"),
    Mistake(f"{RUN} --workers -1", "-1", "0 or more"),
    Mistake(f"{RUN} --log-interval 0", "0", "1 or more"),
    Mistake(f"{RUN} -o momentun=0.9", "'momentun'", "Did you mean 'momentum'"),
    Mistake(f"{RUN} -o momentum", "'momentum'", "NAME=VALUE"),
    Mistake(f"{RUN} -o momentum=-1", "-1", "momentum"),
    Mistake(f"{RUN} -o lr=1", "'lr'", "Give it once"),
    Mistake(f"{RUN} --needs closur", "'closur'", "Did you mean 'closure'"),
    Mistake(f"{RUN} --group had:lr=1", "'had'", "Did you mean 'head'"),
    Mistake(f"{RUN} --lr-schedule 3", "'3'", "EPOCH:FACTOR"),
    Mistake(f"{RUN} --lr-schedule 3:1 --lr-schedule 2:1", "[3, 2]", "must increase"),
    Mistake(f"{RUN} --lr-scheduler StepLr", "'StepLr'", "Did you mean 'StepLR'"),
    Mistake(f"{RUN} --lr-scheduler-option gamma=1", "gamma=1", "--lr-scheduler NAME"),
    Mistake(
        f"{RUN} --lr-schedule 3:1 --lr-scheduler ConstantLR", "lr_sched_epochs=[3]", "Leave one out"
    ),
    Mistake(f"{RUN} --checkpoint-every often", "'often'", "10min"),
    Mistake(f"{RUN} --out file/results", "file/results", "Choose another directory"),
    Mistake("estimate quadratic_deep SGD --lr 0.1 --seconds -1", "-1", "0 or more"),
    Mistake("data prepare", "none of them", "--all"),
    Mistake("data prepare quadratic --all", "quadratic and --all", "Give the names"),
    Mistake("data status quadrtic", "'quadrtic'", "Did you mean 'quadratic'"),
    Mistake("completion tcsh", "'tcsh'", "'fish'"),
    Mistake("doctor --data-dir file", "'file'", "Directory"),
]


@pytest.mark.parametrize("mistake", COMMAND_LINE, ids=lambda mistake: mistake.words)
def test_a_mistake_on_the_command_line_is_answered(
    command_line: CommandLine, tmp_path: Path, mistake: Mistake
) -> None:
    (tmp_path / "file").touch()
    check_answer(mistake, command_line, tmp_path)


def _specify(**changes: Any) -> Any:
    from deepobs.runs import specify

    arguments = {"testproblem": "quadratic_deep", "optimizer": "SGD", "device": "cpu", **changes}
    return specify(**arguments)


def _long_name() -> Any:
    import torch

    return _specify(optimizer=type("A" * 256, (torch.optim.SGD,), {}))


def _config(name: str, value: object) -> Any:
    from deepobs import config

    return getattr(config, f"set_{name}")(value)


def _facade(kind: str, name: str) -> Any:
    import importlib

    return getattr(importlib.import_module(f"deepobs.pytorch.{kind}"), name)


def _problem(**arguments: Any) -> Any:
    from deepobs.plugins import registry

    return registry().problems.load("quadratic_deep")(**arguments)


PYTHON = {
    "an unknown problem": (
        lambda: _specify(testproblem="quadratic_dep"), "'quadratic_dep'", "Did you mean"
    ),
    "a class for a name": (lambda: _specify(testproblem=int), "<class 'int'>", "a string"),
    "an optimizer that is none": (
        lambda: _specify(optimizer=int), "<class 'int'>", "subclass of torch.optim.Optimizer"
    ),
    "a name that no directory can have": (_long_name, "256", "at most 200 bytes"),
    "a text for a number": (lambda: _specify(batch_size="8"), "'8'", "must be an integer"),
    "a batch larger than the data": (
        lambda: _specify(batch_size=2000), "2000", "from 1 to 1000"
    ),
    "hyperparameters that no file can hold": (
        lambda: _specify(hyperparameters={"lr": object()}), "<object", "finite numbers"
    ),
    "NaN for a learning rate": (
        lambda: _specify(hyperparameters={"lr": float("nan")}), "nan", "finite numbers"
    ),
    "a schedule of other lengths": (
        lambda: _specify(lr_sched_epochs=[1], lr_sched_factors=[]), "[1]", "as many factors"
    ),
    "a data type that is none": (lambda: _config("dtype", "float32"), "'float32'", "torch.dtype"),
    "a device that is not there": (
        lambda: _config("default_device", "gpu"), "'gpu'", "Available: cpu"
    ),
    "too many fake data": (lambda: _config("fake_data", 3), "3", "from 0 to 1"),
    "a directory that is none": (lambda: _config("data_dir", 3), "3", "path of a directory"),
    "a problem that the facade has not": (
        lambda: _facade("testproblems", "quadratic_dep"), "'quadratic_dep'", "quadratic_deep"
    ),
    "a batch of nothing": (lambda: _problem(batch_size=0), "0", "1 or more"),
    "a regulariser of a synthetic problem": (
        lambda: _problem(batch_size=8, weight_decay=0.1), "0.1", "None or 0"
    ),
}  # fmt: skip
"""What somebody writes in Python, the value as it must be shown, and a way out."""


@pytest.mark.parametrize("mistake", PYTHON)
def test_a_mistake_in_python_is_answered(mistake: str) -> None:
    from deepobs.errors import DeepOBSError

    make, value, way_out = PYTHON[mistake]
    with pytest.raises((DeepOBSError, AttributeError)) as caught:
        make()
    said = str(caught.value)
    assert value in said
    assert way_out in said
    assert said.rstrip().endswith((".", "?")), said
