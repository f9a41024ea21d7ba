"""Whether what a plugin brought can be called as its protocol says."""

from __future__ import annotations

import inspect
from typing import Any

from deepobs.errors import ProtocolError

_LONGEST = 60


def check_call(component_class: Any, component: str, *arguments: Any, **options: Any) -> None:
    """Refuse a class that cannot be called as its protocol says, before it is.

    Args:
        component_class: The class.
        component: What messages call it: "The test problem 'acme' of acme-obs 1.0".
        *arguments: What it will be given.
        **options: What it will be given by name.

    Raises:
        ProtocolError: It is no class, or does not take these arguments.
    """
    if not callable(component_class):
        raise ProtocolError(f"{component} is {shown(component_class)}. It must be a class.")
    try:
        inspect.signature(component_class).bind(*arguments, **options)
    except TypeError as error:
        written = ", ".join(["..."] * len(arguments) + [f"{name}=..." for name in options])
        raise ProtocolError(
            f"{component} cannot be called as {component_class.__name__}({written}): {error}. "
            "Its constructor must take these arguments."
        ) from error
    except ValueError:  # it does not tell its arguments
        return


def shown(value: object) -> str:
    """A value as messages show it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
