"""Makes files of CIFAR as they are published, as Python 2 pickled them, and dangerous ones."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import pickle
import struct
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
_BYTE_TYPE = (
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
)


class _MakesDirectory:
    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._target),)


def dangerous_pickle(target: Path, *, protocol: int = 2, is_inside_batch: bool = False) -> bytes:
    """A pickle that makes a directory when it is loaded."""
    call = _MakesDirectory(target)
    return pickle.dumps({"labels": [call]} if is_inside_batch else call, protocol=protocol)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def python2_pickle(value: Any) -> bytes:
    """What cPickle of Python 2 makes with protocol 2, where strings are bytes."""
    return b"\x80\x02" + _pickled(value) + b"."


@functools.singledispatch
def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]


@_pickled.register
def _(value: bytes) -> bytes:
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


@_pickled.register
def _(value: dict) -> bytes:
    items = b"".join(_pickled(key) + _pickled(item) for key, item in value.items())
    return b"}(" + items + b"u"


@_pickled.register
def _(value: list) -> bytes:
    return b"](" + b"".join(map(_pickled, value)) + b"e"


@_pickled.register
def _(value: np.ndarray) -> bytes:
    shape = b"(" + b"".join(map(_pickled, value.shape)) + b"t"
    return _ARRAY + shape + _BYTE_TYPE + b"\x89" + _pickled(value.tobytes()) + b"tb"


def batch(records: np.ndarray, *, is_cifar100: bool = False) -> bytes:
    """The pickle with the images and labels of records: (N, 3073), or (N, 3074) of CIFAR-100."""
    labels = {b"labels": records[:, 0].tolist()}
    if is_cifar100:
        labels = {b"coarse_labels": records[:, 0].tolist(), b"fine_labels": records[:, 1].tolist()}
    pixels = np.ascontiguousarray(records[:, len(labels) :])
    names = [b"image_%d.png" % number for number in range(len(records))]
    return python2_pickle(
        {b"batch_label": b"a batch", **labels, b"data": pixels, b"filenames": names}
    )


def tar_gz(contents: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
