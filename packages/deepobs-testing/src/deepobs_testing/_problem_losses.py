"""What a test problem says of a batch."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_testing._problem_subject import tensors_of
from deepobs_testing._process import UNUSUAL_SEED, changed_settings, process_settings
from deepobs_testing._report import CheckFailedError, require
from deepobs_testing._tensors import close, listed, same

if TYPE_CHECKING:
    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing._problem_subject import Subject


_OF_FEW = 1e-5
"""Relative; sums of the few losses of a batch in another order differ by less."""

_REDUCTIONS = ("none", "mean", "sum")


class Evaluated(NamedTuple):
    """Losses and accuracy of a batch."""

    losses: Tensor
    accuracy: Tensor | None


def losses_are_finite_tensors(subject: Subject) -> None:
    """Before training, the losses of a batch are finite floating-point numbers."""
    for reduction, (losses, _) in evaluated(subject).items():
        require(
            losses.is_floating_point() and bool(losses.isfinite().all()),
            f'reduction="{reduction}" gives {listed(losses)} of type {losses.dtype} before any '
            "training; expected are finite floating-point numbers.",
            "Look for a logarithm or a quotient of 0, for inputs that are not scaled and for "
            "initial weights that are too large.",
        )


def losses_have_one_entry_per_example(subject: Subject) -> None:
    """`reduction="none"` gives a loss for each example, "mean" and "sum" a scalar."""
    found = evaluated(subject)
    examples = subject.batch_size
    expected = {"none": (examples,), "mean": (), "sum": ()}
    for reduction, shape in expected.items():
        shape_found = tuple(found[reduction].losses.shape)
        require(
            shape_found == shape,
            f'reduction="{reduction}" gives losses of shape {shape_found} for a batch of '
            f"{examples} examples instead of {shape}.",
            "Average over everything but the examples first, then reduce as it is asked; "
            "deepobs.problems.reduced does the second.",
        )


def losses_sum_to_the_mean(subject: Subject) -> None:
    """The mean and the sum over the losses of the examples are what the reductions give."""
    _require_sums(evaluated(subject))
    if subject.batch_size > 1:  # the last batch of an evaluation may have fewer examples
        _require_sums(_evaluate(subject, slice(subject.batch_size // 2)))


def _require_sums(found: dict[str, Evaluated]) -> None:
    each = found["none"].losses.double()
    for reduction, expected in {"mean": each.mean(), "sum": each.sum()}.items():
        reduced = found[reduction].losses
        require(
            close(reduced, expected, found["none"].losses, tolerance=_OF_FEW),
            f'reduction="{reduction}" gives {listed(reduced)}, but the {reduction} of the '
            f'{each.numel()} losses that "none" gives is {listed(expected)}.',
            "Compute the losses of the examples once and reduce them, as deepobs.problems.reduced "
            "does. Divide by the examples that there are: the last batch of an evaluation may have "
            "fewer. Terms beside the losses, such as the regulariser, belong elsewhere.",
        )


def accuracy_is_a_fraction_or_none(subject: Subject) -> None:
    """The accuracy is a 0-dim tensor from 0 to 1, whatever the reduction; or there is none."""
    found = {reduction: accuracy for reduction, (_, accuracy) in evaluated(subject).items()}
    first = found["none"]
    for reduction, accuracy in found.items():
        if accuracy is None and first is None:
            continue
        require(
            isinstance(accuracy, Tensor) and accuracy.ndim == 0,
            f'reduction="{reduction}" gives the accuracy {accuracy!r}; expected is a tensor '
            "without dimensions, or None for every reduction.",
            "Return the mean over the examples as a tensor: is_correct.mean(dtype=torch.float32).",
        )
        require(
            0 <= float(accuracy) <= 1,  # type: ignore[arg-type] # just found to be a tensor
            f'reduction="{reduction}" gives the accuracy {float(accuracy):g}; '  # type: ignore[arg-type]
            "expected is a fraction from 0 to 1.",
            "Divide the number of correct examples by the number of all, without percent.",
        )
        require(
            torch.equal(accuracy, first),  # type: ignore[arg-type]
            f'reduction="{reduction}" gives the accuracy {float(accuracy):g}, '  # type: ignore[arg-type]
            f'but "none" gives {first}.',
            "Compute the accuracy of a batch in the same way for every reduction of the losses.",
        )


@torch.no_grad()
def losses_of(problem: TestProblem, batch: Batch, seed: int = 0) -> Tensor:
    """The loss of each example of a batch, in the mode that the model is in.

    Args:
        problem: A problem that was set up.
        batch: What a loader yields.
        seed: Of torch's generator, from which noise is drawn.
    """
    torch.manual_seed(seed)
    return problem.get_batch_loss_and_accuracy(batch, reduction="none")[0]


def need_losses(subject: Subject) -> None:
    """Leave the rest of a check out where losses cannot be computed: a check of its own says so."""
    evaluated(subject)


def evaluated(subject: Subject) -> dict[str, Evaluated]:
    """What the shared problem says of one batch in evaluation, by reduction."""
    return subject.memo("losses_are_finite_tensors", lambda: _evaluate(subject))


def _evaluate(subject: Subject, rows: slice = slice(None)) -> dict[str, Evaluated]:
    problem = subject.at_start()
    problem.model.eval()
    found = {}
    with torch.no_grad():
        for reduction in _REDUCTIONS:
            batch = _part(subject.first_batch(problem), rows)
            torch.manual_seed(0)
            answer = problem.get_batch_loss_and_accuracy(batch, reduction=reduction)
            found[reduction] = _pair(answer, reduction)
    return found


def _part(batch: Batch, rows: slice) -> Batch:
    if rows == slice(None):
        return batch  # it may know the pass it belongs to, which a copy would not
    return tuple(tensor[rows] for tensor in batch)


def _pair(answer: object, reduction: str) -> Evaluated:
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Tensor):
        return Evaluated(*answer)
    raise CheckFailedError(
        f'get_batch_loss_and_accuracy(batch, reduction="{reduction}") returns a '
        f"{type(answer).__name__}: {answer!r:.100}; expected is a pair of losses, a tensor, and "
        "the accuracy.",
        "Return (losses, accuracy), with None for the accuracy where there is none.",
    )


_SEEDED = (
    "Draw with torch.randn_like, torch.nn.Dropout and the like, without a generator of your own, "
    "NumPy or Python's random: torch.manual_seed must fix it."
)


def evaluation_changes_nothing(subject: Subject) -> None:
    """In evaluation mode, no parameter and no buffer changes."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.eval()
    before = {name: tensor.clone() for name, tensor in tensors_of(problem.model).items()}
    losses_of(problem, subject.first_batch(problem))
    changed = [n for n, t in tensors_of(problem.model).items() if not same(t, before[n])]
    require(
        not changed,
        f"Evaluating a batch in evaluation mode changes {', '.join(changed)}; it must change "
        "nothing.",
        "Update statistics only where self.training is True.",
    )


def evaluating_a_batch_twice_gives_the_same(subject: Subject) -> None:
    """In evaluation mode, the same seed gives the same losses."""
    first = evaluated(subject)["none"].losses
    problem = subject.at_start()
    problem.model.eval()
    random.seed(UNUSUAL_SEED)
    np.random.seed(UNUSUAL_SEED)
    second = losses_of(problem, subject.first_batch(problem))
    require(
        torch.equal(first, second),
        f"The same batch has the losses {listed(first)}, then {listed(second)}, both in evaluation "
        "mode and after torch.manual_seed(0).",
        f"Switch dropout and augmentation off in evaluation mode. {_SEEDED}",
    )


def noise_in_training_follows_torchs_seed(subject: Subject) -> None:
    """In training mode, what is random comes from torch's global generator."""
    need_losses(subject)
    first, second = (_trained_losses(subject, number) for number in range(2))
    require(
        torch.equal(first, second),
        f"With the same weights, the same batch has the losses {listed(first)}, then "
        f"{listed(second)}, both in training mode and after torch.manual_seed(0).",
        _SEEDED,
    )


def _trained_losses(subject: Subject, number: int) -> Tensor:
    """The losses of a batch in training mode, with Python's and NumPy's generators elsewhere."""
    problem = subject.at_start()
    problem.model.train()
    random.seed(number)
    np.random.seed(number)
    return losses_of(problem, subject.first_batch(problem))


_WORDS = {True: "training", False: "evaluation"}


def settings_of_the_process_are_left_alone(subject: Subject) -> None:
    """Constructor, `set_up` and losses leave what others in the process go by as it is."""
    subject.problem  # noqa: B018 # whose set_up leaves the list
    need_losses(subject)
    problem = subject.at_start()
    before = process_settings()
    problem.get_batch_loss_and_accuracy(subject.first_batch(problem))
    changed = sorted({*subject.changed_settings, *changed_settings(before)})
    require(
        not changed,
        f"Setting up a problem or computing its losses changes {', '.join(changed)}.",
        "Give what you make its type and device instead, and leave such settings to the user: "
        "other problems and the run itself go by them, too.",
    )


def the_mode_is_left_to_the_caller(subject: Subject) -> None:
    """`set_up` leaves a model that trains; computing losses leaves every module's mode as it is."""
    need_losses(subject)
    problem = subject.at_start()
    remedy = "Leave the mode to the caller: model.train() and model.eval()."
    require(
        problem.model.training,
        "After set_up, the model is in evaluation mode, where dropout and batch statistics are "
        "switched off: loops that do not call model.train() would train another model.",
        "Call model.train() at the end of set_up, or leave model.eval() out.",
    )
    for is_training, word in _WORDS.items():
        problem = subject.at_start()
        problem.model.train(is_training)
        before = _modes(problem.model)
        problem.get_batch_loss_and_accuracy(subject.first_batch(problem), reduction="mean")
        changed = [name for name, mode in _modes(problem.model).items() if mode != before[name]]
        require(
            not changed,
            f"Computing the losses of a batch in {word} mode changes the mode of "
            f"{', '.join(name or 'the model' for name in changed[:3])}.",
            remedy,
        )


def computing_losses_has_no_other_effect(subject: Subject) -> None:
    """In training and in evaluation, batch, parameters, gradients and the seed stay as they are."""
    need_losses(subject)
    for is_training, word in _WORDS.items():
        problem = subject.at_start()
        problem.model.train(is_training)
        parameters = dict(problem.model.named_parameters())
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
        batch = subject.first_batch(problem)
        before = _copies(batch, parameters)
        torch.manual_seed(UNUSUAL_SEED)
        problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        seed = torch.initial_seed()
        after = _copies(batch, parameters)
        changed = [name for name, tensor in before.items() if not _unchanged(tensor, after[name])]
        require(
            not changed,
            f"Computing the losses of a batch in {word} mode changes {', '.join(changed[:3])}.",
            "Compute new tensors instead of changing those that are given (x / 2, not x.div_(2)), "
            "and leave backward(), zero_grad() and steps to the training loop.",
        )
        require(
            seed == UNUSUAL_SEED,
            f"Computing the losses of a batch in {word} mode sets torch's seed to {seed}.",
            "Do not call torch.manual_seed in a problem: all noise and the order of the data would "
            "be the same in every step.",
        )


def a_batch_can_be_evaluated_again(subject: Subject) -> None:
    """In training mode, the same weights, batch and seed give the same losses a second time."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.train()
    batches = iter(problem.dataset.train_loader)
    first_batch = next(batches)
    losses_of(problem, first_batch)
    batch = next(batches, first_batch)  # before the second something may have been carried along
    buffers = {name: t.detach().clone() for name, t in tensors_of(problem.model).items()}
    first = losses_of(problem, batch)
    for name, tensor in tensors_of(problem.model).items():
        tensor.data.copy_(buffers[name])  # normalisation may go on from what it updates
    second = losses_of(problem, batch)
    require(
        same(first, second),
        f"In training mode, a batch has the losses {listed(first)}, then {listed(second)}, both "
        "with the same weights and after torch.manual_seed(0).",
        "Optimizers with a closure evaluate a batch several times: do not count calls or change "
        "the batch, and go on with what is carried along at the next batch only.",
    )


def the_model_has_every_parameter_of_the_loss(subject: Subject) -> None:
    """What loss and regulariser are functions of and `nn.Parameter` is among the model's."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.train()
    losses, _ = problem.get_batch_loss_and_accuracy(subject.first_batch(problem), reduction="mean")
    known = {id(parameter) for parameter in problem.model.parameters()}
    used = _parameters_of(losses) + _parameters_of(problem.get_regularization_loss())
    shapes = [str(tuple(parameter.shape)) for parameter in used if id(parameter) not in known]
    require(
        not shapes,
        f"The loss is a function of parameters that model.parameters() does not list: "
        f"{len(shapes)}, of the shapes {', '.join(shapes[:3])}. No optimizer would train them.",
        "Keep all parameters within the model, and layers in torch.nn.ModuleList or ModuleDict "
        "instead of a list or a dictionary.",
    )


def _modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


def _copies(batch: Batch, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor | None]:
    """Copies of all that must not change, by what messages call it."""
    numbered = {f"tensor {number} of the batch": t for number, t in enumerate(batch)}
    gradients = {f"the gradient of {name}": p.grad for name, p in parameters.items()}
    found: dict[str, Tensor | None] = {**numbered, **parameters, **gradients}
    return {name: None if t is None else t.detach().clone() for name, t in found.items()}


def _unchanged(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    return same(first, second)


def _parameters_of(loss: Tensor) -> list[nn.Parameter]:
    """The parameters that a loss was computed from, found in its graph."""
    waiting, seen, found = [loss.grad_fn], set(), []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, nn.Parameter):
            found.append(leaf)
        waiting.extend(following for following, _ in node.next_functions)
    return found
