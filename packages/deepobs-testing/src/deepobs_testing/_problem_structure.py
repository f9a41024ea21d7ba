"""Building and setting up a test problem."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepobs.runs.assembly import unknown_options
from deepobs_testing._execution import summary_of
from deepobs_testing._loaders import (
    FEW_BATCHES,
    MOST_BATCHES,
    loaders_by_name,
    require_constant_layout,
    require_disjoint,
    require_equal_passes,
    require_no_test_examples,
    require_same_evaluation,
    require_same_examples,
    require_sizes,
    require_tuples_of_tensors,
    two_passes,
    validation_size_for,
)
from deepobs_testing._problem_losses import losses_of, need_losses
from deepobs_testing._problem_subject import require_methods, require_parts, tensors_of
from deepobs_testing._process import OTHER_SEED, SEED
from deepobs_testing._report import CheckFailedError, require, skip
from deepobs_testing._tensors import listed

if TYPE_CHECKING:
    from deepobs.protocols import DataSet, TestProblem
    from deepobs_testing._loaders import Seen
    from deepobs_testing._problem_subject import Subject


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


_UNKNOWN = "Its constructor does not know validation_size, which is optional"


def its_loaders_are_sized_and_can_be_read_again(subject: Subject) -> None:
    """Every pass over a loader has as many batches as its length says."""
    require_sizes(subject.problem.dataset, _passes(subject), _most(subject))


def its_batches_are_tuples_of_tensors_on_the_device(subject: Subject) -> None:
    """A loader yields one tuple of tensors a batch, on the device that was asked for."""
    for name, loader in loaders_by_name(subject.at_start().dataset).items():
        require_tuples_of_tensors(loader, name, torch.device("cpu"))


def its_batches_have_one_shape_and_type(subject: Subject) -> None:
    """All batches of all splits are alike, but for a last, smaller one of evaluation."""
    require_constant_layout(_passes(subject))


def its_evaluation_batches_are_the_same_in_every_pass(subject: Subject) -> None:
    """Evaluation neither shuffles nor augments."""
    require_equal_passes(_passes(subject))


def what_is_evaluated_is_the_same_for_every_seed(subject: Subject) -> None:
    """Neither the test set nor the fixed part of the training set depends on the seed of a run."""
    first, other = subject.at_start().dataset, subject.other.dataset
    require_same_evaluation(first, other, (SEED, OTHER_SEED), _most(subject))


def test_examples_are_never_trained_on(subject: Subject) -> None:
    """Neither training batches nor those that the training loss is measured on hold them."""
    require_no_test_examples(subject.at_start().dataset, _most(subject))


def held_out_examples_are_never_trained_on(subject: Subject) -> None:
    """With a validation size, the held-out examples are no training examples."""
    size, divided = _divided(subject)
    require_disjoint(subject.at_start().dataset, divided, size, _most(subject))


def held_out_examples_are_the_same_for_every_seed(subject: Subject) -> None:
    """What is held out does not depend on the seed of a run."""
    size, divided = _divided(subject)
    other = _dataset(subject, size, seed=OTHER_SEED)
    require_same_examples(divided, other, (SEED, OTHER_SEED))


def _passes(subject: Subject) -> dict[str, tuple[list[Seen], list[Seen]]]:
    return subject.memo(
        "its_batches_are_tuples_of_tensors_on_the_device",
        lambda: two_passes(subject.at_start().dataset, _most(subject)),
        "passes",
    )


def _most(subject: Subject) -> int:
    """How many batches to look at."""
    is_checked_by_itself = subject.dataset_class is not None
    return FEW_BATCHES if is_checked_by_itself else MOST_BATCHES


def _divided(subject: Subject) -> tuple[int, DataSet]:
    """A number of examples that can be held out, and the data set that does so."""

    def divide() -> tuple[int, DataSet]:
        if unknown_options(subject.factory, ["validation_size"]):
            skip(_UNKNOWN)
        try:
            size = validation_size_for(subject.batch_size, lambda size: _dataset(subject, size))
        except TypeError as error:  # it hands any argument on to a constructor that refuses it
            if "validation_size" not in str(error):
                raise
            skip(_UNKNOWN)
        return size, _dataset(subject, size)

    return subject.memo("held_out_examples_are_never_trained_on", divide)


def _dataset(subject: Subject, validation_size: int, seed: int = SEED) -> DataSet:
    return subject.dataset_holding_out(validation_size, seed)


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
            f"{summary_of(error)}.",
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
            f"pickle refuses it: {summary_of(error)}.",
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
            f"copy.deepcopy refuses it after set_up: {summary_of(error)}.",
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
