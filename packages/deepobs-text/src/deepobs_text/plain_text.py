"""Files of text in UTF-8, plain or compressed by gzip."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from deepobs.data.layout import corrupt

if TYPE_CHECKING:
    from pathlib import Path

_GZIP_MAGIC = b"\x1f\x8b"
_MOST_BYTES = 2**30
"""Three hundred times War and Peace; as ids in memory, a text takes eight times its size."""


def read_content(path: Path) -> bytes:
    """The bytes of a text, unpacked.

    Args:
        path: A plain file or one compressed by gzip: its first bytes tell, not its name.

    Raises:
        CorruptDataError: Its compressed content is damaged or breaks off, or it is huge.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        is_packed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        stream.seek(0)
        try:
            content = (gzip.GzipFile(fileobj=stream) if is_packed else stream).read(_MOST_BYTES + 1)
        except EOFError as error:
            raise corrupt(path, "it is truncated: its compressed content breaks off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise corrupt(path, f"its compressed content is damaged ({error})") from error
    if len(content) > _MOST_BYTES:
        raise corrupt(path, f"it holds more than {_MOST_BYTES} bytes")
    return content


def decoded(path: Path, content: bytes) -> str:
    """The text that bytes stand for, without a mark of their order at its beginning.

    Args:
        path: Where they come from, for messages.
        content: UTF-8.

    Raises:
        CorruptDataError: They are not UTF-8.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise corrupt(
            path,
            f"it is not text in UTF-8: the byte 0x{byte:02x} at position {error.start} cannot be "
            f"decoded ({error.reason})",
        ) from error
    return text.removeprefix("\ufeff")
