"""The user's cache of results that were read, so that only changed files are read again.

There is one file per directory of results: arrays for the curves of all runs one after the other,
and JSON for the rest. A broken one, or one of another version, is replaced; failing to read or
write it has no consequence but time.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from deepobs import config
from deepobs.files import open_atomic
from deepobs_analysis import __version__
from deepobs_analysis.result_files import Excluded, Found
from deepobs_analysis.result_formats import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.result_files import Content

    Column: TypeAlias = dict[str, list[Any]]

_LAYOUT = 8
_OF_RUN = [name for name in Run._fields if name != "curves"]
_NOT_MEASURED = -1
_KEPT_SECONDS = 60 * 24 * 3600  # since it was written


def read(root: Path) -> dict[Found, Content]:
    """What each file below a directory held when it was read; a changed file is another `Found`."""
    try:
        with _path(root).open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            text = json.loads(kept["text"].tobytes())
            if text["written_for"] != _written_for(root):
                return {}
            curves = _split(kept["values"], kept["lengths"])
            excluded = {Found(*row[:3]): Excluded(*row[3:]) for row in text["excluded"]}
            return {**dict(_runs(text, curves)), **excluded}
    # Of a broken file, NumPy, its archive and its JSON raise whatever they like.
    except Exception:
        return {}


def write(root: Path, contents: Mapping[Found, Content]) -> None:
    """Keep what the files below a directory hold."""
    runs = {file: run for file, run in contents.items() if isinstance(run, Run)}
    excluded = [
        [*file, *content] for file, content in contents.items() if isinstance(content, Excluded)
    ]
    text = {
        "written_for": _written_for(root),
        "files": list(runs),
        "runs": {name: _packed([getattr(run, name) for run in runs.values()]) for name in _OF_RUN},
        "excluded": excluded,
    }
    values, lengths = _joined([run.curves for run in runs.values()])
    path = _path(root)
    # A full disk or a home directory that cannot be written to must not keep results from being
    # shown: they are read from their files then, as without a cache.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_old(path.parent)
        with open_atomic(path) as stream:
            np.savez(
                stream,
                allow_pickle=False,
                text=np.frombuffer(json.dumps(text).encode(), dtype=np.uint8),
                values=values,
                lengths=lengths,
            )


def _remove_old(directory: Path) -> None:
    """Remove the caches of directories that may be long gone, and leftovers of killed writers."""
    for path in directory.iterdir():
        if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
            path.unlink(missing_ok=True)


def _path(root: Path) -> Path:
    # Hashed, as the path of a directory can be too long for the name of a file.
    name = hashlib.sha256(bytes(root.absolute())).hexdigest()[:32]
    return config.get_cache_dir() / "results" / f"{name}.npz"


def _written_for(root: Path) -> list[Any]:
    # The version is part of it as another one may understand files differently.
    return [_LAYOUT, __version__, repr(str(root.absolute()))]


def _packed(column: Sequence[Any]) -> Column:
    """The different values of a column, and the index of each entry: many runs share many."""
    places: dict[Any, int] = {}
    where = [places.setdefault(value, len(places)) for value in column]
    return {"values": list(places), "where": where}


def _runs(text: Mapping[str, Any], curves: Iterable[Any]) -> Iterator[tuple[Found, Run]]:
    packed = (text["runs"][name] for name in _OF_RUN)
    columns = [map(column["values"].__getitem__, column["where"]) for column in packed]
    return zip(
        (Found(*key) for key in text["files"]),
        (Run(*row) for row in zip(*columns, curves, strict=True)),
        strict=True,
    )


def _joined(curves: Sequence[tuple[Floats | None, ...]]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """All curves one after the other, and how long each is."""
    # Ten thousand small arrays would take seconds to load: the archive opens each separately.
    lengths = [[_NOT_MEASURED if each is None else len(each) for each in of] for of in curves]
    measured = [each for of in curves for each in of if each is not None]
    values = np.concatenate(measured) if measured else np.empty(0)
    return values, np.array(lengths, dtype=np.int64)


def _split(values: Floats, lengths: npt.NDArray[np.int64]) -> Iterator[tuple[Floats | None, ...]]:
    ends = np.cumsum(np.maximum(lengths, 0)).reshape(lengths.shape).tolist()
    for ends_of, lengths_of in zip(ends, lengths.tolist(), strict=True):
        yield tuple(
            None if length == _NOT_MEASURED else values[end - length : end]
            for end, length in zip(ends_of, lengths_of, strict=True)
        )
