"""Decoding JPEG and PNG files, or saying in one line why that cannot be done."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from deepobs.errors import CorruptDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMATS = ("JPEG", "PNG")
_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
"""Pillow's names of the kinds of pixels that become RGB bytes with no loss of range."""


def decoded(path: str) -> NDArray[np.uint8]:
    """The pixels of an image file; grey ones and those for printing (CMYK) are made RGB.

    Args:
        path: A file in the format JPEG or PNG, whatever its name ends in.

    Returns:
        Bytes of shape (height, width, 3).

    Raises:
        CorruptDataError: It cannot be read, is damaged, or larger than Pillow takes for safe.
    """
    try:
        with warnings.catch_warnings():
            # Photographs have all kinds of broken metadata, which nobody uses here.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decoded(path)
    except Exception as error:  # decoders raise whatever a broken file makes them stumble over
        raise CorruptDataError(
            f"The image {path} cannot be used: {_reason(error)}. Put a good copy in its place."
        ) from error


def _decoded(path: str) -> NDArray[np.uint8]:
    with Image.open(path, formats=_FORMATS) as image:
        if image.mode not in _MODES:
            raise ValueError(f"its pixels are of the kind {image.mode}, not of 8 bits a channel")
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is neither a JPEG nor a PNG image"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason.rstrip(".") or type(error).__name__
