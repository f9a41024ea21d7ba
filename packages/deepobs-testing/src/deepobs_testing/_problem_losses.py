"""Checks of losses and accuracy: their values, and what computing them must not change."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_testing._problem_subject import tensors_of
from deepobs_testing._process import UNUSUAL_SEED, changed_settings, process_settings
from deepobs_testing._report import CheckFailedError, require
from deepobs_testing._tensors import close, different, listed, same

if TYPE_CHECKING:
    from deepobs.protocols import Batch, TestProblem
    from deepobs_testing._problem_subject import Subject

# Relative; sums of the few losses of a batch in another order differ by less.
_TOLERANCE = 1e-5

Evaluated: TypeAlias = "dict[str, tuple[Tensor, Tensor | None]]"
"""Losses and accuracy of a batch, by reduction."""

_REDUCTIONS = ("none", "mean", "sum")
_MODES = {True: "training", False: "evaluation"}
_SEEDED = (
    "Draw with torch.randn_like, torch.nn.Dropout and the like, without a generator of your own, "
    "NumPy or Python's random: torch.manual_seed must determine it."
)


def losses_are_finite_tensors(subject: Subject) -> None:
    """Before training, the losses of a batch are finite floating-point numbers."""
    for reduction, (losses, _) in evaluated(subject).items():
        require(
            losses.is_floating_point() and bool(losses.isfinite().all()),
            f'reduction="{reduction}" gives {listed(losses)} of type {losses.dtype} before any '
            "training; expected are finite floating-point numbers.",
            "Look for a logarithm or a quotient of 0, for inputs that are not normalized and for "
            "initial weights that are too large.",
        )


def losses_have_one_entry_per_example(subject: Subject) -> None:
    """`reduction="none"` gives a loss for each example, "mean" and "sum" a scalar."""
    found = evaluated(subject)
    examples = subject.batch_size
    for reduction, expected in {"none": (examples,), "mean": (), "sum": ()}.items():
        shape = tuple(found[reduction][0].shape)
        require(
            shape == expected,
            f'reduction="{reduction}" gives losses of shape {shape} for a batch of {examples} '
            f"examples instead of {expected}.",
            "Average over everything but the examples first, then apply the reduction; "
            "deepobs.problems.reduced does the second.",
        )


def losses_sum_to_the_mean(subject: Subject) -> None:
    """The reductions "mean" and "sum" are mean and sum of the losses of the examples."""
    _require_sums(evaluated(subject))
    if subject.batch_size > 1:  # the last batch of an evaluation may have fewer examples
        _require_sums(_evaluate(subject, slice(subject.batch_size // 2)))


def _require_sums(found: Evaluated) -> None:
    each = found["none"][0]
    exact = each.double()
    for reduction, expected in {"mean": exact.mean(), "sum": exact.sum()}.items():
        reduced = found[reduction][0]
        require(
            close(reduced, expected, each, tolerance=_TOLERANCE),
            f'reduction="{reduction}" gives {listed(reduced)}, but the {reduction} of the '
            f'{each.numel()} losses that "none" gives is {listed(expected)}.',
            "Compute the losses of the examples once and reduce them, like "
            "deepobs.problems.reduced. Divide by the actual number of examples: the last batch of "
            "an evaluation may have fewer. Other terms, such as the regularizer, belong elsewhere.",
        )


def accuracy_is_a_fraction_or_none(subject: Subject) -> None:
    """The accuracy is a scalar tensor from 0 to 1 for every reduction, or `None` for all."""
    found = {reduction: accuracy for reduction, (_, accuracy) in evaluated(subject).items()}
    first = found["none"]
    for reduction, accuracy in found.items():
        if accuracy is None and first is None:
            continue
        if not isinstance(accuracy, Tensor) or accuracy.ndim:
            raise CheckFailedError(
                f'reduction="{reduction}" gives the accuracy {accuracy!r}; expected is a tensor '
                "without dimensions, or None for every reduction.",
                "Return the mean over the examples as a tensor: "
                "is_correct.mean(dtype=torch.float32).",
            )
        value = f'reduction="{reduction}" gives the accuracy {float(accuracy):g}'
        require(
            0 <= float(accuracy) <= 1,
            f"{value}; expected is a fraction from 0 to 1.",
            "Divide the number of correct examples by the number of all, without percent.",
        )
        require(
            first is not None and torch.equal(accuracy, first),
            f'{value}, but "none" gives {first}.',
            "Compute the accuracy of a batch in the same way for every reduction of the losses.",
        )


def the_model_has_every_parameter_of_the_loss(subject: Subject) -> None:
    """Every `nn.Parameter` on which loss and regularizer depend is one of the model."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.train()
    losses, _ = problem.get_batch_loss_and_accuracy(subject.first_batch(problem), reduction="mean")
    known = {id(parameter) for parameter in problem.model.parameters()}
    used = _parameters_of(losses) + _parameters_of(problem.get_regularization_loss())
    shapes = [str(tuple(parameter.shape)) for parameter in used if id(parameter) not in known]
    require(
        not shapes,
        f"The loss depends on parameters that model.parameters() does not list: {len(shapes)}, of "
        f"the shapes {', '.join(shapes[:3])}. No optimizer would train them.",
        "Keep all parameters within the model, and layers in torch.nn.ModuleList or ModuleDict "
        "instead of a list or a dictionary.",
    )


def _parameters_of(loss: Tensor) -> list[nn.Parameter]:
    """The parameters in the graph of a loss."""
    # Without recursion: the graph of a recurrent network is deeper than Python's stack.
    waiting, seen, found = [loss.grad_fn], set(), []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        # Only nodes that accumulate the gradient of a leaf have this attribute.
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, nn.Parameter):
            found.append(leaf)
        waiting.extend(following for following, _ in node.next_functions)
    return found


def the_mode_is_left_to_the_caller(subject: Subject) -> None:
    """After `set_up` the model is in training mode, and computing losses changes no mode."""
    need_losses(subject)
    require(
        subject.at_start().model.training,
        "After set_up, the model is in evaluation mode, in which dropout and batch statistics are "
        "disabled: loops that do not call model.train() would train another model.",
        "Call model.train() at the end of set_up, or remove model.eval().",
    )
    for is_training, mode in _MODES.items():
        problem = subject.at_start()
        problem.model.train(is_training)
        before = {name: module.training for name, module in problem.model.named_modules()}
        problem.get_batch_loss_and_accuracy(subject.first_batch(problem), reduction="mean")
        after = {name: module.training for name, module in problem.model.named_modules()}
        changed = [name or "the model" for name in after if after[name] != before[name]]
        require(
            not changed,
            f"Computing the losses of a batch in {mode} mode changes the mode of "
            f"{', '.join(changed[:3])}.",
            "Leave the mode to the caller: model.train() and model.eval().",
        )


def evaluation_changes_nothing(subject: Subject) -> None:
    """In evaluation mode, no parameter and no buffer changes."""
    need_losses(subject)
    problem = subject.at_start()
    before = {name: tensor.clone() for name, tensor in tensors_of(problem.model).items()}
    evaluation_losses(problem, subject.first_batch(problem))
    changed = different(tensors_of(problem.model), before)
    require(
        not changed,
        f"Evaluating a batch in evaluation mode changes {', '.join(changed)}.",
        "Update statistics only while self.training is True.",
    )


def computing_losses_has_no_other_effect(subject: Subject) -> None:
    """In both modes, batch, parameters, gradients and torch's seed stay as they are."""
    need_losses(subject)
    for is_training, mode in _MODES.items():
        problem = subject.at_start()
        problem.model.train(is_training)
        parameters = dict(problem.model.named_parameters())
        # Not None, since a zero_grad() within would change nothing then.
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
        batch = subject.first_batch(problem)
        before = _copies(batch, parameters)
        torch.manual_seed(UNUSUAL_SEED)
        problem.get_batch_loss_and_accuracy(batch, reduction="mean")
        seed = torch.initial_seed()
        changed = different(before, _copies(batch, parameters))
        require(
            not changed,
            f"Computing the losses of a batch in {mode} mode changes {', '.join(changed[:3])}.",
            "Compute new tensors instead of changing those that are given (x / 2, not x.div_(2)), "
            "and leave backward(), zero_grad() and steps to the training loop.",
        )
        require(
            seed == UNUSUAL_SEED,
            f"Computing the losses of a batch in {mode} mode sets torch's seed to {seed}.",
            "Do not call torch.manual_seed in a problem: all noise and the order of the data would "
            "be the same in every step.",
        )


def _copies(batch: Batch, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Copies of everything that must not change, by its name in messages."""
    numbered = {f"tensor {number} of the batch": t for number, t in enumerate(batch)}
    gradients = {f"the gradient of {name}": p.grad for name, p in parameters.items()}
    found: dict[str, Tensor | None] = {**numbered, **parameters, **gradients}
    return {name: t.detach().clone() for name, t in found.items() if t is not None}


def settings_of_the_process_are_left_alone(subject: Subject) -> None:
    """The constructor, `set_up` and losses change no setting of the process."""
    subject.problem  # noqa: B018 # records the changes of set_up
    need_losses(subject)
    problem = subject.at_start()
    before = process_settings()
    problem.get_batch_loss_and_accuracy(subject.first_batch(problem))
    changed = sorted({*subject.changed_settings, *changed_settings(before)})
    require(
        not changed,
        f"Setting up a problem or computing its losses changes {', '.join(changed)}.",
        "Create tensors with explicit type and device, and leave such settings to the user: other "
        "problems and the run itself depend on them.",
    )


def a_batch_can_be_evaluated_again(subject: Subject) -> None:
    """In training mode, the same weights, batch and seed give the same losses again."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.train()
    batches = iter(problem.dataset.train_loader)
    first_batch = next(batches)
    losses_of(problem, first_batch)
    # Of the second batch, since a recurrent problem carries a state over to it.
    batch = next(batches, first_batch)
    buffers = {name: t.detach().clone() for name, t in tensors_of(problem.model).items()}
    first = losses_of(problem, batch)
    # Spectral normalization computes with the buffers that it updates in every evaluation.
    for name, tensor in tensors_of(problem.model).items():
        tensor.data.copy_(buffers[name])
    second = losses_of(problem, batch)
    require(
        same(first, second),
        f"In training mode, a batch has the losses {listed(first)}, then {listed(second)}, both "
        "with the same weights and after torch.manual_seed(0).",
        "Optimizers with a closure evaluate a batch several times: do not count calls or change "
        "the batch, and update a carried state at the next batch only.",
    )


def evaluating_a_batch_twice_gives_the_same(subject: Subject) -> None:
    """In evaluation mode, the same seed gives the same losses."""
    first = evaluated(subject)["none"][0]
    problem = subject.at_start()
    # Noise from Python's or NumPy's RNG differs from that of the first evaluation then.
    random.seed(UNUSUAL_SEED)
    np.random.seed(UNUSUAL_SEED)
    second = evaluation_losses(problem, subject.first_batch(problem))
    require(
        torch.equal(first, second),
        f"The same batch has the losses {listed(first)}, then {listed(second)}, both in evaluation "
        "mode and after torch.manual_seed(0).",
        f"Disable dropout and augmentation in evaluation mode. {_SEEDED}",
    )


def noise_in_training_follows_torchs_seed(subject: Subject) -> None:
    """In training mode, randomness comes from torch's global RNG."""
    need_losses(subject)
    found = []
    for seed in range(2):
        problem = subject.at_start()
        problem.model.train()
        # Of the RNGs, only torch's is in the same state both times.
        random.seed(seed)
        np.random.seed(seed)
        found.append(losses_of(problem, subject.first_batch(problem)))
    require(
        torch.equal(*found),
        f"With the same weights, the same batch has the losses {listed(found[0])}, then "
        f"{listed(found[1])}, both in training mode and after torch.manual_seed(0).",
        _SEEDED,
    )


@torch.no_grad()
def losses_of(problem: TestProblem, batch: Batch, seed: int = 0) -> Tensor:
    """The loss of each example of a batch, in the current mode of the model."""
    torch.manual_seed(seed)
    return problem.get_batch_loss_and_accuracy(batch, reduction="none")[0]


def evaluation_losses(problem: TestProblem, batch: Batch) -> Tensor:
    """The loss of each example of a batch in evaluation mode, in which the model stays."""
    problem.model.eval()
    return losses_of(problem, batch)


def need_losses(subject: Subject) -> None:
    """Skip the check if losses cannot be computed, which a check of its own reports."""
    evaluated(subject)


def evaluated(subject: Subject) -> Evaluated:
    """Losses and accuracy of one batch in evaluation mode, by reduction."""
    return subject.memo("losses_are_finite_tensors", lambda: _evaluate(subject))


def _evaluate(subject: Subject, rows: slice | None = None) -> Evaluated:
    problem = subject.at_start()
    problem.model.eval()
    found: Evaluated = {}
    for reduction in _REDUCTIONS:
        batch = subject.first_batch(problem)
        # Not a copy without need: a recurrent problem recognizes the first batch of a pass.
        if rows is not None:
            batch = tuple(tensor[rows] for tensor in batch)
        # The reductions of a problem that draws noise compare only with the same noise.
        torch.manual_seed(0)
        with torch.no_grad():
            answer: object = problem.get_batch_loss_and_accuracy(batch, reduction=reduction)
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Tensor)):
            raise CheckFailedError(
                f'get_batch_loss_and_accuracy(batch, reduction="{reduction}") returns a '
                f"{type(answer).__name__}: {answer!r:.100}; expected is a pair of losses, a "
                "tensor, and the accuracy.",
                "Return (losses, accuracy), with None for the accuracy if there is none.",
            )
        found[reduction] = answer
    return found
