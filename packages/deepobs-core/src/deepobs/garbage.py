"""Work that makes hundreds of thousands of objects, among which looking for garbage is in vain."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def without_looking_for_garbage() -> Iterator[None]:
    """Keep the interpreter from looking for cycles of objects meanwhile."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
