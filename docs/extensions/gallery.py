"""Executes the commands of the gallery page, and inserts their figures."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from document_runs import Run
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_PAGE = "reference/gallery"
_DIRECTORY = "_build/gallery"  # below the pages, where Sphinx requires images
_REPORT = "report.html"
_COMMAND = re.compile(r"^```bash\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r" -o (?P<file>\S+)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", _draw)
    app.connect("source-read", _show)
    app.connect("build-finished", _add_report)
    return {"parallel_read_safe": True}


def _draw(app: Sphinx) -> None:
    """Execute the commands of the page, unless this version of it was executed before."""
    text = (app.srcdir / f"{_PAGE}.md").read_text(encoding="utf-8")
    directory = Path(app.srcdir, _DIRECTORY)
    done = directory / hashlib.sha256(text.encode()).hexdigest()
    if not done.exists():
        logging.getLogger(__name__).info("drawing the gallery...")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        os.environ["DEEPOBS_CACHE_DIR"] = str(directory / "cache")
        Run(f"{_PAGE}.md", directory).read(text)
        done.touch()


def _show(app: Sphinx, page: str, content: list[str]) -> None:
    """Insert the figures after their commands."""
    del app
    if page == _PAGE:
        content[0] = _COMMAND.sub(_with_what_it_wrote, content[0])


def _with_what_it_wrote(command: re.Match[str]) -> str:
    shown = [_shown(match["file"]) for match in _OUTPUT.finditer(command["code"])]
    return "\n\n".join([command[0], *shown])


def _shown(file: str) -> str:
    if file == _REPORT:
        return f'<a href="../{_REPORT}">The report</a>'
    return f"![{Path(file).stem}](/{_DIRECTORY}/{file})"


def _add_report(app: Sphinx, error: Exception | None) -> None:
    report = Path(app.srcdir, _DIRECTORY, _REPORT)
    if error is None and report.exists():
        shutil.copy(report, app.outdir)
