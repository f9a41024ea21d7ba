"""How a module can have every registered thing of one kind as an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from deepobs.errors import UnknownNameError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.plugins.catalog import Catalog


def attributes(
    module: str, kind: Literal["problems", "datasets", "runners"]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the functions `__getattr__` and `__dir__` of a module.

    `__getattr__` imports what a name stands for. AttributeError means that nobody offers the name,
    as `hasattr` and `from ... import` expect; every other failure keeps its own error.

    Args:
        module: Name of the module.
        kind: Name of the catalogue in the registry.
    """

    def catalog() -> Catalog[Any]:
        found: Catalog[Any] = getattr(registry(), kind)
        return found

    def get(name: str) -> Any:
        # Python and its tools ask every module for such names: no plugin shall be loaded for them.
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            return catalog().load(name)
        except UnknownNameError as error:
            raise AttributeError(str(error)) from None

    def names() -> list[str]:
        return catalog().names()

    return get, names
