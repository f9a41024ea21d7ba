"""Where the files of a data set are looked for, and what becomes of missing or broken ones."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch

from deepobs.data import FileDataSet, Layout, RemoteFile, Splits
from deepobs.errors import CorruptDataError, DataError, MissingDataError
from deepobs.plugins import DatasetSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONTENT = {"train.txt": b"1 2 3 4 5 6", "test.txt": b"7 8 9"}


class Numerals(FileDataSet):
    """Numbers in two text files."""

    train_eval_size: ClassVar[int] = 3
    layouts: ClassVar[tuple[Layout, ...]] = (
        Layout(
            file_names=tuple(_CONTENT), directories=("ours/raw", "theirs"), suffixes=("", ".copy")
        ),
    )
    mirrors: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[int] = 0

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        Numerals.reads += 1
        return Splits(train=(_numbers(paths["train.txt"]),), test=(_numbers(paths["test.txt"]),))

    @classmethod
    def remote_files(cls) -> list[RemoteFile]:
        return [
            RemoteFile(
                name=name,
                urls=tuple(f"{mirror}{name}" for mirror in cls.mirrors),
                checksum=f"sha256:{hashlib.sha256(content).hexdigest()}",
            )
            for name, content in _CONTENT.items()
            if cls.mirrors
        ]

    @classmethod
    def make_fake(cls, fraction: float) -> Splits:
        del fraction
        return Splits(train=(torch.zeros(6),), test=(torch.zeros(3),))


def _numbers(path: Path) -> torch.Tensor:
    try:
        return torch.tensor([float(word) for word in path.read_text().split()])
    except ValueError as error:
        raise CorruptDataError(f"The file {path} is corrupt: {error}.") from None


numerals = Numerals.bind(
    DatasetSpec(name="numerals", target="t:N", summary="Numbers", train_size=6, test_size=3)
)


def _put(directory: Path, suffix: str = "", **content: bytes) -> None:
    directory.mkdir(parents=True)
    for name, default in _CONTENT.items():
        path = directory / f"{name}{suffix}"
        path.write_bytes(content.get(name.removesuffix(".txt"), default))


@pytest.mark.parametrize("place", ["ours/raw", "theirs"])
@pytest.mark.parametrize("suffix", ["", ".copy"])
def test_every_layout_is_found(data_dir: Path, place: str, suffix: str) -> None:
    _put(data_dir / place, suffix)
    status = numerals.status(data_dir)
    assert status.state == "ready"
    assert status.path == data_dir / place
    assert numerals.load(data_dir).train[0].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_data_set_reads_from_the_data_directory_of_the_configuration(data_dir: Path) -> None:
    _put(data_dir / "theirs")
    assert numerals(2, device="cpu").split_sizes == {"train": 6, "train_eval": 3, "test": 3}


def test_the_first_layout_that_is_complete_wins(data_dir: Path) -> None:
    _put(data_dir / "ours/raw", train=b"0")
    _put(data_dir / "theirs")
    assert numerals.load(data_dir).train[0].tolist() == [0]
    (data_dir / "ours/raw/test.txt").unlink()
    assert numerals.load(data_dir).train[0].tolist() == [1, 2, 3, 4, 5, 6]


def test_status_of_missing_data_says_what_each_directory_lacks(data_dir: Path) -> None:
    _put(data_dir / "theirs")
    (data_dir / "theirs/test.txt").unlink()
    status = numerals.status(data_dir)
    assert status.state == "missing"
    assert status.path == data_dir / "ours/raw"
    assert f"none of the 2 files in {data_dir}/ours/raw" in status.detail
    assert f"{data_dir}/theirs lacks test.txt" in status.detail


def test_status_of_data_that_are_wholly_missing_is_short(data_dir: Path) -> None:
    assert numerals.status(data_dir).detail == "no files found"


def test_status_does_not_open_the_files(data_dir: Path) -> None:
    _put(data_dir / "theirs", train=b"broken", test=b"")
    assert numerals.status(data_dir).state == "ready"


def test_missing_data_are_downloaded_into_the_first_layout(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.files.update(_CONTENT)
    monkeypatch.setattr(Numerals, "mirrors", (mirror.url,))
    assert numerals.load(data_dir).test[0].tolist() == [7, 8, 9]
    assert numerals.status(data_dir).path == data_dir / "ours/raw"
    numerals.load(data_dir)
    assert mirror.requests == ["train.txt", "test.txt"]


def test_prepare_downloads_and_reports_what_it_found(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.files.update(_CONTENT)
    monkeypatch.setattr(Numerals, "mirrors", (mirror.url,))
    status = numerals.prepare(data_dir)
    assert status.state == "ready"
    fingerprint = numerals.load(data_dir).fingerprint
    assert status.detail == f"6 training and 3 test examples, fingerprint {fingerprint[:12]}"


def test_one_error_says_everything_about_missing_data(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Numerals, "mirrors", (mirror.url,))
    with pytest.raises(MissingDataError) as caught:
        numerals.load(data_dir)
    message = str(caught.value)
    for part in (
        "'numerals'",
        "train.txt, test.txt, plain or with .copy",
        f"{data_dir}/ours/raw",
        f"{data_dir}/theirs",
        f"The download failed. No mirror delivered train.txt: {mirror.url}train.txt: HTTP status",
        "`deepobs data prepare numerals`",
        "DEEPOBS_DATA_DIR",
        "DEEPOBS_FAKE_DATA=1",
        "--fake-data",
    ):
        assert part in message
    assert mirror.requests == ["train.txt"], "the other files are not asked for in vain"


def test_data_that_nobody_offers_are_said_to_be_so(data_dir: Path) -> None:
    with pytest.raises(MissingDataError, match="no source to download them from"):
        numerals.load(data_dir)


def test_verify_never_downloads(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.files.update(_CONTENT)
    monkeypatch.setattr(Numerals, "mirrors", (mirror.url,))
    with pytest.raises(MissingDataError, match="deepobs data prepare numerals"):
        numerals.verify(data_dir)
    assert mirror.requests == []
    assert not data_dir.exists()


def test_a_data_directory_that_cannot_be_written_to_is_named(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir.write_text("a file where a directory should be")
    monkeypatch.setattr(Numerals, "mirrors", (mirror.url,))
    with pytest.raises(
        DataError, match=rf"'numerals'.* {re.escape(str(data_dir))}.* cannot be wri"
    ):
        numerals.load(data_dir)
    assert mirror.requests == []


def test_other_sizes_than_the_published_ones_are_taken_and_mentioned(data_dir: Path) -> None:
    _put(data_dir / "theirs", test=b"7")
    detail = numerals.verify(data_dir).detail
    assert detail.startswith("6 training and 1 test examples (published were 6 and 3)")


def test_whoever_uses_other_sizes_is_warned(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _put(data_dir / "theirs")
    numerals(1, device="cpu")
    assert not caplog.text
    _put(data_dir / "ours/raw", test=b"7")
    numerals(1, device="cpu")
    assert "numerals has 6 training and 1 test examples (published were 6 and 3): " in caplog.text


def test_the_error_about_a_corrupt_file_names_the_data_set_and_what_to_do(data_dir: Path) -> None:
    _put(data_dir / "theirs", train=b"one two")
    for use in (numerals.load, numerals.verify, numerals.prepare):
        with pytest.raises(CorruptDataError) as caught:
            use(data_dir)
        assert "'numerals'" in str(caught.value)
        assert f"{data_dir}/theirs/train.txt is corrupt: could not convert" in str(caught.value)
        assert "`deepobs data prepare numerals`" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(data_dir: Path) -> None:
    class Unlucky(numerals):  # type: ignore[misc, valid-type]
        @classmethod
        def read(cls, paths: Mapping[str, Path]) -> Splits:
            (paths["train.txt"] / "below a file").read_bytes()
            raise AssertionError

    _put(data_dir / "theirs")
    with pytest.raises(DataError, match=r"'numerals' cannot be read from .*train.txt.*directory"):
        Unlucky.load(data_dir)


def test_unchanged_files_are_read_once_and_changed_ones_again(data_dir: Path) -> None:
    _put(data_dir / "theirs")
    before = Numerals.reads
    first = numerals.load(data_dir)
    assert numerals.load(data_dir) is first
    assert Numerals.reads == before + 1
    path = data_dir / "theirs/train.txt"
    path.write_bytes(b"6 5 4 3 2 1")
    os.utime(path, ns=(1, 1))
    assert numerals.load(data_dir).train[0].tolist() == [6, 5, 4, 3, 2, 1]


def test_verify_reads_the_files_even_if_they_were_read_before(data_dir: Path) -> None:
    _put(data_dir / "theirs")
    numerals.load(data_dir)
    before = Numerals.reads
    numerals.verify(data_dir)
    assert Numerals.reads == before + 1


class ManyNumerals(Numerals):
    """The same numbers, also all in one file."""

    layouts: ClassVar[tuple[Layout, ...]] = (
        *Numerals.layouts,
        Layout(file_names=("numbers.csv",), directories=("", "csv")),
    )

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Splits:
        if "numbers.csv" not in paths:
            return super().read(paths)
        numbers = _numbers(paths["numbers.csv"])
        return Splits(train=(numbers[:-3],), test=(numbers[-3:],))

    @classmethod
    def checksums(cls) -> dict[str, str]:
        return {
            name: f"sha256:{hashlib.sha256(content).hexdigest()}"
            for name, content in _CONTENT.items()
        }


many_numerals = ManyNumerals.bind(numerals.spec)


def test_data_are_found_in_another_form(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "numbers.csv").write_bytes(b"9 8 7 6 5 4 3")
    status = many_numerals.status(data_dir)
    assert (status.state, status.path) == ("ready", data_dir)
    assert status.detail == "numbers.csv, not verified"
    assert many_numerals.load(data_dir).train[0].tolist() == [9, 8, 7, 6]


def test_the_first_form_that_is_complete_is_read(data_dir: Path) -> None:
    _put(data_dir / "theirs")
    (data_dir / "numbers.csv").write_bytes(b"9 8 7 6 5 4 3")
    assert many_numerals.load(data_dir).train[0].tolist() == [1, 2, 3, 4, 5, 6]
    (data_dir / "theirs/test.txt").unlink()
    assert many_numerals.load(data_dir).train[0].tolist() == [9, 8, 7, 6]


def test_the_error_about_missing_data_names_every_form(data_dir: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        many_numerals.verify(data_dir)
    message = str(caught.value)
    assert f"none of the 2 files in {data_dir}/ours/raw or {data_dir}/theirs; " in message
    assert f"no numbers.csv in {data_dir} or {data_dir}/csv." in message
    assert message.endswith(
        "The files are train.txt, test.txt, plain or with .copy; or numbers.csv."
    )
    assert many_numerals.status(data_dir).path == data_dir / "ours/raw"


def test_many_names_of_files_are_shortened() -> None:
    layout = Layout(file_names=tuple("abcdef"), directories=("",))
    assert str(layout) == "a, b, ..., f"


def test_verify_tells_whether_the_files_are_the_published_ones(data_dir: Path) -> None:
    _put(data_dir / "theirs")
    assert many_numerals.verify(data_dir).detail.endswith(", as published")
    (data_dir / "theirs/test.txt").write_bytes(b"7 8 10")
    assert many_numerals.verify(data_dir).detail.endswith(", not as published: test.txt")
    assert "as published" not in numerals.verify(data_dir).detail


def test_verify_keeps_quiet_about_files_without_a_checksum(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "numbers.csv").write_bytes(b"1 2 3 4 5 6 7 8 9")
    assert "as published" not in many_numerals.verify(data_dir).detail


def test_a_further_file_is_read_where_it_lies_beside_the_others(data_dir: Path) -> None:
    layout = Layout(file_names=tuple(_CONTENT), directories=("", "theirs"), optional=("units.txt",))
    directory = data_dir / "theirs"
    _put(directory)
    assert layout.find(data_dir) == {name: directory / name for name in _CONTENT}
    (data_dir / "units.txt").write_bytes(b"not beside them")
    (directory / "units.txt").write_bytes(b"metres")
    found = layout.find(data_dir)
    assert found is not None
    assert found["units.txt"] == directory / "units.txt"
    (directory / "test.txt").unlink()
    assert layout.find(data_dir) is None
    assert "units" not in layout.lacking(data_dir) + str(layout)
