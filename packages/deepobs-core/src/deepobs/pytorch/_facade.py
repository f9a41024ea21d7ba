"""Makes every registered name of one kind an attribute of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from deepobs.errors import UnknownNameError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable


def attributes(
    module: str, kind: Literal["problems", "datasets", "runners"]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Create the functions `__getattr__` and `__dir__` of a module.

    Args:
        module: Name of the module.
        kind: Name of the catalog in the registry.
    """

    def get(name: str) -> Any:
        # Python and its tools ask every module for such names, and must load no plugin by that.
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            return getattr(registry(), kind).load(name)
        except UnknownNameError as error:
            # `hasattr` and `from ... import` expect this error for an unknown name, and only then.
            raise AttributeError(str(error)) from None

    def names() -> list[str]:
        found: list[str] = getattr(registry(), kind).names()
        return found

    return get, names
