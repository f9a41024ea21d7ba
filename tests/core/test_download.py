"""Downloads from a real server: whole or not at all, whatever goes wrong."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from typing import IO, TYPE_CHECKING, Any

import pytest

from deepobs.data import RemoteFile, download, fetch
from deepobs.errors import ArgumentError, DataError, DownloadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CONTENT = bytes(range(256)) * 4000
_CHECKSUM = f"md5:{hashlib.md5(_CONTENT, usedforsecurity=False).hexdigest()}"


def _visible(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != ".download.lock")


def _file(*urls: str, checksum: str = _CHECKSUM, size: int | None = None) -> RemoteFile:
    return RemoteFile(name="data.bin", urls=urls, checksum=checksum, size=size)


def test_a_file_is_fetched_and_verified(mirror: Any, tmp_path: Path) -> None:
    mirror.files["data.bin"] = _CONTENT
    target = tmp_path / "not" / "yet" / "there"
    paths = fetch([_file(f"{mirror.url}data.bin", size=len(_CONTENT))], target)
    assert paths == [target / "data.bin"]
    assert paths[0].read_bytes() == _CONTENT
    assert _visible(target) == ["data.bin"]


def test_a_file_that_is_there_is_not_asked_for(mirror: Any, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    fetch([_file(f"{mirror.url}data.bin")], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == b"mine"
    assert mirror.requests == []


def test_mirrors_are_tried_in_order(mirror: Any, tmp_path: Path) -> None:
    mirror.files["second"] = _CONTENT
    mirror.files["third"] = _CONTENT
    fetch([_file(*(f"{mirror.url}{name}" for name in ("first", "second", "third")))], tmp_path)
    assert mirror.requests == ["first", "second"]
    assert (tmp_path / "data.bin").read_bytes() == _CONTENT


def test_a_body_that_ends_early_is_not_taken(mirror: Any, tmp_path: Path) -> None:
    mirror.files.update(cut=_CONTENT, whole=_CONTENT)
    mirror.cut.add("cut")
    without_checksum = _file(f"{mirror.url}cut", checksum="")
    with pytest.raises(
        DownloadError, match=rf"{len(_CONTENT) // 2} bytes read, {len(_CONTENT) // 2} more expected"
    ):
        fetch([without_checksum], tmp_path)
    assert _visible(tmp_path) == []
    fetch([_file(f"{mirror.url}cut", f"{mirror.url}whole", checksum="")], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == _CONTENT


def test_wrong_content_is_not_taken(mirror: Any, tmp_path: Path) -> None:
    mirror.files.update(wrong=_CONTENT[::-1], right=_CONTENT)
    with pytest.raises(DownloadError, match=r"md5 checksum is .* instead of"):
        fetch([_file(f"{mirror.url}wrong")], tmp_path)
    assert _visible(tmp_path) == []
    fetch([_file(f"{mirror.url}wrong", f"{mirror.url}right")], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == _CONTENT


def test_nothing_remains_of_what_a_mirror_delivered_in_vain(mirror: Any, tmp_path: Path) -> None:
    mirror.files.update(longer=_CONTENT + b"and more", right=_CONTENT)
    fetch([_file(f"{mirror.url}longer", f"{mirror.url}right")], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == _CONTENT


def test_content_of_the_wrong_size_is_not_taken(mirror: Any, tmp_path: Path) -> None:
    mirror.files["data.bin"] = b"a login page"
    with pytest.raises(DownloadError, match="12 bytes instead of 1024"):
        fetch([_file(f"{mirror.url}data.bin", checksum="", size=1024)], tmp_path)
    assert _visible(tmp_path) == []


def test_the_error_names_every_mirror_and_what_it_said(mirror: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]
    closed = f"http://127.0.0.1:{closed_port}/data.bin"
    with pytest.raises(DownloadError) as caught:
        fetch([_file(f"{mirror.url}absent", closed, "file:///etc/hostname")], tmp_path)
    message = str(caught.value)
    assert f"{mirror.url}absent: HTTP status 404" in message
    assert re.search(rf"{closed}: .*\[Errno", message)
    assert "file:///etc/hostname: No connection adapters were found" in message
    assert _visible(tmp_path) == []


def test_a_server_that_does_not_answer_is_given_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (10.0, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"http://127.0.0.1:{server.getsockname()[1]}/data.bin"
        began = time.monotonic()
        with pytest.raises(DownloadError, match=r"read timeout=0\.2"):
            fetch([_file(silent)], tmp_path)
        assert time.monotonic() - began < 5


def test_a_server_that_falls_silent_is_given_up(
    mirror: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.files["data.bin"] = _CONTENT
    mirror.stalled.add("data.bin")
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (10.0, 0.2))
    with pytest.raises(DownloadError, match="Read timed out"):
        fetch([_file(f"{mirror.url}data.bin")], tmp_path)
    assert _visible(tmp_path) == []


def test_an_interrupted_download_leaves_nothing_behind(
    mirror: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(url: str, stream: IO[bytes]) -> None:
        stream.write(b"a beginning")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(download, "_transfer", interrupted)
        fetch([_file(f"{mirror.url}data.bin")], tmp_path)
    assert _visible(tmp_path) == []
    mirror.files["data.bin"] = _CONTENT
    fetch([_file(f"{mirror.url}data.bin")], tmp_path)
    assert _visible(tmp_path) == ["data.bin"]


def test_a_directory_that_cannot_be_written_to_is_one_clear_error(
    mirror: Any, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    for directory in (blocked, blocked / "below"):
        with pytest.raises(DataError, match=rf"{directory} cannot be written to.*DEEPOBS_DATA_DIR"):
            fetch([_file(f"{mirror.url}data.bin")], directory)
    assert mirror.requests == []


def test_a_full_disk_is_not_blamed_on_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(url: str, stream: IO[bytes]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_transfer", full)
    with pytest.raises(DataError, match="cannot be written to: No space left") as caught:
        fetch([_file("http://127.0.0.1/data.bin")], tmp_path)
    assert not isinstance(caught.value, DownloadError)
    assert _visible(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "../data.bin"])
def test_a_name_that_leaves_the_directory_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="plain file name"):
        RemoteFile(name=name, urls=())


def test_a_checksum_without_a_known_algorithm_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"'sha256:\.\.\.'; got 'd41d8cd98f00b204'"):
        RemoteFile(name="data.bin", urls=(), checksum="d41d8cd98f00b204")


_PROCESS = """
    import sys
    from pathlib import Path
    from deepobs.data import RemoteFile, fetch

    url, directory, checksum = sys.argv[1:]
    print("ready", flush=True)
    fetch([RemoteFile(name="data.bin", urls=(url,), checksum=checksum)], Path(directory))
    print("done", flush=True)
"""


def _start(url: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_PROCESS), url, str(directory), _CHECKSUM],
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_download_whose_process_was_killed_is_begun_anew(mirror: Any, tmp_path: Path) -> None:
    mirror.files["data.bin"] = _CONTENT
    mirror.stalled.add("data.bin")
    with _start(f"{mirror.url}data.bin", tmp_path) as process:
        assert _line(process) == "ready"
        assert mirror.half_sent.wait(60)
        _wait_until(lambda: (tmp_path / ".data.bin.part").is_file())
        process.kill()
    assert not (tmp_path / "data.bin").exists()
    mirror.stalled.clear()
    fetch([_file(f"{mirror.url}data.bin")], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == _CONTENT
    assert _visible(tmp_path) == ["data.bin"]


def test_two_processes_at_once_download_once(mirror: Any, tmp_path: Path) -> None:
    mirror.files["data.bin"] = _CONTENT
    mirror.stalled.add("data.bin")
    url = f"{mirror.url}data.bin"
    with _start(url, tmp_path) as first, _start(url, tmp_path) as second:
        assert [_line(first), _line(second)] == ["ready", "ready"]
        assert mirror.half_sent.wait(60)
        time.sleep(0.2)  # long enough for the other one to reach the lock
        assert mirror.requests == ["data.bin"]
        mirror.resume.set()
        assert [_line(first), _line(second)] == ["done", "done"]
    assert (first.returncode, second.returncode) == (0, 0)
    assert mirror.requests == ["data.bin"]
    assert (tmp_path / "data.bin").read_bytes() == _CONTENT


def test_threads_of_one_process_download_once(mirror: Any, tmp_path: Path) -> None:
    mirror.files["data.bin"] = _CONTENT
    found: list[Path] = []

    def download() -> None:
        found.extend(fetch([_file(f"{mirror.url}data.bin")], tmp_path))

    threads = [threading.Thread(target=download) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "data.bin"] * 4
    assert mirror.requests == ["data.bin"]


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
