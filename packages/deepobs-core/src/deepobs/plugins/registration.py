"""Registering one's own classes under short names, for this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.checks import shown
from deepobs.errors import ArgumentError
from deepobs.plugins.own_classes import own_spec, spec_type_of
from deepobs.plugins.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs.plugins.catalog import Catalog
    from deepobs.plugins.specs import TargetSpec


def register(component: type, name: str = "", **description: Any) -> None:
    """Give a class of your own a short name in this process, as installed plugins have one.

    The name then works wherever that of a problem, a data set or an optimizer does: in runs,
    experiments, tuning, and in the facade. Worker processes of this machine and of a cluster learn
    of it. Registering the name again replaces the class. A command, which is another process, knows
    nothing of it: there the class is named as `package.module:Class`.

    Args:
        component: A test problem, a data set or an optimizer, recognized by its methods.
        name: The name; by default that of its attribute `spec`, or of the class.
        **description: Values of its `ProblemSpec`, `DatasetSpec` or `OptimizerSpec`, such as
            `batch_size=100`, besides or in place of those of its attribute `spec`.

    Raises:
        ArgumentError: It is no such class, an installed plugin has the name, or a value is missing
            or wrong.
    """
    spec_type = spec_type_of(component)
    if spec_type is None:
        raise ArgumentError(
            "A class to register must be one of a test problem, a data set or an optimizer; got "
            f"{shown(component)}."
        )
    if name:
        description["name"] = name
    spec = own_spec(spec_type, component, **description)
    _catalog_of(spec).register(spec, component)


def registered() -> tuple[TargetSpec, ...]:
    """The descriptions of all that was registered in this process."""
    return tuple(spec for catalog in registry().catalogs() for spec in catalog.registered())


def register_again(specs: Iterable[TargetSpec]) -> None:
    """Register what another process registered; its classes are imported when they are used."""
    for spec in specs:
        _catalog_of(spec).register(spec)


def _catalog_of(spec: TargetSpec) -> Catalog[Any]:
    return next(one for one in registry().catalogs() if one.spec_type is type(spec))
