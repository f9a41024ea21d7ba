"""Copies of a problem's model with stacked parameters, evaluated as one batched model."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from deepobs import rng
from deepobs.errors import DeepOBSError, first_line_of
from deepobs.problems import Problem
from deepobs.runs.evaluation import (
    accuracy_of,
    evaluated_loaders,
    evaluating,
    weight_of,
    weighted_mean,
)
from deepobs.runs.running_statistics import buffers_kept, layers_with_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from deepobs.protocols import Batch, TestProblem

    Losses = Callable[[Mapping[str, Tensor], Batch], tuple[Tensor, ...]]


class PackingError(DeepOBSError):
    """Runs cannot be trained as one batched model; each can be on its own."""


class StackedModels:
    """Copies of the model of a problem, each with parameters of its own.

    Parameters that are not trained, and buffers, are shared.

    Args:
        problem: A problem after `set_up`.
        count: The number of copies.

    Attributes:
        problem: The problem. What its model computes has no effect on the copies.
        parameters: The trained parameters by name; the first dimension counts the copies.
        models: The copies as modules of their own, whose parameters are views of the stacks.
    """

    def __init__(self, problem: TestProblem, count: int) -> None:
        self.problem = problem
        trained = {n: p for n, p in problem.model.named_parameters() if p.requires_grad}
        self.parameters = {
            name: one.detach().expand(count, *one.shape).clone().requires_grad_()
            for name, one in trained.items()
        }
        self.models = [self._copy(trained, row) for row in range(count)]
        is_regularized = problem.get_regularization_loss().requires_grad
        self._objectives = _batched(
            problem, lambda batch: (_objective(problem, batch, is_regularized=is_regularized),)
        )
        self._evaluated = _batched(problem, lambda batch: _loss_and_accuracy(problem, batch))
        self._regularizers = _batched(problem, lambda _: (problem.get_regularization_loss(),))
        own = getattr(problem, "stacked_losses", None)
        if own is not None:
            losses: Losses = lambda stacks, batch: (own(stacks, batch),)  # noqa: E731
            self._evaluated = getattr(problem, "stacked_metrics", losses)
            self._objectives = self._regularized(losses) if is_regularized else losses

    def _regularized(self, losses: Losses) -> Losses:
        def objectives(parameters: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, ...]:
            return (losses(parameters, batch)[0] + self._regularizers(parameters, ())[0],)

        return objectives

    def _copy(self, trained: Mapping[str, nn.Parameter], row: int) -> nn.Module:
        model = self.problem.model
        # Whatever is in the dictionary is not copied, and tied parameters stay tied.
        known = {id(one): one for one in itertools.chain(model.parameters(), model.buffers())}
        for name, one in trained.items():
            known[id(one)] = nn.Parameter(self.parameters[name].detach()[row])
        return copy.deepcopy(model, known)

    def objectives(self, batch: Batch) -> Tensor:
        """The objectives of all copies on a batch, shape (copies,), with a graph."""
        return self._objectives(self.parameters, batch)[0]

    def gradients(self, objectives: Tensor) -> list[Tensor | None]:
        """Differentiate each objective by the parameters of its copy.

        Returns:
            A gradient for each stack; `None` for those that no objective depends on.
        """
        stacks = list(self.parameters.values())
        return list(torch.autograd.grad(objectives.sum(), stacks, allow_unused=True))

    def evaluate(self) -> tuple[list[dict[str, float]], list[float]]:
        """Measure every copy as `evaluate` does, without the regularizer.

        Returns:
            The metrics of each copy, and its regularizer.
        """
        metrics: list[dict[str, float]] = [{} for _ in self.models]
        with evaluating(self.problem):
            (regularizers,) = self._regularizers(self.parameters, ())
            for split, loader in evaluated_loaders(self.problem.dataset).items():
                self._measure(split, loader, metrics)
        return metrics, regularizers.tolist()

    def _measure(
        self, split: str, batches: Iterable[Batch], metrics: Sequence[dict[str, float]]
    ) -> None:
        weigh = weight_of(self.problem)
        measured, weights = [], []
        for batch in batches:
            measured.append(self._evaluated(self.parameters, batch))
            weights.append(weigh(batch))
        losses, *accuracies = (torch.stack(values) for values in zip(*measured, strict=True))
        for found, of_copy in zip(metrics, losses.T.tolist(), strict=True):
            found[f"{split}_loss"] = weighted_mean(of_copy, weights)
        for values in accuracies:
            for found, of_copy in zip(metrics, values.T.tolist(), strict=True):
                found[f"{split}_accuracy"] = accuracy_of(of_copy, weights, values.dtype)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all copies but those of some rows, whose modules stay the same objects."""
        models = [self.models[row] for row in rows]
        for name, stack in self.parameters.items():
            kept = stack.detach()[list(rows)]
            for model, values in zip(models, kept, strict=True):
                model.get_parameter(name).data = values
            self.parameters[name] = kept.requires_grad_()
        self.models = models

    def require_views(self) -> None:
        """Check that the parameters of the copies are still those in the stacks.

        Raises:
            PackingError: Something has replaced them.
        """
        for name, stack in self.parameters.items():
            for model, values in zip(self.models, stack.detach(), strict=True):
                if model.get_parameter(name).data_ptr() != values.data_ptr():
                    raise PackingError("its optimizer replaces the memory of parameters")


def _batched(problem: TestProblem, compute: Callable[[Batch], tuple[Tensor, ...]]) -> Losses:
    """A function of one model as a function of stacked models."""
    module = _WithModel(problem.model, compute)
    has_products = any(isinstance(layer, nn.Linear) for layer in problem.model.modules())

    def batched(parameters: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, ...]:
        names = [f"model.{name}" for name in parameters]

        def of_one(*values: Tensor) -> tuple[Tensor, ...]:
            named = dict(zip(names, values, strict=True))
            found: tuple[Tensor, ...] = functional_call(module, named, (batch,))
            return found

        # The same randomness: each copy has the masks and the noise that it would have alone.
        found: tuple[Tensor, ...] = torch.vmap(of_one, randomness="same")(*parameters.values())
        return found

    def with_shared_products(parameters: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, ...]:
        with _SharedProducts():
            return batched(parameters, batch)

    return with_shared_products if has_products else batched


class _WithModel(nn.Module):
    """Lets `functional_call` replace the parameters of a model while a function is computed."""

    def __init__(self, model: nn.Module, compute: Callable[[Batch], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.model = model
        self._compute = compute

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        return self._compute(batch)


def _objective(problem: TestProblem, batch: Batch, *, is_regularized: bool) -> Tensor:
    # Not by a `Trainer`: plans compare models, too, and the first optimizer of a process imports
    # the compiler of torch.
    if isinstance(problem, Problem):
        loss = problem.get_batch_loss(batch, reduction="mean")
    else:
        loss, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
    return loss + problem.get_regularization_loss() if is_regularized else loss


def _loss_and_accuracy(problem: TestProblem, batch: Batch) -> tuple[Tensor, ...]:
    loss, accuracy = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
    return (loss,) if accuracy is None else (loss, accuracy)


class _SharedProducts(TorchFunctionMode):
    """Lets stacked linear layers that read the same input compute one matrix product for all.

    And attention consist of products, since vmap has no rule for the other kernels.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func is F.linear and len(args) == 3 and not kwargs:
            return _SharedLinear.apply(*args)
        if func is F.scaled_dot_product_attention:
            with sdpa_kernel(SDPBackend.MATH):
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _SharedLinear(torch.autograd.Function):
    """A linear layer; its batching rule replaces that of torch.

    Torch multiplies batch by batch, for which it copies the input as often as there are weights:
    several times slower for a wide input and few outputs, as logistic regression has them.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the layer."""
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Save what the gradient needs."""
        del output
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Differentiate a layer that is not stacked."""
        x, weight, bias = ctx.saved_tensors
        (of_output,) = gradients
        rows = of_output.flatten(0, -2) if of_output.ndim > 1 else of_output[None]
        of_weight = rows.T @ x.reshape(len(rows), -1)
        return of_output @ weight, of_weight, None if bias is None else rows.sum(0)

    @staticmethod
    def vmap(
        _info: Any, in_dims: tuple[Any, ...], x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, int]:
        """Compute all layers; autograd differentiates what this does."""
        is_shared = in_dims[0] is None and in_dims[1] == 0 and x.ndim == 2
        if not is_shared or (bias is not None and in_dims[2] != 0):
            return torch.vmap(F.linear, in_dims=in_dims)(x, weight, bias), 0
        outputs = (x @ weight.flatten(0, 1).T).view(len(x), *weight.shape[:2])
        return outputs if bias is None else outputs + bias, 1


def check_packing(problem: TestProblem) -> None:
    """Compare two stacked models with two models, on a batch.

    Neither the problem nor the RNGs are changed.

    Args:
        problem: A problem after `set_up`.

    Raises:
        PackingError: They cannot be stacked, or differ.
    """
    # Imported late, as in `run_state`.
    from deepobs.protocols import CarriesState

    if isinstance(problem, CarriesState):
        raise PackingError("its problem carries state from batch to batch")
    if layers_with_statistics(problem.model):
        raise PackingError("its model has running statistics, as batch normalization keeps them")
    if any(isinstance(layer, nn.RNNBase) for layer in problem.model.modules()):
        raise PackingError("its model has recurrent layers of torch, which cannot be stacked")
    device = next(problem.model.parameters()).device
    if device.type == "cpu" and any(isinstance(one, _ConvNd) for one in problem.model.modules()):
        raise PackingError("its model has convolutions, which are slower in a pack on a CPU")
    was_training = problem.model.training
    try:
        with rng.preserved(), buffers_kept(problem.model.modules()):
            _compare(problem)
    except PackingError:
        raise
    except Exception as error:  # vmap refuses what it cannot batch by errors of many kinds
        reason = f"its model cannot be stacked ({first_line_of(error)})"
        raise PackingError(reason) from error
    finally:
        problem.model.train(was_training)


def _compare(problem: TestProblem) -> None:
    # A batch of evaluation: a pass over those of training would change what comes next.
    batch = next(iter(problem.dataset.train_eval_loader))
    stacked = StackedModels(problem, 2)
    with torch.no_grad():
        for stack in stacked.parameters.values():
            # So that copies which are mixed up are noticed, and no two logits are equal.
            stack.add_(torch.randn_like(stack), alpha=0.01)
    device = next(iter(stacked.parameters.values())).device
    state = rng.get_state(device)
    problem.model.train()
    together: list[Tensor | None] = [objectives := stacked.objectives(batch)]
    together += stacked.gradients(objectives)
    problem.model.eval()
    with torch.no_grad():
        together += stacked._evaluated(stacked.parameters, batch)
    drawn = torch.rand(1)
    trained = [problem.model.get_parameter(name) for name in stacked.parameters]
    # With the problem itself, not a copy: it may hold the parameters elsewhere, too.
    initial = [one.detach().clone() for one in trained]
    try:
        for row in range(len(stacked.models)):
            rng.set_state(state, device)
            _set(trained, [stack[row] for stack in stacked.parameters.values()])
            problem.model.train()
            alone: list[Tensor | None] = [
                objective := _objective(problem, batch, is_regularized=True)
            ]
            alone += torch.autograd.grad(objective, trained, allow_unused=True)
            problem.model.eval()
            with torch.no_grad():
                alone += _loss_and_accuracy(problem, batch)
            if not torch.equal(torch.rand(1), drawn):
                raise PackingError("its model draws other random numbers when it is stacked")
            for those, this in zip(together, alone, strict=True):
                _require_same(None if those is None else those.detach()[row], this)
    finally:
        _set(trained, initial)


@torch.no_grad()
def _set(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


def _require_same(stacked: Tensor | None, alone: Tensor | None) -> None:
    """Require equality up to the order of sums."""
    if stacked is None or alone is None:
        is_same = stacked is alone
    else:
        tolerance = torch.finfo(alone.dtype).eps ** 0.6  # 7e-5 in single precision
        difference = (stacked - alone).abs().max()
        is_same = bool(difference <= tolerance * alone.abs().max().clamp(min=1e-3))
    if not is_same:
        raise PackingError("its stacked models compute something else than its model")
