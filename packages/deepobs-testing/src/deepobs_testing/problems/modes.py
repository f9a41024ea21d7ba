"""Training and evaluation mode, and what is random in them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepobs_testing.generators import UNUSUAL_SEED
from deepobs_testing.numbers import listed, same
from deepobs_testing.problems.losses import evaluated, losses_of, need_losses
from deepobs_testing.problems.start import tensors_of
from deepobs_testing.verdicts import require

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs_testing.problems.subject import Subject

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
