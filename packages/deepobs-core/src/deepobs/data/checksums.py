"""Checksums of files, written as `algorithm:hexadecimal digest`."""

from __future__ import annotations

import hashlib
from typing import IO


def mismatch(content: IO[bytes], checksum: str) -> str:
    """Compare a file with its checksum.

    Args:
        content: A file open for reading, or bytes in memory; read from its start to its end.
        checksum: Such as "md5:8d4f...".

    Returns:
        "its md5 checksum is ... instead of ...", or the empty string where it is right.
    """
    algorithm, _, expected = checksum.partition(":")
    content.seek(0)
    # Said not to be for security, as machines in FIPS mode otherwise refuse MD5.
    digest = hashlib.file_digest(
        content,  # type: ignore[arg-type]  # typeshed wants more than is used
        lambda: hashlib.new(algorithm, usedforsecurity=False),
    ).hexdigest()
    if digest == expected.lower():
        return ""
    return f"its {algorithm} checksum is {digest} instead of {expected}"
