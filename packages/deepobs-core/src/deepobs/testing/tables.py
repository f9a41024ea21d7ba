"""All checks, in the order in which they are made. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.plugins.catalog import import_target

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Check:
    """A check: a function that takes the subject, and raises where something is wrong.

    Attributes:
        name: What it finds out, a sentence in snake case; the name of the function, too.
        module: Where the function is.
        is_of_the_description: Whether it is about the description that a plugin gives, so that it
            takes something registered.
    """

    name: str
    module: str
    is_of_the_description: bool = False

    def load(self) -> Callable[[Any], None]:
        """Import the function."""
        function: Callable[[Any], None] = import_target(f"{self.module}:{self.name}", "The check")
        return function


def _checks(package: str, names: dict[str, tuple[str, ...]]) -> tuple[Check, ...]:
    return tuple(
        Check(name, f"deepobs.testing.{package}.{module}", module == "description")
        for module, of_module in names.items()
        for name in of_module
    )


PROBLEM_CHECKS = _checks(
    "problems",
    {
        "construction": ("it_can_be_built", "it_can_be_set_up"),
        "losses": ("losses_have_one_entry_per_example", "losses_sum_to_the_mean"),
    },
)

CHECKS = {
    "test problem": PROBLEM_CHECKS,
    "data set": (),
    "optimizer": (),
}
"""The checks of each kind of thing."""
