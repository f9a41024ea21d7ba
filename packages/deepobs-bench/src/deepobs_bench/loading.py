"""From an experiment file to an experiment, or to all mistakes in the file at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from deepobs.errors import closest, sentences
from deepobs_bench import files
from deepobs_bench.mistakes import Mistake, refusal, written
from deepobs_bench.references import mistaken_references
from deepobs_bench.schema import Experiment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from deepobs_bench.mistakes import Location

_KINDS = {"model_type": "a table", "dict_type": "a table", "tuple_type": "a list"}


def load(path: Path) -> Experiment:
    """Read an experiment and check all that can be checked without knowing its runs.

    Args:
        path: A TOML or YAML file.

    Raises:
        ExperimentError: Something in it is not as it should be; all of that is named.
    """
    data = files.read(path)
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as error:
        raise refusal(str(path), [_mistake(each, data) for each in error.errors()]) from None
    mistakes = list(mistaken_references(experiment))
    if mistakes:
        raise refusal(str(path), mistakes)
    return experiment


def _mistake(error: ErrorDetails, data: Mapping[str, Any]) -> Mistake:
    """Say in our words what pydantic found."""
    location, kind = error["loc"], error["type"]
    if kind == "missing":
        return Mistake(location, "is missing: add it to the file")
    existing = _existing(location, data)
    if kind == "extra_forbidden":
        return Mistake(existing, _unknown_key(location))
    if kind in _KINDS:
        return Mistake(existing, f"must be {_KINDS[kind]}, got {written(error['input'])}")
    return Mistake(existing, error["msg"])


def _existing(location: Location, data: Any) -> Location:
    """The part of a place that the user has written: a name may have been filled in for them."""
    for depth, part in enumerate(location):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return location[:depth]
    return location


def _unknown_key(location: Location) -> str:
    keys = _keys_of(_table_at(location[:-1]))
    return sentences(
        "There is no such key here.",
        closest(str(location[-1]), keys),
        f"Permitted: {', '.join(keys)}.",
    )


def _table_at(location: Location) -> type[BaseModel]:
    """The table at a place of the file."""
    table: type[BaseModel] = Experiment
    for part in location:
        fields = _keys_of(table)
        if part in fields:  # else a name of the user's own, or a position
            table = _table_in(fields[str(part)]) or table
    return table


def _keys_of(table: type[BaseModel]) -> dict[str, Any]:
    """The types of the values of a table, by the key as it is written."""
    return {field.alias or name: field.annotation for name, field in table.model_fields.items()}


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table in a type such as `dict[str, Optimizer]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_in, get_args(annotation))), None)
