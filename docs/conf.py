"""How Sphinx builds the documentation: `nox -s docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from deepobs import __version__

_HERE = Path(__file__).parent
# What runs the pages in the tests draws the gallery, too.
sys.path[:0] = [str(_HERE / "extensions"), str(_HERE.parent / "tests")]

project = "DeepOBS"
author = "The DeepOBS developers"
project_copyright = author
release = __version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "readable_docstrings",
    "repository_links",
    "gallery",
    "native_math",
]
exclude_patterns = ["_build", "extensions"]
nitpicky = True
# Types of torch, NumPy and the like lead to pages that are not here.
nitpick_ignore_regex = [("py:.*", ".*")]
# Annotations have short names, and some are in two packages: Standing, for one.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_extra_path = ["reference/schemas"]
html_math_renderer = "native"
html_show_sphinx = False
html_copy_source = False
