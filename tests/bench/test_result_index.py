"""Which runs have a result, decided from the ends of their files."""

from __future__ import annotations

import pytest

from deepobs.runs import run, specify, store
from deepobs_bench.result_index import ResultIndex


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
