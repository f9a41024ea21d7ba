"""The parts of a run, built from its specification: the problem and the optimizer."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from deepobs.checks import check_call
from deepobs.errors import ArgumentError, sentences
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.runs.optimizers import REFUSALS, construct, reason_of
from deepobs.runs.protocol_checks import check_can_be_set_up, check_set_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from deepobs.protocols import TestProblem
    from deepobs.records import RunSpecification

_GROUPS_HINT = (
    "Where it trains matrices only, leave the other parameters to another optimizer: "
    "--group hidden --group others:optimizer=AdamW, in Python "
    "parameter_groups={'hidden': {}, 'others': {'optimizer': 'AdamW'}}."
)


def set_up_problem(specification: RunSpecification) -> TestProblem:
    """Load the data and build the model.

    Args:
        specification: The run.

    Raises:
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set, or the problem does not know an option.
        ProtocolError: The problem lacks something without which it cannot be trained.
    """
    # Problems of others need not know the options that are not asked for.
    options: dict[str, Any] = {}
    if specification.validation_size:
        options["validation_size"] = specification.validation_size
    if specification.full_evaluation:
        options["drop_remainder"] = False
    if not specification.reshuffle:
        options["reshuffle"] = False
    problem_class = registry().problems.load(specification.testproblem)
    described = registry().problems.described(specification.testproblem)
    arguments = specification.batch_size, specification.weight_decay, specification.device
    check_call(problem_class, described, *arguments)
    _check_options(specification.testproblem, problem_class, options)
    problem: TestProblem = problem_class(*arguments, **options)
    check_can_be_set_up(problem, described)
    problem.set_up()
    check_set_up(problem)
    return problem


def build_optimizer(
    specification: RunSpecification,
    problem: TestProblem,
    optimizer_class: type[torch.optim.Optimizer] | None = None,
) -> torch.optim.Optimizer:
    """Build the optimizer of a problem's model.

    Args:
        specification: The run.
        problem: Its problem, set up.
        optimizer_class: The optimizer's class, where its import string does not lead to it.

    Raises:
        ComponentLoadError: The class cannot be imported.
        ArgumentError: The optimizer does not take this model.
    """
    if optimizer_class is None:
        optimizer_class = import_target(specification.optimizer_target, "The optimizer")
    own_roles = getattr(problem, "parameter_roles", None)
    try:
        return construct(
            optimizer_class,
            problem.model,
            specification.hyperparameters,
            groups=specification.parameter_groups,
            needs=specification.optimizer_needs,
            roles=None if own_roles is None else own_roles(),
        )
    except REFUSALS as error:
        raise ArgumentError(
            sentences(
                f"{specification.optimizer} cannot train the model of "
                f"{specification.testproblem}: {reason_of(error)}.",
                # It took a matrix of one number when it was tried.
                "" if specification.parameter_groups else _GROUPS_HINT,
            )
        ) from error


def unknown_options(problem_class: Any, options: Iterable[str]) -> list[str]:
    """Those of some options that a problem does not know: problems of others need not know any.

    Args:
        problem_class: The class of the problem.
        options: Names of arguments, such as `validation_size`.
    """
    parameters = inspect.signature(problem_class).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return []
    return sorted(set(options) - {parameter.name for parameter in parameters})


def _check_options(name: str, problem_class: Any, options: dict[str, Any]) -> None:
    unknown = unknown_options(problem_class, options)
    if unknown:
        raise ArgumentError(
            f"The test problem {name} does not know {unknown[0]}={options[unknown[0]]!r}, which is "
            "optional for problems of others. Leave it at its default."
        )
