"""The pages of the Python interface: an overview, and the sources of the details for Sphinx.

Public is what a module exports: its `__all__`, else what it defines without a leading underscore.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from deepobs.plugins import registry
from reference.groups import GROUPS
from reference.markdown import code, fenced, first_line, page, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from reference.groups import Group


_WITH_PLOTS = "analysis"
_HEADER = ("name", "description")
_INTRODUCTION = """
All public objects in one line each. Signatures and explanations are in the pages that Sphinx builds
(`nox -s docs`), and in Python's `help()`. Everything else is private and may change without notice.
"""


def overview() -> str:
    """The text of the page that describes each public object in one line."""
    parts = [part for group in GROUPS for part in _overview(group)]
    pages = "\n".join(f"reference/api/{group.name}" for group in GROUPS)
    contents = fenced("{toctree}", f":hidden:\n\n{pages}")
    return page("API reference", _INTRODUCTION, *parts, contents)


def details() -> dict[str, str]:
    """The pages on which Sphinx shows signatures and docstrings, by name."""
    return {group.name: _details(group) for group in GROUPS}


def public_names(module: ModuleType) -> list[str]:
    """The exported classes, functions and modules of a module."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        ]
    return [name for name in names if _is_shown(getattr(module, name, None))]


def _is_shown(value: object) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)


def _overview(group: Group) -> Iterator[str]:
    yield f"## {group.title}"
    yield f"{group.text} [Details](reference/api/{group.name}.md)."
    for name in group.modules:
        module = importlib.import_module(name)
        yield f"### {name}"
        yield plain(first_line(module))
        yield table(_HEADER, _rows(module))
    if group.name == _WITH_PLOTS:
        yield "### deepobs_analysis.plots"
        yield "The figures that `deepobs plot` draws, a module for each family."
        yield table(_HEADER, _plots())


def _plots() -> Iterator[tuple[str, str]]:
    for offer in registry().plots.offers():
        name = offer.spec.target.removeprefix("deepobs_analysis.plots.").replace(":", ".")
        function = registry().plots.load(offer.spec.name)
        yield code(f"{name}{_arguments(function)}"), plain(first_line(function))


def _rows(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name in public_names(module):
        value = getattr(module, name)
        yield code(f"{name}{_arguments(value)}"), plain(first_line(value))
        if inspect.isclass(value) and not issubclass(value, BaseException):
            for method, function in _methods(value):
                yield code(f"{name}.{method}{_arguments(function)}"), plain(first_line(function))


def _methods(kind: type) -> Iterator[tuple[str, object]]:
    """The methods that the class itself defines."""
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if not name.startswith("_") and inspect.isfunction(function) and function.__doc__:
            yield name, value


def _arguments(value: Any) -> str:
    """The names of the arguments without types and values, empty if it is not called."""
    if isinstance(value, property) or inspect.ismodule(value):
        return ""
    if inspect.isclass(value) and (issubclass(value, BaseException) or _is_protocol(value)):
        return ""
    function = getattr(value, "__func__", value)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    shown = [each for each in parameters if each.name not in ("self", "cls")]
    required = [each.name for each in shown if _is_required(each)]
    return f"({', '.join([*required, *['...'] * (len(required) < len(shown))])})"


def _is_protocol(kind: type) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


def _is_required(parameter: inspect.Parameter) -> bool:
    is_open = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not is_open


def _details(group: Group) -> str:
    parts: list[str] = []
    for name in group.modules:
        parts += [f"## {name}", _directive("automodule", name)]
    if group.name == _WITH_PLOTS:
        targets = [offer.spec.target.replace(":", ".") for offer in registry().plots.offers()]
        parts += ["## deepobs_analysis.plots", *(_directive("autofunction", t) for t in targets)]
    return page(group.title, *parts)


def _directive(name: str, argument: str) -> str:
    """A Sphinx directive that inserts signatures and docstrings."""
    return fenced("{eval-rst}", f".. {name}:: {argument}")
