"""A report as HTML that needs nothing else and loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepobs_analysis import __version__
from deepobs_analysis.report.content import content_of
from deepobs_analysis.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

TITLE = "Results of DeepOBS"
"""The title where no other is given."""

_UNSEEN = ("Cc", "Cf")  # categories of characters: control, format


def report(results: Results, *, mode: Mode = "most", title: str = TITLE) -> str:
    """Write all about some results as one page.

    Whatever names, commands and reasons hold is shown as text: pages are safe to pass on.

    Args:
        results: The runs.
        mode: How settings are chosen; see `select`.
        title: What stands above it.

    Returns:
        HTML, in UTF-8 to be.
    """
    environment = Environment(
        loader=PackageLoader("deepobs_analysis.report"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "counted": counted}
    script, style = (_source(environment, name) for name in ("page.js", "page.css"))
    return environment.get_template("page.html.j2").render(
        content=content_of(results, mode=mode, title=title),
        script=script,
        style=style,
        policy=_policy(script),
        version=__version__,
    )


def _prose(sentences: Iterable[str]) -> str:
    """Sentences one after the other, without a line break between a number and its percent."""
    return " ".join(sentences).replace(" %", "\N{NO-BREAK SPACE}%")


def _harmless(value: object) -> object:
    """What is put into the page: of a text, what is not seen is spelt out, but for line breaks.

    By characters that turn the direction of writing, a command could look like another one.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSEEN and character != "\n"
        else character
        for character in value
    )


def _source(environment: Environment, name: str) -> Markup:
    """A file of ours, as it is."""
    assert environment.loader is not None  # noqa: S101 # it was given above
    source, _, _ = environment.loader.get_source(environment, name)
    return Markup(source)  # noqa: S704


def _policy(script: str) -> str:
    """What the browser may do: show what is in the page, and run our script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
