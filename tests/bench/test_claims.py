"""Claims on runs: one holder at a time across processes, and none left behind."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from deepobs.errors import OutputError
from deepobs.runs import run, specify
from deepobs_bench._tasks import claimed

HOLDER = """
import sys, time
from pathlib import Path
from deepobs_bench._tasks import claimed
from deepobs.runs import specify
with claimed(Path(sys.argv[1]), specify("quadratic_deep", "SGD", num_epochs=1)) as is_ours:
    print(is_ours, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def specification():
    return specify("quadratic_deep", "SGD", num_epochs=1)


def lock_files(directory):
    return list(directory.rglob("*.lock"))


def test_a_run_has_one_holder_at_a_time(tmp_path, specification):
    with claimed(tmp_path, specification) as first:
        with claimed(tmp_path, specification) as second:
            assert (first, second) == (True, False)
        with claimed(tmp_path, specification.model_copy(update={"random_seed": 1})) as other:
            assert other
    with claimed(tmp_path, specification) as again:
        assert again


def test_a_holder_that_is_killed_lets_go(tmp_path, specification):
    program = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "True\n"
        with claimed(tmp_path, specification) as is_ours:
            assert not is_ours
        holder.kill()
    with claimed(tmp_path, specification) as is_ours:
        assert is_ours


def test_the_file_of_a_claim_goes_once_the_result_is_there(tmp_path, specification):
    with claimed(tmp_path, specification):
        pass
    assert len(lock_files(tmp_path)) == 1
    with claimed(tmp_path, specification):
        run(specification, output_dir=tmp_path)
    assert lock_files(tmp_path) == []


def test_an_error_lets_go(tmp_path, specification):
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path, specification):
        raise KeyboardInterrupt
    with claimed(tmp_path, specification) as is_ours:
        assert is_ours


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_a_clear_error(tmp_path, specification, monkeypatch, number):
    import fcntl

    def refuse(file, operation):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(OutputError, match="Choose a directory on a file system with locks"),
        claimed(tmp_path, specification),
    ):
        pass
