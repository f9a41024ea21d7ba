"""Unpacking archives: the expected files, verified, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from deepobs.data import RemoteFile, archive
from deepobs.data.archive import Archive, fetch_unpacked, unpack
from deepobs.errors import CorruptDataError, DataError, DownloadError

if TYPE_CHECKING:
    from pathlib import Path

_FILES = {"set/train": b"1 2 3" * 1000, "set/test": b"4 5"}


def _checksum(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _entry(name: str, content: bytes = b"", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    return entry, content


def _packed(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for entry, content in entries:
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


_PACKED = _packed(
    _entry("set", type=tarfile.DIRTYPE),
    _entry("set/readme.html", b"not wanted"),
    *(_entry(name, content) for name, content in _FILES.items()),
)


def _archive(packed: bytes = _PACKED, url: str = "http://127.0.0.1/set.tar.gz") -> Archive:
    return Archive(
        file=RemoteFile(name="set.tar.gz", urls=(url,), checksum=_checksum(packed)),
        members={name: _checksum(content) for name, content in _FILES.items()},
    )


def _visible(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != ".download.lock")


@pytest.fixture
def put(tmp_path: Path) -> Any:
    """Puts an archive into a directory and says where."""

    def write(packed: bytes) -> Path:
        path = tmp_path / "set.tar.gz"
        path.write_bytes(packed)
        return path

    return write


def test_only_the_wanted_files_are_unpacked(put: Any, tmp_path: Path) -> None:
    path = put(_PACKED)
    unpack(_archive(), path, tmp_path / "new" / "set")
    assert _visible(tmp_path / "new" / "set") == ["test", "train"]
    for name, content in _FILES.items():
        assert (tmp_path / "new" / name).read_bytes() == content
    assert path.read_bytes() == _PACKED, "an archive that the user put there is left alone"


def test_files_that_are_there_are_not_replaced(put: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train").write_bytes(b"mine")
    unpack(_archive(), put(_PACKED), tmp_path / "set")
    assert (tmp_path / "set/train").read_bytes() == b"mine"
    assert (tmp_path / "set/test").read_bytes() == _FILES["set/test"]


def test_another_archive_than_the_published_one_is_not_opened(put: Any, tmp_path: Path) -> None:
    path = put(_packed(*(_entry(name, content) for name, content in _FILES.items())))
    pattern = rf"{re.escape(str(path))} is corrupt: its sha256 checksum is \w+ instead of"
    with pytest.raises(CorruptDataError, match=pattern):
        unpack(_archive(), path, tmp_path / "set")
    assert _visible(tmp_path / "set") == []


def test_a_file_with_another_checksum_is_not_put_in_place(put: Any, tmp_path: Path) -> None:
    packed = _packed(_entry("set/train", _FILES["set/train"]), _entry("set/test", b"other"))
    with pytest.raises(CorruptDataError, match=r"set\.tar\.gz .*of its file test, its sha256"):
        unpack(_archive(packed), put(packed), tmp_path / "set")
    assert _visible(tmp_path / "set") == ["train"]


@pytest.mark.parametrize(
    "entry",
    [
        _entry("set/test", type=tarfile.SYMTYPE, linkname="/etc/hostname"),
        _entry("set/test", type=tarfile.LNKTYPE, linkname="set/train"),
        _entry("set/test", type=tarfile.FIFOTYPE),
        _entry("set/test", type=tarfile.DIRTYPE),
    ],
    ids=["symbolic link", "hard link", "pipe", "directory"],
)
def test_what_is_no_regular_file_is_refused(
    put: Any, tmp_path: Path, entry: tuple[tarfile.TarInfo, bytes]
) -> None:
    packed = _packed(_entry("set/train", _FILES["set/train"]), entry)
    with pytest.raises(CorruptDataError, match="set/test is not a regular file"):
        unpack(_archive(packed), put(packed), tmp_path / "set")
    assert _visible(tmp_path / "set") == ["train"]


def test_names_that_lead_elsewhere_write_nothing(put: Any, tmp_path: Path) -> None:
    packed = _packed(
        _entry("../escaped", b"bad"),
        _entry(str(tmp_path / "escaped"), b"bad"),
        _entry("set", type=tarfile.SYMTYPE, linkname=str(tmp_path / "elsewhere")),
        *(_entry(name, content) for name, content in _FILES.items()),
    )
    (tmp_path / "elsewhere").mkdir()
    unpack(_archive(packed), put(packed), tmp_path / "data" / "set")
    assert _visible(tmp_path) == ["data", "elsewhere", "set.tar.gz"]
    assert _visible(tmp_path / "elsewhere") == []
    assert _visible(tmp_path / "data" / "set") == ["test", "train"]


def test_an_archive_that_lacks_a_file_is_refused(put: Any, tmp_path: Path) -> None:
    packed = _packed(_entry("set/train", _FILES["set/train"]), _entry("test", b"4 5"))
    with pytest.raises(CorruptDataError, match="it lacks set/test"):
        unpack(_archive(packed), put(packed), tmp_path / "set")


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"<!DOCTYPE html>",
        _PACKED[:-20],
        _PACKED[:60],
        gzip.compress(b"no tar archive" * 100),
        gzip.compress(b""),
        _PACKED[:40] + bytes(40) + _PACKED[80:],
    ],
    ids=["empty", "html", "cut short", "a beginning", "no tar", "packed nothing", "damaged"],
)
def test_a_broken_archive_with_the_right_checksum_is_named(
    put: Any, tmp_path: Path, packed: bytes
) -> None:
    path = put(packed)
    with pytest.raises(CorruptDataError, match=rf"{re.escape(str(path))} is corrupt: it "):
        unpack(_archive(packed), path, tmp_path / "set")


def test_an_archive_that_goes_on_too_long_is_given_up(
    put: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MOST_BYTES", 2**16)
    packed = _packed(
        _entry("bomb", bytes(2**20)), *(_entry(name, content) for name, content in _FILES.items())
    )
    with pytest.raises(CorruptDataError, match="holds more than 65536 bytes"):
        unpack(_archive(packed), put(packed), tmp_path / "set")
    assert _visible(tmp_path / "set") == []


def test_an_archive_is_downloaded_unpacked_and_not_kept(mirror: Any, tmp_path: Path) -> None:
    mirror.files["set.tar.gz"] = _PACKED
    wanted = _archive(url=f"{mirror.url}set.tar.gz")
    fetch_unpacked(wanted, tmp_path / "set")
    assert _visible(tmp_path / "set") == ["test", "train"]
    fetch_unpacked(wanted, tmp_path / "set")
    assert mirror.requests == ["set.tar.gz"]
    (tmp_path / "set/test").unlink()
    fetch_unpacked(wanted, tmp_path / "set")
    assert mirror.requests == ["set.tar.gz"] * 2
    assert _visible(tmp_path / "set") == ["test", "train"]


def test_a_download_with_another_checksum_leaves_nothing(mirror: Any, tmp_path: Path) -> None:
    mirror.files["set.tar.gz"] = _PACKED[::-1]
    with pytest.raises(DownloadError, match=r"its sha256 checksum is"):
        fetch_unpacked(_archive(url=f"{mirror.url}set.tar.gz"), tmp_path / "set")
    assert _visible(tmp_path / "set") == []


def test_a_directory_that_cannot_be_written_to_is_named(put: Any, tmp_path: Path) -> None:
    path = put(_PACKED)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}/set cannot be written to"):
        unpack(_archive(), path, path / "set")


_PROCESS = """
    import sys
    from pathlib import Path
    from deepobs.data import RemoteFile
    from deepobs.data.archive import Archive, fetch_unpacked

    url, directory, checksum, *members = sys.argv[1:]
    print("ready", flush=True)
    file = RemoteFile(name="set.tar.gz", urls=(url,), checksum=checksum)
    fetch_unpacked(
        Archive(file=file, members=dict(zip(members[::2], members[1::2]))), Path(directory)
    )
"""


def test_two_processes_at_once_download_once(mirror: Any, tmp_path: Path) -> None:
    mirror.files["set.tar.gz"] = _PACKED
    mirror.stalled.add("set.tar.gz")
    wanted = _archive(url=f"{mirror.url}set.tar.gz")
    arguments = [wanted.file.urls[0], str(tmp_path / "set"), wanted.file.checksum]
    arguments += [word for member in wanted.members.items() for word in member]

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(_PROCESS), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    with start() as first, start() as second:
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        assert mirror.half_sent.wait(60)
        mirror.resume.set()
    assert (first.returncode, second.returncode) == (0, 0)
    assert mirror.requests == ["set.tar.gz"]
    assert _visible(tmp_path / "set") == ["test", "train"]
