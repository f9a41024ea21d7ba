"""Figures that many of which fit into one page."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from markupsafe import Markup

_METADATA, _STYLE = "metadata", "style"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NEEDLESS_DIGITS = re.compile(r"(\.\d\d)\d+")
_POINTS_TO_PIXELS = 4 / 3


def embedded(svg: str, prefix: str, label: str) -> Markup:
    """Make an SVG element that can stand beside others in a page.

    Its ids are made unique, its size is that of its place, and what matplotlib says for the whole
    document is left out: the style sheet of the page has it.

    Args:
        svg: What matplotlib wrote, from `<svg` on.
        prefix: What the ids of this figure begin with.
        label: What it shows, for those who cannot see it.
    """
    root = ET.fromstring(svg)  # noqa: S314 # our own figure
    for element in root.iter():
        for child in [each for each in element if _bare(each.tag) in (_METADATA, _STYLE)]:
            element.remove(child)
        element.tag = _bare(element.tag)
        element.attrib = {
            _bare(name): _value(_bare(name), value, prefix)
            for name, value in element.attrib.items()
        }
    width = float(root.attrib.pop("width").removesuffix("pt")) * _POINTS_TO_PIXELS
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": label, "style": f"--width: {width:.0f}px"}
    # What text holds was escaped by matplotlib and is escaped again while it is written.
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704


def _bare(name: str) -> str:
    """A name without its namespace, which pages do not need."""
    return name.rpartition("}")[2]


def _value(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    referred = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return referred if name == "aria-label" else _NEEDLESS_DIGITS.sub(r"\1", referred)
