"""Parameters that an optimizer does not train, although they have a gradient."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from deepobs.errors import TrainingWarning
from deepobs.runs.evaluation import evaluating

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from deepobs.protocols import TestProblem
    from deepobs.runs.run_state import RunState

_NAMES_SHOWN = 8
_ROUNDING = 1e-6  # of the largest gradient


def copied_parameters(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters that can be trained, in the memory of the host."""
    trained = ((name, one) for name, one in model.named_parameters() if one.requires_grad)
    return {name: one.detach().to("cpu", copy=True) for name, one in trained}


def warn_of_untrained(state: RunState, before: dict[str, Tensor]) -> None:
    """Warn of parameters that training did not change, unless their gradient is 0, too.

    Args:
        state: A run after its first epoch.
        before: What `copied_parameters` returned before it.
    """
    if state.schedule is not None and state.history.learning_rates[0] == 0:
        return  # as in a warm-up
    parameters = dict(state.problem.model.named_parameters())
    same = [name for name, old in before.items() if torch.equal(parameters[name].cpu(), old)]
    names = _with_a_gradient(state.problem, same)
    if not names:
        return
    problem = state.specification.testproblem.rpartition(":")[2]
    run = f"{state.specification.optimizer} on {problem}"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    what = (
        f"{run} trained nothing: its first epoch changed no parameter, although they have gradients"
        if len(same) == len(before)
        else f"{run} did not change {len(names)} of {len(before)} parameters in its first epoch, "
        f"although they have gradients: {', '.join(names[:_NAMES_SHOWN])}{more}"
    )
    message = (
        f"{what}. Check which parameters the optimizer takes and whether its step size is large "
        "enough, or give them to another one: --group others:optimizer=AdamW."
    )
    warnings.warn(message, TrainingWarning, stacklevel=3)


def _with_a_gradient(problem: TestProblem, names: Sequence[str]) -> Sequence[str]:
    """The names of those parameters whose gradient is more than rounding."""
    if not names:
        return ()
    parameters = dict(problem.model.named_parameters())
    # Those of the last step, if the optimizer left them: in evaluation mode, a bias in front of a
    # batch normalization has a gradient that it never has in training.
    gradients = {name: one.grad for name, one in parameters.items() if one.grad is not None}
    largest = {name: value for name, one in gradients.items() if (value := _largest(one))}
    if not largest.keys() >= set(names):
        largest = _largest_of_evaluation(problem, parameters) | largest
    least = _ROUNDING * max(largest.values())
    return [name for name in names if largest.get(name, 0.0) > least]


def _largest_of_evaluation(
    problem: TestProblem, parameters: dict[str, nn.Parameter]
) -> dict[str, float]:
    """The largest entry of each gradient on a batch."""
    trained = {name: one for name, one in parameters.items() if one.requires_grad}
    # Batches of evaluation, since any pass over those of training may change what comes next. The
    # recurrent layers of cuDNN have gradients in training mode only.
    with evaluating(problem), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        batch = next(iter(problem.dataset.train_eval_loader))
        loss, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        objective = loss + problem.get_regularization_loss()
        gradients = torch.autograd.grad(
            objective, list(trained.values()), allow_unused=True, materialize_grads=True
        )
    return {name: _largest(gradient) for name, gradient in zip(trained, gradients, strict=True)}


def _largest(gradient: Tensor) -> float:
    dense = gradient.detach().to_dense() if gradient.is_sparse else gradient.detach()
    return float(dense.abs().max())
