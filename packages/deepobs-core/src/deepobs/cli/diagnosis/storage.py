"""Directories: where data, caches and results lie, and whether they can be written to."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, SoftFileLock

from deepobs import config
from deepobs.cli.data import FAILED, carry_out
from deepobs.cli.diagnosis.findings import (
    Advice,
    Fact,
    Trouble,
    plugins_load,
    works,
)
from deepobs.console.offers import by_usable_name
from deepobs.console.text import memory
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST_FREE = 200 * 2**20  # bytes
_SECONDS_TO_MEASURE = 1.0
_TOLERATED_SECONDS = 5
_RESULTS = Path("results")
_PATTERNS = {
    "result files": "*.json",
    "failures": "*.failure",
    "checkpoints": ".*.checkpoint",
}
"""The files of settings; written out, for what writes them needs torch, which may be broken."""


def data_directory() -> Iterator[Fact | Trouble]:
    """Where data sets lie, and why there."""
    directory = config.get_data_dir()
    yield Fact("directory", str(directory))
    yield Fact("chosen by", _reason(directory))
    if directory.is_dir():
        yield _size("size", directory)
    yield from _space(directory, "Data sets", "name another one by DEEPOBS_DATA_DIR or --data-dir")


def data_sets() -> Iterator[Fact | Trouble]:
    """Which data sets are there."""
    for package in ("torch", "numpy"):
        if not works(package):
            yield Fact("data sets", None, f"cannot be asked without {package}")
            return
    if not plugins_load():
        yield Fact("data sets", None, "cannot be asked without the plugins")
        return
    directory = config.get_data_dir()
    for name in by_usable_name(registry().datasets):
        outcome = carry_out("status", name, directory)
        yield Fact(name, outcome.state, f"{outcome.state}: {outcome.detail}")
        if outcome.state == FAILED:
            yield Trouble(
                f"The data set {name} does not say whether it is there: {outcome.detail}",
                "Mend what this message names, or upgrade the plugin that brings the data set.",
            )


def caches() -> Iterator[Fact | Trouble]:
    """What can be made or downloaded again."""
    directory = config.get_cache_dir()
    yield Fact("directory", str(directory))
    for name, path in {
        "results read": directory / "results",
        "published results": config.get_baseline_dir(),
    }.items():
        if path.is_dir():
            yield _size(name, path, f"; may be deleted: {path}")
        else:
            yield Fact(name, 0, "none")
    yield from _space(directory, "Caches", "name another one by DEEPOBS_CACHE_DIR")


def results() -> Iterator[Fact | Trouble]:
    """What lies in the directory `results`, where there is one."""
    if not _RESULTS.is_dir():
        yield from _place_of_results()
        return
    yield Fact("directory", str(_RESULTS.resolve()))
    for name, pattern in _PATTERNS.items():
        yield Fact(name, sum(1 for _ in _RESULTS.glob(f"*/*/*/{pattern}")))
    yield _size("size", _RESULTS)
    yield from _space(_RESULTS.resolve(), "Results", "name another one by --out")


def _place_of_results() -> Iterator[Fact | Advice]:
    """Whether a run that is started here could make the directory."""
    yield Fact("directory", None, f"no {_RESULTS} in {Path.cwd()}")
    reason = _cannot_write(_nearest(_RESULTS.absolute()))
    if reason is not None:
        yield Advice(
            f"Runs that are started here cannot write {_RESULTS.absolute()}: {reason}.",
            "Start them in another directory, or name one by --out.",
        )


def locks() -> Iterator[Fact | Trouble]:
    """Whether files among the results can be locked, which some network file systems refuse."""
    if not (_RESULTS.is_dir() and _cannot_write(_RESULTS) is None):
        return
    with tempfile.TemporaryDirectory(dir=_RESULTS, prefix=".doctor_") as directory:
        lock = FileLock(Path(directory) / "lock")
        reason = "the file system has none"
        try:
            with lock:
                works = not isinstance(lock, SoftFileLock)  # which it becomes without any
        except (OSError, NotImplementedError) as error:
            works, reason = False, str(error)
    yield Fact("locks", works, "work" if works else "do not work")
    if not works:
        yield Trouble(
            f"Files in {_RESULTS.resolve()} cannot be locked: {reason}. Sweeps need locks, so that "
            "no two processes carry out the same run.",
            "Keep results on another file system (--out), or mount this one with locks.",
        )


def clock_of_files() -> Iterator[Trouble]:
    """Whether files among the results are dated by the clock of this machine."""
    if not (_RESULTS.is_dir() and _cannot_write(_RESULTS) is None):
        return
    with tempfile.NamedTemporaryFile(dir=_RESULTS, prefix=".doctor_") as stream:
        apart = Path(stream.name).stat().st_mtime - time.time()
    if abs(apart) > _TOLERATED_SECONDS:
        yield Trouble(
            f"The file system of {_RESULTS.resolve()} is {abs(apart):.0f} s "
            f"{'ahead of' if apart > 0 else 'behind'} the clock of this machine.",
            "Set both clocks by the same time server, such as by `timedatectl set-ntp true`.",
        )


def _reason(directory: Path) -> str:
    for variable in ("DEEPOBS_DATA_DIR", "DEEPOBS_CACHE_DIR"):
        with config.temporary(data_dir=None):
            if os.environ.get(variable) and config.get_data_dir() == directory:
                return f"the environment variable {variable}"
    with config.temporary(data_dir=None):
        is_default = config.get_data_dir() == directory
    return "default: the user's cache" if is_default else "--data-dir"


def _space(directory: Path, what: str, otherwise: str) -> Iterator[Fact | Trouble]:
    """Whether a directory, or the nearest one above that is there, can be written to."""
    place = _nearest(directory)
    reason = _cannot_write(place)
    yield Fact("writable", reason is None, "yes" if reason is None else f"no: {reason}")
    if reason is not None:
        yield Trouble(
            f"{what} cannot be written to {directory}: {reason}.",
            f"{_remedy(place)}, or {otherwise}.",
        )
        return
    free = shutil.disk_usage(place).free
    yield Fact("free", free, memory(free))
    if free < _LEAST_FREE:
        yield Trouble(
            f"The disk of {place} is full: {memory(free)} are free.",
            f"Make room, or {otherwise}.",
        )


def _nearest(directory: Path) -> Path:
    """A path, or what is nearest above it where it is not there."""
    return next(one for one in (directory, *directory.absolute().parents) if os.path.lexists(one))


def _remedy(place: Path) -> str:
    if not place.is_dir():
        return f"Remove {place}, which is in the way"
    return f"Give this user the right to write to {place}"


def _cannot_write(place: Path) -> str | None:
    """Why a file cannot be written to a directory, `None` where it can."""
    if not place.is_dir():
        return f"{place} is no directory"
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _size(name: str, directory: Path, note: str = "") -> Fact:
    """How much a directory holds; measured only for a moment, as there may be millions of files."""
    total, is_complete = _measured(directory)
    at_least = "" if is_complete else "more than "
    return Fact(name, total, f"{at_least}{memory(total)}{note}")


def _measured(directory: Path) -> tuple[int, bool]:
    deadline = time.monotonic() + _SECONDS_TO_MEASURE
    total, waiting = 0, [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
                    if time.monotonic() > deadline:
                        return total, False
        except OSError:  # another user's, or gone meanwhile
            continue
    return total, True
