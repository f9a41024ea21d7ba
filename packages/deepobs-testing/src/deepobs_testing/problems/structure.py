"""What a test problem has to have, whatever it derives from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from deepobs.protocols import DataSet
from deepobs.runs.protocol_checks import METHODS
from deepobs_testing.loaders import require_loaders
from deepobs_testing.verdicts import require

if TYPE_CHECKING:
    from deepobs.protocols import TestProblem


def require_methods(problem: Any) -> Any:
    """Let the check fail unless something has the methods of a test problem; return it."""
    missing = [name for name in METHODS if not callable(getattr(problem, name, None))]
    require(
        not missing,
        f"What the constructor returns, of type {type(problem).__name__}, lacks "
        f"{' and '.join(missing)}; a test problem has the methods {', '.join(METHODS)}.",
        "Add them, or derive from deepobs.problems.Problem, which has them.",
    )
    return problem


def require_parts(problem: TestProblem) -> TestProblem:
    """Let the check fail unless a problem that was set up has a model and a data set; return it."""
    model, data = getattr(problem, "model", None), getattr(problem, "dataset", None)
    require(
        isinstance(model, nn.Module),
        f"After set_up, model is {model!r:.100} instead of a torch.nn.Module.",
        "Let set_up assign the model to self.model.",
    )
    require(
        isinstance(data, DataSet),
        f"After set_up, dataset is {data!r:.100}, which lacks some of name, batch_size, "
        "train_loader, train_eval_loader, valid_loader and test_loader.",
        "Let set_up assign the data set to self.dataset; valid_loader may be None.",
    )
    require_loaders(problem.dataset)
    return problem
