"""Articles with two columns that are compiled to see whether LaTeX accepts what is written."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ARTICLE = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs}
\usepackage{siunitx}
\begin{document}
%s
\end{document}
"""


def what_is_missing() -> str:
    """Why articles cannot be compiled here, nothing if they can."""
    if shutil.which("pdflatex") is None:
        return "needs pdflatex: apt-get install texlive-latex-recommended texlive-science"
    for package in ("booktabs.sty", "siunitx.sty"):
        find = [shutil.which("kpsewhich") or "kpsewhich", package]
        found = subprocess.run(find, capture_output=True, check=False)
        if found.returncode:
            return f"needs {package}: apt-get install texlive-latex-recommended texlive-science"
    return ""


def compiled(body: str, directory: Path) -> list[str]:
    """Compile an article, and return what LaTeX says is too wide.

    Raises:
        AssertionError: LaTeX refuses it; the message holds its own.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "article.tex").write_text(_ARTICLE % body, encoding="utf-8")
    program = shutil.which("pdflatex") or "pdflatex"
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "article.tex"]
    done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    output = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, output[-2000:]
    # Lines of the caption are stretched; a table that is too wide is what matters.
    return re.findall(r"Overfull .hbox [^\n]*", output)
