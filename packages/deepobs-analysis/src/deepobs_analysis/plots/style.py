"""What all figures have in common: names, colors that stand for optimizers, fonts, lines, sizes."""

from __future__ import annotations

import contextlib
import functools
import math
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib as mpl

from deepobs.console.text import clean
from deepobs.records import METRICS, series_name
from deepobs_analysis.results import REFERENCE_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Arguments = ParamSpec("_Arguments")
_Returned = TypeVar("_Returned")

SINGLE_COLUMN = 3.3
DOUBLE_COLUMN = 6.8
"""Widths of figures in inches, as journals print them."""

INK, FAINT, GRID = "#222222", "#767676", "#e6e6e6"
SMALL = 7.0
"""Points of the smallest text."""

# Okabe and Ito, Color Universal Design (2008), with gray for black and olive for yellow, which
# is invisible on white.
_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#555555", "#8A8A00"),
)
_LINES: tuple[Any, ...] = ("-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHED = (0, (4, 2))
# Fixed, so that a figure of SGD and Adam and one of SGD, Momentum and Adam agree on Adam's color.
_OWN_PLACES = {
    name: place
    for place, name in enumerate(
        ("SGD", "Momentum", "Adam", "AdamW", "RMSprop", "Nesterov", "Adagrad", "Adadelta")
    )
}
_RC: dict[str, Any] = {
    "font.family": ["sans-serif"],
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.5,
    "figure.titlesize": 9.0,
    "legend.fontsize": 8.0,
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
            *(("labelsize", SMALL), ("color", FAINT), ("labelcolor", INK)),
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

_SPLITS = {"train": "training", "valid": "validation", "test": "test"}
TITLES = {
    series_name(metric): f"{_SPLITS[metric.partition('_')[0]]} {metric.partition('_')[2]}"
    for metric in METRICS
}
"""Axis label of each curve, such as "test accuracy"."""


@dataclass(frozen=True, slots=True)
class Look:
    """How an optimizer appears in every figure; `alpha` is the opacity of its lines."""

    color: str
    line: Any
    marker: str
    alpha: float = 1.0

    @property
    def stroke(self) -> dict[str, Any]:
        """Arguments for drawing a line."""
        return {"color": self.color, "linestyle": self.line, "alpha": self.alpha}


# A variable of the context, as plots of plugins know nothing of the other figures of a report.
_all_optimizers: ContextVar[tuple[str, ...]] = ContextVar("all_optimizers", default=())


@contextlib.contextmanager
def same_looks(optimizers: Iterable[str]) -> Iterator[None]:
    """Draw several figures of parts of the results of `optimizers`, which look the same in all."""
    token = _all_optimizers.set(tuple(optimizers))
    try:
        yield
    finally:
        _all_optimizers.reset(token)


def looks(optimizers: Iterable[str]) -> dict[str, Look]:
    """The look of each optimizer; within `same_looks`, given those of the other figures.

    Well-known ones have their own looks; the others take the free ones in the order of their names.
    An optimizer of a reference set looks like the one of the same name, but dashed and lighter.
    """
    names = set(optimizers).union(_all_optimizers.get())
    bare = sorted({name.removesuffix(REFERENCE_SUFFIX) for name in names})
    known = {name: _OWN_PLACES[name] for name in bare if name in _OWN_PLACES}
    free = (place for place in range(len(bare) + len(known)) if place not in known.values())
    places = {name: known[name] if name in known else next(free) for name in bare}
    return {name: _look(name, places[name.removesuffix(REFERENCE_SUFFIX)]) for name in names}


def styled(plot: Callable[_Arguments, _Returned]) -> Callable[_Arguments, _Returned]:
    """Create a function draw, or write, in the style of all figures, whatever the user's style."""

    @functools.wraps(plot)
    def drawn(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Returned:
        # From matplotlib's defaults: a matplotlibrc of the user would change published figures.
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_RC)  # type: ignore[arg-type] # its keys are literals
            return plot(*args, **options)

    return drawn


def shown(name: object, longest: int = 28) -> str:
    """A name that matplotlib draws verbatim; the middle of a longer one becomes an ellipsis."""
    text = clean(name)
    suffix = REFERENCE_SUFFIX if text.endswith(REFERENCE_SUFFIX) else ""
    short = _shortened(text.removesuffix(suffix), longest) + suffix
    # Matplotlib drops labels that begin with an underscore from legends, and $ begins a formula.
    visible = f"\N{NO-BREAK SPACE}{short}" if short.startswith("_") else short
    return visible.replace("$", r"\$")


def short_number(value: float) -> str:
    """A number for the labels of a figure: 0.847, 23.1, 1.2e-05."""
    return f"{value:.3g}" if math.isfinite(value) else str(value)


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = (longest - 1) // 3
    return f"{text[: longest - 1 - end].rstrip()}…{text[len(text) - end :].lstrip()}"


def _look(name: str, place: int) -> Look:
    own = Look(
        color=_COLORS[place % len(_COLORS)],
        line=_LINES[place // len(_COLORS) % len(_LINES)],
        marker=_MARKERS[place % len(_MARKERS)],
    )
    return replace(own, line=_DASHED, alpha=0.6) if name.endswith(REFERENCE_SUFFIX) else own
