"""Markdown that GitHub and Sphinx read in the same way."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`+.+?`+)", re.DOTALL)
_EXAMPLES = "\b\n"


def page(title: str, *parts: str) -> str:
    """A page that says that it is generated.

    Args:
        title: Its heading.
        *parts: What stands below it.
    """
    note = "<!-- Written by `python tools/generate_reference.py`: do not edit. -->"
    return "\n\n".join([note, f"# {title}", *(part.strip() for part in parts if part)]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, of which no cell can break the lines."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_in_cell, line))} |" for line in lines)


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def plain(text: str) -> str:
    """Text in which nothing but code between backticks is marked."""
    parts = _CODE.split(text)
    return "".join(
        part if index % 2 else re.sub(r"([*<\[\]])", r"\\\1", part)
        for index, part in enumerate(parts)
    )


def code(text: object) -> str:
    """A piece of code within a line."""
    return f"`{text}`"


def first_line(documented: object) -> str:
    """What something is, in a line.

    Raises:
        ValueError: It has no docstring.
    """
    text = inspect.getdoc(documented)
    if not text:
        raise ValueError(f"{documented!r} has no docstring.")
    return text.partition("\n\n")[0].replace("\n", " ")


def paragraphs(text: str) -> str:
    """The text of a docstring: paragraphs in a line each, and examples marked as click has them."""
    written = []
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith(_EXAMPLES):
            lines = part.removeprefix(_EXAMPLES).splitlines()
            if not lines[0].startswith(" "):
                written.append(plain(lines.pop(0)))
            written.append(fenced("text", inspect.cleandoc("\n" + "\n".join(lines))))
        else:
            written.append(plain(" ".join(part.split())))
    return "\n\n".join(written)


def fenced(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.strip(chr(10))}\n```"


def sections(docstring: str) -> dict[str, str]:
    """The parts of a Google docstring: `""` for the text, then "Args", "Attributes" and so on."""
    found = {"": ""}
    current = ""
    for line in inspect.cleandoc(docstring).splitlines():
        heading = re.fullmatch(r"(Args|Attributes|Returns|Raises|Yields|References):", line)
        if heading:
            current = heading[1]
            found[current] = ""
        else:
            found[current] += line + "\n"
    return {name: inspect.cleandoc("\n" + text) for name, text in found.items()}


def entries(section: str) -> dict[str, str]:
    """The entries of a part such as "Attributes": name and meaning."""
    parts = re.split(r"^(\w+): ", section, flags=re.MULTILINE)[1:]
    return {
        name: " ".join(meaning.split())
        for name, meaning in zip(parts[::2], parts[1::2], strict=True)
    }
