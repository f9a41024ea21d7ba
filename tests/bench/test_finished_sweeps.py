"""`deepobs bench` when there is nothing to do: the same answer as before, and never a wrong one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deepobs import config
from deepobs.runs import store
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.experiment_files import load
from deepobs_bench.kept_results import Ending, KeptResults
from deepobs_bench.plan import plan
from deepobs_bench.result_index import ResultIndex
from deepobs_bench.standings import execute
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable

EXPERIMENT = """
problems = ["quadratic_deep"]
seeds = [1, 2]
defaults = { epochs = 1 }
[optimizers.SGD]
grid.lr = [0.001, 0.01]
"""
COMMAND = ("bench", "experiment.toml", "--executor", "serial", "--no-estimate")
IN_A_PROCESS = """
import sys
from deepobs.cli.main import main
code = main(sys.argv[1:])
print("torch" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def bench(command_line: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Calls `deepobs bench` with an experiment that is finished, and returns its output."""
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)

    def call(*options: str) -> str:
        code, out, err = command_line(*COMMAND, *options)
        assert (code, err) == (0, "")
        return str(out)

    assert "0 done, 4 pending" in call()
    return call


def result_files() -> list[Path]:
    return sorted(Path("results").rglob("*.json"))


def without_lines_of_runs(out: str) -> str:
    return "".join(line for line in out.splitlines(keepends=True) if not line.startswith("["))


def forget_answers() -> None:
    """Remove what would be answered without looking for anything."""
    for path in (config.get_cache_dir() / "answers").iterdir():
        path.unlink()


def in_a_process(*options: str) -> tuple[str, bool]:
    """The output of a new process, and whether it imported torch."""
    process = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, *COMMAND, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout, {"True\n": True, "False\n": False}[process.stderr]


def test_a_finished_experiment_answers_the_same_without_torch(bench: Callable[..., str]) -> None:
    forget_answers()
    expected, expected_json = bench(), bench("--json")
    assert "4 runs: 4 done, 0 pending" in expected
    assert len(json.loads(expected_json)["standings"]) == 1
    assert in_a_process() == (expected, False)
    assert in_a_process("--json") == (expected_json, False)


def test_the_answer_to_the_command_that_executed_the_runs_is_that_of_a_new_look(
    bench: Callable[..., str],
) -> None:
    repeated = in_a_process()
    forget_answers()
    assert repeated == (bench(), False)


def test_a_deleted_result_is_executed_again(bench: Callable[..., str]) -> None:
    finished = bench()
    result_files()[1].unlink()
    again = bench()
    assert "3 done, 1 pending" in again
    assert len(result_files()) == 4
    assert without_lines_of_runs(again).partition("\n\n")[2] == finished.partition("\n\n")[2]


def test_a_changed_result_is_read_again(bench: Callable[..., str]) -> None:
    bench()
    for path in result_files():
        record = store.read(path)
        record.test_losses[-1] = 1234.5
        path.write_text(record.to_json())
    assert "loss 1234.5 ± 0" in bench()


def test_a_result_that_another_process_adds_replaces_the_earlier_one(
    bench: Callable[..., str],
) -> None:
    bench()
    for path in result_files():
        record = store.read(path)
        record.test_losses[-1] = 77.0
        later = path.with_name(
            f"random_seed__{record.random_seed}__2999-01-01-00-00-00-000000.json"
        )
        later.write_text(record.to_json())
    assert "loss 77 ± 0" in bench()


def test_another_seed_of_the_experiment_is_pending(bench: Callable[..., str]) -> None:
    bench()
    Path("experiment.toml").write_text(EXPERIMENT.replace("[1, 2]", "[1, 2, 3]"))
    assert "6 runs: 4 done, 2 pending" in bench()


@pytest.mark.parametrize("changed", ["my_optimizer.py", "experiment.toml"])
def test_code_of_ones_own_is_looked_at_each_time(
    command_line: Callable[..., Any], tmp_path: Path, changed: str
) -> None:
    code = "import torch\nclass Mine(torch.optim.SGD):\n    factor = 1\n"
    (tmp_path / "my_optimizer.py").write_text(code)
    (tmp_path / "experiment.toml").write_text(
        EXPERIMENT.replace("[optimizers.SGD]", '[optimizers.mine]\nclass = "my_optimizer:Mine"')
    )
    in_a_process()
    assert in_a_process()[1]
    path = tmp_path / changed
    path.write_text(path.read_text().replace("factor = 1", "factor = 2").replace("0.01", "0.1"))
    assert "0 pending" not in in_a_process()[0]


def test_another_directory_and_another_selection_are_other_questions(
    bench: Callable[..., str],
) -> None:
    bench()
    assert "2 runs: 2 done" in bench("--only", "seed=1")
    assert "4 runs: 0 done" in bench("--out", "elsewhere")
    assert "4 runs: 4 done" in bench()


def specifications() -> list[Any]:
    file = Path("experiment.toml")
    return plan(load(file), str(file), device="cpu").specifications


def endings() -> dict[str, Ending | None]:
    index = ResultIndex(Path("results"), KeptResults(Path("results")))
    return {each.run_id: index.ending_of(each) for each in specifications()}


def test_what_is_kept_of_finished_runs_is_what_their_records_say(bench: Callable[..., str]) -> None:
    bench()
    expected = {record.run_id: Ending.of(record) for record in map(store.read, result_files())}
    assert endings() == expected
    fresh = ResultIndex(Path("results"))
    assert {each.run_id: fresh.ending_of(each) for each in specifications()} == expected


def test_finished_runs_are_read_once(bench: Callable[..., str]) -> None:
    forget_answers()
    first = bench()
    forget_answers()
    # Only what is not read again stays the same for whoever opens the files.
    for path in result_files():
        before = path.stat()
        path.write_bytes(b"x" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert bench() == first


@pytest.mark.parametrize(
    "broken", [b"", b"\xff\xfe", b"[1]\n", b"{}", b"[1]\n0123456789abcdef\t[1, 2"]
)
def test_a_broken_cache_changes_nothing(bench: Callable[..., str], broken: bytes) -> None:
    expected = bench()
    for path in config.get_cache_dir().rglob("*"):
        if path.parent.name in ("answers", "sweeps"):
            path.write_bytes(broken)
    assert bench() == expected


def test_a_broken_line_of_the_cache_is_looked_for_again(bench: Callable[..., str]) -> None:
    expected = endings()
    (path,) = (config.get_cache_dir() / "sweeps").iterdir()
    head, *lines = path.read_text().splitlines()
    lines[0] = lines[0].replace("[", "", 1)
    lines[1] = lines[1].partition("\t")[0] + "\t[1, 2, 3]"
    lines[2] = lines[2].rpartition("\t")[0] + "\t[1]"
    path.write_text("\n".join([head, *lines]))
    assert endings() == expected


def test_a_result_written_while_others_are_looked_for_is_found(bench: Callable[..., str]) -> None:
    (directory, *_) = sorted({path.parent for path in result_files()})
    one = next(each for each in specifications() if str(directory) in str(found(each)))
    kept = KeptResults(Path("results"))
    index = ResultIndex(Path("results"), kept)
    os.utime(directory)  # as if a file was added just now
    earlier = index.path_of(one)
    # Another file that is added in the same moment leaves the same time.
    before = directory.stat()
    later = directory / f"random_seed__{one.random_seed}__2999-01-01-00-00-00-000000.json"
    later.write_bytes(Path(earlier or "").read_bytes())
    os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
    kept.write()
    assert found(one) == later


def test_an_index_is_that_of_when_it_was_asked_until_it_looks_again(
    bench: Callable[..., str],
) -> None:
    index = ResultIndex.with_kept(Path("results"))
    paths = {each.run_id: index.find(each) for each in specifications()}
    assert set(paths.values()) == set(result_files())
    lost = result_files()[0]
    lost.unlink()
    assert {each.run_id: index.find(each) for each in specifications()} == paths
    index.look_again()
    assert {index.find(each) for each in specifications()} == {*result_files(), None}


def test_a_result_that_was_rewritten_before_it_was_read_is_looked_at_again(
    bench: Callable[..., str],
) -> None:
    one = specifications()[0]
    index = ResultIndex.with_kept(Path("results"))
    path = index.find(one)
    assert path is not None
    record = store.read(path)
    record.test_losses[-1] = 1234.5
    path.write_text(record.to_json())
    assert index.ending_of(one) == Ending.of(record)
    index.write()
    assert KeptResults(Path("results")).find(one.run_id) is None


def found(specification: Any) -> Path | None:
    return ResultIndex(Path("results"), KeptResults(Path("results"))).find(specification)


def test_a_sweep_in_python_takes_finished_runs_for_what_they_are(bench: Callable[..., str]) -> None:
    file = Path("experiment.toml")
    planned = plan(load(file), str(file), device="cpu")
    standings = [
        execute(planned, Sweep(SerialExecutor(), output_dir="results"), jobs=1).standings(planned)
        for _ in range(2)
    ]
    assert standings[0] == standings[1]
    assert (standings[0][0].runs, standings[0][0].pending) == (4, 0)
