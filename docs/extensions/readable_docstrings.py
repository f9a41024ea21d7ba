"""Converts docstrings written for readers of the code to reStructuredText."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sphinx.application import Sphinx

_BEFORE_NAPOLEON = 100


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", _translate, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-skip-member", _leave_out)
    app.connect("autodoc-process-signature", _shorten)
    return {"parallel_read_safe": True}


def _translate(*event: Any) -> None:
    """Convert Markdown to reStructuredText where they differ."""
    lines: list[str] = event[-1]
    _mark_code(lines)
    _mark_results(lines)
    lines[:] = _with_tables(lines)


def _mark_code(lines: list[str]) -> None:
    """Mark indented code behind a colon, which would be a quotation."""
    for index, line in enumerate(lines[:-2]):
        is_code = not lines[index + 1].strip() and _indent(lines[index + 2]) > _indent(line)
        if line.endswith(":") and is_code:
            lines[index] = f"{line}:"


def _mark_results(lines: list[str]) -> None:
    """Say that results have no type before a colon, for which a first half would be taken."""
    for index, line in enumerate(lines[:-1]):
        if line.strip() in ("Returns:", "Yields:"):
            result = lines[index + 1]
            lines[index + 1] = f"{result[: _indent(result)]}: {result.strip()}"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _with_tables(lines: Iterable[str]) -> Iterator[str]:
    for is_table, group in itertools.groupby(lines, key=lambda line: line.startswith("|")):
        part = list(group)
        yield from _table(part) if is_table else part


def _table(lines: Iterable[str]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for line in lines:
        if line.startswith("|---"):
            continue
        first, *others = (cell.strip() for cell in line.strip("| ").split(" | "))
        yield f"   * - {first}"
        yield from (f"     - {cell}" for cell in others)


def _leave_out(*event: Any) -> bool | None:
    """Skip members without information: fields of named tuples, configuration of pydantic."""
    name, value = event[2:4]
    is_silent = name == "model_config" or type(value).__name__ == "_tuplegetter"
    return True if is_silent else None


def _shorten(*event: Any) -> tuple[str, None] | None:
    """Omit the arguments of pydantic models, which repeat the attributes."""
    return ("", None) if hasattr(event[3], "model_fields") else None
