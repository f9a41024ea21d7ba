"""The user's cache of results that were read, so that only changed files are read again.

There is one file per directory of results: the numbers of curves, and after them an archive of
other arrays and of JSON. A broken one, or one of another version, is replaced; failing to read or
write it has no consequence but time.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from pydantic_core import to_json

from deepobs import caches, config
from deepobs_analysis import __version__
from deepobs_analysis.json_values import parsed
from deepobs_analysis.result_files import Excluded, Found
from deepobs_analysis.run_columns import (
    FIELDS,
    Column,
    Runs,
    columns_of,
    objects,
    stamps_of,
    starts_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deepobs_analysis.configurations import Names
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.run_columns import Integers

_Compared = TypeVar("_Compared")

_LAYOUT = 14
_AFTER_NAMES = "\0"  # no name of a file holds it


class KnownDirectories(NamedTuple):
    """Directories as they were; see `Directories`.

    Attributes:
        began: When the walk began that visited them.
        names: Their relative paths.
        states: Their states, shape (directories, 3).
    """

    began: int
    names: list[str]
    states: Integers


@dataclass(frozen=True)
class Kept:
    """What is known of the files in a directory.

    Attributes:
        runs: The runs in them.
        excluded: The files that hold none, and why.
        configurations: What configurations are called; see `NamedConfigurations`.
        directories: Those that the files are in, if these tell whether there are others.
        tunings: The files with records of tunings, in these directories.
    """

    runs: Runs = field(default_factory=lambda: columns_of([]))
    excluded: Mapping[Found, Excluded] = field(default_factory=dict)
    configurations: Mapping[str, Names] = field(default_factory=dict)
    directories: KnownDirectories | None = None
    tunings: Sequence[Found] = ()


def read(root: Path, compare: Callable[[Kept], _Compared | None]) -> tuple[Kept, _Compared | None]:
    """What was known of the files below a directory when it was written; nothing without a cache.

    Args:
        root: The directory.
        compare: What to do with it, still without curves, while these are read.

    Returns:
        What was known, and the result of comparing, `None` without a cache.
    """
    try:
        with _path(root).open("rb") as stream:
            return _unpacked(stream, _written_for(root), compare)
    # Of a broken file, NumPy, its archive and its JSON raise whatever they like.
    except Exception:
        return Kept(), None


def write(root: Path, kept: Kept, configurations: Callable[[], Mapping[str, Names]]) -> None:
    """Keep what the files below a directory hold.

    Args:
        root: The directory.
        kept: What they hold.
        configurations: Waits for what the configurations are called, while the rest is written.
    """
    path, written_for = _path(root), _written_for(root)
    caches.remove_old(path.parent)
    caches.write(path, lambda stream: pack(stream, kept, written_for, configurations))


def pack(
    stream: IO[bytes],
    kept: Kept,
    written_for: object,
    configurations: Callable[[], Mapping[str, Names]] = dict,
) -> None:
    """Write what files hold; see `write`."""
    runs, directories = kept.runs, kept.directories
    others = [*kept.excluded, *kept.tunings]
    # Before the archive, as they are: whoever reads them needs no copy.
    numbers = _in_order(runs)
    stream.write(numbers.data)
    with zipfile.ZipFile(stream, "w") as archive:
        _put(archive, "lengths", runs.lengths.astype(np.int32))
        _put(archive, "stamps", np.concatenate([runs.stamps, stamps_of(others)]))
        where = [runs.columns[name].where for name in FIELDS]
        _put(archive, "where", np.array(where, dtype=np.int32))
        _put(archive, "states", directories.states if directories else np.empty((0, 3), np.int64))
        archive.writestr("names", _joined([*runs.names, *(file.name for file in others)]))
        archive.writestr("directories", _joined(directories.names if directories else []))
        text = {
            "written_for": written_for,
            "numbers": [len(numbers), zlib.crc32(numbers.data)],
            "values": {name: runs.columns[name].values for name in FIELDS},
            "excluded": list(kept.excluded.values()),
            "began": directories and directories.began,
            "configurations": configurations(),
        }
        archive.writestr("text", to_json(text))


def unpacked(stream: IO[bytes], written_for: object) -> Kept:
    """Read what `pack` wrote; nothing, if that is written for something else."""
    kept, _ = _unpacked(stream, written_for, lambda _: None)
    return kept


def _unpacked(
    stream: IO[bytes], written_for: object, compare: Callable[[Kept], _Compared | None]
) -> tuple[Kept, _Compared | None]:
    with zipfile.ZipFile(stream) as archive:
        text = parsed(archive.read("text"))
        if text["written_for"] != written_for:
            return Kept(), None
        kept = _without_curves(archive, text)
    with ThreadPoolExecutor(1) as pool:
        # Most of the file: that it is whole is found out meanwhile, too.
        numbers = pool.submit(_numbers, stream, *text["numbers"])
        compared = compare(kept)
        return replace(kept, runs=replace(kept.runs, numbers=numbers.result())), compared


def _numbers(stream: IO[bytes], count: int, checksum: int) -> Floats:
    stream.seek(0)
    numbers = np.fromfile(stream, count=count)
    if zlib.crc32(numbers.data) != checksum:
        raise ValueError("The numbers are not those that were written.")
    return numbers


def _without_curves(archive: zipfile.ZipFile, text: Mapping[str, Any]) -> Kept:
    arrays = {name: _array(archive, name) for name in ("lengths", "stamps", "where", "states")}
    lengths, where = arrays["lengths"].astype(np.int64), arrays["where"].astype(np.int64)
    names, stamps, count = _parts(archive.read("names")), arrays["stamps"], len(lengths)
    columns = {
        name: Column(text["values"][name], own) for name, own in zip(FIELDS, where, strict=True)
    }
    others = [
        Found(name, *stamp)
        for name, stamp in zip(names[count:], stamps[count:].tolist(), strict=True)
    ]
    excluded = [Excluded(*each) for each in text["excluded"]]
    directories = None
    if text["began"] is not None:
        directories = KnownDirectories(
            text["began"], _parts(archive.read("directories")), arrays["states"]
        )
    return Kept(
        Runs(
            objects(names[:count]),
            stamps[:count],
            columns,
            np.empty(0),
            starts_of(lengths),
            lengths,
        ),
        dict(zip(others, excluded, strict=False)),
        text["configurations"],
        directories,
        others[len(excluded) :],
    )


def _put(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array(stream, array, allow_pickle=False)


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        return array


def _in_order(runs: Runs) -> Floats:
    """The curves of the runs one after the other, without those of others between them."""
    if np.array_equal(runs.starts, starts_of(runs.lengths)):
        return runs.numbers[: np.maximum(runs.lengths, 0).sum()]
    ends = (runs.starts + np.maximum(runs.lengths, 0).sum(axis=1)).tolist()
    return np.concatenate(
        [runs.numbers[start:end] for start, end in zip(runs.starts.tolist(), ends, strict=True)]
    )


def _joined(names: Sequence[str]) -> bytes:
    return os.fsencode("".join(f"{name}{_AFTER_NAMES}" for name in names))


def _parts(content: bytes) -> list[str]:
    return os.fsdecode(content).split(_AFTER_NAMES)[:-1]


def _path(root: Path) -> Path:
    # Hashed, as the path of a directory can be too long for the name of a file.
    name = hashlib.sha256(bytes(root.absolute())).hexdigest()[:32]
    return config.get_cache_dir() / "results" / f"{name}.cache"


def _written_for(root: Path) -> list[Any]:
    # The version is part of it as another one may understand files differently.
    return [_LAYOUT, __version__, repr(str(root.absolute()))]
