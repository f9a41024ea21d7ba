"""Small tables in HTML, which notebooks show for the objects of this package."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LEFT = "text-align: left"


def facts(caption: str, values: Mapping[str, object]) -> str:
    """A table of names and values; those that are `None` or empty are left out.

    Args:
        caption: What it is about.
        values: The values by their names, written by `str`.
    """
    rows = [(name, value) for name, value in values.items() if str(value) and value is not None]
    return grid(caption, (), rows)


def grid(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose rows begin with their names.

    Args:
        caption: What it is about.
        headings: The names of the columns, none for no row of headings.
        rows: The cells, written by `str`; floats with six digits.
    """
    # Names come from files and from other packages: all of them are escaped.
    head = "".join(f'<th style="{_LEFT}">{_text(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th style="{_LEFT}">{_text(name)}</th>'
        + "".join(f'<td style="{_LEFT}">{_text(cell)}</td>' for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    title = f'<caption style="{_LEFT}">{_text(caption)}</caption>' if caption else ""
    return f"<table>{title}{top}<tbody>{body}</tbody></table>"


def notes_below(sentences: Iterable[str]) -> str:
    """Sentences below a table, each on a line of its own."""
    return f'<p style="{_LEFT}">{"<br>".join(map(_text, sentences))}</p>'


def _text(value: object) -> str:
    if value is None:
        return "-"
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))
