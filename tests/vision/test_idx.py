"""IDX files, whole and broken in every way."""

from __future__ import annotations

import gzip
import re
import struct
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deepobs.errors import CorruptDataError
from deepobs_vision.mnist import read_idx

if TYPE_CHECKING:
    from pathlib import Path

_IMAGES = np.random.RandomState(0).randint(0, 256, (7, 4, 3)).astype(np.uint8)


def _idx(array: np.ndarray, *, items: int | None = None) -> bytes:
    sizes = (array.shape[0] if items is None else items, *array.shape[1:])
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *sizes)
    return header + array.tobytes()


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "some-images-idx3-ubyte"
    path.write_bytes(content)
    return path


def _refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(CorruptDataError, match=f"{re.escape(str(path))} is corrupt: {why}"):
        read_idx(path, (4, 3))


def test_images_are_read_in_c_order(tmp_path: Path) -> None:
    images = read_idx(_file(tmp_path, _idx(_IMAGES)), (4, 3))
    assert images.dtype == np.uint8
    assert np.array_equal(images, _IMAGES)
    assert images.flags.writeable


def test_labels_are_read(tmp_path: Path) -> None:
    labels = np.array([3, 1, 4, 1, 5], dtype=np.uint8)
    assert np.array_equal(read_idx(_file(tmp_path, _idx(labels)), ()), labels)


def test_compressed_files_are_known_by_their_content_not_their_name(tmp_path: Path) -> None:
    compressed = read_idx(_file(tmp_path, gzip.compress(_idx(_IMAGES))), (4, 3))
    assert np.array_equal(compressed, _IMAGES)
    plain = tmp_path / "unpacked-by-a-browser.gz"
    plain.write_bytes(_idx(_IMAGES))
    assert np.array_equal(read_idx(plain, (4, 3)), _IMAGES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (_idx(_IMAGES)[:-1], r"it is truncated: 83 bytes of 84 follow"),
        (_idx(_IMAGES)[:16], r"it is truncated: 0 bytes of 84 follow"),
        (_idx(_IMAGES)[:10], r"it is truncated: its header has 10 bytes"),
        (_idx(_IMAGES) + b"\0", r"it continues after the 84 bytes that its header announces"),
        (b"", r"it begins with  instead of 00 00 08 03"),
        (b"\x00\x00\x0d\x03" + _idx(_IMAGES)[4:], r"it begins with 00 00 0d 03 instead of"),
        (b"<html>not found</html>", r"it begins with 3c 68 74 6d instead of 00 00 08 03"),
        (_idx(_IMAGES[0]), r"it begins with 00 00 08 02 instead of 00 00 08 03 .*3 dimensions"),
        (_idx(_IMAGES.reshape(7, 3, 4)), r"its items have the shape \(3, 4\) instead of \(4, 3\)"),
        (_idx(_IMAGES[:0]), r"it holds no items"),
        (_idx(_IMAGES, items=2**32 - 1), r"it claims to hold 51539607540 bytes"),
        (_idx(_IMAGES, items=10**6), r"it is truncated: 84 bytes of 12000000 follow"),
    ],
)
def test_what_does_not_hold_what_it_should_is_refused(
    tmp_path: Path, content: bytes, why: str, pack: type[bytes]
) -> None:
    _refused(tmp_path, pack(content), why)


def test_a_compressed_file_that_breaks_off_is_refused_wherever_it_does(tmp_path: Path) -> None:
    packed = gzip.compress(_idx(_IMAGES))
    for length in range(2, len(packed)):
        _refused(tmp_path, packed[:length], "it is truncated: its compressed content breaks off")


def test_a_compressed_file_that_goes_on_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(_idx(_IMAGES))
    _refused(tmp_path, packed + b"more", "its compressed content is damaged .Not a gzipped file")


def test_a_flipped_bit_in_a_compressed_file_is_noticed(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(_idx(_IMAGES), compresslevel=0))
    packed[-20] ^= 1  # an uncompressed pixel: only the checksum can tell
    _refused(tmp_path, bytes(packed), r"its compressed content is damaged .*CRC check failed")
    packed = bytearray(gzip.compress(_idx(_IMAGES)))
    packed[3] = 0xFF
    _refused(tmp_path, bytes(packed), "it is truncated: its compressed content breaks off")


@pytest.mark.parametrize("items", [7, 2**31])
def test_a_bottomless_compressed_file_costs_no_memory(tmp_path: Path, items: int) -> None:
    content = _idx(_IMAGES, items=items) + bytes(64 * 2**20)
    path = _file(tmp_path, gzip.compress(content))
    del content
    tracemalloc.start()
    try:
        with pytest.raises(CorruptDataError, match=r"continues after the 84|claims to hold"):
            read_idx(path, (4, 3))
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    path = _file(tmp_path, b"")
    with path.open("r+b") as file:
        file.truncate(2**30 + 1)  # sparse: takes no room on the disk
    with pytest.raises(CorruptDataError, match="larger than 1073741824 bytes"):
        read_idx(path, (4, 3))


def test_a_file_that_cannot_be_read_is_not_called_corrupt(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "absent", ())
