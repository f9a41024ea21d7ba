"""Links to what lies in the repository but is no page: in the built pages they are plain text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.addnodes import pending_xref

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("doctree-read", _without_links_to_others)
    return {"parallel_read_safe": True}


def _without_links_to_others(app: Sphinx, page: nodes.document) -> None:
    directory = Path(page["source"]).parent
    for link in list(page.findall(pending_xref)):
        if link.get("reftype") == "myst" and link.get("reftarget"):
            path = Path(directory, link["reftarget"].partition("#")[0]).resolve()
            if not path.is_relative_to(app.srcdir):
                link.parent.replace(link, link.children)
