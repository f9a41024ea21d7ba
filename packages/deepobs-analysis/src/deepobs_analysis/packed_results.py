"""Result files as columns in one small archive, for sets of results that are passed on.

Thousands of runs of a set share nearly everything but their curves. Of each key of their files the
different values are kept once, and of curves the numbers with a few significant digits, so that a
run takes up a hundred bytes or two. What comes out are result files again, which are read and
checked as all others.
"""

from __future__ import annotations

import itertools
import json
import zipfile
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from deepobs.errors import ArgumentError, CorruptDataError
from deepobs_analysis import json_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LAYOUT = 1
DIGITS = 5
"""Significant digits of the numbers of curves."""

MOST_BYTES = 2**28
"""What the parts of an archive may unpack to; a hundred thousand runs take less."""

_TEXT = "columns.json"
_CURVES = (
    *("train_losses", "valid_losses", "test_losses"),
    *("train_accuracies", "valid_accuracies", "test_accuracies"),
    "train_seconds",
)
_OF_TUNINGS = ("trials", "report", "summary")
# Most of a file, and nothing that tables or figures of a reference set need.
_EMPTIED = ("minibatch_train_losses", "eval_seconds")
_LEFT_OUT = ("iterates", "gradient_norms")
_ABSENT = object()
_NOWHERE = -1  # as a place or a length: the file does not have the key
_NO_NUMBER = -(2**15)  # as an exponent: the value is `null`


def pack(stream: IO[bytes], files: Iterable[tuple[PurePosixPath, bytes]]) -> None:
    """Write result files as columns.

    Args:
        stream: Receives them, as a zip archive.
        files: Their paths below the directory of results, and their contents. Records of tunings
            may be among them.

    Raises:
        ArgumentError: There is no file.
    """
    documents = {str(path): json.loads(content) for path, content in files}
    if not documents:
        raise ArgumentError("There are no result files to pack.")
    values: dict[str, list[Any]] = {}
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        for key in dict.fromkeys(key for each in documents.values() for key in each):
            column = [_kept(key, each.get(key, _ABSENT)) for each in documents.values()]
            if key in _CURVES:
                _write_curves(archive, key, column)
            elif key not in _LEFT_OUT:
                values[key] = _write_distinct(archive, key, column)
        text = {"layout": LAYOUT, "paths": list(documents), "values": values}
        _put(archive, _TEXT, json.dumps(text))


def is_packed(archive: zipfile.ZipFile) -> bool:
    """Whether `pack` wrote an archive."""
    return _TEXT in archive.namelist()


def paths_in(archive: zipfile.ZipFile) -> list[str]:
    """The paths of the files in an archive that `pack` wrote."""
    return [str(path) for path in json_values.parsed(archive.read(_TEXT))["paths"]]


def unpack(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The result files in an archive that `pack` wrote: their paths and contents.

    Raises:
        CorruptDataError: It is broken, far too large, or of a newer layout.
    """
    if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
        raise CorruptDataError("Packed results are far too large.")
    text = json_values.parsed(archive.read(_TEXT))
    if text["layout"] != LAYOUT:
        raise CorruptDataError(
            f"Packed results have the layout {text['layout']!r}, and this DeepOBS reads {LAYOUT}. "
            "Install the version that they came with, or a newer one."
        )
    columns = {key: _distinct(archive, key, those) for key, those in text["values"].items()}
    names = set(archive.namelist())
    columns |= {key: _curves(archive, key) for key in _CURVES if f"{key}/lengths" in names}
    for path, *row in zip(text["paths"], *columns.values(), strict=True):
        document = {
            key: value for key, value in zip(columns, row, strict=True) if value is not _ABSENT
        }
        yield PurePosixPath(path), json.dumps(document).encode()


def _put(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    # By its name alone: with the time of writing, equal results would make other archives.
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_LZMA)


def _kept(key: str, value: Any) -> Any:
    """What is kept of a value of a file."""
    if value is _ABSENT:
        return value
    if key in _EMPTIED:
        return []
    if key == "train_seconds" and value:
        # Times of single epochs are mostly noise; their sum stays.
        return [float(np.mean(value))] * len(value)
    return _shortened(value) if key in _OF_TUNINGS else value


def _shortened(value: Any) -> Any:
    """What the record of a tuning says of runs, of which there are files beside it."""
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    if isinstance(value, dict):
        return {
            key: one if key == "setting" else _shortened(one)
            for key, one in value.items()
            if key != "command"
        }
    return float(_rounded(value)) if isinstance(value, float) else value


def _rounded(value: float) -> str:
    return f"{value:.{DIGITS - 1}e}"


def _write_distinct(archive: zipfile.ZipFile, key: str, column: Iterable[Any]) -> list[Any]:
    """Write for each value its place among the different ones, and return these."""
    places: dict[str, int] = {}
    where = [
        _NOWHERE if value is _ABSENT else places.setdefault(json.dumps(value), len(places))
        for value in column
    ]
    _put(archive, f"{key}/where", np.array(where, dtype="<i4").tobytes())
    return [json.loads(value) for value in places]


def _distinct(archive: zipfile.ZipFile, key: str, values: Sequence[Any]) -> Iterator[Any]:
    where = np.frombuffer(archive.read(f"{key}/where"), dtype="<i4")
    return (_ABSENT if place == _NOWHERE else values[place] for place in where.tolist())


def _write_curves(archive: zipfile.ZipFile, key: str, column: Sequence[Any]) -> None:
    """Write the numbers of curves as significands and exponents of ten."""
    lengths = [_NOWHERE if curve is _ABSENT else len(curve) for curve in column]
    numbers = [one for curve in column if curve is not _ABSENT for one in curve]
    rounded = [f"0e{_NO_NUMBER}" if one is None else _rounded(one) for one in numbers]
    parts = [text.split("e") for text in rounded]
    significands = np.array([int(part.replace(".", "")) for part, _ in parts], dtype="<i4")
    exponents = np.array([int(part) for _, part in parts], dtype="<i2")
    _put(archive, f"{key}/lengths", np.array(lengths, dtype="<i4").tobytes())
    # Bytes of the same place lie together: the lowest ones are noise, all others compress well.
    planes = significands.view(np.uint8).reshape(-1, 4).T
    _put(archive, f"{key}/significands", planes.tobytes())
    _put(archive, f"{key}/exponents", exponents.tobytes())


def _curves(archive: zipfile.ZipFile, key: str) -> Iterator[Any]:
    lengths = np.frombuffer(archive.read(f"{key}/lengths"), dtype="<i4")
    planes = np.frombuffer(archive.read(f"{key}/significands"), dtype=np.uint8).reshape(4, -1)
    significands = np.ascontiguousarray(planes.T).view("<i4").ravel()
    exponents = np.frombuffer(archive.read(f"{key}/exponents"), dtype="<i2")
    numbers = zip(significands.tolist(), exponents.tolist(), strict=True)
    for length in lengths.tolist():
        if length == _NOWHERE:
            yield _ABSENT
        else:
            yield [_number(*each) for each in itertools.islice(numbers, length)]


def _number(significand: int, exponent: int) -> float | None:
    # Read as a decimal, it is the closest number to its digits, and is written with no more.
    return None if exponent == _NO_NUMBER else float(f"{significand}e{exponent - DIGITS + 1}")
