"""Building a data set."""

from __future__ import annotations

import contextlib
import random
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from deepobs import config
from deepobs_testing import fake_data
from deepobs_testing.generators import OTHER_SEED, SEED, next_numbers
from deepobs_testing.loaders import require_loaders
from deepobs_testing.verdicts import CheckFailedError, require, skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs_testing.datasets.subject import Subject

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
    with fake_data.in_force(subject.fraction):
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
