"""How each optimizer looks in all figures: its color, its dashes, its marks."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from deepobs_analysis.plots.appearance import current
from deepobs_analysis.reference_names import bare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Okabe and Ito, Color Universal Design (2008), with gray for black and olive for yellow, which
# is invisible on white.
_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#555555", "#8A8A00"),
)
_LINES: tuple[Any, ...] = ("-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHED: tuple[Any, ...] = ((0, (4, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (8, 3)))
_MARKS = 5  # on a line of many points
# Fixed, so that a figure of SGD and Adam and one of SGD, Momentum and Adam agree on Adam's color.
_OWN_PLACES = {
    name: place
    for place, name in enumerate(
        ("SGD", "Momentum", "Adam", "AdamW", "RMSprop", "Nesterov", "Adagrad", "Adadelta")
    )
}
# A variable of the context, as plots of plugins know nothing of the other figures of a report.
_all_optimizers: ContextVar[tuple[str, ...]] = ContextVar("all_optimizers", default=())


@dataclass(frozen=True, slots=True)
class Look:
    """How an optimizer appears in every figure.

    Attributes:
        name: The optimizer: the label of all that is drawn of it, by which a report finds it.
        color: Color of its lines and marks.
        line: Dashes of its lines.
        marker: Shape of its marks.
        alpha: Opacity.
        weight: Width of its lines as a multiple of the usual one.
        offset: Where the first mark on a line is, as a share of the distance between marks.
    """

    name: str
    color: str
    line: Any
    marker: str
    alpha: float = 1.0
    weight: float = 1.0
    offset: float = 0.0

    @property
    def depth(self) -> float:
        """What is emphasized is drawn above the rest, and references below."""
        if self.weight > 1:
            return 2.5
        return 2.0 if self.alpha == 1 else 1.9

    def stroke(self, width: float = 1.0) -> dict[str, Any]:
        """Arguments for drawing a line, `width` times as wide as usual."""
        return {
            "color": self.color,
            "linestyle": self.line,
            "alpha": self.alpha,
            "linewidth": mpl.rcParams["lines.linewidth"] * self.weight * width,
            "zorder": self.depth,
            "label": self.name,
        }

    def marks(self, points: int | None = None) -> dict[str, Any]:
        """Arguments for marking a line, by which it is known without its color.

        Args:
            points: How many points it has, of which a few are marked; `None` to mark all.
        """
        own: dict[str, Any] = {
            "marker": self.marker,
            "markersize": mpl.rcParams["lines.markersize"] * (1.15 if self.weight > 1 else 0.95),
            "markeredgecolor": mpl.rcParams["axes.facecolor"],
            "markeredgewidth": 0.4,
        }
        if points is not None:
            step = max(1.0, (points - 1) / _MARKS)
            # The offsets differ, so that marks of lines that nearly coincide do not. At the ends,
            # the border of the panel would cut them.
            places = {round((k + 0.1 + 0.8 * self.offset) * step) for k in range(_MARKS)}
            inner = [place for place in places if 0 < place < points - 1]
            own["markevery"] = sorted(inner) or [points - 1]
        return own


def all_optimizers() -> tuple[str, ...]:
    """Those that the figures within `same_looks` show."""
    return _all_optimizers.get()


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

    Well-known ones have their own looks; the others take the free ones in the order of their names,
    those of reference sets last. An optimizer of a reference set looks like the one of the same
    name, but dashed, thinner and lighter. If some are emphasized, they have thicker lines, and the
    others lighter ones.
    """
    names = set(optimizers).union(_all_optimizers.get())
    plain = sorted({bare(name) for name in names}, key=lambda name: (name not in names, name))
    known = {name: _OWN_PLACES[name] for name in plain if name in _OWN_PLACES}
    free = (place for place in range(len(plain) + len(known)) if place not in known.values())
    places = {name: known[name] if name in known else next(free) for name in plain}
    return {name: _look(name, places[bare(name)]) for name in names}


def _look(name: str, place: int) -> Look:
    colors = _palette()
    chosen = current()
    plain = bare(name)
    # Who shares a color with another one has other dashes and another mark.
    turn = place // len(colors)
    look = Look(
        name=name,
        color=chosen.colors.get(name, chosen.colors.get(plain, colors[place % len(colors)])),
        line=_LINES[turn % len(_LINES)],
        marker=_MARKERS[(place + turn) % len(_MARKERS)],
        # Multiples of the golden ratio never come close to each other.
        offset=(0.382 * place) % 1,
    )
    if name != plain:
        line, offset = _DASHED[turn % len(_DASHED)], (look.offset + 0.5) % 1
        look = replace(look, line=line, alpha=0.6, weight=0.8, offset=offset)
    if not chosen.highlight:
        return look
    if name in chosen.highlight:
        return replace(look, weight=1.8, alpha=1.0)
    return replace(look, weight=0.9 * look.weight, alpha=look.alpha * 0.6)


def _palette() -> tuple[str, ...]:
    """The colors of optimizers: those of the user's style, if it has some."""
    cycle = mpl.rcParams["axes.prop_cycle"]
    if cycle == mpl.rcParamsDefault["axes.prop_cycle"]:
        return _COLORS
    return tuple(cycle.by_key().get("color", _COLORS))
