"""Building and setting up a test problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepobs_testing.problems.structure import require_methods, require_parts
from deepobs_testing.verdicts import CheckFailedError, require

if TYPE_CHECKING:
    from deepobs_testing.problems.subject import Subject

_BAD_ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("batch_size=0", {"batch_size": 0}),
    ("batch_size=-1", {"batch_size": -1}),
    ("batch_size='many'", {"batch_size": "many"}),
    ("weight_decay=-1.0", {"weight_decay": -1.0}),
    ("weight_decay=nan", {"weight_decay": math.nan}),
    ("device='no_such_device'", {"device": "no_such_device"}),
)


def it_can_be_built(subject: Subject) -> None:
    """The constructor returns something with the methods of a test problem."""
    require_methods(subject.built)


def its_constructor_takes_the_arguments_of_the_protocol(subject: Subject) -> None:
    """It is called with a batch size alone, by position and by keyword."""
    size = subject.batch_size
    calls: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        f"({size})": ((size,), {}),
        f"({size}, None, 'cpu')": ((size, None, "cpu"), {}),
        f"(batch_size={size}, weight_decay=None, device='cpu')": (
            (),
            {"batch_size": size, "weight_decay": None, "device": "cpu"},
        ),
    }
    for written, (arguments, further) in calls.items():
        try:
            subject.build(*arguments, **further)
        except TypeError as error:
            raise CheckFailedError(
                f"Called with {written}, the constructor raises TypeError: {error}.",
                "Let it take (batch_size, weight_decay=None, device=None), in this order.",
            ) from error


def bad_arguments_are_refused(subject: Subject) -> None:
    """Constructor or `set_up` raise an error at what makes no sense, instead of going on."""
    subject.need_arguments()
    accepted = [written for written, bad in _BAD_ARGUMENTS if _is_accepted(subject, bad)]
    require(
        not accepted,
        f"The constructor and set_up accept {' and '.join(accepted)}; expected is an error.",
        "Check the arguments in the constructor and raise deepobs.errors.ArgumentError, as "
        "deepobs.problems.Problem does.",
    )


def _is_accepted(subject: Subject, bad: dict[str, Any]) -> bool:
    good = {"batch_size": subject.batch_size, "weight_decay": None, "device": "cpu"}
    try:
        subject.set_up(**good | bad)
    except Exception:
        return False
    return True


def it_can_be_set_up(subject: Subject) -> None:
    """After `set_up` there are a model and a data set with three loaders or four."""
    require_parts(subject.problem)


def set_up_is_quick_enough(subject: Subject) -> None:
    """`set_up` takes no longer than the caller allows."""
    require_parts(subject.problem)
    took = subject.set_up_took
    require(
        took <= subject.set_up_seconds,
        f"set_up took {took:.1f} s; allowed are {subject.set_up_seconds:g} s.",
        "Do slow work once and keep its result, or allow more time (set_up_seconds).",
    )


def its_batches_have_the_size_that_is_asked_for(subject: Subject) -> None:
    """A training batch has `batch_size` examples."""
    problem = subject.at_start()
    size = len(next(iter(problem.dataset.train_loader))[0])
    for written, found in {
        "the first training batch has": size,
        "dataset.batch_size is": problem.dataset.batch_size,
    }.items():
        require(
            found == subject.batch_size,
            f"With batch_size={subject.batch_size}, {written} {found}.",
            "Hand batch_size on to the data set; if it is too large for the data, raise "
            "deepobs.errors.ArgumentError.",
        )
