"""The data set of War and Peace, and small files in its forms."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import string
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs.plugins import registry

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_CHARACTERS = [symbol for symbol in string.printable if not symbol.isspace()][:81]
"""With the two of a line end, 83."""

LINES = [f"{_CHARACTERS[number % 81] * (1 + number % 3)}\r\n" for number in range(65007)]

BOOK = f"\ufeff{''.join(LINES)}".encode()
"""A stand-in for the published file, of as many lines and as many characters."""

NOVEL = "".join(LINES[29:33] + LINES[804:64649])
"""The novel without the preface, the contents and the license, by lines of the file."""


def tolstoi() -> Any:
    """The class of the data set."""
    return registry().datasets.load("tolstoi")


def expect_book(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    """Let the published file be this one, to be had from these mirrors."""
    from deepobs_text import tolstoi as module

    source = dataclasses.replace(
        module.SOURCE,
        urls=tuple(f"{mirror}2600-0.txt" for mirror in mirrors),
        checksum=f"sha256:{hashlib.sha256(BOOK).hexdigest()}",
        size=len(BOOK),
    )
    monkeypatch.setattr(module, "SOURCE", source)


def put_text(path: Path, content: bytes) -> None:
    """Write a text, compressed where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, compresslevel=1) if path.suffix == ".gz" else content)


def put_arrays(data_dir: Path, **arrays: Any) -> Path:
    """Write arrays as the original has them, 0, 1, 2, ... unless others are given."""
    directory = data_dir / "tolstoi"
    directory.mkdir(parents=True)
    for name, size in (("train", 400), ("test", 100)):
        np.save(directory / f"{name}.npy", arrays.get(name, np.arange(size) % 83))
    return directory
