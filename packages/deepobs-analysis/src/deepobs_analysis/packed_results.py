"""Result files as columns in one small archive, for sets of results that are passed on.

Thousands of runs of a set share nearly everything but their curves. Of each key of their files the
different values are kept once, and of curves the numbers with a few significant digits, so that a
run takes up a hundred bytes or two. What comes out are result files again, which are read and
checked as all others.
"""

from __future__ import annotations

import functools
import itertools
import json
import zipfile
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from deepobs.checks import is_number
from deepobs.errors import ArgumentError, CorruptDataError
from deepobs_analysis import json_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LAYOUT = 3
DIGITS = 3
"""Significant digits of the numbers of curves, but at their ends."""

DIGITS_AT_ENDS = 5
"""Of the first and the last number of a curve: a repeated run must begin with the first, and runs
are selected by the last, so that ties must be rare."""

MOST_BYTES = 2**30
"""What the parts of an archive may unpack to: a hundred thousand runs of two hundred epochs."""

_TEXT = "columns.json"
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
_BLOCK_BYTES = 4096  # the least that zipfile unpacks at once
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
        ArgumentError: There is no file, or there are too many for one archive.
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
        if _size(archive) > MOST_BYTES:
            raise ArgumentError(
                f"{len(documents)} files of results are too many for one archive: their numbers "
                f"take {_size(archive) / 2**30:.1f} GiB, of {MOST_BYTES / 2**30:g} GiB allowed. "
                "Pack directories of them one by one."
            )


def is_packed(archive: zipfile.ZipFile) -> bool:
    """Whether `pack` wrote an archive."""
    return _TEXT in archive.namelist()


def paths_in(archive: zipfile.ZipFile) -> list[str]:
    """The paths of the files in an archive that `pack` wrote."""
    return [str(path) for path in json_values.parsed(read_member(archive, _TEXT))["paths"]]


def unpack(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The result files in an archive that `pack` wrote: their paths and contents.

    Raises:
        CorruptDataError: It is broken, far too large, or of a newer layout.
    """
    if _size(archive) > MOST_BYTES:
        raise CorruptDataError("Packed results are far too large.")
    text = json_values.parsed(read_member(archive, _TEXT))
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


def read_member(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo) -> bytes:
    """The content of a member, of which hardly more is unpacked than the archive says it has.

    Raises:
        CorruptDataError: It is compressed in another way than archives of results are.
    """
    described = archive.getinfo(member) if isinstance(member, str) else member
    if described.compress_type not in _COMPRESSIONS:
        raise CorruptDataError(
            f"{described.filename} is compressed in a way that is not accepted. "
            "Allowed: deflate and LZMA."
        )
    # In blocks: all at once, zipfile unpacks whatever there is before it looks at the size. Of a
    # block of LZMA come 30 MB at most; of one of bzip2, gigabytes.
    with archive.open(described) as stream:
        return b"".join(iter(functools.partial(stream.read, _BLOCK_BYTES), b""))


def _size(archive: zipfile.ZipFile) -> int:
    """What the members of an archive unpack to, as it says."""
    return sum(member.file_size for member in archive.infolist())


def _put(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    # By its name alone: with the time of writing, equal results would make other archives.
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_LZMA)


def _kept(key: str, value: Any) -> Any:
    """What is kept of a value of a file."""
    if value is _ABSENT or (value is None and key in _CURVES):
        return _ABSENT
    if key in _EMPTIED:
        return []
    if key == "train_seconds" and value and all(map(is_number, value)):
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
    return float(_rounded(value, DIGITS_AT_ENDS)) if isinstance(value, float) else value


def _rounded(value: float, digits: int) -> str:
    return f"{value:.{digits - 1}e}"


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
    where = np.frombuffer(read_member(archive, f"{key}/where"), dtype="<i4")
    return (_ABSENT if place == _NOWHERE else values[place] for place in where.tolist())


def _write_curves(archive: zipfile.ZipFile, key: str, column: Sequence[Any]) -> None:
    """Write the lengths of curves, the numbers at their ends, and those between."""
    lengths = [_NOWHERE if curve is _ABSENT else len(curve) for curve in column]
    _put(archive, f"{key}/lengths", np.array(lengths, dtype="<i4").tobytes())
    curves = [curve for curve in column if curve is not _ABSENT]
    ends = [one for curve in curves for one in (*curve[:1], *curve[1:][-1:])]
    between = [one for curve in curves for one in curve[1:-1]]
    _write_numbers(archive, f"{key}/ends", ends, DIGITS_AT_ENDS)
    _write_numbers(archive, f"{key}/between", between, DIGITS)


def _write_numbers(
    archive: zipfile.ZipFile, name: str, numbers: Iterable[float | None], digits: int
) -> None:
    """Write numbers as significands and exponents of ten."""
    # NaN in a file of DeepOBS 1.1 is what `null` is in others.
    rounded = [_rounded(one, digits) if is_number(one) else f"0e{_NO_NUMBER}" for one in numbers]
    parts = [text.split("e") for text in rounded]
    significands = np.array([int(part.replace(".", "")) for part, _ in parts], dtype="<i4")
    exponents = np.array([int(part) for _, part in parts], dtype="<i2")
    # Bytes of the same place lie together: the lowest ones are noise, all others compress well.
    planes = significands.view(np.uint8).reshape(-1, 4).T
    _put(archive, f"{name}/significands", planes.tobytes())
    _put(archive, f"{name}/exponents", exponents.tobytes())


def _curves(archive: zipfile.ZipFile, key: str) -> Iterator[Any]:
    lengths = np.frombuffer(read_member(archive, f"{key}/lengths"), dtype="<i4")
    known = lengths[lengths != _NOWHERE]
    at_ends = np.minimum(known, 2)
    ends = _numbers(archive, f"{key}/ends", DIGITS_AT_ENDS, at_ends.sum())
    between = _numbers(archive, f"{key}/between", DIGITS, (known - at_ends).sum())
    for length in lengths.tolist():
        if length == _NOWHERE:
            yield _ABSENT
        else:
            first, last = itertools.islice(ends, min(length, 1)), itertools.islice(ends, length > 1)
            yield [*first, *itertools.islice(between, max(length - 2, 0)), *last]


def _numbers(
    archive: zipfile.ZipFile, name: str, digits: int, count: int
) -> Iterator[float | None]:
    planes = np.frombuffer(read_member(archive, f"{name}/significands"), dtype=np.uint8).reshape(
        4, -1
    )
    significands = np.ascontiguousarray(planes.T).view("<i4").ravel()
    exponents = np.frombuffer(read_member(archive, f"{name}/exponents"), dtype="<i2")
    if significands.size != count:
        raise ValueError(f"{name} holds {significands.size} numbers in place of {count}")
    for significand, exponent in zip(significands.tolist(), exponents.tolist(), strict=True):
        if exponent == _NO_NUMBER:
            yield None
        else:
            # Read as a decimal, it is the closest number to its digits, and is written with no
            # more.
            yield float(f"{significand}e{exponent - digits + 1}")
