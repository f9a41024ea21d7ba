"""How one class serves many registered names."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from deepobs.plugins.specs import Spec

ClassT = TypeVar("ClassT")


def bound(target: type[ClassT], spec: Spec, module: str) -> type[ClassT]:
    """Make the subclass that stands for one description.

    It calls itself by the name under which a module of the facade has it, so that its instances can
    be pickled.

    Args:
        target: The class that the description names.
        spec: The description, which becomes the attribute `spec`.
        module: The module of the facade.
    """
    namespace = {
        "spec": spec,
        "__doc__": f"{spec.summary}\n\n{target.__doc__}",
        "__module__": module,
        "__qualname__": spec.name,
    }
    return type(spec.name, (target,), namespace)
