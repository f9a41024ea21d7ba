"""Archives of data sets: only the files that are expected come out, each as it was published.

Nothing in an archive decides what is written or where to: its files are looked up by the names that
the caller knows, and none takes its place before its own checksum was compared.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from deepobs.data.checksums import mismatch
from deepobs.data.download import RemoteFile, download_into
from deepobs.data.files import corrupt
from deepobs.data.http import transfer_over_http
from deepobs.data.writing import explained, locked, replacing, temporary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs.data.download import Transfer

_MOST_BYTES = 2**30
"""Five times what the archives of CIFAR unpack to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A tar archive compressed by gzip, and what is wanted of it.

    Attributes:
        file: Where it can be had. Its checksum must be known.
        members: The checksums of the wanted files, by their paths in the archive.
    """

    file: RemoteFile
    members: Mapping[str, str]

    def targets(self, directory: Path) -> dict[str, Path]:
        """Where the wanted files are once they are unpacked, by their paths in the archive.

        Args:
            directory: Where they are put; what directories they have in the archive is dropped.
        """
        return {member: directory / PurePosixPath(member).name for member in self.members}


def unpack(archive: Archive, path: Path, directory: Path) -> None:
    """Unpack those of the wanted files that a directory lacks.

    Args:
        archive: What is known about the archive.
        path: Where it is. It is left there.
        directory: Where to put the files; made where it does not exist.

    Raises:
        CorruptDataError: It is not the archive that was published.
        DataError: The directory cannot be written to.
        OSError: The archive cannot be read.
    """
    with path.open("rb") as packed, locked(directory):
        lacking = _lacking(archive, directory)
        if not lacking:
            return
        wrong = mismatch(packed, archive.file.checksum)
        if wrong:
            raise corrupt(path, wrong)
        with explained(directory):
            _extract(packed, path, archive, lacking)


def fetch_unpacked(
    archive: Archive, directory: Path, transfer: Transfer = transfer_over_http
) -> None:
    """Download an archive and unpack it, where a directory lacks one of the wanted files.

    The archive itself is kept for no longer than that takes. Processes that want the same files at
    once wait for the first one and find them there.

    Args:
        archive: What to get.
        directory: Where to put the files; made where it does not exist.
        transfer: How to get the content of an address.

    Raises:
        DownloadError: No mirror delivered it.
        CorruptDataError: It holds something else than it should.
        DataError: The directory cannot be written to.
    """
    path = directory / archive.file.name
    with locked(directory):
        lacking = _lacking(archive, directory)
        if lacking:
            with explained(directory), temporary(path) as packed:
                download_into(packed, archive.file, transfer)
                _extract(packed, path, archive, lacking)


def _lacking(archive: Archive, directory: Path) -> dict[str, Path]:
    targets = archive.targets(directory)
    return {member: target for member, target in targets.items() if not target.is_file()}


def _extract(packed: IO[bytes], path: Path, archive: Archive, targets: Mapping[str, Path]) -> None:
    """Write files of an archive whose checksum was compared.

    Args:
        packed: The open archive.
        path: What messages call it.
        archive: What is known about it.
        targets: Where to write which of its files.
    """
    packed.seek(0)
    missing = dict(targets)
    try:
        with _Unpacked(packed) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for entry in tar:
                target = missing.pop(entry.name, None)
                if target is not None:
                    _write(_content(tar, entry), target, archive.members[entry.name])
                if not missing:
                    return
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise corrupt(path, f"it cannot be unpacked ({error})") from error
    raise corrupt(path, f"it lacks {', '.join(missing)}")


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
    if content is None:
        raise tarfile.ExtractError(f"{entry.name} is not a regular file")
    return content


def _write(content: IO[bytes], target: Path, checksum: str) -> None:
    with replacing(target) as stream:
        shutil.copyfileobj(content, stream)
        wrong = mismatch(stream, checksum)
        if wrong:
            raise tarfile.ExtractError(f"of its file {target.name}, {wrong}")


class _Unpacked(gzip.GzipFile):
    """What a file unpacks to, which must not go on without end.

    Args:
        packed: The open file.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._bytes_left = _MOST_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes: fewer than `size` only at the end."""
        most = self._bytes_left + 1
        block = super().read(most if size is None or size < 0 else min(size, most))
        self._bytes_left -= len(block)
        if self._bytes_left < 0:
            raise tarfile.ReadError(f"it holds more than {_MOST_BYTES} bytes")
        return block
