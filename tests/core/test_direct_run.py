"""`deepobs.run`: a run from its parts, or from a specification."""

from __future__ import annotations

import sys

import pytest
import torch

import deepobs
from deepobs.errors import ArgumentError, UnknownNameError

RATE = {"lr": 0.01}


def test_a_run_of_its_parts_is_that_of_their_specification(tmp_path):
    specification = deepobs.specify("quadratic_deep", "SGD", RATE, num_epochs=1, random_seed=3)
    from_specification = deepobs.run(specification, output_dir=tmp_path)
    from_parts = deepobs.run(
        "quadratic_deep", "SGD", RATE, num_epochs=1, random_seed=3, output_dir=tmp_path
    )
    assert (from_specification.is_new, from_parts.is_new) == (True, False)
    assert from_parts.record == from_specification.record


def test_a_class_of_ones_own_can_be_given():
    class Mine(torch.optim.SGD):
        """One that no import string leads to."""

    record = deepobs.run("quadratic_deep", Mine, RATE, num_epochs=1).record
    same = deepobs.run("quadratic_deep", "SGD", RATE, num_epochs=1).record
    assert record.test_losses == same.test_losses


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("quadratic_deep", "SGD"), {"lr": 0.1}, "are a dictionary: {'lr': 0.1}"),
        (("quadratic_deep", "SGD"), {"num_epoch": 1}, "Did you mean 'num_epochs'?"),
        (("quadratic_deep",), {}, "A run needs an optimizer"),
    ],
)
def test_what_is_missing_or_unknown_is_named(arguments, options, message):
    with pytest.raises(ArgumentError) as raised:
        deepobs.run(*arguments, **options)
    assert message in str(raised.value)


def test_a_specification_takes_no_further_arguments():
    specification = deepobs.specify("quadratic_deep", "SGD", RATE)
    with pytest.raises(ArgumentError, match="got hyperparameters, num_epochs besides"):
        deepobs.run(specification, hyperparameters=RATE, num_epochs=1)


def test_unknown_problems_are_refused_as_by_specify():
    with pytest.raises(UnknownNameError):
        deepobs.run("quadratic_dep", "SGD", RATE)


@pytest.mark.parametrize("name", ["load", "table", "compare", "score", "plot", "report"])
def test_functions_of_the_analysis_say_which_package_has_them(monkeypatch, name):
    # As where deepobs-analysis is not installed: this raises what a missing module raises.
    monkeypatch.setitem(sys.modules, "deepobs_analysis", None)
    monkeypatch.delitem(sys.modules, "deepobs_analysis.python_use", raising=False)
    with pytest.raises(AttributeError) as raised:
        getattr(deepobs, name)
    assert str(raised.value) == (
        f"deepobs.{name} comes with deepobs-analysis: pip install deepobs-analysis"
    )
    with pytest.raises(AttributeError, match="has no attribute 'tables'"):
        _ = deepobs.tables


def test_what_the_analysis_offers_is_listed_for_completion():
    assert {"run", "load", "table", "compare", "score", "plot", "report"} <= set(dir(deepobs))


def test_what_breaks_the_analysis_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "deepobs_analysis.py").write_text("import no_such_module")
    monkeypatch.delitem(sys.modules, "deepobs_analysis", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        deepobs.table("results")
