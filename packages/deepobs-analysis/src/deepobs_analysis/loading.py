"""Reading results, whatever version of DeepOBS wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deepobs.errors import MissingDataError
from deepobs_analysis import files
from deepobs_analysis.assembly import assemble

if TYPE_CHECKING:
    import os

    from deepobs_analysis.results import Results


def load(path: str | os.PathLike[str], *, cache: bool = True) -> Results:
    """Read the results of runs.

    Args:
        path: A directory, searched with all that is below it, or one file. Files of DeepOBS 1.1 and
            1.2 and of this version may be mixed.
        cache: Whether to keep what was read in the user's cache, and to read only what has changed
            since.

    Returns:
        The runs, and which files were left out and why. Nothing is raised about a single file in a
        directory.

    Raises:
        MissingDataError: There is no such file or directory.
    """
    del cache
    root = Path(path)
    problems: dict[str, str] = {}
    if root.is_dir():
        found = list(files.walk(root, problems))
    elif root.is_file():
        status = root.stat()
        found = [files.Found(root.name, status.st_size, status.st_mtime_ns)]
        root = root.parent
    else:
        raise MissingDataError(f"There is no file or directory {path}.")
    contents = {}
    for each in found:
        try:
            contents[each] = files.read(root / each.name, each)
        except OSError as error:
            problems[each.name] = f"it cannot be read: {error.strerror or error}"
    return assemble(root, contents, problems)
