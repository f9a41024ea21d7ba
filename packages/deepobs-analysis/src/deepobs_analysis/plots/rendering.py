"""Figures as files, and as SVG text for a page."""

from __future__ import annotations

import contextlib
import io
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg

from deepobs.errors import ArgumentError, closest, sentences
from deepobs_analysis.output import write_output
from deepobs_analysis.plots.style import ResultFigure, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")

_PIXELS_PER_INCH = 110

# Without the time of writing, equal figures are equal files.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {},
}


class ShownFigure(ResultFigure):
    """A figure that a notebook shows where it is the value of a cell, once."""

    # Figures are made without pyplot, which would show all of them a second time at the end of the
    # cell; IPython shows no other figures by itself.
    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        width, height = (round(_PIXELS_PER_INCH * inches) for inches in self.get_size_inches())
        # Drawn with more pixels than it takes on the page: screens of laptops have them.
        return drawn(self, "png"), {"width": width, "height": height}


def format_of(path: Path) -> str:
    """The format that the name of a file asks for.

    Raises:
        ArgumentError: Figures are not written in it.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise ArgumentError(
            sentences(
                f"Cannot write a figure to {path}: the format {suffix!r} is unknown.",
                closest(suffix, FORMATS),
                f"Use a name that ends in {', '.join(f'.{name}' for name in FORMATS)}.",
            )
        )
    return suffix


def write(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's name. Equal figures give equal files.

    Raises:
        ArgumentError: It is no format of `FORMATS`.
        OutputError: It cannot be written.
    """
    write_output(path, drawn(figure, format_of(path)))


def write_notes(figure: Figure, path: Path) -> Path:
    """Write the notes of a figure to a text file beside it, for a caption.

    Args:
        figure: The figure.
        path: Its own file.

    Raises:
        OutputError: It cannot be written.
    """
    beside = path.with_suffix(".txt")
    notes = figure.notes if isinstance(figure, ResultFigure) else ""
    write_output(beside, "\n".join([*textwrap.wrap(notes, 100), ""]))
    return beside


def svg(figure: Figure) -> str:
    """A figure as the text of an `<svg>` element, to put into a page."""
    text = drawn(figure, "svg").decode()
    return text[text.index("<svg") :]


def drawn(figure: Figure, format: str) -> bytes:  # noqa: A002 # matplotlib's word for it
    """The content of a file that shows a figure, in one of `FORMATS`."""
    stream = io.BytesIO()
    with in_own_style(figure), _laid_out(figure):
        figure.savefig(stream, format=format, metadata=_METADATA[format])
    return stream.getvalue()


@contextlib.contextmanager
def in_own_style(figure: Figure) -> Iterator[None]:
    """Draw a figure inside the block."""
    # Without a canvas of its own a figure is drawn by the backend of the user's notebook.
    FigureCanvasAgg(figure)
    own = figure.parameters if isinstance(figure, ResultFigure) else None
    with warnings.catch_warnings(), mpl.rc_context(own or parameters()):
        # A name may hold characters that the font lacks: they are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@contextlib.contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Lay a figure out beforehand: matplotlib would draw all of it once more to do so."""
    engine = figure.get_layout_engine()
    if engine is None:
        yield
        return
    engine.execute(figure)
    figure.set_layout_engine(None)
    try:
        yield
    finally:
        figure.set_layout_engine(engine)
