"""What only the main script or notebook defines: workers get it with the run, by value."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs.plugins.catalog import import_target
from deepobs.runs.optimizers import find_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.records import RunSpecification

MAIN = "__main__"
_NAMED = re.compile(rf'"{MAIN}:([^".]+)')


def is_sent_along(specification: RunSpecification) -> bool:
    """Whether the optimizer's class is of the main module."""
    return specification.optimizer_target.startswith(f"{MAIN}:")


def definitions_of(specification: RunSpecification) -> dict[str, Any]:
    """The objects of the main module that a run needs, by the name that each has there.

    Raises:
        ArgumentError: A class was redefined since, or is defined inside a function.
    """
    target = specification.optimizer_target
    if "<locals>" in target:
        raise ArgumentError(
            f"{target} is defined inside a function, where no run can import it. Define the class "
            "at the top level of the script, the notebook or a module."
        )
    # Compared here, not by the worker: what is sent along is always the code of this process.
    source = specification.optimizer_source
    if is_sent_along(specification) and find_optimizer(target).source != source:
        raise ArgumentError(
            f"The code of {target} has changed since the run was planned. Plan the run again."
        )
    names = dict.fromkeys(_NAMED.findall(specification.model_dump_json()))
    return {name: import_target(f"{MAIN}:{name}", "The class") for name in names}


def packed(state: Mapping[str, Any]) -> bytes:
    """Pickle what holds definitions of the main module.

    Raises:
        ArgumentError: Something cannot be pickled.
    """
    import cloudpickle

    try:
        content: bytes = cloudpickle.dumps(state)
    except Exception as error:  # whatever objects of the script raise
        raise ArgumentError(
            f"What {MAIN} defines cannot be sent to other processes: {error}. Move the classes of "
            "the run into a module, or use the executor 'serial'."
        ) from error
    return content


@contextlib.contextmanager
def defined_in_main(definitions: Mapping[str, Any]) -> Iterator[None]:
    """Let import strings of the main module lead to these objects while the block lasts."""
    namespace = vars(sys.modules[MAIN])
    before = {name: namespace[name] for name in definitions if name in namespace}
    namespace.update(definitions)
    try:
        yield
    finally:
        # Another sweep may send another class of this name.
        for name in definitions:
            del namespace[name]
        namespace.update(before)
