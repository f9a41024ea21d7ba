"""Building a data set."""

from __future__ import annotations

import contextlib
import inspect
import random
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from deepobs import config
from deepobs_testing._dataset_subject import FRACTION, in_force
from deepobs_testing._loaders import (
    MOST_BATCHES,
    last_tensors_of,
    layout_of,
    loaders_by_name,
    require_constant_layout,
    require_disjoint,
    require_equal_passes,
    require_loaders,
    require_no_test_examples,
    require_same_evaluation,
    require_same_examples,
    require_sizes,
    require_tuples_of_tensors,
    two_passes,
    validation_size_for,
    written,
)
from deepobs_testing._process import OTHER_SEED, SEED, next_numbers
from deepobs_testing._report import CheckFailedError, require, skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.protocols import DataSet
    from deepobs_testing._dataset_subject import Subject
    from deepobs_testing._loaders import Seen


_BAD_ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("batch_size=0", {"batch_size": 0}),
    ("batch_size=-1", {"batch_size": -1}),
    ("batch_size='many'", {"batch_size": "many"}),
    ("batch_size=1000000000", {"batch_size": 10**9}),
    ("validation_size=-1", {"validation_size": -1}),
    ("device='no_such_device'", {"device": "no_such_device"}),
)


def it_can_be_built(subject: Subject) -> None:
    """The constructor returns something with the loaders of a data set."""
    require_loaders(subject.data)


def its_constructor_takes_the_arguments_of_the_protocol(subject: Subject) -> None:
    """It is called with a batch size alone, and with all others by keyword."""
    for further in (
        {"device": None},
        {"device": "cpu", "validation_size": 0, "drop_remainder": True},
        {"device": "cpu", "validation_size": 0, "drop_remainder": False},
    ):
        try:
            subject.build(**further)
        except TypeError as error:
            written = ", ".join(f"{name}={value!r}" for name, value in further.items())
            raise CheckFailedError(
                f"Called with ({subject.batch_size}, {written}), the constructor raises TypeError: "
                f"{error}.",
                "Let it take (batch_size, *, device=None, validation_size=0, drop_remainder=True).",
            ) from error


def bad_arguments_are_refused(subject: Subject) -> None:
    """The constructor raises an error at what makes no sense, instead of going on."""
    accepted = [written for written, bad in _BAD_ARGUMENTS if _is_accepted(subject, bad)]
    require(
        not accepted,
        f"The constructor accepts {' and '.join(accepted)}; expected is an error.",
        "Check the arguments and raise deepobs.errors.ArgumentError, as "
        "deepobs.data.TensorDataSet does.",
    )


def building_it_leaves_the_generators_of_others_alone(subject: Subject) -> None:
    """Python's and NumPy's generators stay as they are, and torch's is not seeded."""
    random.seed(0)
    np.random.seed(0)
    before = next_numbers()
    with in_force(subject.fraction):
        subject.factory(subject.batch_size, device="cpu")
    after = next_numbers()
    for name in ("random.random", "numpy.random.random"):
        require(
            after[name] == before[name],
            f"The constructor draws from or seeds the global generator of {name}.",
            f"Use a generator of its own, such as numpy.random.RandomState({SEED}).",
        )
    subject.build(), subject.build(seed=OTHER_SEED)
    first, second = (subject.numbers_after_building[seed] for seed in (SEED, OTHER_SEED))
    require(
        first != second,
        f"After the constructor, torch.rand gives {first:.6f} whether torch.manual_seed was "
        f"called with {SEED} or {OTHER_SEED} before.",
        "Do not call torch.manual_seed: draw from deepobs.data.loader.seeded_generator() or a "
        "torch.Generator of its own.",
    )


def its_batches_follow_the_chosen_floating_point_type(subject: Subject) -> None:
    """With `config.set_dtype(torch.float64)`, floats are float64; by default, float32."""
    subject.data  # noqa: B018 # what has no loaders has no batches
    for dtype in (torch.float64, torch.float32):
        with config.temporary(dtype=dtype):
            batch = next(iter(subject.build().train_loader))
        types = [str(tensor.dtype) for tensor in batch if tensor.is_floating_point()]
        if not types:
            skip("Its batches hold no floating-point numbers")
        require(
            set(types) == {str(dtype)},
            f"With deepobs.config.set_dtype({dtype}), batches hold {', '.join(types)}.",
            "Convert floats to deepobs.config.get_dtype(): models are of that type, too.",
        )


def embedded_data_need_no_network(subject: Subject) -> None:
    """Where the description says that it is embedded, nothing asks for a connection."""
    if subject.spec is None or not subject.spec.embedded:
        skip("Its description does not say that it is embedded")
    with _without_network():
        subject.build()


def its_state_can_be_told(subject: Subject) -> None:
    """`status` says whether the data are there; what is embedded can be prepared and verified."""
    factory = subject.factory
    missing = [
        n for n in ("status", "prepare", "verify") if not callable(getattr(factory, n, None))
    ]
    if missing:
        skip(f"It has no {' and '.join(missing)}: `deepobs data` cannot tell its state")
    actions = ["status"]
    status = factory.status(config.get_data_dir())
    if status.state == "embedded":
        actions += ["prepare", "verify"]
    for action in actions:
        found = getattr(factory, action)(config.get_data_dir())
        state, detail = getattr(found, "state", None), getattr(found, "detail", None)
        require(
            state in ("ready", "embedded", "missing") and isinstance(detail, str),
            f"{action} returns {found!r:.100}; expected is a deepobs.data.DataStatus whose state "
            "is ready, embedded or missing.",
            "Return DataStatus(state, detail).",
        )
    is_embedded = subject.spec is not None and subject.spec.embedded
    require(
        is_embedded == (status.state == "embedded"),
        f"The description says embedded={is_embedded}, but its state is {status.state!r}.",
        "Let both agree: data are embedded if they come with the package or are computed.",
    )


def _is_accepted(subject: Subject, bad: dict[str, Any]) -> bool:
    try:
        subject.build(**bad)
    except Exception:
        return False
    return True


@contextlib.contextmanager
def _without_network() -> Iterator[None]:
    """Let every attempt to connect fail meanwhile."""

    def refuse(*arguments: Any, **further: Any) -> NoReturn:
        del further
        raise CheckFailedError(
            f"It is said to be embedded, but asks for a connection: {arguments[1:]!r}.",
            "Put the data into the package, or say embedded=False.",
        )

    before = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = before  # type: ignore[method-assign]


def its_batches_are_tuples_of_tensors_on_the_device(subject: Subject) -> None:
    """A loader yields one tuple of tensors a batch, on the device that was asked for."""
    for name, loader in loaders_by_name(subject.data).items():
        require_tuples_of_tensors(loader, name, torch.device("cpu"))


def its_batches_have_the_size_that_is_asked_for(subject: Subject) -> None:
    """A training batch has `batch_size` examples."""
    size = len(next(iter(subject.data.train_loader))[0])
    require(
        size == subject.data.batch_size == subject.batch_size,
        f"With batch_size={subject.batch_size}, a training batch has {size} examples, and the "
        f"attribute batch_size is {subject.data.batch_size}.",
        "Keep to the batch size, or refuse it with deepobs.errors.ArgumentError.",
    )


def its_loaders_are_sized_and_can_be_read_again(subject: Subject) -> None:
    """Every pass over a loader has as many batches as its length says."""
    require_sizes(subject.data, _passes(subject))


def its_batches_have_one_shape_and_type(subject: Subject) -> None:
    """All batches of all splits are alike, but for a last, smaller one of evaluation."""
    require_constant_layout(_passes(subject))


def its_evaluation_batches_are_the_same_in_every_pass(subject: Subject) -> None:
    """Evaluation neither shuffles nor augments."""
    require_equal_passes(_passes(subject))


def what_is_evaluated_is_the_same_for_every_seed(subject: Subject) -> None:
    """Neither the test set nor the fixed part of the training set depends on the seed of a run."""
    other = subject.build(seed=OTHER_SEED)
    require_same_evaluation(subject.data, other, (SEED, OTHER_SEED))


def a_remainder_is_dropped_or_kept_as_asked(subject: Subject) -> None:
    """With `drop_remainder`, evaluation has full batches only; without it, all examples."""
    subject.data  # noqa: B018 # what has no loaders has no remainder
    for size in (subject.batch_size, subject.batch_size + 1, subject.batch_size + 3):
        dropping, keeping = (
            subject.build(size, drop_remainder=drops).test_loader for drops in (True, False)
        )
        first = layout_of(next(iter(dropping)))
        if len(dropping) <= MOST_BATCHES:
            smaller = [b for b in dropping if layout_of(b) != first]
            require(
                not smaller,
                f"With batch_size={size} and drop_remainder=True, test_loader yields a batch of "
                f"{len(smaller[-1][0]) if smaller else 0} examples.",
                "Leave the last, smaller batch out.",
            )
        require(
            len(keeping) - len(dropping) in (0, 1),
            f"With batch_size={size}, test_loader has {len(dropping)} batches with "
            f"drop_remainder=True and {len(keeping)} with False; they may differ by one.",
            "Let drop_remainder decide about the last, smaller batch only.",
        )
        if len(keeping) > len(dropping):
            return
    require(
        False,
        f"With drop_remainder=False, the last, smaller batch of test_loader is left out for every "
        f"batch size from {subject.batch_size} to {subject.batch_size + 3} that was tried.",
        "Yield it: full_evaluation depends on it.",
    )


def test_examples_are_never_trained_on(subject: Subject) -> None:
    """Neither training batches nor those that the training loss is measured on hold them."""
    require_no_test_examples(subject.data)


def held_out_examples_are_never_trained_on(subject: Subject) -> None:
    """With a validation size, the held-out examples are no training examples."""
    size, divided = _divided(subject)
    require_disjoint(subject.data, divided, size)


def held_out_examples_are_the_same_for_every_seed(subject: Subject) -> None:
    """What is held out does not depend on the seed of a run."""
    size, divided = _divided(subject)
    other = subject.build(validation_size=size, seed=OTHER_SEED)
    require_same_examples(divided, other, (SEED, OTHER_SEED))


def the_order_of_training_follows_the_seed(subject: Subject) -> None:
    """The same seed gives the same batches, another seed another order."""
    first, again, other = (_order(subject, seed) for seed in (SEED, SEED, OTHER_SEED))
    require(
        first == again,
        f"Built twice with the seed {SEED}, the training batches differ.",
        "Seed the generator of the order from torch's global one, as "
        "deepobs.data.BaseDataSet.generator is.",
    )
    if first[0] == other[0] == first[1]:
        skip("It is read in the order in which it lies")
    require(
        first[0] != other[0],
        f"The seeds {SEED} and {OTHER_SEED} give the same order of training examples.",
        "Seed the generator of the order from torch's global one: runs with several seeds are to "
        "see the data in several orders.",
    )


def every_pass_has_a_new_order(subject: Subject) -> None:
    """Training examples are shuffled again for every pass."""
    first, other = (_order(subject, seed) for seed in (SEED, OTHER_SEED))
    if first[0] == other[0] == first[1]:
        skip("It is read in the order in which it lies")
    require(
        first[0] != first[1],
        "The second pass over train_loader has the order of the first.",
        "Draw a new order in __iter__, unless reshuffle=False was asked for.",
    )


def reshuffle_false_keeps_the_order(subject: Subject) -> None:
    """With `reshuffle=False`, where it is known, all passes have the order of the first."""
    if "reshuffle" not in inspect.signature(subject.factory).parameters:
        skip("Its constructor does not know reshuffle, which is optional")
    first, second = _order(subject, SEED, reshuffle=False)
    require(
        first == second,
        "With reshuffle=False, the second pass over train_loader has another order.",
        "Keep the order of the first pass: runs that repeat published curves ask for it.",
    )


def its_fake_twin_has_the_same_shapes(subject: Subject) -> None:
    """Synthetic data have the shapes and types of the real ones, where those are here."""
    if getattr(subject.data, "is_fake", subject.fraction is not None):
        skip("The real data are not here to compare with")
    with in_force(FRACTION):
        twin = subject.build()
    if not getattr(twin, "is_fake", False):
        skip("It has no synthetic twin, or does not say so in is_fake")
    real, fake = (layout_of(next(iter(one.train_loader))) for one in (subject.data, twin))
    require(
        real == fake,
        f"Real batches have tensors of {written(real)}, synthetic ones {written(fake)}.",
        "Let make_fake return what load would, with other numbers.",
    )


def it_works_on_the_accelerator(subject: Subject) -> None:
    """With the device of the machine's accelerator, all batches are there."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        skip("This machine has no accelerator that torch can use")
    data = subject.build(device=str(accelerator))
    for name, loader in loaders_by_name(data).items():
        require_tuples_of_tensors(loader, name, accelerator)


def _passes(subject: Subject) -> dict[str, tuple[list[Seen], list[Seen]]]:
    return subject.memo(
        "its_batches_are_tuples_of_tensors_on_the_device",
        lambda: two_passes(subject.data),
        "passes",
    )


def _divided(subject: Subject) -> tuple[int, DataSet]:
    """A number of examples that can be held out, and the data set that does so."""

    def divide() -> tuple[int, DataSet]:
        size = validation_size_for(
            subject.batch_size, lambda size: subject.build(validation_size=size)
        )
        return size, subject.build(validation_size=size)

    return subject.memo("held_out_examples_are_never_trained_on", divide)


def _order(subject: Subject, seed: int, **further: bool) -> list[list[bytes]]:
    """What tells the order of two training passes: the labels, which augmentation leaves alone."""
    loader = subject.build(seed=seed, **further).train_loader
    return [last_tensors_of(loader) for _ in range(2)]
