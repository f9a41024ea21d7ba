"""The pages of the documentation: their code, headings and links.

tests/integration/test_documentation.py executes every code block of the READMEs and of `docs`: the
blocks of a page from top to bottom in one initially empty directory, Python in one namespace, bash
line by line. A block after `<!-- file: NAME -->` is written to that file instead. Output is in
blocks of `text`, which are not executed; other blocks that cannot be executed follow
`<!-- not run: REASON -->`, with one of `REASONS`.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

REASONS = (
    "TensorFlow 1",
    "installs packages",
    "needs a network",
    "needs a cluster",
    "takes hours",
    "takes minutes",
    "opens an editor",
)

_PLACES = ("README.md", "packages/*/README.md", "examples/**/README.md", "docs/**/*.md")
_FENCED = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>[^\n`]*)\n"
    r"(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"<!-- (?P<kind>file|not run): (?P<value>.+?) -->\s*\Z")
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)")
_INLINE_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *$", re.MULTILINE)
_INDENTED = re.compile(r"^(?P<before>[^\n]*)\n\n {4,}(?P<code>\S[^\n]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code.

    Attributes:
        language: The word behind the fence.
        code: What stands between the fences.
        line: The line of the page on which the code begins, counted from 1.
        file: Name of the file that it is to be saved as, if any.
        reason: Why it is not run, if it is not.
    """

    language: str
    code: str
    line: int
    file: str | None = None
    reason: str | None = None


def pages() -> list[Path]:
    """All pages, in a fixed order."""
    found = {path for place in _PLACES for path in ROOT.glob(place)}
    return sorted(path for path in found if not _is_built(path))


def _is_built(path: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.relative_to(ROOT).parts)


def name_of(page: Path) -> str:
    """The name of a page in messages: its path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, from top to bottom."""
    found = []
    for match in _FENCED.finditer(text):
        mark = _MARK.search(text, 0, match.start())
        marks = {} if mark is None else {mark["kind"]: mark["value"]}
        block = Block(
            language=match["language"].strip(),
            code=textwrap.dedent(match["code"]),
            line=text.count("\n", 0, match.start("code")) + 1,
            file=marks.get("file"),
            reason=marks.get("not run"),
        )
        found.append(block)
    return found


def prose(text: str) -> str:
    """A page without its code."""
    return _INLINE_CODE.sub("", _FENCED.sub("", text))


def links(text: str) -> list[str]:
    """The targets of the links of a page."""
    return [match["target"] for match in _LINK.finditer(prose(text))]


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub and Sphinx generate them."""
    titles = [match["title"] for match in _HEADING.finditer(_FENCED.sub("", text))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def indented_code(text: str) -> list[str]:
    """First lines of code blocks made by indentation, which would not be executed."""
    plain = _FENCED.sub("", text)
    return [
        match["code"]
        for match in _INDENTED.finditer(plain)
        if not re.match(r"\s*([-*+]|\d+\.)\s|\s{2,}", match["before"])
    ]
