"""Where model and data are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepobs_testing.loaders import loaders_by_name, require_tuples_of_tensors
from deepobs_testing.problems.losses import need_losses
from deepobs_testing.problems.start import tensors_of
from deepobs_testing.verdicts import require, skip

if TYPE_CHECKING:
    from deepobs.protocols import TestProblem
    from deepobs_testing.problems.subject import Subject


def it_stays_on_the_cpu(subject: Subject) -> None:
    """With device="cpu", all of it is there, whatever accelerators the machine has."""
    need_losses(subject)
    _require_all_on(subject.at_start(), torch.device("cpu"))


def it_works_on_the_accelerator(subject: Subject) -> None:
    """With the device of the machine's accelerator, all of it is there."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        skip("This machine has no accelerator that torch can use")
    _require_all_on(subject.set_up(subject.batch_size, None, str(accelerator)), accelerator)


def _require_all_on(problem: TestProblem, device: torch.device) -> None:
    elsewhere = [
        f"{name} ({tensor.device})"
        for name, tensor in tensors_of(problem.model).items()
        if tensor.device.type != device.type
    ]
    require(
        not elsewhere,
        f"With device={str(device)!r}, {', '.join(elsewhere)} of the model is elsewhere.",
        "Move the model in set_up: self.model.to(device).",
    )
    for name, loader in loaders_by_name(problem.dataset).items():
        require_tuples_of_tensors(loader, name, device)
    losses, accuracy = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.train_loader)))
    regularizer = problem.get_regularization_loss()
    found = {"losses": losses, "regulariser": regularizer, "accuracy": accuracy}
    for name, tensor in found.items():
        if not isinstance(tensor, Tensor):  # a check of its own says so, where it must be
            continue
        require(
            tensor.device.type == device.type,
            f"With device={str(device)!r}, the {name} is on {tensor.device}.",
            "Make new tensors on the device of the problem, such as torch.zeros((), device=...).",
        )
