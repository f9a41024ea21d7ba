"""The figures of a report: drawn, and embedded as SVG elements of one page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

from deepobs.errors import ArgumentError
from deepobs.plugins.catalog import import_target
from deepobs_analysis.plots.rendering import svg
from deepobs_analysis.plugin import deepobs_plots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_OVERVIEW = {"overview": "Test loss and accuracy over epochs on every problem"}
_OF_A_PROBLEM = {
    "performance": "Loss and accuracy over epochs",
    "time_to_target": "Time to the target",
    "sensitivity": "Test performance over the learning rate",
    "sensitivity_2d": "Test performance over two hyperparameters",
    "tuning_rank": "All configurations, from the best to the worst",
    "expected_best": "Expected performance of the best of k configurations",
}
_ACROSS_PROBLEMS = {
    "profiles": "Performance profile of times to targets",
    "ranks": "How often each optimizer is first, second and so on",
    "comparison": "Probability that the row's seed beats the column's",
}

_METADATA, _STYLE = "metadata", "style"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NEEDLESS_DIGITS = re.compile(r"(\.\d\d)\d+")
_POINTS_TO_PIXELS = 4 / 3


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure of the page as an SVG element, with its caption."""

    caption: str
    svg: Markup


def overview(results: Results, mode: Mode) -> list[Drawing]:
    """Test curves on all problems."""
    return list(_drawn(_OVERVIEW, results, mode, prefix="all-"))


def of_problem(results: Results, mode: Mode, prefix: str) -> list[Drawing]:
    """All that can be drawn of results of one problem; ids of the figures begin with `prefix`."""
    return list(_drawn(_OF_A_PROBLEM, results, mode, prefix=prefix))


def across_problems(results: Results, mode: Mode) -> list[Drawing]:
    """Comparisons of optimizers over all problems."""
    return list(_drawn(_ACROSS_PROBLEMS, results, mode, prefix="across-"))


def _drawn(
    captions: Mapping[str, str], results: Results, mode: Mode, *, prefix: str
) -> Iterable[Drawing]:
    """The figures that the results have the data for."""
    targets = {spec.name: spec.target for spec in deepobs_plots()}
    for name, caption in captions.items():
        plot = import_target(targets[name], name)
        try:
            figure = plot(results, mode=mode)
        # Such as: no optimizer has two hyperparameters that vary. The page does without the figure.
        except ArgumentError:
            continue
        yield Drawing(caption, _embedded(svg(figure), f"{prefix}{name}-", caption))


def _embedded(svg: str, prefix: str, label: str) -> Markup:
    """Create an SVG element that can stand beside others in a page.

    Args:
        svg: What matplotlib wrote, from `<svg` on.
        prefix: What the ids of this figure begin with.
        label: Description for screen readers.
    """
    root = ET.fromstring(svg)  # noqa: S314 # our own figure
    for element in root.iter():
        # Matplotlib's style sheet would apply to the whole page; the page has the same rules.
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
    # Matplotlib numbers ids from 1 in every figure: without a prefix, figures would use the clip
    # paths and markers of others.
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    referred = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return referred if name == "aria-label" else _NEEDLESS_DIGITS.sub(r"\1", referred)
