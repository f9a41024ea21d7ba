"""Gradients other than those of a plain backward pass: accumulated, scaled, clipped, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm

from deepobs.errors import ArgumentError
from deepobs.plugins.provenance import described
from deepobs.problems import Problem, split_batch
from deepobs.protocols import CarriesState
from deepobs.runs.evaluation import weight_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepobs.protocols import Batch, TestProblem
    from deepobs.run_specifications import RunSpecification


class Gradients:
    """Computes the gradients of the objective on a batch, as the options of a run ask for.

    Args:
        specification: The run.
        problem: Its problem, after `set_up`.
        optimizer: Its optimizer, or another one of the same model.
        loss: The mean loss of a batch, without the regularizer.
        is_regularized: Whether the problem has a regularizer.
        backward: Differentiates a scalar.

    Attributes:
        scaler: Scales objectives so that their gradients fit into float16; `None` for other types.
        skipped_steps: Steps that were skipped since a gradient was not finite.
    """

    def __init__(
        self,
        specification: RunSpecification,
        problem: TestProblem,
        optimizer: torch.optim.Optimizer,
        *,
        loss: Callable[[Batch], Tensor],
        is_regularized: bool,
        backward: Callable[[Tensor], None],
    ) -> None:
        self.skipped_steps = 0
        self.scaler: torch.amp.GradScaler | None = None
        self._parts = specification.accumulate
        self._clip_norm, self._clip_value = specification.clip_norm, specification.clip_value
        self._interval = specification.train_log_interval
        is_logged = specification.log_gradient_norm or self._clip_norm is not None
        self._norms: list[Tensor] | None = [] if is_logged else None
        self._steps_of_pass = 0
        self._problem, self._optimizer = problem, optimizer
        self._loss, self._is_regularized, self._backward = loss, is_regularized, backward
        self._weigh = weight_of(problem)
        self._split = _splitter(problem) if self._parts > 1 else None
        if specification.precision == "fp16":
            if not hasattr(optimizer, "param_groups"):
                raise ArgumentError(
                    f"{type(optimizer).__name__} has no param_groups, by which gradients in "
                    "float16 are scaled. Choose precision=bf16, or leave it out."
                )
            self.scaler = torch.amp.GradScaler(torch.device(specification.device).type)
            self._backward = self._backward_scaled

    def __call__(self, batch: Batch) -> Tensor:
        """Add the gradients of the objective to those of the parameters, then clip all of them.

        Args:
            batch: The batch.

        Returns:
            The objective, of shape ().
        """
        if self._split is None:
            objective = self.objective(batch)
            self._backward(objective)
        else:
            objective = self._accumulated(self._split(batch, self._parts))
        if self.scaler is not None:
            self.scaler.unscale_(self._optimizer)
        self._clip_and_record()
        return objective

    def objective(self, batch: Batch) -> Tensor:
        """The objective on a batch, for which its micro-batches are evaluated one by one."""
        if self._split is None:
            loss = self._loss(batch)
        else:
            parts = self._split(batch, self._parts)
            loss = torch.stack([self._loss(part) * share for part, share in self._shares(parts)])
            loss = loss.sum()
        return loss + self._problem.get_regularization_loss() if self._is_regularized else loss

    def step(self) -> None:
        """Take a step with scaled gradients, or skip it if one of them is not finite."""
        assert self.scaler is not None  # noqa: S101 # else the optimizer is called itself
        before = self.scaler.get_scale()
        self.scaler.step(self._optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < before:
            self.skipped_steps += 1
            # Schedulers of torch, which count this step, would warn that none was taken.
            self._optimizer._opt_called = True  # type: ignore[attr-defined] # set by them

    def end_step(self) -> None:
        """Count a step of the pass."""
        self._steps_of_pass += 1

    def end_pass(self) -> list[float]:
        """The norms of gradients at every `train_log_interval`-th step of a pass that ends."""
        norms, self._steps_of_pass = self._norms, 0
        if not norms:
            return []
        self._norms = []
        return torch.stack(norms).tolist()

    @property
    def latest_norm(self) -> float | None:
        """The norm that was recorded last in this pass, for which it waits; `None` for none."""
        return float(self._norms[-1]) if self._norms else None

    def state_dict(self) -> dict[str, Any]:
        """Return what further steps depend on, and what was measured in this pass."""
        return {
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "skipped_steps": self.skipped_steps,
            "steps_of_pass": self._steps_of_pass,
            "norms": torch.stack(self._norms).tolist() if self._norms else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.skipped_steps = state["skipped_steps"]
        self._steps_of_pass = state["steps_of_pass"]
        if self._norms is not None:
            device = next(self._problem.model.parameters()).device
            self._norms = list(torch.tensor(state["norms"], device=device))

    def _accumulated(self, parts: list[Batch]) -> Tensor:
        objective: Tensor | float = 0.0
        for part, share in self._shares(parts):
            # Differentiated one by one, so that only one graph is in memory at a time.
            loss = self._loss(part) * share
            self._backward(loss)
            objective = objective + loss.detach()
        if self._is_regularized:
            regularizer = self._problem.get_regularization_loss()
            self._backward(regularizer)
            objective = objective + regularizer.detach()
        assert isinstance(objective, Tensor)  # noqa: S101 # a batch has at least one example
        return objective

    def _shares(self, parts: list[Batch]) -> Iterable[tuple[Batch, float]]:
        """Micro-batches with their shares in the mean, which is not over examples in every case."""
        weighed = [(part, self._weigh(part)) for part in parts]
        total = sum(weight for _, weight in weighed)
        # One in which nothing counts, such as padding alone, has a loss of 0/0.
        return [(part, weight / total) for part, weight in weighed if weight]

    def _backward_scaled(self, objective: Tensor) -> None:
        assert self.scaler is not None  # noqa: S101 # else this is not called
        self.scaler.scale(objective).backward()  # type: ignore[no-untyped-call]

    def _clip_and_record(self) -> None:
        parameters = [one for one in self._trained() if one.grad is not None]
        norm = None
        if self._clip_norm is not None:
            norm = clip_grad_norm_(parameters, self._clip_norm)
        elif self._is_norm_due():
            norm = get_total_norm([one.grad for one in parameters if one.grad is not None])
        if self._clip_value is not None:
            clip_grad_value_(parameters, self._clip_value)
        if norm is not None and self._norms is not None and self._is_norm_due():
            self._norms.append(norm.detach())

    def _is_norm_due(self) -> bool:
        """Whether the norm of this step is to be recorded, and is not yet."""
        if self._norms is None or self._steps_of_pass % self._interval:
            return False
        return len(self._norms) == self._steps_of_pass // self._interval

    def _trained(self) -> Iterable[Tensor]:
        # Those of the optimizer: nobody sets gradients of others back, which grow in every step.
        groups = getattr(self._optimizer, "param_groups", None)
        if not groups:
            return self._problem.model.parameters()
        return (parameter for group in groups for parameter in group["params"])


def _splitter(problem: TestProblem) -> Callable[[Batch, int], list[Batch]]:
    """What splits the batches of a problem into micro-batches."""
    own = getattr(problem, "split_batch", None)
    is_general = own is None or getattr(type(problem), "split_batch", 0) is Problem.split_batch
    if is_general and isinstance(problem, CarriesState):
        raise ArgumentError(
            f"{described(problem)} carries a state from batch to batch, and has no method "
            "split_batch that says how micro-batches continue from each other. Leave accumulate "
            "out, or add the method."
        )
    return split_batch if own is None else own
