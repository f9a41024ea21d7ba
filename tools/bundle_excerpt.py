"""Write the excerpt of War and Peace that deepobs-text contains, from the full text.

    python tools/bundle_excerpt.py war-and-peace.txt.gz

The full text is the edition of Project Gutenberg that the data set `tolstoi` reads, plain or
compressed by gzip.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from deepobs.data.file_dataset import unpacked
from deepobs_text.tolstoi import Tolstoi
from deepobs_text.tolstoi_excerpt import FILE_NAME

_PACKAGE = Path(__file__).resolve().parents[1] / "packages/deepobs-text/src/deepobs_text"


def excerpt(path: Path) -> str:
    """Book One: its 28 chapters with their headings, lines ending in a line feed."""
    with unpacked(path) as stream:
        novel = Tolstoi.text(path, stream.read()).replace("\r\n", "\n")
    start, end = novel.index("CHAPTER I\n"), novel.index("BOOK TWO: 1805\n")
    return f"{novel[start:end].rstrip()}\n"


def packed(text: str) -> bytes:
    """Compress the excerpt, to the same bytes at any time."""
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def main() -> None:
    """Write the file."""
    content = packed(excerpt(Path(sys.argv[1])))
    (_PACKAGE / FILE_NAME).write_bytes(content)
    print(f"wrote {FILE_NAME}: {len(content)} bytes")


if __name__ == "__main__":
    main()
