"""Which optimizer of a report a line, a band or a mark in a figure belongs to."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D

from deepobs_analysis.plots.looks import looks

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
        self._numbers: dict[object, int] = {name: place for place, name in enumerate(optimizers)}
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
        """The artists of a panel that belong to an optimizer, with its number.

        Not by their colors, of which there are fewer than optimizers.
        """
        for artist in axes.get_children():
            owner = self._numbers.get(artist.get_label())
            if owner is not None:
                yield artist, owner

    def keys(self, figure: Figure) -> list[Key]:
        """The legend above the panels of a figure."""
        return [
            self._key(text.get_text().replace(r"\$", "$"), handle)
            for legend in figure.legends
            for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
            if isinstance(handle, Line2D)
        ]

    def _key(self, label: str, handle: Line2D) -> Key:
        if handle.get_linestyle() in _NO_LINE:
            mark = "cross" if handle.get_marker() == "x" else "ring"
            return Key(label, None, "var(--ink)", "", mark)
        owner = self._numbers.get(handle.get_label())
        if owner is None:
            return Key(label, None, "var(--ink)", _dashes(handle.get_linestyle()))
        look = self._looks[owner]
        return Key(label, owner, self.color(look.color.lower()), _dashes(look.line))


def _dashes(style: Any) -> str:
    if isinstance(style, tuple):
        return " ".join(f"{length:g}" for length in style[1] or ())
    return {"--": "4 2", "-.": "5 1.5 1 1.5", ":": "1.2 1.5"}.get(style, "")


def _lighter(color: str) -> str:
    """A color of the same hue that stands out from a dark page as it does from a white one."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(color))
    return to_hex(colorsys.hls_to_rgb(hue, 0.42 + 0.45 * lightness, 0.75 * saturation))
