"""A mistake in `bench` or `tune` is answered with the value, what is allowed and a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mistakes import Mistake, check_answer

if TYPE_CHECKING:
    from pathlib import Path

    from mistakes import CommandLine

TUNE = "tune quadratic_deep SGD --trials 2"

COMMAND_LINE = [
    Mistake(TUNE, "Nothing to try", "a space such as lr=log:1e-5:1e2"),
    Mistake(f"{TUNE} --space lr", "'lr'", "NAME=SPACE"),
    Mistake(f"{TUNE} --space lr=lin:0:1", "'lin:0:1'", "uniform:0:1"),
    Mistake(f"{TUNE} --space lr=log:0:1", "'log:0:1'", "above 0"),
    Mistake(f"{TUNE} --space lr=log:0.1:1 --sampler gird", '"gird"', "Did you mean 'grid'"),
    Mistake(f"{TUNE} --space lr=log:0.1:1 --budget huge", '"huge"', '"small"'),
    Mistake(f"{TUNE} --space lr=log:0.1:1 --seeds a", '"a"', "42..51"),
    Mistake(f"{TUNE} --space lr=log:0.1:1 --metric accuracy", "'accuracy'", "Choose by the loss"),
    Mistake(f"{TUNE} --preset papr", '"papr"', "Did you mean 'paper'"),
    Mistake("bench missing.toml", "missing.toml", "experiment.toml"),
    Mistake("bench binary.toml", "binary.toml", "UTF-8"),
    Mistake("bench broken.toml", "broken.toml", "This is not TOML"),
    Mistake("bench empty.toml", "optimizers", "add it to the file"),
    Mistake("bench experiment.txt", "experiment.txt", ".toml"),
    Mistake("bench directory", "directory", ".toml"),
    Mistake("bench unknown_key.toml", "problem", "problems"),
    Mistake("bench unknown_problem.toml", "'two_d_bale'", "two_d_beale"),
    Mistake("bench large_batch.toml", "10001", "from 1 to 10000"),
    Mistake("bench no_accuracy.toml", "'accuracy'", "Choose by the loss"),
    Mistake("bench experiment.toml --only problm=x", "'problm=x'", "problem=PATTERN"),
    Mistake("bench experiment.toml --only problem=x", "problem=x", "Allowed: two_d_beale"),
    Mistake("bench experiment.toml --jobs 0", "0", "x>=1"),
    Mistake("bench experiment.toml --executor proceses", "'proceses'", "Did you mean 'processes'"),
    Mistake("bench experiment.toml --scheduler tcp://x:1", "'tcp://x:1'", "--executor dask"),
    Mistake("bench experiment.toml --executor dask", "--scheduler", "dask scheduler"),
]

EXPERIMENT = "problems = ['two_d_beale']\n[optimizers.SGD]\nhyperparameters = {lr = 0.1}\n"
FILES = {
    "experiment.toml": EXPERIMENT,
    "experiment.txt": EXPERIMENT,
    "broken.toml": "problems = [",
    "empty.toml": "",
    "unknown_key.toml": EXPERIMENT.replace("problems", "problem"),
    "unknown_problem.toml": EXPERIMENT.replace("beale", "bale"),
    "large_batch.toml": EXPERIMENT.replace("[opt", "defaults = {batch_size = 10001}\n[opt"),
    "no_accuracy.toml": EXPERIMENT.replace("hyperparameters = {lr = 0.1}", "")
    + "tune = {space = {lr = 'log:0.1:1'}, trials = 2, metric = 'accuracy'}\n",
    "file": "",
}


@pytest.fixture
def directory_of_mistakes(tmp_path: Path) -> None:
    """Files that the mistakes are about, where commands are called."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "directory").mkdir()


@pytest.mark.usefixtures("directory_of_mistakes")
@pytest.mark.parametrize("mistake", COMMAND_LINE, ids=lambda mistake: mistake.words)
def test_a_mistake_on_the_command_line_is_answered(
    command_line: CommandLine, tmp_path: Path, mistake: Mistake
) -> None:
    check_answer(mistake, command_line, tmp_path)
