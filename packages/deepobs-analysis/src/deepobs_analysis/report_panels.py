"""Figures taken apart for a page: every panel becomes an SVG element of its own.

A page shows as many panels in a row as its width has room for, in its own colors.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
from markupsafe import Markup
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from deepobs_analysis.plots.style import FAINT, GRID, INK
from deepobs_analysis.report_hover import data_of
from deepobs_analysis.report_sheet import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.report_series import Series
    from deepobs_analysis.report_sheet import Drawn

_POINTS_PER_INCH = 72
_WIDTH, _HEIGHT = 176.0, 112.0
_ROW, _ROW_OF_CELLS, _CELL = 15.0, 30.0, 50.0
# Around a panel on the sheet that all of a figure are drawn on: labels of neighbors must not touch.
_ROOM = 400.0
_BAR_GAP, _BAR_WIDTH = 6.0, 7.0
_PADDING = 4.0

_METADATA, _STYLE = "metadata", "style"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NEEDLESS_DIGITS = re.compile(r"(\.\d\d)\d+")
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_SERIES = re.compile(r"series-(\d+)")
_FONT_FAMILY = re.compile(r"font-family: [^;]*;? ?")
_AS_DRAWN = "as-drawn"
_OF_THE_PAGE = {
    INK: "var(--ink)",
    "#000000": "var(--ink)",
    FAINT: "var(--faint)",
    GRID: "var(--grid)",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel as an SVG element, its width in points, and as JSON what hovering over it shows."""

    svg: Markup
    width: float
    data: str


class _Part(NamedTuple):
    """A panel of a figure with its color bar, and its size in points."""

    axes: Axes
    bar: Axes | None
    width: float
    height: float


def panels_of(figure: Figure, series: Series, *, prefix: str, label: str) -> list[Panel]:
    """Take a figure apart, which is laid out anew for it.

    Args:
        figure: The figure.
        series: The optimizers of the page.
        prefix: What the ids of this figure begin with.
        label: Description for screen readers.
    """
    parts = _parts(figure)
    for part in parts:
        _complete_labels(part.axes, [each.axes for each in parts])
    # On a narrow page panels stand below each other, those of a problem together.
    titles = [_title(part.axes) for part in parts]
    parts.sort(key=lambda part: titles.index(_title(part.axes)))
    _spread_out(figure, parts)
    for place, part in enumerate(parts):
        part.axes.set_gid(f"panel-{place}")
        _mark(part.axes, series)
    for bar in {part.bar for part in parts if part.bar is not None}:
        bar.set_gid(f"bar-{parts.index(next(e for e in parts if e.bar is bar))}")
    sheet = drawn(figure)
    boxes = _boxes(figure, parts, sheet)
    groups, definitions = _groups(sheet.svg, prefix, series)
    panels = []
    for place, (part, box) in enumerate(zip(parts, boxes, strict=True)):
        root = ET.Element("svg", {"viewBox": " ".join(f"{value:.4g}" for value in box)})
        root.attrib |= {"role": "img", "aria-label": label}
        # Clip paths are found by their ids wherever in the page they are: once is enough.
        root.extend([*(definitions if place == 0 else []), groups[f"panel-{place}"]])
        root.extend(_bar(part, parts, groups, prefix))
        # What text holds was escaped by matplotlib and is escaped again while it is written.
        markup = Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704
        panels.append(Panel(markup, box[2], _placed(data_of(part.axes, series), figure, part)))
    return panels


def _parts(figure: Figure) -> list[_Part]:
    """The panels of a figure, in its order, with their color bars."""
    bars: dict[Axes, Axes] = {}
    for axes in figure.axes:
        # Matplotlib has no public way from a color bar to its panels.
        for parent in getattr(axes, "_colorbar_info", {}).get("parents", ()):
            bars[parent] = axes
    return [
        _Part(axes, bars.get(axes), *_size(axes))
        for axes in figure.axes
        if axes not in bars.values()
    ]


def _size(axes: Axes) -> tuple[float, float]:
    """Width and height of the panel without its labels, in points."""
    bottom, top = axes.get_ylim()
    if bottom < top:
        return _WIDTH, _HEIGHT
    rows, columns = bottom - top, abs(axes.get_xlim()[1] - axes.get_xlim()[0])
    if axes.images:
        return max(_WIDTH, _CELL * columns), _ROW_OF_CELLS * rows
    return _WIDTH, max(_HEIGHT / 2, _ROW * rows)


def _complete_labels(axes: Axes, panels: Sequence[Axes]) -> None:
    """Write what the labels of neighbors say of a panel, too: on the page it stands alone."""
    row, column = _cell(axes)
    # The nearest ones: a figure of many problems has several rows of titles.
    above = [each for each in panels if _cell(each)[1] == column and _cell(each)[0] < row]
    titled = next((each for each in reversed(above) if _title(each)), None)
    if not _title(axes) and titled is not None:
        size = titled.title.get_fontsize()
        axes.set_title(_title(titled), loc="left", pad=4.5, fontsize=size)
    below = [each for each in panels if _cell(each)[1] == column and _cell(each)[0] > row]
    axes.set_xlabel(axes.get_xlabel() or next(filter(None, (e.get_xlabel() for e in below)), ""))
    left = [each for each in panels if _cell(each)[0] == row and _cell(each)[1] < column]
    for other in left[-1:]:
        axes.set_ylabel(axes.get_ylabel() or other.get_ylabel())
        if not any(each.get_text() for each in axes.get_yticklabels()):
            names = [each.get_text() for each in other.get_yticklabels()]
            axes.set_yticks(other.get_yticks(), names)


def _title(axes: Axes) -> str:
    return axes.get_title(loc="left") or axes.get_title()


def _cell(axes: Axes) -> tuple[int, int]:
    place = axes.get_subplotspec()
    return (0, 0) if place is None else (place.rowspan.start, place.colspan.start)


def _spread_out(figure: Figure, parts: Sequence[_Part]) -> None:
    """Put the panels on a sheet, one below the other, each in its own size."""
    width = max(part.width for part in parts) + 2 * _ROOM
    height = sum(part.height + _ROOM for part in parts) + _ROOM
    figure.set_layout_engine(None)
    figure.set_dpi(_POINTS_PER_INCH)
    figure.set_size_inches(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH)
    bottom = _ROOM
    for part in reversed(parts):
        part.axes.patch.set_visible(False)
        _put(figure, part.axes, _ROOM, bottom, part.width, part.height)
        if part.bar is not None:
            left = _ROOM + part.width + _BAR_GAP
            part.bar.set_box_aspect(None)
            _put(figure, part.bar, left, bottom, _BAR_WIDTH, part.height)
        bottom += part.height + _ROOM


def _put(
    figure: Figure, axes: Axes, left: float, bottom: float, width: float, height: float
) -> None:
    across, up = figure.get_size_inches() * _POINTS_PER_INCH
    axes.set_position((left / across, bottom / up, width / across, height / up))


def _mark(axes: Axes, series: Series) -> None:
    """Let the elements of an artist be found: those of an optimizer, and text on a color."""
    for artist, owner in series.owners(axes):
        artist.set_gid(f"series-{owner}")
    for text in axes.texts:
        if text.get_color() == "black":
            text.set_gid(_AS_DRAWN)


def _boxes(
    figure: Figure, parts: Sequence[_Part], sheet: Drawn
) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of each panel with its labels, from the top left of the sheet.

    Panels have the same margins, so that their axes have the same size on the page.
    """
    inner = [part.axes.get_window_extent() for part in parts]
    pairs = [
        (own, Bbox.union(list(_around(part, sheet))))
        for own, part in zip(inner, parts, strict=True)
    ]
    left = max(own.x0 - around.x0 for own, around in pairs) + _PADDING
    right = max(around.x1 - own.x1 for own, around in pairs) + _PADDING
    below = max(own.y0 - around.y0 for own, around in pairs) + _PADDING
    above = max(around.y1 - own.y1 for own, around in pairs) + _PADDING
    top = figure.bbox.height
    return [
        (
            round(own.x0 - left, 1),
            round(top - own.y1 - above, 1),
            round(own.width + left + right, 1),
            round(own.height + below + above, 1),
        )
        for own in inner
    ]


def _around(part: _Part, sheet: Drawn) -> Iterator[Bbox]:
    """The boxes of a panel, of its labels and of what is drawn beyond its border."""
    for axes in filter(None, (part.axes, part.bar)):
        yield axes.get_window_extent()
        labels = sheet.labels.get(axes.get_gid() or "")
        if labels is not None:
            yield labels
        for artist in axes.get_default_bbox_extra_artists():
            # Spines end at the border; text was measured while it was drawn.
            if not isinstance(artist, (Spine, Text)):
                box = artist.get_tightbbox()
                if box is not None and np.isfinite(box.extents).all():
                    yield box


def _groups(
    text: str, prefix: str, series: Series
) -> tuple[dict[str, ET.Element], list[ET.Element]]:
    """The elements of panels and color bars by their ids, and the clip paths."""
    root = ET.fromstring(text)  # noqa: S314 # our own figure
    referred = set(_REFERENCE.findall(text)) | set(re.findall(r'href="#([^"]+)"', text))
    groups = {}
    for element in root.iter():
        # Matplotlib's style sheet would apply to the whole page; the page has the same rules.
        for child in [each for each in element if _bare(each.tag) in (_METADATA, _STYLE)]:
            element.remove(child)
        identity = element.get("id", "")
        if identity.startswith(("panel-", "bar-")):
            groups[identity] = element
        element.tag = _bare(element.tag)
        element.attrib = {
            _bare(name): _value(_bare(name), value, prefix, series)
            for name, value in element.attrib.items()
            if name != "id" or value in referred or value.startswith("bar-")
        }
        if owner := _SERIES.fullmatch(identity):
            element.set("data-series", owner[1])
        elif identity == _AS_DRAWN:
            element.set("class", _AS_DRAWN)
        # Matplotlib indents: a tenth of the page would be spaces.
        element.tail = None
        element.text = (element.text or "").strip() or None
    return groups, [each for each in root if each.tag == "defs" and len(each)]


def _bar(
    part: _Part, parts: Sequence[_Part], groups: dict[str, ET.Element], prefix: str
) -> list[ET.Element]:
    """The color bar of a panel: drawn beside the first of those that share it, and used by all."""
    if part.bar is None:
        return []
    first = next(each for each in parts if each.bar is part.bar)
    name = f"bar-{parts.index(first)}"
    if part is first:
        return [groups[name]]
    tops = [each.axes.get_window_extent().y1 for each in (first, part)]
    shift = f"translate(0 {tops[0] - tops[1]:.2f})"
    return [ET.Element("use", {"href": f"#{prefix}{name}", "transform": shift})]


def _placed(data: dict[str, Any], figure: Figure, part: _Part) -> str:
    """The data with the place of the axes in the SVG element: left, top, width and height."""
    inner = part.axes.get_window_extent()
    place = (inner.x0, figure.bbox.height - inner.y1, inner.width, inner.height)
    return json.dumps(data | {"box": [round(each, 2) for each in place]}, separators=(",", ":"))


def _bare(name: str) -> str:
    """A name without its namespace, which pages do not need."""
    return name.rpartition("}")[2]


def _value(name: str, value: str, prefix: str, series: Series) -> str:
    # Matplotlib numbers ids from 1 in every figure: without a prefix, figures would use the clip
    # paths and markers of others.
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    if name == "aria-label":
        return value
    if "url(" in value:
        value = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    if name == "style":
        value = _COLOR.sub(lambda hit: _page_color(hit[0], series), value)
        value = _FONT_FAMILY.sub("", value)
    return _NEEDLESS_DIGITS.sub(r"\1", value) if "." in value else value


def _page_color(color: str, series: Series) -> str:
    return _OF_THE_PAGE.get(color) or series.color(color)
