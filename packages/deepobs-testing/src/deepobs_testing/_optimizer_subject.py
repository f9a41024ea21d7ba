"""The optimizer under examination, and steps of it on a tiny problem."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from deepobs.runs.construction import construct
from deepobs.runs.constructors import building_needs
from deepobs.runs.optimizer_checks import complete_hyperparameters
from deepobs.runs.optimizer_trials import TinyProblem
from deepobs.runs.optimizers import (
    OPTIMIZER,
    OTHERS,
    Groups,
    OptimizerChoice,
    find_optimizer,
)
from deepobs.runs.step_protocols import Detection, check_joint, detect
from deepobs.runs.training import Trainer
from deepobs_testing._execution import Memo, summary_of
from deepobs_testing._process import SEED
from deepobs_testing._report import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from deepobs.runs.optimizers import Needs
    from deepobs_testing._targets import Target

# How users train with an optimizer that takes hidden matrices only.
_MATRICES_ONLY: Groups = {"hidden": {}, OTHERS: {OPTIMIZER: "AdamW"}}


class Subject:
    """An optimizer under examination.

    Attributes:
        spec: Its description, `None` if it has none.
        memo: Results that several checks share.
        given: The hyperparameters that are given.
    """

    def __init__(self, target: Target, *, hyperparameters: dict[str, Any]) -> None:
        self.target = target
        self.spec = target.spec
        self.memo = Memo()
        self.given = hyperparameters

    @property
    def choice(self) -> OptimizerChoice:
        """Its class, and what a run needs to know about it."""
        offer = self.target.offer
        name = self.target.factory if offer is None else offer.qualified_name
        return self.memo("its_target_can_be_imported", lambda: find_optimizer(name))

    @property
    def optimizer_class(self) -> type[torch.optim.Optimizer]:
        """Its class."""
        return self.choice.optimizer_class

    @property
    def arguments(self) -> tuple[dict[str, Any], Groups]:
        """Its hyperparameters, and the parameter groups that it requires."""
        return self.memo("it_can_be_built", self._checked_arguments)

    @property
    def needs(self) -> Needs:
        """The step protocol."""
        return self.detection.needs

    @property
    def detection(self) -> Detection:
        """The step protocol, and how it was found."""
        hyperparameters, groups = self.arguments

        def find() -> Detection:
            detection = detect(self.choice, hyperparameters, groups)
            check_joint(detection.needs, groups)
            return detection

        return self.memo("its_step_protocol_works", find)

    def _checked_arguments(self) -> tuple[dict[str, Any], Groups]:
        choice = self.choice
        hyperparameters, groups = complete_hyperparameters(choice, self.given)
        # The other needs are unknown until steps are tried, for which it must have been built.
        needs = building_needs(choice.optimizer_class)
        try:
            construct(
                choice.optimizer_class,
                TinyProblem().model,
                hyperparameters,
                groups=groups,
                needs=needs,
            )
        except ValueError:  # some, such as Muon, train matrices only
            if groups:
                raise
            _, groups = complete_hyperparameters(choice, self.given, _MATRICES_ONLY)
        return hyperparameters, groups

    def require_one_pass_over_parameters(self) -> None:
        """Fail the check if it reads its parameters twice, which loops often give once."""
        make: Any = self.optimizer_class
        arguments = {**self.choice.defaults, **self.given}
        parameters = list(TinyProblem().model.parameters())
        # First from a list: only what fails from an iterator alone reads its parameters twice.
        try:
            make(parameters, **arguments)
        except Exception:  # it takes something else, or fails in a check of its own
            return
        try:
            make(iter(parameters), **arguments)
        except Exception as error:
            raise CheckFailedError(
                f"Built from model.parameters() it raises {summary_of(error)}, but not from a list "
                "of the parameters.",
                "model.parameters() can be read only once: start with params = list(params).",
            ) from error

    def optimizer_of(self, model: nn.Module) -> torch.optim.Optimizer:
        """Build it for a model."""
        hyperparameters, groups = self.arguments
        return construct(
            self.optimizer_class, model, hyperparameters, groups=groups, needs=self.needs
        )

    def training(self, problem: TinyProblem | None = None) -> Training:
        """Start to train a tiny problem, by default a new one that is always the same."""
        torch.manual_seed(SEED)
        if problem is None:
            problem = TinyProblem()
        return Training(problem, self.optimizer_of(problem.model), self.needs)


class Training:
    """Steps of an optimizer on a tiny problem."""

    def __init__(
        self, problem: TinyProblem, optimizer: torch.optim.Optimizer, needs: Needs
    ) -> None:
        self.problem = problem
        self.optimizer = optimizer
        self._trainer = Trainer(problem, optimizer, needs=needs)  # type: ignore[arg-type] # no data

    def take(self, steps: int) -> list[float]:
        """Take steps, and return the objective before each."""
        with self._trainer.training():
            return self._trainer.take_steps([self.problem.batch] * steps)

    def closure(self, objectives: list[Tensor]) -> Callable[..., Tensor]:
        """A closure as runs give to steps, which adds to a list what it returns."""
        return self._trainer.closure(self.problem.batch, objectives)

    def numbers(self) -> list[float]:
        """The values of all parameters."""
        return self.problem.numbers()

    def resumed(self, subject: Subject, carry: Callable[[Any, Any], None]) -> Training:
        """A training with a new optimizer on a copy of the model.

        `carry` is called with this training and the new one, to transfer the optimizer's state.
        """
        problem = copy.deepcopy(self.problem)
        # A resumed run starts without gradients, too, so an optimizer must not rely on the last.
        for parameter in problem.model.parameters():
            parameter.grad = None
        resumed = Training(problem, subject.optimizer_of(problem.model), subject.needs)
        carry(self, resumed)
        return resumed
