"""Descriptions refuse what could not be used later, when they are made."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from deepobs.errors import ArgumentError
from deepobs.plugins import (
    CommandSpec,
    DatasetSpec,
    OptimizerSpec,
    ProblemSpec,
    RunnerSpec,
    SuiteSpec,
)

GOOD: dict[type, dict[str, Any]] = {
    ProblemSpec: {
        "name": "acme_mlp",
        "target": "acme.problems:MLP",
        "summary": "A perceptron",
        "dataset": "acme",
        "batch_size": 128,
        "epochs": 10,
    },
    DatasetSpec: {
        "name": "acme",
        "target": "acme.data:Acme",
        "summary": "Pictures",
        "train_size": 100,
        "test_size": 10,
    },
    OptimizerSpec: {"name": "Acme", "target": "acme:Acme", "summary": "Faster than light"},
    RunnerSpec: {"name": "AcmeRunner", "target": "acme:Runner", "summary": "Runs"},
    SuiteSpec: {"name": "acme", "summary": "Ours", "problems": ("acme_mlp",)},
    CommandSpec: {"name": "acme-plot", "target": "acme.cli:plot", "summary": "Plots"},
}


@pytest.mark.parametrize("spec_type", GOOD)
def test_a_sound_description_is_accepted_and_travels_between_processes(spec_type: type) -> None:
    spec = spec_type(**GOOD[spec_type])
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 # made one line above
    assert len({spec, dataclasses.replace(spec)}) == 1


@pytest.mark.parametrize(
    ("spec_type", "attribute", "value", "allowed"),
    [
        (ProblemSpec, "name", "acme mlp", "a public Python identifier"),
        (ProblemSpec, "name", "2c2d", "a public Python identifier"),
        (ProblemSpec, "name", "_hidden", "a public Python identifier"),
        (ProblemSpec, "name", "lambda", "a public Python identifier"),
        (ProblemSpec, "name", 3, "a public Python identifier"),
        (CommandSpec, "name", "Acme_plot", "lower-case letters, digits and hyphens"),
        (ProblemSpec, "summary", None, "a line of text"),
        (ProblemSpec, "summary", "two\nlines", "a line of text"),
        (ProblemSpec, "target", "acme.problems.MLP", "'package.module:Class'"),
        (ProblemSpec, "target", "acme problems:MLP", "'package.module:Class'"),
        (ProblemSpec, "target", int, "'package.module:Class'"),
        (ProblemSpec, "dataset", "", "a name"),
        (ProblemSpec, "batch_size", 0, "an integer of 1 or more"),
        (ProblemSpec, "batch_size", 12.5, "an integer of 1 or more"),
        (ProblemSpec, "batch_size", True, "an integer of 1 or more"),
        (ProblemSpec, "epochs", -1, "an integer of 0 or more"),
        (ProblemSpec, "weight_decay", -0.1, "None or >= 0"),
        (ProblemSpec, "weight_decay", float("inf"), "None or >= 0"),
        (ProblemSpec, "weight_decay", "0.1", "None or >= 0"),
        (ProblemSpec, "metric", "error", "'accuracy' or 'loss'"),
        (ProblemSpec, "tags", "small", "several strings"),
        (ProblemSpec, "tags", {1}, "several strings"),
        (ProblemSpec, "target_performance", float("nan"), "None or a finite number"),
        (ProblemSpec, "target_performance_same_order", "high", "None or a finite number"),
        (ProblemSpec, "options", ["model"], "a mapping"),
        (DatasetSpec, "train_size", 0, "an integer of 1 or more"),
        (DatasetSpec, "test_size", None, "an integer of 1 or more"),
        (OptimizerSpec, "defaults", "lr", "a mapping"),
        (SuiteSpec, "problems", (), "the names of one test problem or more"),
        (SuiteSpec, "problems", "acme_mlp", "several strings"),
        (SuiteSpec, "problems", None, "several strings"),
    ],
)
def test_an_unusable_value_is_named_with_what_is_allowed(
    spec_type: type, attribute: str, value: object, allowed: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        spec_type(**{**GOOD[spec_type], attribute: value})
    message = str(caught.value)
    assert spec_type.__name__ in message
    assert repr(value) in message
    assert allowed in message


def test_collections_are_kept_in_a_form_that_nobody_can_change() -> None:
    tags, problems = ["small", "convex"], ["acme_mlp"]
    problem = ProblemSpec(**GOOD[ProblemSpec], tags=tags)  # type: ignore[arg-type]
    suite = SuiteSpec(name="acme", summary="Ours", problems=iter(problems))  # type: ignore[arg-type]
    tags.clear()
    problems.clear()
    assert problem.tags == {"small", "convex"}
    assert suite.problems == ("acme_mlp",)
