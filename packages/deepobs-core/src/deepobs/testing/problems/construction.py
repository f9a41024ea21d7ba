"""Building and setting up a test problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from deepobs.protocols import DataSet, Loader
from deepobs.testing.verdicts import require

if TYPE_CHECKING:
    from deepobs.testing.problems.subject import Subject

_METHODS = (
    "set_up",
    "get_batch_loss_and_accuracy",
    "get_regularization_loss",
    "parameter_groups",
)


def it_can_be_built(subject: Subject) -> None:
    """The constructor takes what the protocol says and returns something with its methods."""
    problem = subject.memo("it_can_be_built", subject.build)
    missing = [name for name in _METHODS if not callable(getattr(problem, name, None))]
    require(
        not missing,
        f"What the constructor returns, a {type(problem).__name__}, lacks {' and '.join(missing)}; "
        f"a test problem has the methods {', '.join(_METHODS)}.",
        "Add them, or derive from deepobs.problems.Problem, which has them.",
    )


def it_can_be_set_up(subject: Subject) -> None:
    """After `set_up` there are a model and a data set with three loaders or four."""
    problem = subject.problem
    model, data = getattr(problem, "model", None), getattr(problem, "dataset", None)
    require(
        isinstance(model, nn.Module),
        f"After set_up, model is {model!r} instead of a torch.nn.Module.",
        "Let set_up assign the model to self.model.",
    )
    require(
        isinstance(data, DataSet),
        f"After set_up, dataset is {data!r}, which lacks some of name, batch_size, train_loader, "
        "train_eval_loader, valid_loader and test_loader.",
        "Let set_up assign the data set to self.dataset; valid_loader may be None.",
    )
    for name in ("train_loader", "train_eval_loader", "test_loader"):
        loader = getattr(data, name)
        require(
            isinstance(loader, Loader),
            f"dataset.{name} is {loader!r}, which has no length or cannot be iterated.",
            "Give it __len__ and __iter__, as torch.utils.data.DataLoader has them.",
        )
