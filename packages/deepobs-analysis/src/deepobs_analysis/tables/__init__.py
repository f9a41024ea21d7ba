"""Tables of how optimizers did, for terminals, papers, notes and other programs."""

from __future__ import annotations

from deepobs_analysis.tables.columns import COLUMNS, DEFAULT, Column, columns_called
from deepobs_analysis.tables.formats import FORMATS, as_csv, as_html, as_latex, as_markdown, as_text
from deepobs_analysis.tables.layout import Cell, cells_of
from deepobs_analysis.tables.notes import notes

__all__ = [
    "COLUMNS",
    "DEFAULT",
    "FORMATS",
    "Cell",
    "Column",
    "as_csv",
    "as_html",
    "as_latex",
    "as_markdown",
    "as_text",
    "cells_of",
    "columns_called",
    "notes",
]
