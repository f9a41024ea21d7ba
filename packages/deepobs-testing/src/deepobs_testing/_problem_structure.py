"""Checks of test problems as objects: construction, set-up, saving, copying and devices."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import pickle
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepobs_testing._execution import summary_of
from deepobs_testing._loaders import require_tuples_of_tensors
from deepobs_testing._problem_losses import evaluation_losses, need_losses
from deepobs_testing._problem_subject import require_methods, require_parts, tensors_of
from deepobs_testing._process import accelerator
from deepobs_testing._report import CheckFailedError, keywords, require
from deepobs_testing._tensors import listed

if TYPE_CHECKING:
    from deepobs.protocols import TestProblem
    from deepobs_testing._problem_subject import Subject

_BAD_ARGUMENTS: tuple[dict[str, Any], ...] = (
    {"batch_size": 0},
    {"batch_size": -1},
    {"batch_size": "many"},
    {"weight_decay": -1.0},
    {"weight_decay": math.nan},
    {"device": "no_such_device"},
)


def it_can_be_built(subject: Subject) -> None:
    """The constructor returns an object with the methods of a test problem."""
    require_methods(subject.built)


def its_constructor_takes_the_arguments_of_the_protocol(subject: Subject) -> None:
    """It can be called with a batch size alone, by position and by keyword."""
    size = subject.batch_size
    by_keyword = {"batch_size": size, "weight_decay": None, "device": "cpu"}
    calls: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
        ((size,), {}),
        ((size, None, "cpu"), {}),
        ((), by_keyword),
    )
    for arguments, further in calls:
        try:
            subject.build(*arguments, **further)
        except TypeError as error:
            written = ", ".join(map(repr, arguments)) + keywords(further)
            raise CheckFailedError(
                f"Called with ({written}), the constructor raises TypeError: {error}.",
                "Let it take (batch_size, weight_decay=None, device=None), in this order.",
            ) from error


def invalid_arguments_are_rejected(subject: Subject) -> None:
    """The constructor or `set_up` raises an error for invalid arguments."""
    subject.need_arguments()
    good = {"batch_size": subject.batch_size, "weight_decay": None, "device": "cpu"}
    accepted = []
    for bad in _BAD_ARGUMENTS:
        with contextlib.suppress(Exception):
            subject.set_up(**good | bad)
            accepted.append(keywords(bad))
    require(
        not accepted,
        f"The constructor and set_up accept {' and '.join(accepted)}; expected is an error.",
        "Check the arguments in the constructor and raise deepobs.errors.ArgumentError, like "
        "deepobs.problems.Problem.",
    )


def it_can_be_set_up(subject: Subject) -> None:
    """After `set_up` it has a model and a data set with three or four loaders."""
    require_parts(subject.problem)


def set_up_is_quick_enough(subject: Subject) -> None:
    """`set_up` takes no longer than the caller permits."""
    require_parts(subject.problem)
    # Elsewhere than in the main thread, a slow set_up cannot be interrupted, but is measured.
    took = subject.set_up_took
    require(
        took <= subject.set_up_seconds,
        f"set_up took {took:.1f} s; the limit is {subject.set_up_seconds:g} s.",
        "Do slow work once and cache its result, or raise the limit (set_up_seconds).",
    )


def its_weights_can_be_saved_and_loaded(subject: Subject) -> None:
    """`model.state_dict()` survives a file that is loaded with `weights_only`."""
    problem = subject.at_start()
    before = {name: p.detach().clone() for name, p in problem.model.named_parameters()}
    file = io.BytesIO()
    torch.save(problem.model.state_dict(), file)
    file.seek(0)
    try:
        loaded = torch.load(file, weights_only=True)
    except Exception as error:
        raise CheckFailedError(
            f"torch.load(..., weights_only=True) refuses the file of model.state_dict(): "
            f"{summary_of(error)}.",
            "Keep only tensors and plain numbers in parameters, buffers and get_extra_state.",
        ) from error
    with torch.no_grad():
        for parameter in problem.model.parameters():
            parameter.zero_()  # those that are not loaded would otherwise look right
    problem.model.load_state_dict(loaded)
    lost = [n for n, p in problem.model.named_parameters() if not torch.equal(p, before[n])]
    require(
        not lost,
        f"load_state_dict(state_dict()) does not restore {', '.join(lost)}.",
        "Register every parameter with the module that uses it.",
    )


def it_can_be_pickled(subject: Subject) -> None:
    """Before `set_up` it can be sent to another process."""
    problem = subject.built
    try:
        again = pickle.loads(pickle.dumps(problem))  # noqa: S301 # pickled in the same line
    except Exception as error:
        raise CheckFailedError(
            f"pickle refuses it: {summary_of(error)}.",
            "Define the class at the top of a module, and keep no functions or open files in its "
            "attributes.",
        ) from error
    require(
        type(again) is type(problem),
        f"Unpickled, it is a {type(again)!r} instead of a {type(problem)!r}.",
        "Let __module__ and __qualname__ of the class lead to the class.",
    )


def it_can_be_copied(subject: Subject) -> None:
    """A deep copy after `set_up` is independent and has the same losses."""
    need_losses(subject)
    problem = subject.at_start()
    try:
        twin = copy.deepcopy(problem)
    except Exception as error:
        raise CheckFailedError(
            f"copy.deepcopy refuses it after set_up: {summary_of(error)}.",
            "Let attributes be tensors, modules and plain data, detached from any graph.",
        ) from error
    shared = _memory(problem) & _memory(twin)
    require(
        not shared,
        f"{len(shared)} tensors of a deep copy share the memory of the original.",
        "Remove __deepcopy__, or let it copy parameters and buffers.",
    )
    found, expected = (evaluation_losses(one, subject.first_batch(one)) for one in (twin, problem))
    require(
        torch.equal(found, expected),
        f"A deep copy has the losses {listed(found)}, the original {listed(expected)}.",
        "Keep everything that losses depend on in the problem, not in globals or closures.",
    )


def _memory(problem: TestProblem) -> set[int]:
    return {t.data_ptr() for t in tensors_of(problem.model).values() if t.numel()}


def it_stays_on_the_cpu(subject: Subject) -> None:
    """With device="cpu", everything is on the CPU, whatever accelerators the machine has."""
    need_losses(subject)
    _require_all_on(subject.at_start(), torch.device("cpu"))


def it_works_on_the_accelerator(subject: Subject) -> None:
    """With the device of the machine's accelerator, everything is on it."""
    device = accelerator()
    _require_all_on(subject.set_up(subject.batch_size, None, str(device)), device)


def _require_all_on(problem: TestProblem, device: torch.device) -> None:
    elsewhere = [
        f"{name} ({tensor.device})"
        for name, tensor in tensors_of(problem.model).items()
        if tensor.device.type != device.type
    ]
    require(
        not elsewhere,
        f"With device={str(device)!r}, the model has {', '.join(elsewhere)} elsewhere.",
        "Move the model in set_up: self.model.to(device).",
    )
    require_tuples_of_tensors(problem.dataset, device)
    losses, accuracy = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.train_loader)))
    regularizer = problem.get_regularization_loss()
    found = {"losses": losses, "regularizer": regularizer, "accuracy": accuracy}
    for name, tensor in found.items():
        require(
            not isinstance(tensor, Tensor) or tensor.device.type == device.type,
            f"With device={str(device)!r}, the {name} is on {getattr(tensor, 'device', None)}.",
            "Create new tensors on the device of the problem: torch.zeros((), device=...).",
        )
