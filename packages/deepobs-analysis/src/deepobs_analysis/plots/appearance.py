"""How figures appear: the options that all of them share, and what is valid for each."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypedDict, get_args

import matplotlib as mpl
import matplotlib.style
from matplotlib.colors import is_color_like

from deepobs.checks import is_number
from deepobs.errors import ArgumentError, UnknownNameError, closest, joined, sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

AxisKind: TypeAlias = Literal["auto", "linear", "log", "full"]
NotesPlace: TypeAlias = Literal["figure", "file", "off"]

WIDTHS = {"one": 3.3, "two": 6.8}
"""Inches of one and of two columns of an article, as journals print them."""

_NARROWEST, _WIDEST = 1.5, 40.0
_SMALLEST_FONT, _LARGEST_FONT = 4.0, 40.0


class CommonOptions(TypedDict, total=False):
    """The options of every figure; `COMMON` explains them."""

    highlight: str | Sequence[str]
    order: str | Sequence[str]
    names: str | Mapping[str, str]
    colors: str | Mapping[str, str]
    width: Literal["one", "two"] | float
    font_size: float
    axis: AxisKind
    notes: NotesPlace
    style: str | Sequence[str]


class Option(NamedTuple):
    """An option of a figure: its default, and what it does, for people."""

    default: str
    meaning: str


COMMON = {
    "highlight": Option("none", "Optimizers to emphasize, separated by commas."),
    "order": Option("by name", "Optimizers that come first, separated by commas."),
    "names": Option("their own", 'Names to show instead, such as "Adam:Adam (ours),SGD:baseline".'),
    "colors": Option("fixed", 'Colors of optimizers, such as "Adam:red,SGD:#888888".'),
    "width": Option(
        "by the figure", 'Width for "one" or "two" columns of an article, or in inches.'
    ),
    "font_size": Option("8", "Size of the text in points."),
    "axis": Option(
        "auto",
        'Axes of performances: "linear" or "log", "auto" for what suits the values, or "full". All '
        'but "full" cut what would hide the differences at the end.',
    ),
    "notes": Option(
        "figure",
        'Where explanations go: below the "figure", to a text "file" beside it, or "off".',
    ),
    "style": Option("none", "Style sheets of Matplotlib, separated by commas."),
}
"""The options of every figure by name."""


@dataclass(frozen=True)
class Appearance:
    """The options of every figure, parsed; see `COMMON`. `width` is in inches."""

    highlight: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    colors: Mapping[str, str] = field(default_factory=dict)
    width: float | None = None
    font_size: float | None = None
    axis: AxisKind = "auto"
    notes: NotesPlace = "figure"
    style: tuple[str, ...] = ()


# A variable of the context, as plots of other packages know nothing of these options.
_current: ContextVar[Appearance | None] = ContextVar("appearance", default=None)


def current() -> Appearance:
    """How the figure that is being drawn appears."""
    return _current.get() or Appearance()


@contextlib.contextmanager
def using(appearance: Appearance) -> Iterator[None]:
    """Draw figures with this appearance."""
    token = _current.set(appearance)
    try:
        yield
    finally:
        _current.reset(token)


def appearance_of(options: Mapping[str, Any], optimizers: Iterable[str]) -> Appearance:
    """Parse options of `COMMON`.

    Args:
        options: Values by name; texts are read as on the command line.
        optimizers: All optimizers, which some options name.

    Raises:
        ArgumentError: A value is not allowed.
        UnknownNameError: There is no such optimizer or style sheet.
    """
    known = list(optimizers)
    parsed: dict[str, Any] = {
        name: _PARSERS[name](name, value, known) for name, value in options.items()
    }
    return Appearance(**parsed)


def _optimizers(option: str, value: Any, known: list[str]) -> tuple[str, ...]:
    # A name may hold commas itself: "Momentum, momentum = 0.99".
    names = (value,) if value in known else _parts(option, value)
    for name in names:
        _require_optimizer(option, name, known)
    return tuple(names)


def _names(option: str, value: Any, known: list[str]) -> dict[str, str]:
    pairs = _pairs(option, value, known)
    for name in pairs:
        _require_optimizer(option, name, known)
    return pairs


def _colors(option: str, value: Any, known: list[str]) -> dict[str, str]:
    colors = _names(option, value, known)
    for name, color in colors.items():
        if not is_color_like(color):
            raise ArgumentError(
                f"{color!r} is no color, which the option {option!r} gives {name}. Write a name "
                "such as red or tab:blue, or #rrggbb."
            )
    return colors


def _width(option: str, value: Any, known: list[str]) -> float:
    del known
    if value in list(WIDTHS):
        return WIDTHS[value]
    if not is_number(value, _NARROWEST) or value > _WIDEST:
        message = f"The option {option!r} is one of {', '.join(WIDTHS)}, or inches from "
        message += f"{_NARROWEST} to {_WIDEST:g}; got {value!r}."
        raise ArgumentError(sentences(message, closest(str(value), WIDTHS)))
    return float(value)


def _font_size(option: str, value: Any, known: list[str]) -> float:
    del known
    if not is_number(value, _SMALLEST_FONT) or value > _LARGEST_FONT:
        raise ArgumentError(
            f"The option {option!r} is in points, from {_SMALLEST_FONT:g} to {_LARGEST_FONT:g}; "
            f"got {value!r}."
        )
    return float(value)


def _axis(option: str, value: Any, known: list[str]) -> str:
    del known
    return _word(option, value, get_args(AxisKind))


def _notes(option: str, value: Any, known: list[str]) -> str:
    del known
    return _word(option, value, get_args(NotesPlace))


def _style(option: str, value: Any, known: list[str]) -> tuple[str, ...]:
    del known
    sheets = _parts(option, value)
    for sheet in sheets:
        if sheet != "default" and sheet not in mpl.style.library and not Path(sheet).is_file():
            message = f"There is no style sheet {sheet!r}."
            every = "`matplotlib.style.available` lists all; a file ends in .mplstyle."
            raise UnknownNameError(sentences(message, closest(sheet, mpl.style.available), every))
    return sheets


_PARSERS: dict[str, Callable[[str, Any, list[str]], Any]] = {
    "highlight": _optimizers,
    "order": _optimizers,
    "names": _names,
    "colors": _colors,
    "width": _width,
    "font_size": _font_size,
    "axis": _axis,
    "notes": _notes,
    "style": _style,
}


def _word(option: str, value: Any, words: Sequence[str]) -> str:
    if value not in list(words):
        message = f"The option {option!r} is one of {', '.join(words)}; got {value!r}."
        raise ArgumentError(sentences(message, closest(str(value), words)))
    return str(value)


def _require_optimizer(option: str, name: str, known: list[str]) -> None:
    if name not in known:
        message = f"The option {option!r} names {name!r}, which is no optimizer of these results."
        every = f"Known: {joined(known)}."
        raise UnknownNameError(sentences(message, closest(name, known), every))


def _parts(option: str, value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(each, str) for each in parts):
        raise ArgumentError(f"The option {option!r} is a name or several; got {value!r}.")
    return tuple(each.strip() for each in parts)


def _pairs(option: str, value: Any, known: list[str]) -> dict[str, str]:
    if isinstance(value, str):
        value = dict(_pair(each.strip(), known) for each in value.split(","))
    if not isinstance(value, dict) or not all(
        isinstance(text, str) and text for pair in value.items() for text in pair
    ):
        raise ArgumentError(
            f"The option {option!r} is NAME:VALUE for some optimizers, separated by commas; got "
            f"{value!r}."
        )
    return value


def _pair(text: str, known: list[str]) -> tuple[str, str]:
    # The name of an optimizer may hold a colon itself.
    fitting = [name for name in known if text.startswith(f"{name}:")]
    name = max(fitting, key=len) if fitting else text.partition(":")[0]
    return name.strip(), text[len(name) + 1 :].strip()
