"""Evaluation of loss and accuracy."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepobs import rng
from deepobs.checks import shown
from deepobs.data.tensor_dataset import TensorLoader
from deepobs.plugins.provenance import protocol_error
from deepobs.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

    from deepobs.protocols import Batch, DataSet, Loader, TestProblem

_GROUP_BYTES = 2**21
"""Batches that are evaluated at once have about so many: more would not stay in the cache."""


def evaluate(problem: TestProblem, *, bare_losses: bool = False) -> dict[str, float]:
    """Measure loss and accuracy on the training, the validation and the test set.

    Args:
        problem: A problem after `set_up`.
        bare_losses: Exclude the regularizer from the losses.

    Returns:
        `train_loss`, `train_accuracy`, `valid_loss`, ..., as far as the problem has them.
    """
    metrics, regularizer = Evaluator(problem).measure()
    return metrics if bare_losses else with_regularizer(metrics, regularizer)


def with_regularizer(metrics: dict[str, float], regularizer: float) -> dict[str, float]:
    """Add the regularizer to the losses among metrics."""
    return {
        name: value + regularizer if name.endswith("_loss") else value
        for name, value in metrics.items()
    }


class Evaluator:
    """Evaluates a problem any number of times.

    Several batches are evaluated at once where `batches_at_once` says so.

    Args:
        problem: A problem after `set_up`.
    """

    def __init__(self, problem: TestProblem) -> None:
        self._problem = problem
        self._at_once: dict[str, int] | None = None

    def measure(self) -> tuple[dict[str, float], float]:
        """Evaluate the model.

        Returns:
            `train_loss`, `train_accuracy`, `valid_loss`, ..., without the regularizer, as far as
            the problem has them; and the regularizer.
        """
        metrics: dict[str, float] = {}
        with self.evaluating():
            regularizer = float(self._problem.get_regularization_loss())
            for split, loader in evaluated_loaders(self._problem.dataset).items():
                loss, accuracy = self.measure_split(split, loader)
                metrics[f"{split}_loss"] = loss
                if accuracy is not None:
                    # Beyond 1 by no more than rounding; an accuracy that is not finite is recorded.
                    if math.isfinite(accuracy) and not -1e-6 <= accuracy <= 1 + 1e-6:
                        fault = f"has the accuracy {accuracy:g}"
                        raise protocol_error(self._problem, fault, "It must be from 0 to 1")
                    metrics[f"{split}_accuracy"] = accuracy
        return metrics, regularizer

    @property
    def takes_groups(self) -> bool:
        """Whether several batches are evaluated at once."""
        if self._at_once is None:
            self._at_once = batches_at_once(self._problem)
        return bool(self._at_once)

    def evaluating(self) -> contextlib.AbstractContextManager[None]:
        """The context of `measure_split`."""
        # What is evaluated in groups draws no random numbers, and to preserve the RNGs may take
        # longer than to evaluate.
        return _without_gradients(self._problem) if self.takes_groups else evaluating(self._problem)

    def measure_split(self, split: str, loader: Loader) -> tuple[float, float | None]:
        """Average over a split.

        Returns:
            The loss without the regularizer; the accuracy, `None` if the problem has none.
        """
        problem = self._problem
        if self._at_once and isinstance(problem, Problem) and isinstance(loader, TensorLoader):
            losses, weights, accuracy = _means_in_groups(problem, loader, self._at_once[split])
            return weighted_mean(losses, weights), accuracy
        return mean_loss_and_accuracy(problem, loader)


def evaluated_loaders(dataset: DataSet) -> dict[str, Loader]:
    """The loaders of the splits that are evaluated, by the name of the split in metrics."""
    loaders = {
        "train": dataset.train_eval_loader,
        "valid": dataset.valid_loader,
        "test": dataset.test_loader,
    }
    return {split: loader for split, loader in loaders.items() if loader is not None}


@contextlib.contextmanager
def evaluating(problem: TestProblem) -> Iterator[None]:
    """Put the model in evaluation mode, without any effect on the training that follows.

    Args:
        problem: A problem after `set_up`.
    """
    # Without preserving the RNGs, an evaluation that draws numbers (a variational autoencoder
    # does) would change the dropout and data order of the next epoch, and so a run's curve
    # would depend on how often it is evaluated.
    with _without_gradients(problem), rng.preserved():
        yield


@contextlib.contextmanager
def _without_gradients(problem: TestProblem) -> Iterator[None]:
    was_training = problem.model.training
    problem.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        problem.model.train(was_training)


def mean_loss_and_accuracy(
    problem: TestProblem, batches: Iterable[Batch]
) -> tuple[float, float | None]:
    """Average over the examples, or over what `batch_weight` of the problem counts.

    An accuracy that is a count of correct ones over a count of all is added up as counts: as many
    correct ones are then the same accuracy, however they are distributed over the batches.

    Args:
        problem: A problem that is being evaluated.
        batches: At least one.

    Returns:
        The loss without the regularizer; the accuracy, `None` if the problem has none.

    Raises:
        ProtocolError: The loader yields something else than batches, or the problem does not return
            scalars.
    """
    losses, weights, accuracy = _means_of_batches(problem, batches)
    return weighted_mean(losses, weights), accuracy


def _means_of_batches(
    problem: TestProblem, batches: Iterable[Batch]
) -> tuple[list[float], list[int], float | None]:
    """The mean loss and the weight of each batch, and the accuracy on all of them."""
    losses, accuracies, weights = [], [], []
    weigh = weight_of(problem)
    for batch in batches:
        is_sequence = isinstance(batch, (tuple, list)) and len(batch) > 0
        if not is_sequence or not all(isinstance(part, Tensor) for part in batch):
            fault = f"has a loader that yields {_summary(batch)}"
            raise protocol_error(problem.dataset, fault, "It must yield tuples of tensors")
        loss, accuracy = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        for name, value in (("loss", loss), ("accuracy", accuracy)):
            is_scalar = isinstance(value, Tensor) and not value.ndim and value.is_floating_point()
            if not is_scalar and (name == "loss" or value is not None):
                fault = f"has the {name} {_summary(value)} for a batch with reduction='mean'"
                demand = "It must be a tensor of one floating-point number, of shape ()"
                raise protocol_error(problem, fault, demand)
        losses.append(loss)
        weights.append(weigh(batch))
        if not isinstance(weights[-1], int) or weights[-1] < 1:
            fault = f"has the batch_weight {_summary(weights[-1])}"
            raise protocol_error(problem, fault, "It must be an integer of 1 or more")
        if accuracy is not None:
            accuracies.append(accuracy)
    if not losses:
        fault = "has a loader that yields nothing"
        raise protocol_error(problem.dataset, fault, "It must yield batches")
    return _on_host(torch.stack(losses)), weights, _accuracy(accuracies, weights)


def weight_of(problem: TestProblem) -> Callable[[Batch], int]:
    """What counts what evaluations of a problem average over, in a batch."""
    weigh: Callable[[Batch], int] = getattr(problem, "batch_weight", _num_examples)
    return weigh


def _num_examples(batch: Batch) -> int:
    return len(batch[0]) if batch[0].ndim else 1


def _accuracy(accuracies: list[Tensor], weights: list[int]) -> float | None:
    if not accuracies:
        return None
    return accuracy_of(_on_host(torch.stack(accuracies)), weights, accuracies[0].dtype)


def accuracy_of(values: list[float], weights: list[int], dtype: torch.dtype) -> float:
    """Average accuracies as `mean_loss_and_accuracy` does.

    Args:
        values: The accuracy on each batch.
        weights: The `batch_weight` of each batch.
        dtype: The type in which they were computed.
    """
    rounding = 4 * torch.finfo(dtype).eps
    counts = []
    for value, weight in zip(values, weights, strict=True):
        count = round(value * weight) if math.isfinite(value) else 0
        # Else it is no fraction of the weight, or of too many to tell which one.
        if rounding * weight > 1 / 4 or not abs(value * weight - count) <= rounding * weight:
            return weighted_mean(values, weights)
        counts.append(count)
    return sum(counts) / sum(weights)


def _on_host(values: Tensor) -> list[float]:
    found: list[float] = values.tolist()  # one transfer from the device
    return found


def _summary(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"of shape {tuple(value.shape)} and type {value.dtype}"
    return shown(value)


def weighted_mean(values: list[float], weights: list[int]) -> float:
    """The mean of values of which each counts as its weight says; NaN where it is undefined."""
    try:
        # A plain sum of thousands of batches would lose digits.
        total = math.fsum(value * weight for value, weight in zip(values, weights, strict=True))
    except (OverflowError, ValueError):  # such as infinities of both signs
        return math.nan
    return total / sum(weights)


_chosen: dict[tuple[object, ...], dict[str, int]] = {}


def batches_at_once(problem: TestProblem) -> dict[str, int]:
    """How many batches of each split to evaluate at once; empty for one after the other.

    Several only if the specification of the problem says that its examples are independent, if all
    data are in memory, and if the results are the same to the bit. That is up to the kernels of
    this machine, which may add in another order in a matrix of more rows. So both ways are
    compared, once in a process for each problem, shape and number of threads: the loss of every
    example, the mean loss of every batch, and the accuracies must be equal. The weights of the
    comparison are random, since those of a run may hide an order: at weights of zero, where a
    logistic regression starts, all sums are equal.

    Args:
        problem: A problem after `set_up`; its weights are the same afterwards.
    """
    # A problem that is divided among processes passes for one, but reduces losses itself.
    if not isinstance(problem, Problem) or Problem not in type(problem).__mro__:
        return {}
    # Options of the model, such as its precision, are around its `forward`.
    if not problem.spec.independent_examples or "forward" in vars(problem.model):
        return {}
    loaders = evaluated_loaders(problem.dataset)
    in_memory = {
        split: loader
        for split, loader in loaders.items()
        if isinstance(loader, TensorLoader) and loader.generator is None
    }
    counts_examples = type(problem).batch_weight is Problem.batch_weight
    if len(in_memory) < len(loaders) or not counts_examples:
        return {}
    key = _key_of(problem, in_memory)
    if key not in _chosen:
        _chosen[key] = _compared(problem, in_memory)
    return _chosen[key]


def _key_of(problem: Problem, loaders: dict[str, TensorLoader]) -> tuple[object, ...]:
    """All that decides which kernels compute the losses."""
    return (
        type(problem),
        tuple((split, one.batch_size, one.num_examples) for split, one in loaders.items()),
        tuple((one.shape, one.dtype, one.device) for one in problem.model.parameters()),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.deterministic,
    )


def _compared(problem: Problem, loaders: dict[str, TensorLoader]) -> dict[str, int]:
    at_once = {}
    with evaluating(problem), _random_weights(problem.model):
        before = torch.get_rng_state()
        for split, loader in loaders.items():
            first = next(iter(loader))
            size = sum(part.numel() * part.element_size() for part in first)
            at_once[split] = min(len(loader), max(1, _GROUP_BYTES // size))
            losses = [problem.get_batch_loss(batch) for batch in loader]
            in_groups = [problem.get_batch_loss(group) for group in loader.groups(at_once[split])]
            if not torch.equal(torch.cat(losses), torch.cat(in_groups)):
                return {}
            means = _means_in_groups(problem, loader, at_once[split])
            if means != _means_of_batches(problem, loader):
                return {}
        is_repeatable = torch.equal(torch.get_rng_state(), before)
    return at_once if is_repeatable and max(at_once.values()) > 1 else {}


def _means_in_groups(
    problem: Problem, loader: TensorLoader, at_once: int
) -> tuple[list[float], list[int], float | None]:
    """What `_means_of_batches` returns."""
    losses, accuracies, sizes = [], [], []
    for group in loader.groups(at_once):
        means, accuracy = problem.losses_of_batches(group, loader.batch_size)
        losses.append(means)
        sizes.append(len(group[0]))
        if accuracy is not None:
            accuracies.append(accuracy)
    full, rest = divmod(loader.num_examples, loader.batch_size)
    weights = [loader.batch_size] * full + ([rest] if rest else [])
    return _on_host(torch.cat(losses)), weights, _accuracy(accuracies, sizes)


@contextlib.contextmanager
def _random_weights(model: nn.Module) -> Iterator[None]:
    """Draw other weights of usual size, without the global RNG, and restore those of before."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    kept = [parameter.detach().clone() for parameter in model.parameters()]
    try:
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            drawn = torch.randn(parameter.shape, generator=generator, device="cpu")
            # By `data`, unseen by autograd: an optimizer may keep a graph from step to step.
            parameter.data.copy_(drawn / fan_in**0.5)
        yield
    finally:
        for parameter, values in zip(model.parameters(), kept, strict=True):
            parameter.data.copy_(values)
