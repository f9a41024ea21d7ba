"""The gradient of a batch, computed at once or from micro-batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deepobs import config
from deepobs.runs import specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.environment import reproducible
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from torch import Tensor


def assert_equal_gradients(problem: Any, parts: int, **options: Any) -> None:
    """Compare in double precision, where rounding hides no mistake."""
    config.set_dtype(torch.float64)
    config.set_default_device("cpu")
    whole, objective = gradient_of(problem, 1, **options)
    added, sum_of_parts = gradient_of(problem, parts, **options)
    assert torch.linalg.vector_norm(whole) > 0
    assert sum_of_parts == objective or abs(sum_of_parts / objective - 1) < 1e-6
    distance = torch.linalg.vector_norm(added - whole) / torch.linalg.vector_norm(whole)
    assert distance < 1e-6


def gradient_of(problem: Any, parts: int, **options: Any) -> tuple[Tensor, float]:
    """The gradient of the second batch, and the objective, of a problem without dropout."""
    specification = specify(problem, "SGD", {"lr": 0.0}, accumulate=parts, **options)
    with reproducible(specification):
        run_problem = set_up_problem(specification)
        for layer in run_problem.model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        optimizer = build_optimizer(specification, run_problem)
        trainer = Trainer(run_problem, optimizer, specification=specification)
        batches = iter(run_problem.dataset.train_loader)
        with trainer.training():
            trainer.take_steps([next(batches)])
            (objective,) = trainer.take_steps([next(batches)])
    gradients = [one.grad for one in run_problem.model.parameters() if one.grad is not None]
    return torch.cat([gradient.flatten() for gradient in gradients]), objective
