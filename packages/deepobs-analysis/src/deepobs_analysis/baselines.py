"""The reference sets to compare with: those of the package, the published one, and others' files.

References:
    Schneider et al., DeepOBS: A Deep Learning Optimizer Benchmark Suite, ICLR 2019,
    https://arxiv.org/abs/1903.05499; the files: https://github.com/fsschneider/DeepOBS_Baselines.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs import config
from deepobs.errors import MissingDataError, closest, joined, sentences
from deepobs_analysis.reading import load
from deepobs_analysis.reference_names import PUBLISHED, archive_of, shipped_sets
from deepobs_analysis.result_archives import explained, has_results, unpack

if TYPE_CHECKING:
    import os

    from deepobs_analysis.results import Results

URL = "https://github.com/fsschneider/DeepOBS_Baselines/archive/v1.1.tar.gz"
"""The archive of the published results, about 470 MB."""

_HOW_TO_GET = (
    "Get those of the paper with `deepobs baselines get`, or set DEEPOBS_BASELINE_DIR to the "
    "directory of others."
)


def set_names() -> list[str]:
    """The names of the reference sets that need no path: the published one, and the shipped."""
    return [PUBLISHED, *shipped_sets()]


def load_reference(name: str | os.PathLike[str] = PUBLISHED, **options: Any) -> Results:
    """Read the results to compare with.

    Args:
        name: "published" for those in `config.get_baseline_dir()`; the name of a set that comes
            with the package, such as "embedded-2026"; else a path, as `load` takes it, which is
            "./published" of a directory that is called like a set.
        **options: Arguments of `load`; what `by` names and no run has is passed over.

    Raises:
        MissingDataError: There are none.
        DeepOBSError: They cannot be read.
    """
    options = {"must_split": False, **options}
    if name not in set_names():
        return _at_path(Path(name), options)
    if name == PUBLISHED:
        directory = config.get_baseline_dir()
        if not has_results(directory):
            raise MissingDataError(
                f"There are no results to compare with in {directory}. {_HOW_TO_GET}"
            )
        results = load(directory, **options)
    else:
        results = load(archive_of(str(name)), **options)
    return replace(results, runs=results.runs.assign(is_reference=True), source=str(name))


def _at_path(path: Path, options: dict[str, Any]) -> Results:
    """Read the results of somebody else."""
    if not path.exists():
        names = set_names()
        raise MissingDataError(
            sentences(
                f"There are no results at {path} to compare with: no such file or directory, and "
                "no set of this name.",
                closest(str(path), names),
                f"Give the path of results, or a set: {joined(names)}.",
            )
        )
    results = load(path, **options)
    if results.runs.empty:
        raise MissingDataError(
            f"There is no run in {path} to compare with. Give the path of results, or a set: "
            f"{joined(set_names())}."
        )
    return results


def download(directory: Path, url: str = URL) -> bool:
    """Download an archive of results and unpack it, unless there are results already.

    Args:
        directory: Receives all of the results or, if anything goes wrong, none.
        url: Where the archive is.

    Returns:
        Whether it was downloaded.

    Raises:
        DownloadError: The archive was not delivered.
        CorruptDataError: It is not an archive of results.
        DataError: The directory cannot be written to.
    """
    # Imported here as it comes with torch, which showing results must not wait for.
    from deepobs.data.download import RemoteFile, download_into

    if has_results(directory):
        return False
    with explained(directory), tempfile.TemporaryFile() as stream:
        download_into(stream, RemoteFile("published results", (url,)))
        unpack(stream, url, directory)
    return True
