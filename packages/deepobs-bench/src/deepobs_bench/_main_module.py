"""What only the main script or notebook defines: workers get it with the run, by value."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, DeepOBSError
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.runs.optimizers import find_optimizer
from deepobs.runs.own_code import code_of_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.run_specifications import RunSpecification

MAIN = "__main__"
_NAMED = re.compile(rf'"{MAIN}:([^".]+)')


def changed_code(specification: RunSpecification, *, in_main: bool) -> Iterator[str]:
    """The classes whose code is not that with which the run was planned.

    Args:
        specification: The run.
        in_main: Whether to compare the classes of the main module, or those of others.
    """
    target, source = specification.optimizer_target, specification.optimizer_source
    if source and _is_in_main(target) is in_main and find_optimizer(target).source != source:
        yield target
    planned = {part: specification.code.get(part) for part in ("problem", "dataset")}
    if any(planned.values()) and any(map(_is_in_main, _problem(specification))) is in_main:
        here = code_of_problem(specification.testproblem)
        if any(here.get(part) != code for part, code in planned.items()):
            yield specification.testproblem


def _is_in_main(target: str) -> bool:
    return target.startswith(f"{MAIN}:")


def _problem(specification: RunSpecification) -> Iterator[str]:
    """The classes of problem and data set, for which a specification may have short names."""
    problem = registry().problems.offer(specification.testproblem).spec
    yield problem.target
    with contextlib.suppress(DeepOBSError):  # it builds one of its own
        yield registry().datasets.offer(problem.dataset).spec.target


def definitions_of(specification: RunSpecification) -> dict[str, Any]:
    """The objects of the main module that a run needs, by the name that each has there.

    Raises:
        ArgumentError: A class was redefined since, or is defined inside a function.
    """
    for target in (specification.optimizer_target, *_problem(specification)):
        if "<locals>" in target:
            raise ArgumentError(
                f"{target} is defined inside a function, where no run can import it. Define the "
                "class at the top level of the script, the notebook or a module."
            )
    # Compared here, not by the worker: what is sent along is always the code of this process.
    for target in changed_code(specification, in_main=True):
        raise ArgumentError(
            f"The code of {target} has changed since the run was planned. Plan the run again."
        )
    named = [specification.model_dump_json(), *(f'"{one}"' for one in _problem(specification))]
    names = dict.fromkeys(_NAMED.findall("".join(named)))
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
