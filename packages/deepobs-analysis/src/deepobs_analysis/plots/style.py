"""The style of all figures: what they are drawn with, and how names and numbers are written."""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib as mpl
import matplotlib.style
from matplotlib.figure import Figure

from deepobs.console.text import clean
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.metrics import METRICS, series_name
from deepobs_analysis.plots.appearance import COMMON, WIDTHS, appearance_of, current, using
from deepobs_analysis.plots.looks import all_optimizers
from deepobs_analysis.reference_names import suffix_of
from deepobs_analysis.results import require_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_Arguments = ParamSpec("_Arguments")
_Returned = TypeVar("_Returned")

LONGEST_NAME = 40
"""Letters of a name that are shown where there is room."""

SINGLE_COLUMN, DOUBLE_COLUMN = WIDTHS["one"], WIDTHS["two"]

INK, FAINT, GRID = "#222222", "#767676", "#e6e6e6"
_POINTS = 8.0
"""Points of text, unless the user sets others."""

_OF_TEXT = {
    "font.size": 1.0,
    "axes.labelsize": 1.0,
    "axes.titlesize": 1.06,
    "figure.titlesize": 1.12,
    "legend.fontsize": 1.0,
    "legend.title_fontsize": 1.12,
    "xtick.labelsize": 0.875,
    "ytick.labelsize": 0.875,
}
"""Sizes of text as multiples of the font's."""
_RC: dict[str, Any] = {
    "font.family": ["sans-serif"],
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    **{
        f"{axis}tick.{name}": value
        for axis in ("x", "y")
        for name, value in (
            *(("color", FAINT), ("labelcolor", INK)),
            *(("major.width", 0.6), ("major.size", 2.5)),
            *(("minor.width", 0.4), ("minor.size", 1.5)),
        )
    },
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "patch.linewidth": 0.6,
    "axes.formatter.limits": (-3, 4),
    # Mathtext parses every label: a third of the time of drawing.
    "axes.formatter.use_mathtext": False,
    # Text stays text, which pages search; the salt makes ids, and so files, reproducible.
    "svg.fonttype": "none",
    "svg.hashsalt": "deepobs",
    # Type 3 fonts, the default of matplotlib, are refused by IEEE and ACM.
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}
# What Matplotlib itself derives from others, such as the color of ticks from that of text.
_FOLLOWING = {
    "axes.labelcolor": "text.color",
    "xtick.labelcolor": "xtick.color",
    "ytick.labelcolor": "ytick.color",
}
# Those that count when a figure is written. Others, such as the backend, are none of its business.
_DRAWING = ("axes.", "figure.", "font.", "mathtext.", "path.", "pdf.", "savefig.", "svg.", "text.")
_LATEX = {character: f"\\{character}" for character in "&%#_{}$"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "…": r"\dots{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}

_SPLITS = {"train": "training", "valid": "validation", "test": "test"}
TITLES = {
    series_name(metric): f"{_SPLITS[metric.partition('_')[0]]} {metric.partition('_')[2]}"
    for metric in METRICS
}
"""Axis label of each curve, such as "test accuracy"."""


class ResultFigure(Figure):
    """A figure of results.

    Attributes:
        notes: What its lines and marks mean, for a caption; the option `notes` says whether they
            stand in the figure, too.
        parameters: The `matplotlib.rcParams` that it is drawn with.
    """

    notes: str = ""
    parameters: Any = None

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the figure as `matplotlib.figure.Figure` does, in its own style."""
        with mpl.rc_context(self.parameters):
            super().savefig(fname, **options)


def styled(plot: Callable[_Arguments, _Returned]) -> Callable[_Arguments, _Returned]:
    """Let a function that draws results take the options of `COMMON`, and draw in this style.

    What the user has set in `matplotlib.rcParams` stays as it is.
    """
    keywords = inspect.signature(plot).parameters.values()
    own = [each.name for each in keywords if each.kind is not each.VAR_KEYWORD]

    @functools.wraps(plot)
    def drawn(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Returned:
        given: dict[str, Any] = options  # for type checkers: those of the function alone
        common = {name: given.pop(name) for name in [*given] if name not in own}
        _require_known(plot.__name__, common, [*own[1:], *COMMON])
        results: Any = args[0] if args else given.get(own[0])
        require_results(results)
        chosen = current()
        if common:
            chosen = appearance_of(common, dict.fromkeys([*results.optimizers, *all_optimizers()]))
        with using(chosen), mpl.rc_context():
            mpl.rcParams.update(parameters(chosen.style, chosen.font_size))
            figure = plot(*args, **options)
            if isinstance(figure, ResultFigure):
                figure.parameters = {
                    name: mpl.rcParams[name] for name in mpl.rcParams if name.startswith(_DRAWING)
                }
        return figure

    return drawn


def text_size(relative: float = 1.0) -> float:
    """Points of text, as a multiple of the size of the font."""
    return float(mpl.rcParams["font.size"]) * relative


def scale() -> float:
    """The size of text relative to the usual one, by which the room for text grows."""
    return text_size() / _POINTS


def ink() -> str:
    """The color of marks that belong to no optimizer, such as targets."""
    color = str(mpl.rcParams["text.color"])
    return "black" if color == INK else color


def faint() -> str:
    """The color of explanations."""
    color = str(mpl.rcParams["text.color"])
    return FAINT if color == INK else color


def called(optimizer: str, longest: int = LONGEST_NAME) -> str:
    """The displayed name of an optimizer, as `shown` draws it where so many letters have room."""
    return shown(renamed(optimizer), min(longest, LONGEST_NAME))


def renamed(optimizer: str) -> str:
    """The displayed name of an optimizer."""
    return current().names.get(optimizer, optimizer)


def shown(name: object, longest: int = LONGEST_NAME) -> str:
    """A name that matplotlib draws verbatim; the middle of a longer one becomes an ellipsis."""
    text = clean(name)
    suffix = suffix_of(text)
    origin = _shortened(suffix, LONGEST_NAME // 2)
    # The name of its set never takes more than half of the room from that of an optimizer.
    room = max(longest - len(origin), longest // 2)
    short = _shortened(text.removesuffix(suffix), room) + origin
    # Matplotlib drops labels that begin with an underscore from legends.
    return verbatim(f"\N{NO-BREAK SPACE}{short}" if short.startswith("_") else short)


def verbatim(text: str) -> str:
    """Text that matplotlib draws as it is, without formulas."""
    if mpl.rcParams["text.usetex"]:
        return "".join(_LATEX.get(character, character) for character in text)
    return text.replace("$", r"\$")


def short_number(value: float) -> str:
    """A number for the labels of a figure: 0.847, 23.1, 1.2e-05."""
    return f"{value:.3g}" if math.isfinite(value) else str(value)


def parameters(sheets: tuple[str, ...] = (), font_size: float | None = None) -> Any:
    """The parameters of all figures, except what the user or the style sheets set."""
    named: set[str] = set()
    for sheet in sheets:
        mpl.style.use(sheet)
        if sheet != "default":
            known = mpl.style.library.get(sheet)
            named |= set(mpl.rc_params_from_file(sheet, use_default_template=False) if known is None
                         else known)  # fmt: skip
    of_interest = {*_RC, *_OF_TEXT, *_FOLLOWING.values()}
    now, usual = _current_parameters(), _current_parameters(mpl.rcParamsDefault)
    changed = {name for name in of_interest if now[name] != usual[name]}
    given = changed | named
    own = {name: value for name, value in _RC.items() if name not in given}
    for name, origin in _FOLLOWING.items():
        if name in own and origin in given:
            own[name] = now[origin]
    points = font_size or (float(mpl.rcParams["font.size"]) if "font.size" in given else _POINTS)
    sizes = {name: points * size for name, size in _OF_TEXT.items()}
    # A size that is asked for by name counts more than those of a style.
    return own | {name: size for name, size in sizes.items() if font_size or name not in given}


def _current_parameters(parameters: Any = mpl.rcParams) -> Any:
    """Parameters without their types, which are the literal names of all of them."""
    return parameters


def _require_known(plot: str, options: Iterable[str], known: Iterable[str]) -> None:
    for option in options:
        if option not in COMMON:
            names = list(known)
            message = f"The plot {plot} has no option {option!r}."
            every = f"It has: {', '.join(names)}."
            raise ArgumentError(sentences(message, closest(option, names), every))


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = (longest - 1) // 3
    return f"{text[: longest - 1 - end].rstrip()}…{text[len(text) - end :].lstrip()}"
