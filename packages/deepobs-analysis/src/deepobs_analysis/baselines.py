"""The results published with the paper, as a reference to compare with.

References:
    Schneider et al., DeepOBS: A Deep Learning Optimizer Benchmark Suite, ICLR 2019,
    https://arxiv.org/abs/1903.05499; the files: https://github.com/fsschneider/DeepOBS_Baselines.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

from deepobs import config
from deepobs.errors import MissingDataError
from deepobs_analysis.reading import load
from deepobs_analysis.reference_names import PUBLISHED
from deepobs_analysis.result_archives import explained, has_results, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepobs_analysis.results import Results

URL = "https://github.com/fsschneider/DeepOBS_Baselines/archive/v1.1.tar.gz"
"""The archive of the published results, about 470 MB."""

_HOW_TO_GET = (
    "Get those of the paper with `deepobs baselines get`, or set DEEPOBS_BASELINE_DIR to the "
    "directory of others."
)


def load_reference(
    *, cache: bool = True, across_protocols: bool = False, by: Sequence[str] = ()
) -> Results:
    """Read the results to compare with, from `config.get_baseline_dir()`.

    Args:
        cache: See `load`.
        across_protocols: See `load`.
        by: See `load`; what no run has is passed over.

    Raises:
        MissingDataError: There are none.
    """
    directory = config.get_baseline_dir()
    if not has_results(directory):
        raise MissingDataError(
            f"There are no results to compare with in {directory}. {_HOW_TO_GET}"
        )
    results = load(
        directory, cache=cache, across_protocols=across_protocols, by=by, must_split=False
    )
    return replace(results, runs=results.runs.assign(is_reference=True), source=PUBLISHED)


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
