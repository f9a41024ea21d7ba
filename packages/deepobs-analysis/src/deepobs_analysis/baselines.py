"""The results that were published with the paper, as a reference to compare with.

References:
    Schneider et al., DeepOBS: A Deep Learning Optimizer Benchmark Suite, ICLR 2019,
    https://arxiv.org/abs/1903.05499; the files: https://github.com/fsschneider/DeepOBS_Baselines.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from deepobs import config
from deepobs.errors import DataError, MissingDataError
from deepobs_analysis import files
from deepobs_analysis.loading import load
from deepobs_analysis.packed_results import packed_results, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs_analysis.results import Results

URL = "https://github.com/fsschneider/DeepOBS_Baselines/archive/v1.1.tar.gz"
"""The archive of the published results, of about 470 MB."""

_HOW_TO_GET = (
    "Get those of the paper by `deepobs baselines get`, or say by DEEPOBS_BASELINE_DIR where "
    "others are."
)


def load_reference(*, cache: bool = True) -> Results:
    """Read the results to compare with, from `config.get_baseline_dir()`.

    Args:
        cache: See `load`.

    Raises:
        MissingDataError: There are none.
    """
    directory = config.get_baseline_dir()
    if not are_there(directory):
        raise MissingDataError(
            f"There are no results to compare with in {directory}. {_HOW_TO_GET}"
        )
    results = load(directory, cache=cache)
    return replace(results, runs=results.runs.assign(is_reference=True))


def are_there(directory: Path) -> bool:
    """Whether a directory holds result files.

    Args:
        directory: Need not be there.
    """
    return any(file.name.endswith(files.RESULT) for file in files.walk(directory, {}))


def download(directory: Path, url: str = URL) -> bool:
    """Download an archive of results and unpack it, unless there are results already.

    Args:
        directory: Where to put the results: all of them or, if anything goes wrong, none.
        url: Where the archive is.

    Returns:
        Whether it was done.

    Raises:
        DownloadError: The archive was not delivered.
        CorruptDataError: It is no archive of results.
        DataError: The directory cannot be written to.
    """
    from deepobs.data.download import RemoteFile, download_into  # they come with torch

    if are_there(directory):
        return False
    with _explained(directory), tempfile.TemporaryFile() as stream:
        download_into(stream, RemoteFile("published results", (url,)))
        _unpack(stream, url, directory)
    return True


def install(directory: Path, archive: Path) -> bool:
    """Unpack an archive of results, unless there are results already.

    Args:
        directory: Where to put the results: all of them or, if anything goes wrong, none.
        archive: A zip archive, or a tar archive that is compressed by gzip, xz or bzip2.

    Returns:
        Whether it was done.

    Raises:
        MissingDataError: There is no such archive.
        CorruptDataError: It is no archive of results.
        DataError: The directory cannot be written to.
    """
    if are_there(directory):
        return False
    try:
        stream = archive.open("rb")
    except OSError as error:
        reason = error.strerror or error
        raise MissingDataError(
            f"The archive {archive} cannot be opened: {reason}. Give the path of one that was "
            "downloaded, a .tar.gz, .tar.xz or .zip."
        ) from error
    with _explained(directory), stream:
        _unpack(stream, str(archive), directory)
    return True


def _unpack(stream: IO[bytes], name: str, directory: Path) -> None:
    """Unpack beside the place and check every file before any of them takes it."""
    parent = directory.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".baselines-", dir=parent) as temporary:
        staged = Path(temporary, "results")
        for place, content in packed_results(stream, name):
            _write(staged / place, content, name)
        if not staged.is_dir():
            raise unusable(name, "it holds no results of DeepOBS")
        with contextlib.suppress(OSError):  # where it holds something, it stays
            directory.rmdir()
        staged.rename(directory)


def _write(target: Path, content: bytes, name: str) -> None:
    if target.exists():
        raise unusable(name, f"it holds {target.name} twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    found = files.read(target, files.described(target))
    if isinstance(found, files.Excluded):
        raise unusable(name, f"of its file {target.name}, {found.reason}")


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn what the file system objects to into one clear error."""
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"Results cannot be put into {directory}: {error.strerror or error}. Choose a "
            "directory that is empty or not there by the environment variable DEEPOBS_BASELINE_DIR."
        ) from error
