"""An optimizer under examination."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from deepobs.runs.optimizer_checks import (
    TinyProblem,
    check_joint,
    complete_hyperparameters,
    infer_needs,
)
from deepobs.runs.optimizers import (
    OPTIMIZER,
    OTHERS,
    Groups,
    OptimizerChoice,
    construct,
    find_optimizer,
    first_argument_of,
)
from deepobs.runs.training import Trainer
from deepobs_testing._execution import Memo, summary_of
from deepobs_testing._process import SEED
from deepobs_testing._report import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from deepobs.runs.optimizer_checks import Needs
    from deepobs_testing._targets import Target


_MATRICES_ONLY: Groups = {"hidden": {}, OTHERS: {OPTIMIZER: "AdamW"}}
"""How a user trains with an optimizer that takes nothing but hidden matrices."""


class Subject:
    """An optimizer under examination.

    Args:
        target: What to check.
        hyperparameters: Arguments of its constructor by name, where it has no defaults for them.

    Attributes:
        name: What reports call it.
        spec: Its description, `None` where it has none.
        memo: Work that several checks share.
        given: The hyperparameters to check it with.
    """

    def __init__(self, target: Target, *, hyperparameters: dict[str, Any]) -> None:
        self.target = target
        self.name = target.name
        self.spec = target.spec
        self.memo = Memo()
        self.given = hyperparameters

    @property
    def choice(self) -> OptimizerChoice:
        """Its class, and what a run has to know about it."""
        by_name = self.target.offer and self.target.offer.qualified_name
        return self.memo(
            "its_target_can_be_imported", lambda: find_optimizer(by_name or self.target.factory)
        )

    @property
    def optimizer_class(self) -> type[torch.optim.Optimizer]:
        """Its class."""
        return self.choice.optimizer_class

    @property
    def arguments(self) -> tuple[dict[str, Any], Groups]:
        """Its hyperparameters, and the groups of parameters that it cannot do without."""
        return self.memo("it_can_be_built", self._checked_arguments)

    @property
    def needs(self) -> Needs:
        """What it needs of the training loop."""
        hyperparameters, groups = self.arguments

        def find() -> Needs:
            needs = infer_needs(self.choice, hyperparameters, groups)
            check_joint(needs, groups)
            return needs

        return self.memo("what_it_needs_is_found_out", find)

    def _checked_arguments(self) -> tuple[dict[str, Any], Groups]:
        choice = self.choice
        self._refuse_what_reads_its_parameters_twice()
        hyperparameters, groups = complete_hyperparameters(choice, self.given)
        needs = {"model"} & {first_argument_of(choice.optimizer_class)}
        try:
            construct(
                choice.optimizer_class,
                TinyProblem().model,
                hyperparameters,
                groups=groups,
                needs=needs,
            )
        except ValueError:  # some train matrices only
            if groups:
                raise
            _, groups = complete_hyperparameters(choice, self.given, _MATRICES_ONLY)
        return hyperparameters, groups

    def _refuse_what_reads_its_parameters_twice(self) -> None:
        make: Any = self.optimizer_class
        arguments = {**self.choice.defaults, **self.given}
        parameters = list(TinyProblem().model.parameters())
        try:
            make(parameters, **arguments)
        except Exception:  # it takes something else, or is refused below
            return
        try:
            make(iter(parameters), **arguments)
        except Exception as error:
            raise CheckFailedError(
                f"Built from model.parameters() it raises {summary_of(error)}, but not from a list "
                "of the parameters.",
                "model.parameters() can be read only once: begin with params = list(params).",
            ) from error

    def optimizer_of(self, model: nn.Module, **further: Any) -> torch.optim.Optimizer:
        """Build it for a model.

        Args:
            model: The model.
            further: Hyperparameters that differ.
        """
        hyperparameters, groups = self.arguments
        return construct(
            self.optimizer_class,
            model,
            {**hyperparameters, **further},
            groups=groups,
            needs=self.needs,
        )

    def training(self, problem: TinyProblem | None = None) -> Training:
        """Begin to train a tiny problem from a seed.

        Args:
            problem: The problem; `None` for a new one, always the same.
        """
        torch.manual_seed(SEED)
        if problem is None:
            problem = TinyProblem()
        return Training(problem, self.optimizer_of(problem.model), self.needs)


class Training:
    """Steps of an optimizer on a tiny problem.

    Args:
        problem: The problem.
        optimizer: An optimizer of its model's parameters.
        needs: What it needs of the training loop.

    Attributes:
        problem: The problem.
        optimizer: The optimizer.
    """

    def __init__(
        self, problem: TinyProblem, optimizer: torch.optim.Optimizer, needs: Needs
    ) -> None:
        self.problem = problem
        self.optimizer = optimizer
        self._trainer = Trainer(problem, optimizer, needs=needs)  # type: ignore[arg-type] # no data

    def take(self, steps: int) -> list[float]:
        """Take steps; the objective before each."""
        with self._trainer.training():
            return self._trainer.take_steps([self.problem.batch] * steps)

    def numbers(self) -> list[float]:
        """Where the parameters are."""
        return self.problem.numbers()

    def going_on(self, subject: Subject, carry: Callable[[Any, Any], None]) -> Training:
        """Another optimizer, built anew, that goes on from here on a copy of the model.

        Args:
            subject: What is under examination.
            carry: Called with this optimizer and the new one, to carry the state over.
        """
        problem = copy.deepcopy(self.problem)
        for parameter in problem.model.parameters():
            parameter.grad = None
        following = Training(problem, subject.optimizer_of(problem.model), subject.needs)
        carry(self.optimizer, following.optimizer)
        return following
