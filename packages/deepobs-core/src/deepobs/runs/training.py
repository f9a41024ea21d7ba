"""Training: optimization steps, each taken the way that the optimizer needs it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any

import torch

from deepobs.errors import ArgumentError
from deepobs.problems import Problem
from deepobs.runs.running_statistics import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from torch import Tensor

    from deepobs.protocols import Batch, TestProblem
    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.gradients import Gradients

    Step = Callable[[Batch], Tensor]
    """Takes a step on a batch; returns the objective before it, detached, of shape ()."""

STEPS_BETWEEN_REPORTS = 100
"""Steps from one synchronization with the device to the next."""


class Trainer:
    """Takes steps on the objective, the mean loss of a batch plus the regularizer.

    The kind of step is chosen once, before training: a decision inside a step would cost time in
    every one of them.

    Args:
        problem: A problem after `set_up`.
        optimizer: An optimizer of its model's parameters. One that has modes stays in evaluation
            mode from now on, except while `training`.
        needs: What the optimizer needs, words of `NEEDS`.
        after_step: Called after each step; `None` for nothing.
        specification: The run, for its options of how steps are computed; `None` for plain steps.

    Attributes:
        steps: Steps taken so far.
        gradient_evaluations: Gradients of the objective computed so far. Products with its Hessian
            are not counted.
        gradients: Computes gradients in another way than by a plain backward pass; `None` where the
            run does not ask for that.
    """

    def __init__(
        self,
        problem: TestProblem,
        optimizer: torch.optim.Optimizer,
        *,
        needs: Collection[str] = (),
        after_step: Callable[[], object] | None = None,
        specification: RunSpecification | None = None,
    ) -> None:
        self.steps = 0
        self.gradient_evaluations = 0
        self._problem = problem
        self._optimizer: Any = optimizer  # the arguments of its step depend on the needs
        arguments = inspect.signature(optimizer.step).parameters
        self._loss_argument = next((name for name in ("loss", "losses") if name in arguments), None)
        self._starts_with_gradients = "gradients" in needs
        methods = {word.split(":")[0]: word.split(":")[1:] for word in needs if ":" in word}
        self._context: Callable[[], contextlib.AbstractContextManager[object]]
        self._context = contextlib.nullcontext
        if "context" in methods:
            self._context = _context_of(optimizer, methods["context"][0])
        reduction = "none" if "per_example_losses" in needs else "mean"
        self._loss: Step
        if isinstance(problem, Problem):  # it can omit the accuracy
            self._loss = functools.partial(problem.get_batch_loss, reduction=reduction)
        else:
            evaluate = problem.get_batch_loss_and_accuracy
            self._loss = lambda batch: evaluate(batch, reduction=reduction)[0]
        # A regularizer without a gradient is constant: adding it would only cost time.
        self._is_regularized = problem.get_regularization_loss().requires_grad
        step = self._plain_step
        if "closure" in needs:
            step = self._closure_step
        elif {"loss", "per_example_losses"} & set(needs):
            step = self._loss_step
        elif "create_graph" in needs or methods:
            step = self._general_step
        self._objective: Step = self.objective
        self._differentiated: Step = self._objective_differentiated
        self._differentiate = self._backward
        actions: list[Callable[[], object]] = []
        if "hook" in methods:
            name, period = methods["hook"]
            self._hook, self._period = _method_of(optimizer, name), int(period)
            self._steps_with_hook = 0
            actions.append(self._call_hook)
        if {"backward", "per_example_losses"} & set(needs):
            self._differentiate = self._leave_to_optimizer
        elif "create_graph" in needs:
            self._differentiate = self._backward_with_graph
            silence_reference_cycles()
            actions.append(self._release_graphs)
        self.gradients: Gradients | None = None
        if specification is not None and specification.has_gradient_options:
            self.gradients = self._gradients_of(specification, "create_graph" in needs)
            self._objective, self._differentiated = self.gradients.objective, self._with_options
            step = self._general_step if step == self._plain_step else step
            step = step if self.gradients.scaler is None else self._scaled_step
            actions.append(self.gradients.end_step)
        if after_step is not None:
            actions.append(after_step)
        self._step = _followed_by(actions, step) if actions else step
        self._weights_in_training: list[Tensor] = []
        self._has_modes = "mode" in needs
        if self._has_modes:
            _start_in_evaluation_mode(optimizer)

    def train_epoch(
        self, batches: Iterable[Batch], objectives: list[float], *, pauses: bool = False
    ) -> Iterator[float]:
        """Take a step on each batch of a pass, or of the rest of one.

        It ends early, at or soon after the first objective that is not finite: the rest of the pass
        would be wasted.

        Args:
            batches: The batches.
            objectives: The objective before each earlier step of the pass; those of further steps
                are added.
            pauses: Whether the pass goes on after an evaluation.

        Yields:
            The latest objective, at every synchronization with the device.
        """
        rest = iter(batches)
        with self.training():
            # Reading an objective waits for the device. Done after every step, it would keep an
            # accelerator from working ahead; never done, nobody would notice divergence.
            while all(map(math.isfinite, objectives[-STEPS_BETWEEN_REPORTS:])) and (
                block := self.take_steps(itertools.islice(rest, STEPS_BETWEEN_REPORTS))
            ):
                objectives += block
                yield block[-1]
            if pauses and self._has_modes:
                self._keep_weights()

    @property
    def optimizer_in_training(self) -> object:
        """The optimizer, on behalf of which an error in a step is raised."""
        return self._optimizer

    @property
    def skipped_steps(self) -> int | None:
        """Steps whose gradients were not finite; `None` where that is not noticed."""
        gradients = self.gradients
        return None if gradients is None or gradients.scaler is None else gradients.skipped_steps

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Put the model, and an optimizer that has modes, in training mode.

        Afterwards such an optimizer is back in evaluation mode: the model then holds the weights to
        evaluate, such as averages of those that were trained.
        """
        self._problem.model.train()
        if self._has_modes:
            self._optimizer.train()
            if self._weights_in_training:
                self._put_weights_back()
        yield
        if self._has_modes:
            self._optimizer.eval()

    def take_steps(self, batches: Iterable[Batch]) -> list[float]:
        """Take a step on each batch, in the present mode of model and optimizer.

        Args:
            batches: Any number of batches.

        Returns:
            The objective before each step, for which it waits until the device is done.
        """
        # `map` releases a batch before it asks for the next one, which then reuses memory that is
        # still in cache; the variable of a loop would keep the batch alive.
        objectives = list(map(self._step, batches))
        self.steps += len(objectives)
        return torch.stack(objectives).tolist() if objectives else []

    def _keep_weights(self) -> None:
        # Such an optimizer computes one kind of weights from the other: there and back again, they
        # are rounded, and training would depend on how often it is evaluated.
        parameters = self._problem.model.parameters()
        self._weights_in_training = [parameter.detach().clone() for parameter in parameters]

    def _put_weights_back(self) -> None:
        kept = zip(self._problem.model.parameters(), self._weights_in_training, strict=True)
        with torch.no_grad():
            for parameter, weights in kept:
                parameter.copy_(weights)
        self._weights_in_training = []

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, and the state of `gradients`."""
        state = {"steps": self.steps, "gradient_evaluations": self.gradient_evaluations}
        if self.gradients is None:
            return state
        return {**state, "gradients": self.gradients.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        if self.gradients is not None:
            self.gradients.load_state_dict(state["gradients"])
        self.steps = state["steps"]
        self.gradient_evaluations = state["gradient_evaluations"]
        self._steps_with_hook = self.steps

    def _plain_step(self, batch: Batch) -> Tensor:
        # Before the forward pass, so that old gradients are freed when activations need the memory.
        self._optimizer.zero_grad()
        objective = self._loss(batch)
        if self._is_regularized:
            objective = objective + self._problem.get_regularization_loss()
        objective.backward()  # type: ignore[no-untyped-call]
        self.gradient_evaluations += 1
        self._optimizer.step()
        return objective.detach()

    def _general_step(self, batch: Batch) -> Tensor:
        self._optimizer.zero_grad()
        with self._context():
            objective = self._differentiated(batch)
        self._optimizer.step()
        return objective.detach()

    def _scaled_step(self, batch: Batch) -> Tensor:
        assert self.gradients is not None  # noqa: S101 # else steps are not scaled
        self._optimizer.zero_grad()
        objective = self._differentiated(batch)
        self.gradients.step()
        return objective.detach()

    def _loss_step(self, batch: Batch) -> Tensor:
        self._optimizer.zero_grad()
        objective = self._differentiated(batch)  # (batch size,) for losses of each example
        if self._loss_argument is None:
            self._optimizer.step(objective)
        else:
            self._optimizer.step(**{self._loss_argument: objective})
        return objective.detach().mean()

    def _closure_step(self, batch: Batch) -> Tensor:
        objectives: list[Tensor] = []
        closure = self.closure(batch, objectives)
        if self._starts_with_gradients:
            closure()
        self._optimizer.step(closure)
        if not objectives:
            raise ArgumentError(
                f"{type(self._optimizer).__name__} asks for a closure, but its step does not call "
                "it, so it cannot train. Call the closure in step, or declare other needs."
            )
        return objectives[0]

    def closure(self, batch: Batch, objectives: list[Tensor]) -> Callable[..., Tensor]:
        """The function that a step evaluates the objective with, in its way to get gradients.

        Line searches ask for the value alone by an argument, as in `closure(backward=False)`. Only
        the first call updates running statistics of the model.

        Args:
            batch: The batch.
            objectives: Every objective that it returns is added, detached.
        """

        def closure(*positional: object, **named: object) -> Tensor:
            wants_value = _asks_for_the_value(positional, named)
            if not objectives:
                objective = self._pass(batch, wants_value=wants_value, is_first=True)
            else:
                # Its weights are others than those of the step, as a rule: batch normalization
                # would evaluate with the statistics of points that are never evaluated.
                with buffers_kept(self._problem.model.modules()):
                    objective = self._pass(batch, wants_value=wants_value, is_first=False)
            objectives.append(objective.detach())
            return objective

        return closure

    def _pass(self, batch: Batch, *, wants_value: bool, is_first: bool) -> Tensor:
        if not wants_value:
            # Some optimizers call the closure without gradients.
            with torch.enable_grad(), self._context():
                self._optimizer.zero_grad()
                return self._differentiated(batch)
        # Who asks for a graph differentiates it; a line search without one may still use the
        # gradients of its direction.
        if is_first or torch.is_grad_enabled():
            self._optimizer.zero_grad()
        with self._context():
            objective = self._objective(batch)
        self._leave_to_optimizer(objective)
        return objective

    def objective(self, batch: Batch) -> Tensor:
        """The objective on a batch, with its graph."""
        objective = self._loss(batch)
        if self._is_regularized:
            objective = objective + self._problem.get_regularization_loss()
        return objective

    def _objective_differentiated(self, batch: Batch) -> Tensor:
        objective = self._objective(batch)
        self._differentiate(objective)
        return objective

    def _gradients_of(self, specification: RunSpecification, with_graph: bool) -> Gradients:
        from deepobs.runs.gradients import Gradients

        return Gradients(
            specification,
            self._problem,
            self._optimizer,
            loss=self._loss,
            is_regularized=self._is_regularized,
            backward=functools.partial(torch.Tensor.backward, create_graph=with_graph),
        )

    def _with_options(self, batch: Batch) -> Tensor:
        assert self.gradients is not None  # noqa: S101 # else this is not called
        objective = self.gradients(batch)
        self.gradient_evaluations += 1
        return objective

    def _backward(self, objective: Tensor) -> None:
        objective.backward()  # type: ignore[no-untyped-call]
        self.gradient_evaluations += 1

    def _backward_with_graph(self, objective: Tensor) -> None:
        objective.backward(create_graph=True)  # type: ignore[no-untyped-call]
        self.gradient_evaluations += 1

    def _call_hook(self) -> None:
        self._steps_with_hook += 1
        if self._steps_with_hook % self._period == 0:
            self._hook()

    def _release_graphs(self) -> None:
        """Clear gradients, which would keep all activations alive until the next step."""
        self._optimizer.zero_grad()
        # Also those of parameters that the optimizer does not have: each further gradient would be
        # added to them, with its graph.
        for parameter in self._problem.model.parameters():
            if parameter.grad is not None and parameter.grad.grad_fn is not None:
                parameter.grad = None

    def _leave_to_optimizer(self, objective: Tensor) -> None:
        """Count the gradients that the optimizer computes from the objective itself."""
        if objective.requires_grad:
            objective.register_hook(self._count)  # type: ignore[no-untyped-call]

    def _count(self, _gradient: Tensor) -> None:
        self.gradient_evaluations += 1


def _asks_for_the_value(positional: tuple[object, ...], named: dict[str, object]) -> bool:
    """Whether the arguments of a call of the closure say that it is to compute no gradients."""
    if positional and positional[0] is False:
        return True
    for name, value in named.items():
        if name.startswith(("no_", "skip_")) or name.endswith("_only"):
            if value is True:
                return True
        elif ("backward" in name or "grad" in name) and value is False:
            return True
    return False


def _method_of(optimizer: object, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] | None = getattr(optimizer, name, None)
    if not callable(method):
        raise ArgumentError(f"{type(optimizer).__name__} has no method {name} to call in training.")
    return method


def _context_of(
    optimizer: object, name: str
) -> Callable[[], contextlib.AbstractContextManager[object]]:
    """The context of a method, which may distinguish training from evaluation."""
    method = _method_of(optimizer, name)
    arguments = inspect.signature(method).parameters
    return functools.partial(
        method, **dict.fromkeys({"train", "training"} & arguments.keys(), True)
    )


def _followed_by(actions: Sequence[Callable[[], object]], step: Step) -> Step:
    def step_and_actions(batch: Batch) -> Tensor:
        objective = step(batch)
        for action in actions:
            action()
        return objective

    return step_and_actions


@functools.cache
def silence_reference_cycles() -> None:
    """Let torch warn in vain of what `_release_graphs` removes: it does so once per process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = torch.ones((), device="cpu", requires_grad=True)
        one.backward(create_graph=True)  # type: ignore[no-untyped-call]
        one.grad = None


def _start_in_evaluation_mode(optimizer: Any) -> None:
    """Put an optimizer in evaluation mode before its first step.

    Some have nothing to evaluate by then, and fail: they are left as they were.
    """
    kept = getattr(optimizer, "state", {})  # some that wrap another one have none
    before = {key: dict(state) for key, state in kept.items()}
    try:
        optimizer.eval()
    except LookupError:
        kept.clear()
        kept.update(before)
