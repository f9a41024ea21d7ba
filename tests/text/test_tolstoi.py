"""War and Peace: batches of the original, the published text, downloads."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tolstoi_files import BOOK, LINES, NOVEL, expect_book, put_arrays, put_text, tolstoi

from deepobs.errors import CorruptDataError, DataError, MissingDataError
from deepobs.protocols import DataSet
from deepobs_text import tolstoi as novel
from deepobs_text.text_dataset import encode


def test_batches_are_those_of_the_original(data_dir: Path, shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_tolstoi.npz")
    directory = put_arrays(data_dir, train=recorded["train"], test=recorded["test"])
    (directory / "vocab.pkl").write_bytes(b"this is never opened")
    dataset = tolstoi()(8, device="cpu")
    assert isinstance(dataset, DataSet)
    assert (len(dataset.train_loader), len(dataset.test_loader)) == (12, 3)
    for split in ("train", "test"):
        for number, (ids, next_ids) in zip(range(2), getattr(dataset, f"{split}_loader")):  # noqa: B905
            assert (ids.dtype, next_ids.dtype) == (torch.int64, torch.int64)
            assert np.array_equal(ids, recorded[f"{split}_x{number}"])
            assert np.array_equal(next_ids, recorded[f"{split}_y{number}"])
    assert dataset.vocabulary is None
    assert dataset.num_symbols == 83


@pytest.mark.parametrize(
    "place", ["tolstoi/2600-0.txt", "2600-0.txt.gz", "tolstoi/war-and-peace.txt.gz"]
)
def test_the_published_text_is_cut_and_encoded_in_memory(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    expect_book(monkeypatch)
    put_text(data_dir / place, BOOK)
    splits = tolstoi().load(data_dir)
    assert splits.vocabulary == encode(NOVEL).vocabulary
    spoken = "".join(splits.vocabulary[index] for index in torch.cat([*splits.train, *splits.test]))
    assert spoken == NOVEL
    assert len(splits.train[0]) == -(-len(NOVEL) * 4 // 5)
    assert [path.name for path in (data_dir / place).parent.iterdir()] == [Path(place).name]


def test_arrays_win_over_the_text(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect_book(monkeypatch)
    directory = put_arrays(data_dir)
    put_text(directory / "2600-0.txt", BOOK)
    assert len(tolstoi().load(data_dir).train[0]) == 400
    (directory / "test.npy").unlink()
    assert len(tolstoi().load(data_dir).train[0]) > 400


@pytest.mark.parametrize("place", ["tolstoi/2600-0.txt", "war-and-peace.txt.gz"])
def test_prepare_stores_the_arrays_of_a_text_that_is_there(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    expect_book(monkeypatch)
    put_text(data_dir / place, BOOK)
    before = tolstoi().load(data_dir)
    tolstoi().prepare(data_dir)
    (data_dir / place).unlink()
    after = tolstoi().load(data_dir)
    assert after.fingerprint == before.fingerprint
    assert after.vocabulary == before.vocabulary
    stored = np.load(data_dir / "tolstoi/train.npy", allow_pickle=False)
    assert stored.dtype == np.int64, "as TensorFlow's embeddings want them"
    modified = (data_dir / "tolstoi/train.npy").stat().st_mtime_ns
    tolstoi().prepare(data_dir)
    assert (data_dir / "tolstoi/train.npy").stat().st_mtime_ns == modified


def test_a_download_leaves_arrays_and_vocabulary(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_book(monkeypatch, f"{mirror.url}empty/", mirror.url)
    mirror.files["2600-0.txt"] = BOOK
    status = tolstoi().prepare(data_dir)
    assert mirror.requests == ["empty/2600-0.txt", "2600-0.txt"]
    assert (status.state, status.path) == ("ready", data_dir / "tolstoi")
    names = {path.name for path in (data_dir / "tolstoi").iterdir()} - {".download.lock"}
    assert names == {"train.npy", "test.npy", "vocabulary.json"}
    dataset = tolstoi()(50, device="cpu")
    assert dataset.vocabulary == encode(NOVEL).vocabulary
    assert len(mirror.requests) == 2


def test_a_lone_array_is_replaced_by_a_download(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_book(monkeypatch, mirror.url)
    mirror.files["2600-0.txt"] = BOOK
    (put_arrays(data_dir) / "test.npy").unlink()
    assert tolstoi().status(data_dir).state == "missing"
    splits = tolstoi().load(data_dir)
    assert len(splits.train[0]) + len(splits.test[0]) == len(NOVEL)


def test_another_edition_is_not_downloaded(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_book(monkeypatch, mirror.url)
    mirror.files["2600-0.txt"] = BOOK.replace(b"0", b"1")
    with pytest.raises(MissingDataError, match=r"2600-0.txt: its sha256 checksum is"):
        tolstoi().prepare(data_dir)
    assert [path.name for path in (data_dir / "tolstoi").iterdir()] == [".download.lock"]


def test_the_error_about_missing_data_names_every_form(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_book(monkeypatch)
    with pytest.raises(MissingDataError) as caught:
        tolstoi()(50, device="cpu")
    for part in ("train.npy, test.npy", "2600-0.txt", "war-and-peace.txt", "data prepare tolstoi"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_that_is_not_the_published_one_is_refused(data_dir: Path) -> None:
    path = data_dir / "tolstoi/2600-0.txt"
    put_text(path, "".join(LINES).encode())
    pattern = (
        rf"{re.escape(str(path))} is corrupt: its sha256 checksum is .* not the edition of 3291641"
    )
    with pytest.raises(CorruptDataError, match=pattern):
        tolstoi()(50, device="cpu")


def test_undecodable_bytes_in_the_text_are_named(data_dir: Path) -> None:
    path = data_dir / "2600-0.txt.gz"
    put_text(path, b"War and P\xe9ace")
    with pytest.raises(CorruptDataError, match=rf"{re.escape(str(path))}.* 0xe9 at position 9"):
        tolstoi()(50, device="cpu")


def test_a_truncated_archive_is_named(data_dir: Path) -> None:
    path = data_dir / "war-and-peace.txt.gz"
    put_text(path, BOOK)
    path.write_bytes(path.read_bytes()[:-1000])
    for use in (tolstoi().load, tolstoi().prepare, tolstoi().verify):
        with pytest.raises(CorruptDataError, match=rf"{re.escape(str(path))}.*truncated"):
            use(data_dir)


def test_a_data_directory_that_cannot_be_written_to_is_named(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_book(monkeypatch)
    put_text(data_dir / "2600-0.txt", BOOK)
    (data_dir / "tolstoi").write_text("a file where a directory should be")
    with pytest.raises(DataError, match=rf"{re.escape(str(data_dir))}/tolstoi cannot be written"):
        tolstoi().prepare(data_dir)


def test_a_shorter_text_is_taken_and_verify_says_so(data_dir: Path) -> None:
    put_arrays(data_dir)
    detail = tolstoi().verify(data_dir).detail
    assert detail.startswith(
        "400 training and 100 test examples (published were 2612948 and 653237)"
    )
    assert detail.endswith(", not as published")


def test_the_class_knows_how_many_symbols_there_are() -> None:
    assert tolstoi().num_symbols == 83


@pytest.fixture
def war_and_peace(data_dir: Path, shared_dir: Path) -> Path:
    """The data directory with the published text."""
    path = shared_dir / "data" / "war-and-peace.txt.gz"
    if not path.is_file():
        pytest.skip("the text of War and Peace is not beside this checkout (../shared/data)")
    data_dir.mkdir()
    (data_dir / path.name).symlink_to(path)
    return data_dir


def test_the_text_of_war_and_peace_has_the_published_sizes(war_and_peace: Path) -> None:
    dataset = tolstoi()(50, device="cpu")
    assert dataset.split_sizes == {"train": 2612948, "train_eval": 653237, "test": 653237}
    assert (len(dataset.train_loader), len(dataset.test_loader)) == (1045, 261)
    assert len(set(dataset.vocabulary)) == dataset.num_symbols == 83
    ids, _ = next(iter(dataset.train_loader))
    assert "".join(dataset.vocabulary[index] for index in ids[0]).startswith("WAR AND PEACE\r\n")


def test_prepared_arrays_of_war_and_peace_are_verified_as_published(war_and_peace: Path) -> None:
    detail = tolstoi().prepare(war_and_peace).detail
    assert re.fullmatch(
        "2612948 training and 653237 test examples, fingerprint [0-9a-f]{12}, as published", detail
    )


def test_the_published_text_is_described_as_it_is(war_and_peace: Path) -> None:
    content = gzip.decompress((war_and_peace / "war-and-peace.txt.gz").read_bytes())
    assert novel.SOURCE.size == len(content)
    assert novel.SOURCE.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert all(url.startswith("https://") for url in novel.SOURCE.urls)
