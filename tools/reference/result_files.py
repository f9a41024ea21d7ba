"""The page of the result files: their keys, and a JSON schema for other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deepobs.records import OPTIONAL_FIELDS, DataSetRecord, RunRecord
from reference.hooks import attributes_of
from reference.markdown import code, page, paragraphs, plain, sections, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

_INTRODUCTION = """
A run writes one JSON file atomically:
`<results>/<test problem>/<optimizer>/<configuration>/random_seed__<seed>__<time>.json`. It has all
keys of DeepOBS 1.2 and more, so programs for files of DeepOBS 1.2 can read it;
[analysis](../guides/analysis.md) reads files of DeepOBS 1.1 and 1.2, too.

[result_file.schema.json](schemas/result_file.schema.json) is its JSON schema (draft 2020-12). Keys
may be added without a new `schema_version`: programs must ignore unknown keys.
"""
_OLD = """
DeepOBS 1.1 has other names for some keys: `optimizer` is `optimizer_name`, with the names of
TensorFlow's classes; `hyperparams` and `learning_rate` together are `optimizer_hyperparams`;
`lr_sched_epochs`, `lr_sched_factors` and `train_log_interval` are in `training_params`.
"""
IN_1_1 = frozenset(
    (
        "testproblem",
        "batch_size",
        "num_epochs",
        "random_seed",
        "weight_decay",
        "train_losses",
        "test_losses",
        "train_accuracies",
        "test_accuracies",
        "minibatch_train_losses",
    )
)
"""Keys that files of DeepOBS 1.1 have under the same name."""

IN_1_2 = IN_1_1 | {
    "valid_losses",
    "valid_accuracies",
    "optimizer_name",
    "optimizer_hyperparams",
    "training_params",
}
"""Keys that files of DeepOBS 1.2 have."""

_NAMES = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "`null`",
}


def result_files() -> str:
    """The text of the page."""
    text = sections(RunRecord.__doc__ or "")[""].partition("\n\n")[2]
    return page(
        "Result files",
        _INTRODUCTION,
        "## Keys",
        paragraphs(text),
        table(("key", "type", "DeepOBS", "meaning"), _keys(RunRecord)),
        _OLD,
        "## The data set",
        table(
            ("key", "type", "meaning"), [(row[0], row[1], row[3]) for row in _keys(DataSetRecord)]
        ),
    )


def schema() -> str:
    """The JSON schema, as the text of a file."""
    found = RunRecord.model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = "Result of a run of DeepOBS"
    for model, part in ((RunRecord, found), (DataSetRecord, found["$defs"]["DataSetRecord"])):
        part["description"] = sections(model.__doc__ or "")[""].partition("\n")[0]
        for key, meaning in attributes_of(model).items():
            part["properties"][key]["description"] = meaning
    # Later versions add keys, and files omit what was not recorded.
    found["required"] = [
        key for key, field in RunRecord.model_fields.items() if field.is_required()
    ]
    return json.dumps(found, indent=2) + "\n"


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    meanings = attributes_of(model)
    for key, described in model.model_json_schema()["properties"].items():
        versions = [name for name, keys in (("1.1", IN_1_1), ("1.2", IN_1_2)) if key in keys]
        yield code(key), _kind(key, described), ", ".join(versions), plain(meanings[key])


def _kind(key: str, described: Mapping[str, Any]) -> str:
    """The type of a value; files omit empty lists."""
    is_optional = key in OPTIONAL_FIELDS
    return kind_of(described["anyOf"][0]) if is_optional else kind_of(described)


def kind_of(described: Mapping[str, Any]) -> str:
    """The type of a value in words, from its JSON schema."""
    if "enum" in described:
        return " or ".join(code(json.dumps(value)) for value in described["enum"])
    if "anyOf" in described:
        return " or ".join(kind_of(choice) for choice in described["anyOf"])
    if "$ref" in described:
        return "table"
    if described.get("type") == "array":
        items = kind_of(described.get("items", {})).removesuffix(" or `null`")
        return f"list of {_plural(items)}"
    if described.get("type") == "object":
        values = described.get("additionalProperties")
        return f"table of {_plural(kind_of(values))}" if isinstance(values, dict) else "table"
    return _NAMES.get(described.get("type", ""), "value")


def _plural(kind: str) -> str:
    first, *others = kind.split(" ", 1)
    return " ".join([f"{first}s", *others])
