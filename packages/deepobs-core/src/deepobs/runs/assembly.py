"""The problem and the optimizer of a run, built from its specification and checked."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from torch import nn

from deepobs.checks import check_call
from deepobs.errors import ArgumentError, ProtocolError, sentences
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.plugins.provenance import protocol_error
from deepobs.runs.construction import construct
from deepobs.runs.optimizers import REFUSALS, reason_of
from deepobs.runs.step_hints import GROUPS_HINT

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from deepobs.protocols import TestProblem
    from deepobs.run_specifications import RunSpecification

PROBLEM_METHODS = (
    "set_up",
    "get_batch_loss_and_accuracy",
    "get_regularization_loss",
    "parameter_groups",
)
"""The methods that every test problem has."""

_LOADERS = ("train_loader", "train_eval_loader", "test_loader")


def set_up_problem(specification: RunSpecification) -> TestProblem:
    """Load the data and build the model.

    Args:
        specification: The run.

    Raises:
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set, or the problem lacks an option.
        ProtocolError: The problem lacks something without which it cannot be trained.
    """
    name = specification.testproblem
    offer = registry().problems.offer(name)
    problem_class: Any = registry().problems.load(offer)
    arguments = specification.batch_size, specification.weight_decay, specification.device
    check_call(problem_class, offer, *arguments)
    # Only those that differ from their defaults: other packages' problems need not have them.
    options: dict[str, Any] = {}
    if specification.validation_size:
        options["validation_size"] = specification.validation_size
    if specification.full_evaluation:
        options["drop_remainder"] = False
    if not specification.reshuffle:
        options["reshuffle"] = False
    if specification.train_fraction != 1:
        options["train_fraction"] = specification.train_fraction
    for option in unknown_options(problem_class, options) if options else ():
        raise ArgumentError(
            f"The test problem {name} does not support {option}={options[option]!r}, which is "
            "optional for problems of other packages. Leave it at its default."
        )
    problem: TestProblem = problem_class(*arguments, **options)
    # Checked before the data are loaded: otherwise it would turn out in the middle of a run.
    for method in PROBLEM_METHODS:
        if not callable(getattr(problem, method, None)):
            raise ProtocolError(
                f"{offer} has no method {method}. A test problem must have "
                f"{', '.join(PROBLEM_METHODS)}."
            )
    problem.set_up()
    _check_set_up(problem)
    if options or specification.bn_recalibration:
        from deepobs.runs.ignored_options import refuse_ignored_options

        refuse_ignored_options(specification, problem)
    if specification.step_options:
        from deepobs.runs.model_options import prepare_model

        prepare_model(problem, specification)
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
        optimizer_class: The optimizer's class, if its import string does not lead to it.

    Raises:
        ComponentLoadError: The class cannot be imported.
        ArgumentError: The optimizer does not take this model.
    """
    if optimizer_class is None:
        optimizer_class = import_target(specification.optimizer_target, "The optimizer")
    groups = specification.parameter_groups
    own_roles = getattr(problem, "parameter_roles", None) if groups else None
    try:
        return construct(
            optimizer_class,
            problem.model,
            specification.hyperparameters,
            groups=groups,
            needs=specification.optimizer_needs,
            roles=None if own_roles is None else own_roles(),
        )
    except REFUSALS as error:
        is_of_model = {"model", "named_parameters"} & set(specification.optimizer_needs)
        raise ArgumentError(
            sentences(
                f"{specification.optimizer} cannot train the model of "
                f"{specification.testproblem}: {reason_of(error)}.",
                # specify() tried it on a single matrix, which such an optimizer takes.
                "" if groups or is_of_model else GROUPS_HINT,
            )
        ) from error


def unknown_options(problem_class: Any, options: Iterable[str]) -> list[str]:
    """The options that a problem does not have; those of other packages need not have any.

    Args:
        problem_class: The class of the problem.
        options: Names of arguments, such as `validation_size`.
    """
    parameters = inspect.signature(problem_class).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return []
    return sorted(set(options) - {parameter.name for parameter in parameters})


def _check_set_up(problem: TestProblem) -> None:
    """Refuse a problem without a model, parameters to train, or batches."""
    model = getattr(problem, "model", None)
    if not isinstance(model, nn.Module):
        raise protocol_error(
            problem, f"has the model {model!r}", "set_up must make a torch.nn.Module"
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        what = f"has a model without a parameter to train, {type(model).__name__}"
        raise protocol_error(problem, what, "At least one must require a gradient")
    dataset: Any = getattr(problem, "dataset", None)
    missing = [name for name in _LOADERS if not hasattr(getattr(dataset, name, None), "__iter__")]
    if missing:
        what = f"has no iterable {missing[0]}"
        raise protocol_error(
            dataset or problem, what, f"A data set must have {', '.join(_LOADERS)}"
        )
    for split in ("train", "train_eval", "valid", "test"):
        loader = getattr(dataset, f"{split}_loader")
        if loader is not None and len(loader) < 1:
            what = f"has no batch in its {split} split at batch_size={dataset.batch_size}"
            raise protocol_error(dataset, what, "Choose a smaller batch_size")
