"""The sheet that the panels of a figure are drawn on, which tells how much room their labels take.

Matplotlib would measure all labels in a first pass, and draw them in a second one, which takes
twice as long: half of the time of a report is that of axes and their labels.
"""

from __future__ import annotations

import functools
import io
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.transforms import Bbox

from deepobs_analysis.computed_once import once
from deepobs_analysis.plots.rendering import in_own_style

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

_DPI = 72
# What matplotlib computes anew for each label, title and spine of an axis, though drawing changes
# nothing of it: the ticks, and the room that their labels take.
_SEVERAL_TIMES = ("_update_ticks", "_get_ticklabel_bboxes")


class Drawn(NamedTuple):
    """A sheet as SVG text, and around the text of each named group on it a box in points."""

    svg: str
    labels: Mapping[str, Bbox]


def drawn(figure: Figure) -> Drawn:
    """Draw a figure without what is not of its panels: its legend and its notes.

    The boxes are those of the text of artists with an id, up from the bottom left of the sheet.
    """
    for artist in (*figure.legends, *figure.texts):
        artist.set_visible(False)
    for image in (image for axes in figure.axes for image in axes.images):
        # A pixel for each cell is enough; a matrix of many optimizers would take a gigabyte.
        if image.get_interpolation() == "nearest":
            image.set_interpolation("none")
    stream = io.StringIO()
    width, height = figure.get_size_inches() * _DPI
    with in_own_style(figure):
        dpi = mpl.rcParams["savefig.dpi"]
        sheet = _Sheet(width, height, stream, image_dpi=dpi, metadata={"Date": None})
        # Parts of color bars become images. The types of matplotlib do not know this renderer.
        mixed: Any = MixedModeRenderer
        renderer = mixed(figure, *figure.get_size_inches(), dpi, sheet)
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            for name in _SEVERAL_TIMES:
                _compute_once(axis, name)
        figure.draw(renderer)
        renderer.finalize()
    text = stream.getvalue()
    return Drawn(text[text.index("<svg") :], sheet.labels)


def _compute_once(axis: Axis, name: str) -> None:
    compute = getattr(axis, name, None)
    if compute is None:  # in another version of matplotlib
        return
    found: list[Any] = []

    def once_only(*arguments: Any) -> Any:
        if not found:
            found.append(compute(*arguments))
        return found[0]

    setattr(axis, name, once_only)


class _Sheet(RendererSVG):
    """Keeps where text was drawn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self.labels: dict[str, Bbox] = {}
        self._within: list[str] = []

    def open_group(self, s: str, gid: str | None = None) -> None:
        super().open_group(s, gid)  # type: ignore[no-untyped-call]
        self._within.append(gid or "")

    def close_group(self, s: str) -> None:
        super().close_group(s)  # type: ignore[no-untyped-call]
        self._within.pop()

    def option_scale_image(self) -> bool:
        return True

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: FontProperties, angle: float,
        ismath: Any = False, mtext: Any = None,
    ) -> None:  # fmt: skip
        super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]
        self._keep(x, y, s, prop, angle, ismath)

    def draw_tex(
        self, gc: Any, x: float, y: float, s: str, prop: FontProperties, angle: float, *,
        mtext: Any = None,
    ) -> None:  # fmt: skip
        super().draw_tex(gc, x, y, s, prop, angle, mtext=mtext)
        self._keep(x, y, s, prop, angle, "TeX")

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        # The cache of matplotlib is that of a single figure.
        size: tuple[float, float, float] = once(
            ("size of text", s, prop.copy(), ismath),
            functools.partial(super().get_text_width_height_descent, s, prop, ismath),
        )
        return size

    def _keep(
        self, x: float, y: float, s: str, prop: FontProperties, angle: float, ismath: Any
    ) -> None:
        """Let the boxes of all groups around a line of text hold it."""
        width, height, below = self.get_text_width_height_descent(s, prop, ismath)
        # Letters of the fonts of a page may be taller than these here.
        _, usual, usually_below = self.get_text_width_height_descent("lp", prop, False)
        below, above = max(below, usually_below), max(height - below, usual - usually_below)
        turn = math.radians(angle)
        right, up = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
        corners = [
            (x + along * right[0] + across * up[0],
             self.height - y + along * right[1] + across * up[1])
            for along in (0, width)
            for across in (-below, above)
        ]  # fmt: skip
        across, upwards = zip(*corners, strict=True)
        box = Bbox([(min(across), min(upwards)), (max(across), max(upwards))])
        for name in filter(None, self._within):
            known = self.labels.get(name)
            self.labels[name] = box if known is None else Bbox.union([known, box])
