"""Checks of data sets: construction, state, order, remainder, synthetic data and device."""

from __future__ import annotations

import contextlib
import inspect
import random
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from deepobs import config
from deepobs_testing._dataset_subject import FRACTION, sized
from deepobs_testing._loaders import (
    MOST_BATCHES,
    last_tensors_of,
    layout_of,
    require_loaders,
    require_tuples_of_tensors,
    written,
)
from deepobs_testing._process import OTHER_SEED, SEED, accelerator, next_numbers
from deepobs_testing._report import CheckFailedError, keywords, require, skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs_testing._dataset_subject import Subject

_BAD_ARGUMENTS: tuple[dict[str, Any], ...] = (
    {"batch_size": 0},
    {"batch_size": -1},
    {"batch_size": "many"},
    {"batch_size": 10**9},
    {"validation_size": -1},
    {"device": "no_such_device"},
)


def it_can_be_built(subject: Subject) -> None:
    """The constructor returns an object with the loaders of a data set."""
    require_loaders(subject.data)


def its_constructor_takes_the_arguments_of_the_protocol(subject: Subject) -> None:
    """It can be called with a batch size alone, and with all other arguments by keyword."""
    calls: tuple[dict[str, Any], ...] = (
        {"device": None},
        {"device": "cpu", "validation_size": 0, "drop_remainder": True},
        {"device": "cpu", "validation_size": 0, "drop_remainder": False},
    )
    for further in calls:
        try:
            subject.build(**further)
        except TypeError as error:
            raise CheckFailedError(
                f"Called with ({subject.batch_size}, {keywords(further)}), the constructor raises "
                f"TypeError: {error}.",
                "Let it take (batch_size, *, device=None, validation_size=0, drop_remainder=True).",
            ) from error


def invalid_arguments_are_rejected(subject: Subject) -> None:
    """The constructor raises an error for invalid arguments."""
    accepted = []
    for bad in _BAD_ARGUMENTS:
        with contextlib.suppress(Exception):
            subject.build(**bad)
            accepted.append(keywords(bad))
    require(
        not accepted,
        f"The constructor accepts {' and '.join(accepted)}; expected is an error.",
        "Check the arguments and raise deepobs.errors.ArgumentError, like "
        "deepobs.data.TensorDataSet.",
    )


def its_status_is_reported(subject: Subject) -> None:
    """`status` tells whether the data are available; embedded data can be prepared and verified."""
    factory = subject.factory
    methods = ("status", "prepare", "verify")
    missing = [name for name in methods if not callable(getattr(factory, name, None))]
    if missing:
        skip(f"It has no {' and '.join(missing)}, so that `deepobs data` does not know its state")
    status = factory.status(config.get_data_dir())
    # Of other data, prepare would download them and verify would read them all.
    for method in methods if status.state == "embedded" else methods[:1]:
        found = getattr(factory, method)(config.get_data_dir())
        state, detail = getattr(found, "state", None), getattr(found, "detail", None)
        require(
            state in ("ready", "embedded", "missing") and isinstance(detail, str),
            f"{method} returns {found!r:.100}; expected is a deepobs.data.DataStatus whose state "
            "is ready, embedded or missing.",
            "Return DataStatus(state, detail).",
        )
    is_embedded = subject.spec is not None and subject.spec.embedded
    require(
        is_embedded == (status.state == "embedded"),
        f"The description says embedded={is_embedded}, but its state is {status.state!r}.",
        "Make both agree: data are embedded if they come with the package or are computed.",
    )


def embedded_data_need_no_network(subject: Subject) -> None:
    """Data that the description calls embedded are loaded without a connection."""
    if subject.spec is None or not subject.spec.embedded:
        skip("Its description does not say that it is embedded")
    with _without_network():
        subject.build()


@contextlib.contextmanager
def _without_network() -> Iterator[None]:
    """Let every attempt to connect fail."""

    def refuse(*arguments: Any, **further: Any) -> NoReturn:
        del further
        address = [value for value in arguments if not isinstance(value, socket.socket)]
        raise CheckFailedError(
            f"Its description says embedded=True, but it asks for a connection: {address}.",
            "Include the data in the package, or set embedded=False.",
        )

    # Both, since a lookup of a name fails before any connection where there is no network.
    before = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = before  # type: ignore[method-assign]


def building_it_leaves_global_rngs_alone(subject: Subject) -> None:
    """The constructor uses neither Python's nor NumPy's global RNG, and does not seed torch's."""
    # Without build, which seeds all RNGs itself.
    random.seed(0)
    np.random.seed(0)
    before = next_numbers()
    with sized(subject.fraction):
        subject.factory(subject.batch_size, device="cpu")
    after = next_numbers()
    for name in ("random.random", "numpy.random.random"):
        require(
            after[name] == before[name],
            f"The constructor draws from or seeds the global RNG of {name}.",
            f"Use a generator of its own, such as numpy.random.RandomState({SEED}).",
        )
    subject.build(), subject.build(seed=OTHER_SEED)
    first, second = (subject.numbers_after_building[seed] for seed in (SEED, OTHER_SEED))
    require(
        first != second,
        f"After the constructor, torch.rand gives {first:.6f} for both torch.manual_seed({SEED}) "
        f"and torch.manual_seed({OTHER_SEED}) before it.",
        "Do not call torch.manual_seed: draw from deepobs.data.base.seeded_generator() or a "
        "torch.Generator of its own.",
    )


def its_batches_follow_the_chosen_floating_point_type(subject: Subject) -> None:
    """After `config.set_dtype(torch.float64)`, floats are float64; by default, float32."""
    subject.data  # noqa: B018 # skips the check if it cannot be built
    for dtype in (torch.float64, torch.float32):
        with config.temporary(dtype=dtype):
            batch = next(iter(subject.build().train_loader))
        types = [str(tensor.dtype) for tensor in batch if tensor.is_floating_point()]
        if not types:
            skip("Its batches have no floating-point numbers")
        require(
            set(types) == {str(dtype)},
            f"With deepobs.config.set_dtype({dtype}), batches hold {', '.join(types)}.",
            "Convert floats to deepobs.config.get_dtype(), the type of models.",
        )


def the_last_batch_is_dropped_or_kept_as_requested(subject: Subject) -> None:
    """With `drop_remainder`, evaluation has full batches only; without it, all examples."""
    subject.data  # noqa: B018 # skips the check if it cannot be built
    # A size that divides the number of test examples leaves no remainder to look at.
    for size in (subject.batch_size, subject.batch_size + 1, subject.batch_size + 3):
        dropping, keeping = (
            subject.build(size, drop_remainder=drops).test_loader for drops in (True, False)
        )
        first = layout_of(next(iter(dropping)))
        if len(dropping) <= MOST_BATCHES:
            smaller = [batch for batch in dropping if layout_of(batch) != first]
            require(
                not smaller,
                f"With batch_size={size} and drop_remainder=True, test_loader yields a batch of "
                f"{len(smaller[-1][0]) if smaller else 0} examples.",
                "Drop the last, smaller batch.",
            )
        require(
            len(keeping) - len(dropping) in (0, 1),
            f"With batch_size={size}, test_loader has {len(dropping)} batches with "
            f"drop_remainder=True and {len(keeping)} with False; they may differ by one.",
            "Let drop_remainder decide about the last, smaller batch only.",
        )
        if len(keeping) > len(dropping):
            return
    raise CheckFailedError(
        f"With drop_remainder=False, test_loader drops the last, smaller batch for batch sizes "
        f"from {subject.batch_size} to {subject.batch_size + 3}.",
        "Yield it: full_evaluation depends on it.",
    )


def the_order_of_training_follows_the_seed(subject: Subject) -> None:
    """The same seed gives the same batches, another seed another order."""
    first, again, other = (_order(subject, seed) for seed in (SEED, SEED, OTHER_SEED))
    require(
        first == again,
        f"Built twice with the seed {SEED}, the training batches differ.",
        "Seed the generator of the order from torch's global one, like "
        "deepobs.data.BaseDataSet.generator.",
    )
    _skip_if_never_shuffled(first, other)
    require(
        first[0] != other[0],
        f"The seeds {SEED} and {OTHER_SEED} give the same order of training examples.",
        "Seed the generator of the order from torch's global one: runs with several seeds must see "
        "the data in several orders.",
    )


def every_pass_has_a_new_order(subject: Subject) -> None:
    """Training examples are shuffled again for every pass."""
    first, other = (_order(subject, seed) for seed in (SEED, OTHER_SEED))
    _skip_if_never_shuffled(first, other)
    require(
        first[0] != first[1],
        "The second pass over train_loader has the order of the first.",
        "Draw a new order in __iter__, unless reshuffle=False is given.",
    )


def reshuffle_false_keeps_the_order(subject: Subject) -> None:
    """With `reshuffle=False`, if it is supported, all passes have the order of the first."""
    if "reshuffle" not in inspect.signature(subject.factory).parameters:
        skip("Its constructor does not take reshuffle, which is optional")
    first, second = _order(subject, SEED, reshuffle=False)
    require(
        first == second,
        "With reshuffle=False, the second pass over train_loader has another order.",
        "Keep the order of the first pass, which runs need to reproduce published curves.",
    )


def _order(subject: Subject, seed: int, **further: bool) -> list[list[bytes]]:
    """The order of two training passes, determined from the labels, which augmentation keeps."""
    loader = subject.build(seed=seed, **further).train_loader
    return [last_tensors_of(loader) for _ in range(2)]


def _skip_if_never_shuffled(first: list[list[bytes]], other: list[list[bytes]]) -> None:
    if first[0] == other[0] == first[1]:
        skip("Its training examples are not shuffled")


def its_synthetic_data_have_the_same_shapes(subject: Subject) -> None:
    """Synthetic data have the shapes and types of the real data, if these are available."""
    if getattr(subject.data, "is_fake", subject.fraction is not None):
        skip("The real data are missing, so there is nothing to compare with")
    with sized(FRACTION):
        twin = subject.build()
    if not getattr(twin, "is_fake", False):
        skip("It has no synthetic data, or does not set is_fake")
    real, fake = (layout_of(next(iter(data.train_loader))) for data in (subject.data, twin))
    require(
        real == fake,
        f"Real batches have tensors of {written(real)}, synthetic ones {written(fake)}.",
        "Let make_fake return the shapes and types that load returns.",
    )


def it_works_on_the_accelerator(subject: Subject) -> None:
    """With the device of the machine's accelerator, all batches are on it."""
    device = accelerator()
    require_tuples_of_tensors(subject.build(device=str(device)), device)
