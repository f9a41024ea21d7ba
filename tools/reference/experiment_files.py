"""The page of the experiment files: their keys, from the models that validate them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from deepobs_bench import experiment
from deepobs_bench.tuning.settings import TuningSettings
from reference.hooks import attributes_of
from reference.markdown import code, first_line, page, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_INTRODUCTION = """
All keys of experiment files, in TOML or YAML. [Experiments](../guides/experiments.md) explains them
with examples.
"""
_WHOLE = "Top level"
_TABLES: dict[type[BaseModel], str] = {
    experiment.Experiment: _WHOLE,
    experiment.Optimizer: "optimizers.NAME",
    experiment.Schedule: "schedules.NAME",
    experiment.Training: "defaults",
    experiment.Override: "overrides.PROBLEM",
    experiment.OptimizerOverride: "overrides.PROBLEM.optimizers.NAME",
    experiment.Budget: "budget",
    TuningSettings: "optimizers.NAME.tune",
}
_FURTHER: dict[type[BaseModel], str] = {
    experiment.Override: " The keys of `defaults` are allowed, too."
}


def experiment_files() -> str:
    """The text of the page."""
    return page("Experiment files", _INTRODUCTION, *_sections())


def _sections() -> Iterator[str]:
    for model, place in _TABLES.items():
        yield f"## {place if place == _WHOLE else code(place)}"
        yield plain(f"{first_line(model)}{_FURTHER.get(model, '')}")
        yield table(("key", "value", "default", "meaning"), _keys(model))


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    meanings = attributes_of(model)
    inherited = experiment.Training.model_fields if model is experiment.Override else {}
    for name, field in model.model_fields.items():
        if name in inherited:  # they have a table of their own
            continue
        key = field.alias or name
        yield code(key), plain(_permitted(model, key)), _default(field), plain(meanings[name])


def _permitted(model: type[BaseModel], key: str) -> str:
    """The permitted values, in the words of the error about an invalid one."""
    kind, words = _refusal(model, key, _Wrong())
    if kind == "tuple_type":
        return f"a list, each {_refusal(model, key, (_Wrong(),))[1]}"
    if kind == "dict_type":
        kind, words = _refusal(model, key, {"name": _Wrong()})
        return f"a table, each value {words}" if kind == "refused" else "a table"
    return "a table" if kind == "model_type" else words


def _refusal(model: type[BaseModel], key: str, wrong: object) -> tuple[str, str]:
    """The kind of the error about a value of a key, and the permitted values it names."""
    try:
        model.model_validate({key: wrong})
    except ValidationError as error:
        for mistake in error.errors():
            if mistake["loc"][:1] == (key,):
                words = mistake["msg"].removeprefix("must be ").partition(", got ")[0]
                return mistake["type"], words.rpartition("Allowed: ")[2]
    return "", ""


class _Wrong:
    """A value that is never permitted."""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "" if field.alias == "class" else "required"  # the name of the table stands in
    default = field.get_default(call_default_factory=True)
    return "" if default in (None, (), {}) or isinstance(default, BaseModel) else _written(default)


def _written(value: object) -> str:
    """A value in the notation of the file."""
    values = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return code(json.dumps(values))
