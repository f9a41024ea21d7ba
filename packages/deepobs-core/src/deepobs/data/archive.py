"""Archives of data sets: only known members are extracted, each verified by its own checksum.

No name in an archive decides what is written or where. Extraction by pooch or `tarfile` is less
strict: links are followed, sizes are unlimited, and members have no checksums.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from deepobs.data.download import RemoteFile, download_into, locked, mismatch
from deepobs.data.file_dataset import corrupt
from deepobs.files import open_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Five times the unpacked size of the CIFAR archives.
_MOST_BYTES = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A tar archive compressed by gzip.

    Attributes:
        file: The archive itself, with a checksum.
        members: Checksums of the wanted files, by their paths in the archive.
    """

    file: RemoteFile
    members: Mapping[str, str]


def unpack(archive: Archive, path: Path, directory: Path) -> None:
    """Extract the members that a directory lacks; their own directories are dropped.

    Args:
        archive: The expected archive.
        path: Path of the archive, which is kept.
        directory: Target directory; created if missing.

    Raises:
        CorruptDataError: It is not the published archive.
        DataError: The directory cannot be written to.
        OSError: The archive cannot be read.
    """
    with path.open("rb") as packed, locked(directory):
        lacking = _lacking(archive, directory)
        if lacking:
            wrong = mismatch(packed, archive.file.checksum)
            if wrong:
                raise corrupt(path, wrong)
            _extract(packed, path, lacking, archive.members)


def fetch_unpacked(archive: Archive, directory: Path) -> None:
    """Download an archive, extract the members that a directory lacks, and discard it.

    Raises:
        DownloadError: No mirror delivered it.
        CorruptDataError: It does not hold the expected members.
        DataError: The directory cannot be written to.
    """
    with locked(directory):
        lacking = _lacking(archive, directory)
        if lacking:
            with tempfile.TemporaryFile(dir=directory) as packed:
                download_into(packed, archive.file)
                _extract(packed, directory / archive.file.name, lacking, archive.members)


def _lacking(archive: Archive, directory: Path) -> dict[str, Path]:
    targets = {member: directory / PurePosixPath(member).name for member in archive.members}
    return {member: target for member, target in targets.items() if not target.is_file()}


def _extract(
    packed: IO[bytes], path: Path, targets: dict[str, Path], checksums: Mapping[str, str]
) -> None:
    """Extract members of a verified archive, which messages call `path`, to `targets`."""
    packed.seek(0)
    missing = dict(targets)
    try:
        # As a stream, so that the size limit holds: otherwise tarfile seeks past skipped members.
        with _LimitedGzipFile(packed) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for entry in tar:
                target = missing.pop(entry.name, None)
                if target is not None:
                    _write(tar, entry, target, checksums[entry.name])
                if not missing:
                    return
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise corrupt(path, f"it cannot be unpacked ({error})") from error
    raise corrupt(path, f"it lacks {', '.join(missing)}")


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path, checksum: str) -> None:
    # extractfile follows links: a link would pass for the file that it names.
    content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
    if content is None:
        raise tarfile.ExtractError(f"{entry.name} is not a regular file")
    with open_atomic(target, is_locked=True) as stream:
        shutil.copyfileobj(content, stream)
        wrong = mismatch(stream, checksum)
        if wrong:
            raise tarfile.ExtractError(f"of its file {target.name}, {wrong}")


class _LimitedGzipFile(gzip.GzipFile):
    """Decompresses a file up to a limit, which stops a decompression bomb."""

    def __init__(self, packed: IO[bytes]) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._bytes_left = _MOST_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes: fewer only at the end."""
        most = self._bytes_left + 1
        block = super().read(most if size is None or size < 0 else min(size, most))
        self._bytes_left -= len(block)
        if self._bytes_left < 0:
            raise tarfile.ReadError(f"it holds more than {_MOST_BYTES} bytes")
        return block
