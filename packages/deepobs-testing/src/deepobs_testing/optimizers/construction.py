"""Building an optimizer, and what its groups of parameters hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deepobs.errors import ArgumentError
from deepobs.runs.optimizers import arguments_of, checked_class, first_argument_of
from deepobs.runs.tiny_problem import TinyProblem
from deepobs_testing.generators import SEED
from deepobs_testing.optimizers.subject import Training
from deepobs_testing.verdicts import CheckFailedError, require, skip

if TYPE_CHECKING:
    from deepobs_testing.optimizers.subject import Subject

_STEPS = 3


def its_target_can_be_imported(subject: Subject) -> None:
    """It is a class with the methods of an optimizer."""
    checked_class(subject.choice.optimizer_class)


def it_can_be_built(subject: Subject) -> None:
    """Its constructor has defaults for all that it needs, or is given it."""
    try:
        hyperparameters, _ = subject.arguments
    except ArgumentError as error:
        remedy = (
            'Give it a default, or say what to check it with: hyperparameters={"lr": 0.01}, on the '
            "command line -o lr=0.01."
        )
        raise CheckFailedError(str(error), "" if subject.given else remedy) from error
    optimizer: Any = subject.optimizer_of(TinyProblem().model)
    require(
        isinstance(optimizer.param_groups, list) and bool(optimizer.param_groups),
        f"Its param_groups is {getattr(optimizer, 'param_groups', None)!r:.100} after it was built "
        f"with {hyperparameters}; expected is a list of dictionaries.",
        "Call the constructor of torch.optim.Optimizer with the parameters and the defaults.",
    )


def what_it_needs_is_found_out(subject: Subject) -> None:
    """The way to step that it declares, or that trying finds, works."""
    needs = subject.needs
    training = subject.training()
    try:
        training.take(1)
    except Exception as error:
        raise CheckFailedError(
            f"A step in the way {' + '.join(needs) or 'plain'} raises {type(error).__name__}: "
            f"{error}.",
            "Mend the step; if it needs something else of the training loop, declare it in the "
            "description (needs=...): deepobs.plugins.specs.NEEDS lists the words.",
        ) from error


def its_groups_have_settings_of_their_own(subject: Subject) -> None:
    """A learning rate that is given to a group of parameters is used for it."""
    rate = _learning_rate(subject)
    outcomes = []
    for factor in (1.0, 0.1):
        torch.manual_seed(SEED)
        problem = TinyProblem()
        first, *others = problem.model.parameters()
        groups: list[dict[str, Any]] = [
            {"params": [first], "lr": factor * rate},
            {"params": others},
        ]
        optimizer = _of_groups(subject, groups)
        found = optimizer.param_groups[0].get("lr")
        require(
            len(optimizer.param_groups) >= 2 and found == factor * rate,
            f"Built with a group of learning rate {factor * rate:g}, its param_groups hold "
            f"{found!r} there.",
            "Pass the groups on to the constructor of torch.optim.Optimizer.",
        )
        training = Training(problem, optimizer, subject.needs)
        training.take(_STEPS)
        outcomes.append(first.detach().clone())
    require(
        not torch.equal(*outcomes),
        f"A group of parameters moves alike with the learning rates {rate:g} and {0.1 * rate:g} of "
        "its own.",
        'Read the settings from each group in step: group["lr"].',
    )


def a_schedule_can_change_its_learning_rate(subject: Subject) -> None:
    """What is put into `param_groups` before a step is used in it."""
    rate = _learning_rate(subject)
    outcomes = []
    for factor in (1.0, 0.1):
        training = subject.training()
        for group in training.optimizer.param_groups:
            require(
                "lr" in group,
                f"Its constructor takes lr, but a group of param_groups has only "
                f"{', '.join(name for name in group if name != 'params')}.",
                "Put lr among the defaults: schedulers of torch look for it in the groups.",
            )
            group["lr"] = factor * group["lr"]
        training.take(_STEPS)
        outcomes.append(training.numbers())
    require(
        outcomes[0] != outcomes[1],
        f"It moves alike whether lr in its groups is {rate:g} or {0.1 * rate:g}.",
        'Read the learning rate in step, group["lr"], and not in the constructor.',
    )


def _learning_rate(subject: Subject) -> float:
    hyperparameters, _ = subject.arguments
    if "lr" not in arguments_of(subject.optimizer_class):
        skip("Its constructor takes no learning rate lr")
    rate = hyperparameters["lr"]
    if not isinstance(rate, (int, float)) or not rate:
        skip(f"Its learning rate is {rate!r}, no number to change")
    return float(rate)


def _of_groups(subject: Subject, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    hyperparameters, roles = subject.arguments
    make: Any = subject.optimizer_class
    if roles or first_argument_of(subject.optimizer_class) != "params":
        skip("It is built from the model, of another optimizer, or of parameters of certain roles")
    try:
        optimizer: torch.optim.Optimizer = make(groups, **hyperparameters)
    except (ValueError, TypeError) as error:
        skip(f"It takes no groups of parameters: {error}")
    return optimizer
