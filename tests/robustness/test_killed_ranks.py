"""A process of a run on several devices is killed at a random moment: nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = "run quadratic_deep SGD --lr 0.01 --epochs 200 --device cpu --checkpoint-every 10epochs"
RUN += " --resume --out"
KILLS = 20
MOST_SECONDS = 30  # of the others to end


def launched(directory: Path) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "deepobs", *RUN.split(), str(directory)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ranks_of(launcher: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if "deepobs" in Path(f"/proc/{child}/cmdline").read_text().split("\0")
    ]


@pytest.mark.slow
def test_runs_survive_the_loss_of_any_process_at_any_time(tmp_path: Path) -> None:
    moments = random.Random(1)  # noqa: S311
    alone = tmp_path / "alone"
    subprocess.run([sys.executable, "-m", "deepobs", *RUN.split(), str(alone)], check=True)
    [path] = alone.rglob("random_seed__*.json")
    expected = json.loads(path.read_text())
    for number in range(KILLS):
        directory = tmp_path / str(number)
        began = time.monotonic()
        launcher = launched(directory)
        while len(ranks := ranks_of(launcher)) < 2:
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 12))
        victim = moments.choice(ranks)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            print(f"{number}: ended before, after {time.monotonic() - began:.1f} s")
        killed = time.monotonic()
        output, _ = launcher.communicate(timeout=MOST_SECONDS)
        waited = time.monotonic() - killed
        checkpoints = [*directory.rglob(".*.checkpoint")]
        again = launched(directory)
        output, _ = again.communicate(timeout=240)
        assert again.returncode == 0, output
        [path] = directory.rglob("random_seed__*.json")
        record = json.loads(path.read_text())
        assert record["test_losses"] == pytest.approx(expected["test_losses"], rel=1e-5)
        print(
            f"{number}: killed rank {ranks.index(victim)}, the others ended {waited:.1f} s later, "
            f"{len(checkpoints)} checkpoint, resumed at {record['resumed_at_steps']}"
            if "resumed_at_steps" in record
            else f"{number}: killed rank {ranks.index(victim)}, the others ended {waited:.1f} s "
            "later, started over",
            flush=True,
        )
