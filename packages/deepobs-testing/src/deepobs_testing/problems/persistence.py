"""Saving, pickling and copying."""

from __future__ import annotations

import copy
import io
import pickle
from typing import TYPE_CHECKING

import torch

from deepobs_testing.carrying_out import described
from deepobs_testing.numbers import listed
from deepobs_testing.problems.losses import losses_of, need_losses
from deepobs_testing.problems.start import tensors_of
from deepobs_testing.verdicts import CheckFailedError, require

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs.protocols import TestProblem
    from deepobs_testing.problems.subject import Subject


def its_weights_can_be_saved_and_loaded(subject: Subject) -> None:
    """`model.state_dict()` goes through a file and back, without unpickling anything."""
    problem = subject.at_start()
    before = {name: p.detach().clone() for name, p in problem.model.named_parameters()}
    file = io.BytesIO()
    torch.save(problem.model.state_dict(), file)
    file.seek(0)
    try:
        loaded = torch.load(file, weights_only=True)
    except Exception as error:
        raise CheckFailedError(
            f"torch.load(..., weights_only=True) refuses what model.state_dict() holds: "
            f"{described(error)}.",
            "Keep only tensors and plain numbers in parameters, buffers and get_extra_state.",
        ) from error
    with torch.no_grad():
        for parameter in problem.model.parameters():
            parameter.zero_()
    problem.model.load_state_dict(loaded)
    lost = [n for n, p in problem.model.named_parameters() if not torch.equal(p, before[n])]
    require(
        not lost,
        f"After load_state_dict(state_dict()), {', '.join(lost)} is not as before.",
        "Register every parameter with the module that uses it.",
    )


def it_can_be_pickled(subject: Subject) -> None:
    """Before `set_up`, it goes to another process: its class is found by its name."""
    problem = subject.built
    try:
        again = pickle.loads(pickle.dumps(problem))  # noqa: S301 # just made here
    except Exception as error:
        raise CheckFailedError(
            f"pickle refuses it: {described(error)}.",
            "Define the class at the top of a module, and keep no functions or open files in its "
            "attributes.",
        ) from error
    require(
        type(again) is type(problem),
        f"It comes back from pickle as {type(again)!r} instead of {type(problem)!r}.",
        "Let __module__ and __qualname__ of the class lead to the class.",
    )


def it_can_be_copied(subject: Subject) -> None:
    """A deep copy after `set_up` is a problem of its own with the same losses."""
    need_losses(subject)
    problem = subject.at_start()
    try:
        twin = copy.deepcopy(problem)
    except Exception as error:
        raise CheckFailedError(
            f"copy.deepcopy refuses it after set_up: {described(error)}.",
            "Let attributes be tensors, modules and plain data, detached from any graph.",
        ) from error
    shared = _memory(problem) & _memory(twin)
    require(
        not shared,
        f"{len(shared)} tensors of a deep copy share the memory of the original.",
        "Remove __deepcopy__, or let it copy parameters and buffers.",
    )
    found, expected = (_losses(subject, one) for one in (twin, problem))
    require(
        torch.equal(found, expected),
        f"A deep copy has the losses {listed(found)}, the original {listed(expected)}.",
        "Keep all that losses depend on in the problem, not in globals or closures.",
    )


def _memory(problem: TestProblem) -> set[int]:
    return {t.data_ptr() for t in tensors_of(problem.model).values() if t.numel()}


def _losses(subject: Subject, problem: TestProblem) -> Tensor:
    problem.model.eval()
    return losses_of(problem, subject.first_batch(problem))
