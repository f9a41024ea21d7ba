"""What all figures have in common: colours that stand for optimizers, fonts, lines and sizes."""

from __future__ import annotations

import contextlib
import functools
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib as mpl

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

# Okabe and Ito, Color Universal Design (2008), with grey for black and olive for yellow, which
# cannot be seen on white.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#555555", "#8A8A00"),
)
_LINES: tuple[Any, ...] = ("-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHED = (0, (4, 2))

_OWN_PLACES = {
    name: place
    for place, name in enumerate(
        ("SGD", "Momentum", "Adam", "AdamW", "RMSprop", "Nesterov", "Adagrad", "Adadelta")
    )
}

_SETTINGS: dict[str, Any] = {
    "font.family": ["sans-serif"],
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.5,
    "figure.titlesize": 9.0,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
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
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "patch.linewidth": 0.6,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": False,  # it parses every label: a third of the time of drawing
    "svg.fonttype": "none",
    "svg.hashsalt": "deepobs",
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


@dataclass(frozen=True, slots=True)
class Look:
    """What stands for an optimizer in every figure.

    Attributes:
        colour: Its colour.
        line: Its line style.
        marker: Its marker.
        alpha: How opaque its lines are.
    """

    colour: str
    line: Any
    marker: str
    alpha: float = 1.0

    @property
    def stroke(self) -> dict[str, Any]:
        """Arguments for drawing a line."""
        return {"color": self.colour, "linestyle": self.line, "alpha": self.alpha}


_all_optimizers: ContextVar[tuple[str, ...]] = ContextVar("all_optimizers", default=())


@contextlib.contextmanager
def same_looks(optimizers: Iterable[str]) -> Iterator[None]:
    """Draw several figures, of all results or of parts, in which an optimizer looks the same.

    Args:
        optimizers: The names of all optimizers of the results.
    """
    token = _all_optimizers.set(tuple(optimizers))
    try:
        yield
    finally:
        _all_optimizers.reset(token)


def looks(optimizers: Iterable[str]) -> dict[str, Look]:
    """What stands for each optimizer.

    Well-known ones have their own looks; the others take the free ones in the order of their names.
    An optimizer of a reference set looks like one's own of that name, but dashed and lighter.

    Args:
        optimizers: Their names. Within `same_looks`, those count in as well.
    """
    names = set(optimizers).union(_all_optimizers.get())
    bare = sorted({name.removesuffix(REFERENCE_SUFFIX) for name in names})
    known = {name: _OWN_PLACES[name] for name in bare if name in _OWN_PLACES}
    free = (place for place in range(len(bare) + len(known)) if place not in known.values())
    places = {name: known[name] if name in known else next(free) for name in bare}
    return {name: _look(name, places[name.removesuffix(REFERENCE_SUFFIX)]) for name in names}


def styled(plot: Callable[_Arguments, _Returned]) -> Callable[_Arguments, _Returned]:
    """Make a function draw, or write, in the style of all figures, whatever the user's own is."""

    @functools.wraps(plot)
    def drawn(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Returned:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_SETTINGS)  # type: ignore[arg-type] # its keys are literals
            return plot(*args, **options)

    return drawn


def _look(name: str, place: int) -> Look:
    own = Look(
        colour=_COLOURS[place % len(_COLOURS)],
        line=_LINES[place // len(_COLOURS) % len(_LINES)],
        marker=_MARKERS[place % len(_MARKERS)],
    )
    return replace(own, line=_DASHED, alpha=0.6) if name.endswith(REFERENCE_SUFFIX) else own
