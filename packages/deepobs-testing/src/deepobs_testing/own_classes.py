"""Classes that no plugin offers, named by where they are."""

from __future__ import annotations

import inspect

from deepobs.errors import ArgumentError
from deepobs.plugins.catalog import import_target
from deepobs_testing.things import Thing

_SIGNS = {
    "optimizer": ("step", "zero_grad"),
    "test problem": ("get_batch_loss_and_accuracy", "set_up"),
}
"""Methods by which a class is known."""


def thing_outside_the_registry(name: str) -> Thing:
    """Find a class by its import string, and what kind of thing it is.

    Args:
        name: `package.module:Class`.

    Raises:
        ComponentLoadError: Its module cannot be imported.
        ArgumentError: It is no test problem, data set or optimizer.
    """
    factory = import_target(name, "What is to be checked")
    for kind, signs in _SIGNS.items():
        if all(callable(getattr(factory, sign, None)) for sign in signs):
            return Thing(kind, name, factory)
    if isinstance(factory, type) and _loads_data(factory):
        return Thing("data set", name, factory)
    raise ArgumentError(
        f"{name} is {factory!r}, no class of test problems, data sets or optimizers that is known "
        "by its methods. Call deepobs_testing.check_testproblem or check_dataset on it."
    )


def _loads_data(factory: type) -> bool:
    return "drop_remainder" in inspect.signature(factory).parameters
