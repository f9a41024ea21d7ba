"""War and Peace as Project Gutenberg published it, and what the original DeepOBS took of it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from deepobs.data.download import RemoteFile, mismatch
from deepobs.data.layout import corrupt
from deepobs_text.plain_text import decoded

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = RemoteFile(
    name="2600-0.txt",
    urls=(
        "https://www.gutenberg.org/files/2600/2600-0.txt",
        "https://gutenberg.pglaf.org/2/6/0/2600/2600-0.txt",
        "https://aleph.pglaf.org/2/6/0/2600/2600-0.txt",
        # Project Gutenberg replaces its texts by corrected ones; the archive keeps the earlier.
        "https://web.archive.org/web/2018id_/http://www.gutenberg.org/files/2600/2600-0.txt",
        "https://web.archive.org/web/2014id_/http://www.gutenberg.org/files/2600/2600-0.txt",
    ),
    checksum="sha256:3ed0f41cfdf660846878943bad5b9d575bcae1e4a92ee9a7f43d3c9dba2af344",
    size=3291641,
)
"""The edition of which the sizes 2612948 and 653237 come, last updated on March 15, 2013."""

_LEFT_OUT = ((1, 29), (5, 775), (63850, 64207))
"""First and last lines, counted from 1 in what the cut before has left: the preface of Project
Gutenberg, the table of contents, and the licence."""


def novel(path: Path, content: bytes) -> str:
    """The novel alone, out of the published file.

    Lines end in a carriage return and a line feed, as published: both are among its 83 characters.

    Args:
        path: Where the content comes from, for messages.
        content: All bytes of the published file.

    Raises:
        CorruptDataError: It is another file, so that the lines to leave out are not known.
    """
    text = decoded(path, content)
    wrong = mismatch(io.BytesIO(content), SOURCE.checksum)
    if wrong:
        raise corrupt(
            path,
            f"{wrong}, so it is not the edition of {SOURCE.size} bytes that the novel can be cut "
            "out of",
        )
    lines = list(io.StringIO(text, newline="\n"))
    for first, last in _LEFT_OUT:
        del lines[first - 1 : last]
    return "".join(lines)
