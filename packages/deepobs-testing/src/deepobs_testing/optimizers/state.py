"""The state of an optimizer: carried over, and through a file."""

from __future__ import annotations

import copy
import io
from typing import TYPE_CHECKING, Any

import torch

from deepobs.runs.optimizer_state import optimizer_state, set_optimizer_state
from deepobs_testing.carrying_out import described
from deepobs_testing.verdicts import CheckFailedError, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_testing.optimizers.subject import Subject

_STEPS = 4


def its_state_dict_goes_on_to_the_bit(subject: Subject) -> None:
    """Another one that loads its `state_dict` takes the steps that it would have taken."""

    def carry(source: Any, target: Any) -> None:
        target.load_state_dict(copy.deepcopy(source.state_dict()))

    _require_same_steps(
        subject,
        carry,
        "load_state_dict(state_dict())",
        "Keep all that it remembers in self.state[parameter] or in the groups, as tensors of the "
        "parameter's type: counters, averages and previous iterates.",
    )


def an_interrupted_run_goes_on_to_the_bit(subject: Subject) -> None:
    """One that is put back from a checkpoint takes the steps that it would have taken."""

    def carry(source: Any, target: Any) -> None:
        set_optimizer_state(target, _through_a_file(optimizer_state(source)))

    _require_same_steps(
        subject,
        carry,
        "a checkpoint",
        "Keep what it remembers in self.state, in the groups, or in attributes that are numbers, "
        "texts or tensors.",
    )


def its_state_can_be_saved(subject: Subject) -> None:
    """Its `state_dict` goes through a file, without unpickling anything."""
    training = subject.training()
    training.take(_STEPS)
    _through_a_file(training.optimizer.state_dict())


def _require_same_steps(
    subject: Subject, carry: Callable[[Any, Any], None], way: str, remedy: str
) -> None:
    training = subject.training()
    training.take(_STEPS)
    following = training.going_on(subject, carry)
    torch.manual_seed(0)
    training.take(_STEPS)
    torch.manual_seed(0)
    following.take(_STEPS)
    found, expected = following.numbers(), training.numbers()
    different = [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]]
    require(
        not different,
        f"After {way}, {_STEPS} further steps end elsewhere than without: {len(different)} of "
        f"{len(found)} parameters differ, the first is {different[0] if different else ''}.",
        remedy,
    )


def _through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        return torch.load(file, weights_only=True)
    except Exception as error:
        raise CheckFailedError(
            f"Its state cannot be saved and loaded with weights_only=True: {described(error)}.",
            "Let the state hold only tensors, numbers, texts, and lists and dictionaries of these.",
        ) from error
