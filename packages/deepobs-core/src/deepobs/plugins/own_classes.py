"""Classes of one's own that no plugin offers: how they are named, described and found."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import inspect
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs.errors import ArgumentError, closest, sentences
from deepobs.plugins.specs import (
    DatasetSpec,
    OptimizerSpec,
    ProblemSpec,
    TargetSpec,
    is_target,
    target_of,
)

if TYPE_CHECKING:
    from types import ModuleType

SpecT = TypeVar("SpecT", bound=TargetSpec)

# By the methods of a class; data sets have none in common, as their loaders are attributes.
_METHODS: dict[type[TargetSpec], tuple[str, ...]] = {
    OptimizerSpec: ("step", "zero_grad"),
    ProblemSpec: ("get_batch_loss_and_accuracy", "set_up"),
}
_REQUIRED = {
    ProblemSpec: "ProblemSpec(batch_size=..., epochs=...)",
    DatasetSpec: "DatasetSpec(train_size=..., test_size=...)",
}
"""Descriptions that a class of the kind has to have, with what they must say."""


def spec_type_of(component: object) -> type[TargetSpec] | None:
    """The kind of description that a class needs: of a problem, a data set or an optimizer."""
    for spec_type, methods in _METHODS.items():
        if all(callable(getattr(component, method, None)) for method in methods):
            return spec_type
    if isinstance(component, type):
        with contextlib.suppress(ValueError):  # some classes in C have no signature
            if "drop_remainder" in inspect.signature(component).parameters:
                return DatasetSpec
    return None


def own_spec(spec_type: type[SpecT], component: Any, **fields: Any) -> SpecT:
    """The description of a class: its attribute `spec`, completed by the class itself.

    Args:
        spec_type: The kind of description.
        component: The class.
        **fields: What the description says instead.

    Raises:
        ArgumentError: It is no class of this kind, or does not say what a run has to know.
    """
    methods = _METHODS.get(spec_type, ())
    is_of_kind = spec_type_of(component) in ((spec_type,) if methods else (spec_type, None))
    if not isinstance(component, type) or not is_of_kind:
        required = f" with the methods {' and '.join(methods)}" if methods else ""
        raise ArgumentError(
            f"A {spec_type.kind} is given as a string, its name, or as a class{required}; got "
            f"{component!r}."
        )
    known = {field.name for field in dataclasses.fields(spec_type)}
    for name in fields.keys() - known:
        message = f"A {spec_type.kind} has no {name!r}."
        raise ArgumentError(sentences(message, closest(name, known)))
    stated = getattr(component, "spec", None)
    # Its own alone: what it would inherit describes another class, such as torch's base of all.
    lines = inspect.cleandoc(component.__doc__ or "").splitlines()
    described = {} if not isinstance(stated, spec_type) else _values(stated)
    described["summary"] = described.get("summary") or (lines[0] if lines else "")
    # A name that is inherited is that of another class.
    stated_name = described.get("name") if "spec" in vars(component) else ""
    own = {"name": stated_name or component.__name__, "target": target_of(component)}
    try:
        return spec_type(**{**described, **own, **fields})
    except TypeError:  # something without a default is missing
        raise ArgumentError(
            f"{component!r} does not describe itself as a {spec_type.kind}. Give the class "
            f"an attribute spec = {_REQUIRED[spec_type]}, from deepobs.plugins."
        ) from None


def _values(spec: TargetSpec) -> dict[str, Any]:
    return {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}


def is_importable(target: str) -> bool:
    """Whether the outermost module of an import string exists."""
    module = target.partition(":")[0].partition(".")[0]
    return module in sys.modules or importlib.util.find_spec(module) is not None


def advice_on_name(name: str) -> str:
    """What to write in place of a name that looks like a file or a module; empty for others."""
    path, _, attribute = name.partition(":")
    file = PurePath(path.replace("\\", "/"))
    is_path = file.suffix == ".py" or len(file.parts) > 1
    if is_path or (not attribute and Path(f"{path}.py").is_file()):
        module = file.name.removesuffix(".py")
        place = f", in the directory {file.parent}" if len(file.parts) > 1 else ""
        what = "That is the path of a file" if is_path else f"There is a file {path}.py here"
        return f"{what}; name a class in it as {module}:{attribute or 'Class'}{place}."
    if is_target(name) and not is_importable(name):
        return f"Nor is there a module {path} here that a class of your own could be in."
    return ""


def advice_on_module(module: ModuleType) -> str:
    """Where a module without the attribute asked for comes from, and which file it hides."""
    name = module.__name__
    file = getattr(module, "__file__", None)
    if name == "__main__":
        return ""
    origin = f"The module {name} was imported from {file or 'Python itself'}"
    own = [Path(entry or ".", f"{name.replace('.', '/')}.py").resolve() for entry in sys.path]
    hidden = [one for one in own if one.is_file() and str(one) != str(Path(file or "").resolve())]
    return f"{origin}, which hides {hidden[-1]}: rename your file." if hidden else f"{origin}."
