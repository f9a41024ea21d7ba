"""Values of experiment files and tuning settings, and errors that say what is allowed."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from deepobs.checks import evaluation_interval, is_number
from deepobs.errors import ArgumentError, DeepOBSError, closest, sentences
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Location = tuple[str | int, ...]
    """Keys and positions that lead to a value, from the outside in."""

MAX_CONFIGURATIONS = 1_000_000
"""How many configurations of an optimizer may be tried on a problem."""

_MAX_SEED = 2**32 - 1  # of NumPy
_MAX_SEEDS = 100_000
_MAX_SHOWN = 60  # characters of a value
_RANGE = re.compile(r"(\d+)\.\.(\d+)\Z")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


class Mistake(NamedTuple):
    """A mistake in a file, and the keys and positions that lead to it."""

    place: Location
    message: str

    def __str__(self) -> str:
        return mistake_at(self.place, self.message)


def mistake_at(location: Location, message: str) -> str:
    """Return a message with its place, written as in TOML: `optimizers.SGD.grid.lr[1]: ...`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f"{'.' if path else ''}{part if _BARE_KEY.match(part) else json.dumps(part)}"
    return f"{path}: {message}" if path else message


def refusal(file: str, mistakes: Iterable[object]) -> ArgumentError:
    """Return one error that lists the mistakes in a file, each on a line."""
    # Each once: what is wrong with an optimizer is found again on every problem.
    lines = dict.fromkeys(f"{file}: {mistake}" for mistake in mistakes)
    return ArgumentError("\n".join(lines))


def written(value: object) -> str:
    """Write a value as experiment files do, shortened if it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 4]} ..."


@contextlib.contextmanager
def noted_in(mistakes: list[str]) -> Iterator[None]:
    """Note an error of ours and go on, so that the user learns of all mistakes at once."""
    try:
        yield
    except DeepOBSError as error:
        mistakes.extend(str(error).splitlines())


def require_none(mistakes: Iterable[str]) -> None:
    """Refuse what has mistakes, each of them once.

    Raises:
        ArgumentError: There are some.
    """
    if lines := list(dict.fromkeys(mistakes)):
        raise ArgumentError("\n".join(lines))


def refused(message: str, *, absent: tuple[str, ...] = ()) -> PydanticCustomError:
    """Return an error for validators to raise, whose message is shown unchanged.

    Args:
        message: The message.
        absent: Keys of the table that would have to be there, or to fit each other: where one of
            them is a mistake itself, this is none.
    """
    return PydanticCustomError("refused", "{message}", {"message": message, "absent": absent})


def must_be(allowed: str, value: object) -> PydanticCustomError:
    """Return an error that says what a value must be, and what it is."""
    return refused(f"must be {allowed}, got {written(value)}")


def one_of(*words: str) -> BeforeValidator:
    """Return the validator of a string that is one of a few words."""

    def check(value: object) -> object:
        if value not in words:
            listed = ", ".join(map(written, words))
            message = f"must be one of {listed}, got {written(value)}"
            hint = closest(str(value), words)
            raise refused(f"{message}. {hint}" if hint else message)
        return value

    return BeforeValidator(check)


def unknown_key(key: str, keys: Iterable[str]) -> str:
    """Return the message about a key that a table does not have."""
    keys = list(keys)
    return sentences("Unknown key.", closest(key, keys), f"Allowed: {', '.join(keys)}.")


def _allowed(
    words: str, kind: type | tuple[type, ...], accepts: Callable[[Any], object] = lambda _: True
) -> BeforeValidator:
    """Return the validator of a kind of values.

    Args:
        words: Which values are allowed, for the message about another one.
        kind: Their type.
        accepts: Whether a value of this type is allowed; the message of an error that it raises,
            such as that of the registry about a name, is shown instead.
    """

    # Before pydantic's own conversion, which takes "1" and 1.0 for 1, and 1 and "yes" for true.
    def check(value: object) -> object:
        try:
            is_allowed = isinstance(value, kind) and accepts(value)
        except DeepOBSError as error:
            raise refused(str(error)) from error
        if not is_allowed:
            raise must_be(words, value)
        return value

    return BeforeValidator(check)


def _seeds(value: object) -> object:
    """Read `42`, `[42, 43]` or "42..51"."""
    match = _RANGE.match(value) if isinstance(value, str) else None
    if match:
        first, last = int(match[1]), int(match[2])
        # Limited before it is expanded: "0..4000000000" would fill the memory.
        if first <= last < min(first + _MAX_SEEDS, _MAX_SEED + 1):
            return range(first, last + 1)
    seeds = value if isinstance(value, (list, tuple)) else [value]
    if not seeds or not all(
        isinstance(seed, int) and is_number(seed, 0, _MAX_SEED) for seed in seeds
    ):
        allowed = f'integers from 0 to {_MAX_SEED}, as in 42, [42, 43, 44] or "42..51"'
        raise must_be(allowed, value)
    if len(set(seeds)) < len(seeds):
        raise must_be("different seeds", value)
    return seeds


def _optimizers(value: object) -> object:
    """Read `["SGD", "Adam"]`, or a table for each optimizer, whose class is its name by default."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        value = dict.fromkeys(value)
    if not isinstance(value, dict) or not value:
        raise must_be('a list of names such as ["SGD", "Adam"], or a table for each', value)
    # Filled in before validation, so that it is checked like a class that was written.
    return {
        label: {"class": label, **(table or {})} if isinstance(table, dict | None) else table
        for label, table in value.items()
    }


def _all_of_suite(name: str) -> list[object]:
    """Look up a suite and its problems."""
    return [registry().problems.offer(one) for one in registry().problems_of_suite(name)]


def _known_optimizer(name: str) -> object:
    # Imported here, as it imports torch: tables of results name rows without it.
    from deepobs.runs.optimizers import find_optimizer

    return find_optimizer(name)


_NUMBER = (int, float)

Text = Annotated[str, _allowed("a string", str)]
Names = tuple[Text, ...]
AnyTable = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
Flag = Annotated[bool, _allowed("true or false", bool)]
Count = Annotated[int, _allowed("an integer of 1 or more", int, lambda value: is_number(value, 1))]
CountOrZero = Annotated[
    int, _allowed("an integer of 0 or more", int, lambda value: is_number(value, 0))
]
Trials = Annotated[
    int,
    _allowed(
        f"an integer from 1 to {MAX_CONFIGURATIONS}",
        int,
        lambda value: is_number(value, 1, MAX_CONFIGURATIONS),
    ),
]
Seed = Annotated[
    int,
    _allowed(
        f"an integer from 0 to {_MAX_SEED}", int, lambda value: is_number(value, 0, _MAX_SEED)
    ),
]
Seeds = Annotated[tuple[int, ...], BeforeValidator(_seeds)]
NonNegative = Annotated[
    float, _allowed("a number of 0 or more", _NUMBER, lambda value: is_number(value, 0))
]
Positive = Annotated[
    float, _allowed("a number above 0", _NUMBER, lambda value: is_number(value) and value > 0)
]
Fraction = Annotated[
    float,
    _allowed(
        "true, false or a fraction from 0 to 1",
        _NUMBER,
        lambda value: isinstance(value, bool) or is_number(value, 0, 1),
    ),
]
PositiveFraction = Annotated[
    float,
    _allowed(
        "a number above 0 and at most 1",
        _NUMBER,
        lambda value: is_number(value, 0, 1) and value > 0,
    ),
]
EvaluationInterval = Annotated[
    str,
    _allowed(
        'a number of epochs or steps such as "5epochs" or "500steps"', str, evaluation_interval
    ),
]
Optimizers = BeforeValidator(_optimizers)
ProblemName = Annotated[
    str, _allowed("a string", str, lambda name: registry().problems.offer(name))
]
SuiteName = Annotated[str, _allowed("a string", str, _all_of_suite)]
OptimizerName = Annotated[str, _allowed("a string", str, _known_optimizer)]
