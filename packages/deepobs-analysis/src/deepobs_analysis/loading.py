"""Reading results, whatever version of DeepOBS wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deepobs.errors import MissingDataError
from deepobs.resources import gc_paused
from deepobs_analysis import cache as kept
from deepobs_analysis import files
from deepobs_analysis.assembly import assemble

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from deepobs_analysis.files import Content, Found
    from deepobs_analysis.results import Results


def load(path: str | os.PathLike[str], *, cache: bool = True) -> Results:
    """Read the results of runs.

    A run whose file lacks what its problem is judged by is among them, too: DeepOBS 1.2 dropped all
    accuracies of a run that had one of 0. Its accuracies are `None`.

    Args:
        path: A directory, searched with all that is below it, or one file. Files of DeepOBS 1.1, of
            1.2 and of this version may be mixed.
        cache: Whether to keep what was read from a directory in the user's cache, and to read only
            the files that changed since.

    Returns:
        The runs, and which files were left out and why: no single file is a reason to raise.

    Raises:
        MissingDataError: There is no such file or directory.
    """
    root = Path(path)
    with gc_paused():  # else it takes twice as long
        if root.is_dir():
            return _load_directory(root, cache=cache)
        if root.is_file():
            return _load_file(root)
    raise MissingDataError(
        f"There are no results at {path}: no such file or directory. Give the directory that "
        "`deepobs run` or `deepobs bench` wrote results to."
    )


def _load_directory(root: Path, *, cache: bool) -> Results:
    unread: dict[str, str] = {}
    found = list(files.walk(root, unread))
    contents = _from_cache(root, found, unread) if cache else _read(root, found, unread)
    return assemble(root, contents, unread)


def _load_file(path: Path) -> Results:
    unread: dict[str, str] = {}
    contents = _read(path.parent, [files.described(path)], unread)
    return assemble(path.parent, contents, unread)


def _from_cache(root: Path, found: Iterable[Found], unread: dict[str, str]) -> dict[Found, Content]:
    known = kept.read(root)
    fresh = _read(root, [file for file in found if file not in known], unread)
    either = {**known, **fresh}
    contents = {file: either[file] for file in found if file in either}
    if contents.keys() != known.keys():
        kept.write(root, contents)
    return contents


def _read(root: Path, found: Iterable[Found], unread: dict[str, str]) -> dict[Found, Content]:
    contents = {}
    for file in found:
        try:
            contents[file] = files.read(root / file.name, file)
        except OSError as error:
            unread[file.name] = files.unreadable(error)
    return contents
