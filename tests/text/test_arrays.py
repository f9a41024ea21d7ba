"""Arrays of ids as the original has them, and their vocabulary; broken ones."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tolstoi_files import put_arrays, tolstoi

from deepobs.errors import CorruptDataError

if TYPE_CHECKING:
    from pathlib import Path

_VOCABULARY = [chr(number) for number in range(40, 123)]


@pytest.mark.parametrize("kind", ["uint8", "int32", ">i8", "uint64"])
def test_ids_may_be_of_any_type_of_whole_numbers(data_dir: Path, kind: str) -> None:
    put_arrays(data_dir, train=(np.arange(400) % 83).astype(kind))
    splits = tolstoi().load(data_dir)
    assert splits.train[0].dtype == torch.int64
    assert torch.equal(splits.train[0], torch.arange(400) % 83)


def test_the_vocabulary_is_read_where_it_is_there_and_when_it_comes_later(data_dir: Path) -> None:
    directory = put_arrays(data_dir)
    assert tolstoi()(2, device="cpu", sequence_length=5).vocabulary is None
    (directory / "vocabulary.json").write_text(json.dumps(_VOCABULARY), encoding="utf-8")
    assert tolstoi()(2, device="cpu", sequence_length=5).vocabulary == tuple(_VOCABULARY)


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.array([1.0, 2.0]), "of type float64 instead of integers"),
        (np.array([True, False]), "of type bool instead of integers"),
        (np.array(["e", "t"]), "of type <U1 instead of integers"),
        (np.zeros((4, 5), dtype=np.int64), r"has the shape \(4, 5\) instead of \(characters,\)"),
        (np.array(5), r"has the shape \(\) instead"),
        (np.zeros(0, dtype=np.int64), "is not an array of integers|holds no characters"),
        (np.array([3, -1, 2]), "holds the id -1, but those .* 83 characters run from 0 to 82"),
        (np.array([3, 83, 2]), "holds the id 83, but those .* 83 characters run from 0 to 82"),
        (np.array([2**64 - 1], dtype=np.uint64), "holds the id 18446744073709551615"),
        (np.array([{}]), "is not an array of integers .*Python objects"),
    ],
    ids=str,
)
def test_an_array_that_holds_no_ids_is_refused(
    data_dir: Path, name: str, array: np.ndarray, fault: str
) -> None:
    directory = put_arrays(data_dir, **{name: array})
    path = re.escape(str(directory / f"{name}.npy"))
    with pytest.raises(CorruptDataError, match=rf"'tolstoi' cannot be used\. .*{path}.* ({fault})"):
        tolstoi()(2, device="cpu", sequence_length=5)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"PK\x03\x04" + bytes(50)])
def test_a_file_that_is_no_array_is_refused(data_dir: Path, content: bytes) -> None:
    directory = put_arrays(data_dir)
    (directory / "test.npy").write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"test.npy is corrupt: it is not an array"):
        tolstoi().load(data_dir)


@pytest.mark.parametrize("kept", [5, 60, 128, 500, -1])
def test_a_truncated_array_is_refused(data_dir: Path, kept: int) -> None:
    path = put_arrays(data_dir) / "train.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorruptDataError, match=r"train.npy is corrupt: it is not an array"):
        tolstoi().load(data_dir)


def test_a_header_that_claims_a_huge_array_costs_no_memory(data_dir: Path) -> None:
    path = put_arrays(data_dir) / "train.npy"
    path.write_bytes(
        path.read_bytes().replace(b"(400,), }" + b" " * 9, b"(400" + b"0" * 9 + b",), }")
    )
    with pytest.raises(CorruptDataError, match=r"train.npy is corrupt: it is not an array"):
        tolstoi().load(data_dir)


def test_a_pickle_in_place_of_an_array_is_not_run(data_dir: Path, tmp_path: Path) -> None:
    path = put_arrays(data_dir) / "train.npy"
    trace = tmp_path / "trace"
    path.write_bytes(f"cos\nmkdir\n(V{trace}\ntR.".encode())
    with pytest.raises(CorruptDataError, match=r"train.npy"):
        tolstoi().load(data_dir)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("vocabulary", "fault"),
    [
        ({"e": 0}, "a dict instead of a list"),
        (_VOCABULARY[:-1], "lists 82 characters, but the ids are of 83"),
        ([*_VOCABULARY[:-1], "ab"], "'ab', which is not a single character"),
        ([*_VOCABULARY[:-1], 5], "5, which is not a single character"),
        ([*_VOCABULARY[:-1], "A"], "'A' more than once"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_vocabulary_that_does_not_fit_the_ids_is_refused(
    data_dir: Path, vocabulary: Any, fault: str
) -> None:
    directory = put_arrays(data_dir)
    (directory / "vocabulary.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    with pytest.raises(CorruptDataError, match=rf"vocabulary.json is corrupt: .*{fault}"):
        tolstoi().load(data_dir)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100000])
def test_a_vocabulary_that_is_not_json_is_refused(data_dir: Path, content: bytes) -> None:
    (put_arrays(data_dir) / "vocabulary.json").write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"vocabulary.json is corrupt: it is not JSON"):
        tolstoi().load(data_dir)
