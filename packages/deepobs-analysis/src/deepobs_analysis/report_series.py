"""Which optimizer of a report a line, a band or a mark in a figure belongs to."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D

from deepobs_analysis.plots.looks import looks
from deepobs_analysis.plots.style import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepobs_analysis.plots.looks import Look

_NO_LINE = ("None", "none", " ", "")


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend.

    Attributes:
        label: Its text.
        series: The number of the optimizer; `None` for a target and the like.
        color: A color of the style sheet.
        dashes: Lengths of dashes and gaps as SVG writes them, empty for a solid line.
        mark: The mark that it is instead of a line: "ring" or "cross".
    """

    label: str
    series: int | None
    color: str
    dashes: str
    mark: str = ""


class Series:
    """The optimizers of a report by number, with their looks and colors."""

    def __init__(self, optimizers: Sequence[str]) -> None:
        self.names = list(optimizers)
        styles = looks(optimizers)
        self._looks: list[Look] = [styles[name] for name in optimizers]
        self._colors = sorted({look.color.lower() for look in self._looks})

    def style(self) -> str:
        """The style sheet of the colors: for a white page, and for a dark one."""
        light = "".join(f"--c{place}: {color};" for place, color in enumerate(self._colors))
        both = "".join(
            f"--c{place}: light-dark({color}, {_lighter(color)});"
            for place, color in enumerate(self._colors)
        )
        # Browsers before 2024 do not know the function, and would draw nothing.
        return f":root {{{light}}}\n@supports (color: light-dark(#000, #fff)) {{:root {{{both}}}}}"

    def color(self, color: str) -> str:
        """A color as the page writes it: its variable if it stands for optimizers."""
        return f"var(--c{self._colors.index(color)})" if color in self._colors else color

    def owners(self, axes: Axes) -> Iterator[tuple[Artist, int]]:
        """The artists of a panel that belong to an optimizer, with its number."""
        last: dict[str, int] = {}
        for artist in axes.get_children():
            if not isinstance(artist, (Line2D, Collection)):
                continue
            color = _color_of(artist)
            candidates = self._candidates(artist, color)
            # A band, or a mark without a line, looks like those of several optimizers where there
            # are more of them than colors. It is drawn after the line that it belongs to.
            owner = candidates[0] if len(candidates) == 1 else last.get(color)
            if candidates and owner is not None:
                last[color] = owner
                yield artist, owner

    def keys(self, figure: Figure) -> list[Key]:
        """The legend above the panels of a figure."""
        return [
            self._key(text.get_text(), handle)
            for legend in figure.legends
            for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
        ]

    def _key(self, text: str, handle: Artist | None) -> Key:
        label = text.replace(r"\$", "$")
        if isinstance(handle, Line2D) and handle.get_linestyle() in _NO_LINE:
            mark = "cross" if handle.get_marker() == "x" else "ring"
            return Key(label, None, "var(--ink)", "", mark)
        color = _color_of(handle)
        candidates = self._candidates(handle, color)
        named = [place for place in candidates if text.startswith(shown(self.names[place], 24))]
        best = max(named or candidates, key=lambda place: len(self.names[place]), default=None)
        if best is not None:
            dashes = _dashes(self._looks[best].line)
        else:
            dashes = _dashes(handle.get_linestyle()) if isinstance(handle, Line2D) else ""
        shade = "var(--ink)" if color == "#000000" else self.color(color)
        return Key(label, best, shade, dashes)

    def _candidates(self, artist: Artist | None, color: str) -> list[int]:
        """The optimizers that an artist may belong to."""
        found = [place for place, look in enumerate(self._looks) if look.color.lower() == color]
        if isinstance(artist, Line2D) and len(found) > 1:
            found = [e for e in found if self._looks[e].alpha == (artist.get_alpha() or 1)]
            if len(found) > 1 and artist.get_linestyle() not in _NO_LINE:
                pattern = _pattern(artist)
                found = [e for e in found if _pattern(_line(self._looks[e])) == pattern]
        return found


def _color_of(artist: Artist | None) -> str:
    if isinstance(artist, Line2D):
        return to_hex(artist.get_color()).lower()
    if isinstance(artist, Collection):
        colors = [*artist.get_facecolor(), *artist.get_edgecolor()]
        return to_hex(colors[0]).lower() if colors else ""
    return ""


def _line(look: Look) -> Line2D:
    return Line2D([], [], **look.stroke())


def _pattern(line: Line2D) -> Any:
    # The name of a style of one's own, given as lengths, is that of the dashed one.
    return getattr(line, "_unscaled_dash_pattern", line.get_linestyle())


def _dashes(style: Any) -> str:
    if isinstance(style, tuple):
        return " ".join(f"{length:g}" for length in style[1] or ())
    return {"--": "4 2", "-.": "5 1.5 1 1.5", ":": "1.2 1.5"}.get(style, "")


def _lighter(color: str) -> str:
    """A color of the same hue that stands out from a dark page as it does from a white one."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(color))
    return to_hex(colorsys.hls_to_rgb(hue, 0.42 + 0.45 * lightness, 0.75 * saturation))
