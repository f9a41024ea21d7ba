"""What computing losses may do besides: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deepobs_testing.generators import UNUSUAL_SEED
from deepobs_testing.numbers import listed, same
from deepobs_testing.problems.losses import losses_of, need_losses
from deepobs_testing.problems.start import tensors_of
from deepobs_testing.process import changed_settings, process_settings
from deepobs_testing.verdicts import require

if TYPE_CHECKING:
    from deepobs.protocols import Batch
    from deepobs_testing.problems.subject import Subject

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
