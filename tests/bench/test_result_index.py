"""Which runs have a result, decided from the ends of their files."""

from __future__ import annotations

import contextlib
import sys

import pytest

from deepobs.runs import run, specify, store
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.result_index import ResultIndex
from deepobs_bench.sweep import Sweep


@pytest.fixture
def specification():
    return specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=1)


@pytest.fixture
def result(specification, tmp_path):
    run(specification, output_dir=tmp_path)
    return store.find(tmp_path, specification)[0]


def test_a_result_is_found_by_the_run_it_is_of(specification, result, tmp_path):
    index = ResultIndex(tmp_path)
    assert index.find(specification) == result
    assert index.find(specification.model_copy(update={"random_seed": 1})) is None
    assert index.find(specification.model_copy(update={"num_epochs": 2})) is None


def test_of_a_run_that_was_done_again_the_latest_is_found(specification, result, tmp_path):
    run(specification, output_dir=tmp_path, overwrite=True)
    assert ResultIndex(tmp_path).find(specification) == max(result.parent.glob("*.json")) != result


def test_results_on_fake_data_are_of_other_runs(specification, result, tmp_path):
    fake = specification.model_copy(update={"fake_data_fraction": 1.0})
    assert ResultIndex(tmp_path).find(fake) is None


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_torn_file_is_no_result(specification, result, tmp_path, kept):
    content = result.read_bytes()
    result.write_bytes(content[: int(kept * len(content))])
    assert ResultIndex(tmp_path).find(specification) is None


def test_no_part_of_a_file_looks_whole(specification, result, tmp_path):
    content = result.read_bytes()
    for end, byte in enumerate(content[:-1], start=1):
        if byte == ord("}"):
            result.write_bytes(content[:end])
            assert ResultIndex(tmp_path).find(specification) is None


def test_files_of_others_and_leftovers_are_no_results(specification, result, tmp_path):
    content = result.read_text()
    result.rename(result.with_name(".0123456789abcdef.tmp"))
    result.with_suffix(".failure").write_text(content)
    result.with_name("random_seed__42__of_others.json").write_text('{"test_losses": [1.0]\n}')
    (result.parent / "random_seed__42__directory.json").mkdir()
    assert ResultIndex(tmp_path).find(specification) is None


_counts = {}


def _count(event, _):
    if event in _counts:
        _counts[event] += 1


sys.addaudithook(_count)  # stays, since no hook can be removed


@contextlib.contextmanager
def counted(*events):
    """Count events of the interpreter inside the block."""
    _counts.update(dict.fromkeys(events, 0))
    counts = {}
    yield counts
    counts.update(_counts)
    _counts.clear()


def test_pending_runs_take_one_listing_however_many_they_are(specification, result, tmp_path):
    rates = [
        specification.model_copy(update={"hyperparameters": {"lr": 1.0 + n}}) for n in range(9)
    ]
    index = ResultIndex(tmp_path)
    with counted("os.listdir", "os.scandir", "open") as counts:
        assert not any(map(index.find, rates))
    assert counts == {"os.listdir": 1, "os.scandir": 0, "open": 0}


def test_a_finished_run_takes_the_same_work_however_many_are_planned(tmp_path):
    def work(num_runs):
        runs = [
            specify("quadratic_deep", "SGD", num_epochs=0, random_seed=n) for n in range(num_runs)
        ]
        sweep = Sweep(SerialExecutor(), output_dir=tmp_path / str(num_runs))
        outcomes = sweep.execute(runs)
        next(outcomes)  # before which all runs are looked for
        next(outcomes)  # before which modules are imported
        with counted("os.listdir", "os.scandir", "open", "os.mkdir", "os.rename") as counts:
            next(outcomes)
        outcomes.close()
        return counts

    assert work(200) == work(4)
