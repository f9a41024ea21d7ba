"""A process of a run on several devices is killed at a random moment: nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "run quadratic_deep SGD --lr 0.01 --epochs 300 --device cpu --checkpoint-every 10epochs"
RUN += " --resume --out"
KILLS = 20
MOST_SECONDS = 30  # of the others to end


class Undisturbed(NamedTuple):
    """The run without any kill: what it records in one process, and its seconds in two."""

    record: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    alone, together = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("together")
    subprocess.run([sys.executable, "-m", "deepobs", *RUN.split(), str(alone)], check=True)
    with launched(together) as launcher:
        while len(ranks_of(launcher)) < 2:
            time.sleep(0.01)
        began = time.monotonic()
        output, _ = launcher.communicate(timeout=900)
        assert launcher.returncode == 0, output
    return Undisturbed(record_in(alone), time.monotonic() - began)


@pytest.fixture(scope="module")
def seconds_until_end() -> Iterator[list[float]]:
    """How long the other process went on, after each kill."""
    seconds: list[float] = []
    yield seconds
    if seconds:
        print(f"\n{len(seconds)} kills; the others ended after {max(seconds):.1f} s at most")


@contextlib.contextmanager
def launched(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """The run in two processes, which end with the block whatever happens."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    with subprocess.Popen(
        [sys.executable, *launcher, "-m", "deepobs", *RUN.split(), str(directory)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ranks_of(launcher: subprocess.Popen[str]) -> list[int]:
    """The processes of the run, in the order of their ranks."""
    ranks = {}
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for child in children:
        with contextlib.suppress(OSError):
            variables = Path(f"/proc/{child}/environ").read_text().split("\0")
            ranks.update({one: int(child) for one in variables if one.startswith("RANK=")})
    return [ranks[name] for name in sorted(ranks)]


def record_in(directory: Path) -> dict[str, Any]:
    [path] = directory.rglob("random_seed__*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_a_run_survives_the_loss_of_a_process(
    tmp_path: Path, undisturbed: Undisturbed, seconds_until_end: list[float], number: int
) -> None:
    random_numbers = random.Random(number)  # noqa: S311
    with launched(tmp_path) as launcher:
        while len(ranks := ranks_of(launcher)) < 2:
            time.sleep(0.01)
        # One in each part of the run: fewer of them would leave gaps by chance.
        moment = random_numbers.uniform(number, number + 1) / KILLS * undisturbed.seconds
        time.sleep(moment)
        victim = random_numbers.randrange(2)
        was_running = True
        try:
            os.kill(ranks[victim], signal.SIGKILL)
        except ProcessLookupError:
            was_running = False
        killed = time.monotonic()
        output, _ = launcher.communicate(timeout=MOST_SECONDS)
        seconds_until_end.append(time.monotonic() - killed)
    assert not [rank for rank in ranks if Path(f"/proc/{rank}").exists()]
    has_result = bool([*tmp_path.rglob("random_seed__*.json")])  # perhaps in its last moments
    assert has_result or launcher.returncode != 0, output
    resumes = bool([*tmp_path.rglob(".*.checkpoint")]) and not has_result
    if resumes:
        assert output.count("Error: Another of the 2 processes of this run") == 1, output
    with launched(tmp_path) as again:
        output, _ = again.communicate(timeout=900)
        assert again.returncode == 0, output
    record = record_in(tmp_path)
    losses, expected = record["test_losses"], undisturbed.record["test_losses"]
    assert losses == pytest.approx(expected, rel=1e-5)
    assert bool(record.get("resumed_at_steps")) == resumes
    print(
        f"\nkill {number}: rank {victim} after {moment:.1f} of {undisturbed.seconds:.1f} s"
        f"{'' if was_running else ', when it had ended'}; the other ended "
        f"{seconds_until_end[-1]:.1f} s later; "
        f"resumed at step {record.get('resumed_at_steps', 'none')}; largest relative difference "
        f"{max(abs(a / b - 1) for a, b in zip(losses, expected, strict=True)):.1e}"
    )
