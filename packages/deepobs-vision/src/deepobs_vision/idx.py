"""IDX files, the format of MNIST, plain or compressed by gzip.

An IDX file is a header (two zero bytes, the type of an element, the number of dimensions, and every
dimension as a big-endian 32-bit number) and the elements in C order. Nothing in a file is believed
before it was compared with the size it should have: a huge or bottomless file costs no memory.

References:
    The end of http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from deepobs.data.layout import corrupt

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_MOST_BYTES = 2**30
"""Twenty times the images of MNIST."""


def read_idx(path: Path, item_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes.

    Args:
        path: A plain file or one compressed by gzip: its first bytes tell, not its name.
        item_shape: The dimensions after the first one: `(28, 28)` for images, `()` for labels.

    Returns:
        Shape `(items, *item_shape)`.

    Raises:
        CorruptDataError: It holds something else, less or more.
        OSError: It cannot be read.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise corrupt(path, f"it is larger than {_MOST_BYTES} bytes")
    content = path.read_bytes()
    packed = content.startswith(_GZIP_MAGIC)
    read = _Unpacker(path, content).read if packed else io.BytesIO(content).read
    items = _item_count(path, read(4 + 4 * (1 + len(item_shape))), item_shape)
    size = items * math.prod(item_shape)
    if size > _MOST_BYTES:
        raise corrupt(path, f"it claims to hold {size} bytes, more than {_MOST_BYTES}")
    elements = read(size + 1)
    if len(elements) < size:
        raise corrupt(path, f"it is truncated: {len(elements)} bytes of {size} follow its header")
    if len(elements) > size:
        raise corrupt(path, f"it goes on after the {size} bytes that its header announces")
    # A copy, as the memory of a bytes object must not be written to and torch wants to be able to.
    return np.frombuffer(elements, dtype=np.uint8).reshape(items, *item_shape).copy()


class _Unpacker:
    """Unpacks what gzip compressed, never more of it than asked for.

    Args:
        path: Where the content comes from, for messages.
        content: All of the compressed file.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._packed = content
        self._decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """The next bytes: fewer than `size` only where a complete and unharmed file ends.

        Args:
            size: How many, 1 or more.

        Raises:
            CorruptDataError: The file breaks off, goes on too long, or fails its checksum.
        """
        try:
            unpacked = self._decompressor.decompress(self._packed, size)
        except zlib.error as error:
            raise corrupt(self._path, f"its compressed content is damaged ({error})") from error
        self._packed = self._decompressor.unconsumed_tail
        if len(unpacked) < size:
            if not self._decompressor.eof:
                raise corrupt(self._path, "it is truncated: its compressed content breaks off")
            if self._decompressor.unused_data:
                raise corrupt(self._path, "it goes on after the end of its compressed content")
        return unpacked


def _item_count(path: Path, header: bytes, item_shape: tuple[int, ...]) -> int:
    """The number of items, where the header is that of such a file."""
    dimensions = 1 + len(item_shape)
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        expected = f"{magic.hex(' ')} (unsigned bytes in {dimensions} dimensions)"
        raise corrupt(path, f"it begins with {header[:4].hex(' ')} instead of {expected}")
    if len(header) < 4 + 4 * dimensions:
        raise corrupt(path, f"it is truncated: its header has {len(header)} bytes")
    items, *shape = struct.unpack(f">{dimensions}I", header[4:])
    if tuple(shape) != item_shape:
        raise corrupt(path, f"its items have the shape {tuple(shape)} instead of {item_shape}")
    if items == 0:
        raise corrupt(path, "it holds no items")
    return int(items)
