"""Any text as a data set: ad hoc, or as a plugin offers it; broken texts."""

from __future__ import annotations

import gzip
import os
import re
from typing import TYPE_CHECKING, ClassVar

import pytest
import torch

from deepobs import config
from deepobs.data import Layout
from deepobs.errors import ArgumentError, CorruptDataError, DataError, MissingDataError
from deepobs.plugins import DatasetSpec
from deepobs.protocols import DataSet
from deepobs_text import text_file
from deepobs_text.text_file import TextFile, text_data_set

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = "It was a dark and stormy night; the rain fell in torrents.\n" * 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "night.txt"


def _spoken(dataset: TextFile, ids: torch.Tensor) -> str:
    assert dataset.vocabulary is not None
    return "".join(dataset.vocabulary[index] for index in ids)


def test_a_file_becomes_a_data_set_with_its_own_vocabulary(path: Path) -> None:
    path.write_text(_TEXT, encoding="utf-8")
    dataset = text_data_set(path)(3, device="cpu", sequence_length=7)
    assert isinstance(dataset, DataSet)
    assert dataset.name == "night"
    assert dataset.vocabulary is not None
    assert set(dataset.vocabulary) == set(_TEXT)
    assert dataset.num_symbols == len(set(_TEXT))
    assert dataset.split_sizes == {"train": 944, "train_eval": 944, "test": 236}
    ids, next_ids = next(iter(dataset.train_loader))
    assert (ids.shape, ids.dtype) == ((3, 7), torch.int64)
    assert _spoken(dataset, ids[0]) == "It was "
    assert _spoken(dataset, next_ids[0]) == "t was a"
    ids, _ = next(iter(dataset.test_loader))
    assert _spoken(dataset, ids[0]) == _TEXT[944:951]


def test_its_description_is_made_from_the_file(path: Path) -> None:
    path.write_text(_TEXT, encoding="utf-8")
    spec = text_data_set(str(path)).spec
    assert (spec.train_size, spec.test_size) == (944, 236)
    assert spec.summary == "night.txt, one character at a time"
    assert text_data_set(path, name="rain").spec.name == "rain"


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("My text.txt.gz", "my_text"),
        ("1984.txt", "text_1984"),
        ("война-и-мир.txt", "война_и_мир"),
        ("class.txt", "text_class"),
        ("README", "readme"),
        ("README.gz", "readme"),
        (".hidden", "hidden"),
        ("--.txt", "text"),
    ],
)
def test_it_is_called_after_its_file(tmp_path: Path, file_name: str, name: str) -> None:
    (tmp_path / file_name).write_text(_TEXT, encoding="utf-8")
    assert text_data_set(tmp_path / file_name).spec.name == name


def test_a_name_that_no_data_set_may_have_is_refused(path: Path) -> None:
    path.write_text(_TEXT, encoding="utf-8")
    with pytest.raises(ArgumentError, match="'two words'"):
        text_data_set(path, name="two words")


def test_a_path_may_be_relative(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(_TEXT, encoding="utf-8")
    monkeypatch.chdir(path.parent)
    night = text_data_set("night.txt")
    monkeypatch.chdir("/")
    assert night(3, device="cpu", sequence_length=7).split_sizes["test"] == 236


@pytest.mark.parametrize("packed", [True, False])
def test_a_byte_order_mark_and_line_ends_of_windows_are_dropped(path: Path, packed: bool) -> None:
    content = f"\ufeff{_TEXT}".replace("\n", "\r\n").encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    dataset = text_data_set(path)(3, device="cpu", sequence_length=7)
    assert dataset.vocabulary is not None
    assert set(dataset.vocabulary) == set(_TEXT)
    assert sum(dataset.split_sizes[name] for name in ("train", "test")) == len(_TEXT)


@pytest.mark.parametrize(
    ("size", "train_size"), [(5, 4), (6, 5), (9, 8), (10, 8), (11, 9), (3266185, 2612948)]
)
def test_four_fifths_rounded_up_are_for_training(path: Path, size: int, train_size: int) -> None:
    path.write_text("a" * size, encoding="utf-8")
    spec = text_data_set(path).spec
    assert (spec.train_size, spec.test_size) == (train_size, size - train_size)


@pytest.mark.parametrize("text", ["", "\ufeff", "a", "four"])
def test_a_text_that_cannot_be_divided_is_refused(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    count = len(text.removeprefix("\ufeff"))
    with pytest.raises(CorruptDataError, match=rf"night.txt.*5 characters.* holds {count}\.$"):
        text_data_set(path)


@pytest.mark.parametrize("packed", [True, False])
def test_bytes_that_are_no_text_are_refused_with_their_position(path: Path, packed: bool) -> None:
    content = b"caf\xe9 au lait"
    path.write_bytes(gzip.compress(content) if packed else content)
    pattern = rf"{re.escape(str(path))} is corrupt: .*UTF-8.* 0xe9 at position 3 cannot"
    with pytest.raises(CorruptDataError, match=pattern):
        text_data_set(path)


def test_a_byte_order_mark_does_not_shift_the_position(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfcaf\xe9")
    with pytest.raises(CorruptDataError, match="at position 6 "):
        text_data_set(path)


def test_compressed_content_that_breaks_off_is_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(_TEXT.encode())[:-9])
    with pytest.raises(CorruptDataError, match=r"night.txt is corrupt: it is truncated"):
        text_data_set(path)


@pytest.mark.parametrize("place", [5, 20, -6])
def test_compressed_content_that_is_damaged_is_refused(path: Path, place: int) -> None:
    content = bytearray(gzip.compress(_TEXT.encode()))
    content[2 if place == 5 else place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"night.txt is corrupt: its compressed content"):
        text_data_set(path)


@pytest.mark.parametrize("packed", [True, False])
def test_a_huge_text_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    path.write_bytes(gzip.compress(_TEXT.encode()) if packed else _TEXT.encode())
    monkeypatch.setattr(text_file, "_MOST_BYTES", len(_TEXT))
    assert text_data_set(path).spec.train_size == 944
    monkeypatch.setattr(text_file, "_MOST_BYTES", len(_TEXT) - 1)
    with pytest.raises(CorruptDataError, match=r"night.txt is corrupt: .* more than 1179 bytes"):
        text_data_set(path)


def test_a_text_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(MissingDataError, match=rf"no text {re.escape(str(path))}"):
        text_data_set(path)


def test_a_text_that_was_there_is_named_and_nothing_else_is_offered(path: Path) -> None:
    path.write_text(_TEXT, encoding="utf-8")
    night = text_data_set(path)
    path.unlink()
    for use in (lambda: night(3, device="cpu"), lambda: night.verify(path.parent)):
        with pytest.raises(MissingDataError, match=rf"^There is no text {re.escape(str(path))}\."):
            use()


def test_a_directory_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path))} cannot be read"):
        text_data_set(tmp_path)


def test_a_changed_text_is_read_again(path: Path) -> None:
    path.write_text(_TEXT, encoding="utf-8")
    night = text_data_set(path)
    first = night(3, device="cpu", sequence_length=7)
    path.write_text(_TEXT + "What a night!", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    second = night(3, device="cpu", sequence_length=7)
    assert second.num_symbols == first.num_symbols + 2
    assert second.fingerprint != first.fingerprint


def test_the_text_is_used_even_where_synthetic_data_are_asked_for(path: Path) -> None:
    path.write_text(_TEXT, encoding="utf-8")
    config.set_fake_data(True)
    dataset = text_data_set(path)(3, device="cpu", sequence_length=7)
    assert not dataset.is_fake
    assert dataset.split_sizes["train"] == 944


class Night(TextFile):
    """A text as a plugin offers it, below the data directory."""

    layouts: ClassVar[tuple[Layout, ...]] = (
        Layout(file_names=("night.txt",), directories=("night", ""), suffixes=("", ".gz")),
    )


night = Night.bind(
    DatasetSpec(name="night", target="t:N", summary="Rain", train_size=944, test_size=236)
)


@pytest.mark.parametrize("place", ["night/night.txt", "night.txt.gz"])
def test_a_text_of_a_plugin_is_found_below_the_data_directory(tmp_path: Path, place: str) -> None:
    path = tmp_path / "data" / place
    path.parent.mkdir(parents=True)
    content = _TEXT.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    assert night(3, device="cpu", sequence_length=7).num_symbols == len(set(_TEXT))
    for check in (night.verify, night.prepare):
        assert check(tmp_path / "data").detail.startswith("944 training and 236 test examples, f")


def test_a_text_of_a_plugin_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"'night' is missing.*no source to download"):
        night.load(tmp_path / "data")


def test_a_text_of_a_plugin_has_a_synthetic_twin() -> None:
    config.set_fake_data(True)
    dataset = night(3, device="cpu", sequence_length=7)
    assert dataset.is_fake
    assert dataset.split_sizes["train"] == 944
    assert dataset.vocabulary is None
