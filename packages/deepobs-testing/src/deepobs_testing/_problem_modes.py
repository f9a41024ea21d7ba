"""Checks of test problems in the modes of large runs.

All modes are optional: one that a problem does not support is skipped, with the reason. One that
changes its numbers fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from deepobs.errors import DeepOBSError
from deepobs.runs.evaluation import weight_of
from deepobs.runs.model_options import check_use, executing, prepare_model
from deepobs.runs.ranks import Ranks
from deepobs.runs.shared_problem import require_divisible, rows_of
from deepobs.runs.whole_batch_draws import WholeBatchDraws, draws_by_rank
from deepobs_testing._execution import summary_of
from deepobs_testing._problem_losses import need_losses
from deepobs_testing._problem_subject import specified
from deepobs_testing._process import default_to_double
from deepobs_testing._report import CheckSkippedError, require, skip
from deepobs_testing._tensors import in_double, relative_distance, rounding_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing._problem_subject import Subject

_ROUNDING_IN_DOUBLE = 1e-6  # of a gradient
_PROCESSES = 2


def mixed_precision_keeps_its_losses_finite(subject: Subject) -> None:
    """With `--precision bf16`, the loss and the gradients of a batch are finite."""
    need_losses(subject)
    loss, gradient = _with_options(subject, precision="bf16")
    require(
        bool(loss.isfinite() and gradient.isfinite().all()),
        f"In bf16, a batch has the loss {float(loss):g} and "
        f"{int((~gradient.isfinite()).sum())} components of its gradient that are not finite; in "
        "float32, it is finite.",
        "Let the model return logits, and take logarithms of probabilities in the loss, such as "
        "by cross_entropy: it is computed in float32.",
    )


def channels_last_changes_no_numbers(subject: Subject) -> str | None:
    """With `--channels-last`, the gradients of a batch are the same up to rounding."""
    need_losses(subject)
    return _require_same(
        subject,
        lambda: _with_options(subject, channels_last=True)[1],
        "With images in channels-last format (--channels-last), the gradient of a batch",
        "Do not depend on the strides of images: use reshape, not view or as_strided.",
    )


def compiling_changes_no_numbers(subject: Subject) -> str | None:
    """As `--compile` traces the model, the gradients of a batch are the same up to rounding."""
    need_losses(subject)
    return _require_same(
        subject,
        lambda: _with_options(subject, compile_mode="default")[1],
        "Traced by torch.compile (--compile), the model has a gradient of a batch that",
        "Look for code in forward that depends on torch.compiler or on global state.",
    )


def shares_of_a_batch_add_up_to_it(subject: Subject) -> str | None:
    """The gradients of the shares that two processes have of a batch add up to that of the batch.

    They are computed in this process, in evaluation mode, one after the other.
    """
    need_losses(subject)
    if subject.batch_size < _PROCESSES:
        skip("Its batches have one example")
    try:
        require_divisible(subject.problem)
    except DeepOBSError as error:
        skip(f"Its runs take one process: {error}")
    ranks = [Ranks(rank, _PROCESSES) for rank in range(_PROCESSES)]
    remark = _require_same(
        subject,
        lambda: torch.stack([_of_share(subject, one) for one in ranks]).sum(dim=0),
        f"The gradient that {_PROCESSES} processes (torchrun) compute from their shares of a batch",
        "Let the loss be a mean over what batch_weight counts, by default examples, and the first "
        "dimension of all tensors in a batch be that of the examples.",
    )
    names = draws_by_rank(subject.problem.model)
    return f"Random numbers of {', '.join(names)} depend on the number." if names else remark


def _require_same(
    subject: Subject, compute: Callable[[], Tensor], what: str, remedy: str
) -> str | None:
    """Compare a gradient with that of a plain run; what is to be said of it if they agree."""
    found, whole = compute(), _of_share(subject, Ranks(0, 1))
    difference = relative_distance(found, whole)
    if difference <= rounding_of(whole):
        return None
    require(
        _is_the_same_in_double(subject, compute),
        f"{what} differs from that of a plain run by {difference:.3g} of its norm.",
        remedy,
    )
    return f"It rounds differently, by {difference:.3g} of the gradient, and agrees in float64."


def _is_the_same_in_double(subject: Subject, compute: Callable[[], Tensor]) -> bool:
    """Whether the gradients agree in float64.

    Kinks of ReLU and max-pooling amplify how float32 rounds: in a deep network, to thousandths.
    """
    default_to_double()
    try:
        found, whole = compute(), _of_share(subject, Ranks(0, 1))
    except (CheckSkippedError, RuntimeError, TypeError):  # what cannot be computed shows nothing
        return False
    return relative_distance(found, whole) <= rounding_of(whole, _ROUNDING_IN_DOUBLE)


def _at_start(subject: Subject) -> TestProblem:
    problem = subject.at_start()
    if torch.get_default_dtype() == torch.float64:
        problem.model.double()
    return problem


def _first_batch(problem: TestProblem) -> Batch:
    batch = next(iter(problem.dataset.train_loader))
    return in_double(batch) if torch.get_default_dtype() == torch.float64 else batch


def _of_share(subject: Subject, ranks: Ranks) -> Tensor:
    """The gradient of what a process has of the first batch, counted by its share."""
    problem = _at_start(subject)
    problem.model.eval()
    batch = _first_batch(problem)
    rows = ranks.rows(len(batch[0]))
    part, weigh = rows_of(batch, rows), weight_of(problem)
    with WholeBatchDraws(rows, len(batch[0])):
        loss, _ = problem.get_batch_loss_and_accuracy(part, reduction="mean")
    return _gradient(problem, loss * (weigh(part) / weigh(batch)))


def _with_options(subject: Subject, **options: object) -> tuple[Tensor, Tensor]:
    """The loss and the gradient of the first batch, with options of a run."""
    problem = _at_start(subject)
    specification = specified(subject).model_copy(update=options)
    model = problem.model
    before = dict(vars(model))
    try:
        with executing(specification):
            prepare_model(problem, specification)
            if specification.compile_mode is not None:
                # What fails to compile fails to be traced, as a rule, which takes less time.
                model.compile(backend="eager")
            model.eval()
            batch = _first_batch(problem)
            loss, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
            check_use(problem, specification)
            return loss.detach(), _gradient(problem, loss)
    except Exception as error:
        is_ours = isinstance(error, DeepOBSError)
        skip(str(error) if is_ours else f"It does not support this: {summary_of(error)}")
    finally:
        _restore(model, before)


def _gradient(problem: TestProblem, loss: Tensor) -> Tensor:
    parameters = [one for one in problem.model.parameters() if one.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([one.flatten() for one in gradients])


def _restore(model: nn.Module, before: dict[str, object]) -> None:
    model._compiled_call_impl = None
    if "forward" in before:
        model.forward = before["forward"]  # type: ignore[assignment]
    else:
        vars(model).pop("forward", None)
    model.to(memory_format=torch.contiguous_format)
