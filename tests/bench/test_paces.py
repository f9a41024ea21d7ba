"""How fast runs are: what is measured again, and what is taken from the cache and from results."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deepobs import config
from deepobs.run_specifications import RunSpecification
from deepobs.runs import run, specify
from deepobs_bench.paces import kind_of, paces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deepobs_bench.paces import Paces

SCHEDULE = {"name": "StepLR", "arguments": {"step_size": 1}}
OWN = """
import torch

class Own(torch.optim.SGD):
    def step(self, closure=None):
        {body}
        return super().step(closure)
"""


@pytest.fixture
def own_optimizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], str]]:
    """Write an optimizer of one's own, again with other code, and return what to call it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(body: str) -> str:
        (tmp_path / "own_paces.py").write_text(OWN.format(body=body))
        sys.modules.pop("own_paces", None)
        importlib.invalidate_caches()
        return "own_paces:Own"

    yield write
    sys.modules.pop("own_paces", None)


def learned(specification: RunSpecification, *, threads: int = 1, **options: Any) -> Paces:
    defaults = {"done": {}, "missing": (), "is_hasty": False}
    return paces_of([specification], threads=threads, **(defaults | options))


def measured() -> int:
    """How many kinds of runs were measured."""
    path = config.get_cache_dir() / "paces.json"
    return len(json.loads(path.read_bytes())) if path.exists() else 0


def test_the_time_of_a_run_that_ends_after_max_steps_is_that_of_its_steps(tmp_path: Path) -> None:
    whole = specify("quadratic_deep", "SGD", {"lr": 0.1}, batch_size=125, num_epochs=5)
    cut = specify("quadratic_deep", "SGD", {"lr": 0.1}, batch_size=125, max_steps=20)
    assert kind_of(whole) == kind_of(cut)
    (pace,) = learned(whole).known.values()
    assert pace.steps_per_epoch == 8
    expected = pace.set_up.seconds + 20 / 8 * pace.epoch.seconds + 4 * pace.evaluation.seconds
    assert pace.of_run(cut).seconds == pytest.approx(expected)
    done = run(cut, output_dir=tmp_path).path
    (recorded,) = learned(whole, done={kind_of(whole): [done]}).known.values()
    assert recorded.steps_per_epoch == 8
    assert recorded.set_up.seconds == 0


def test_what_changes_the_time_of_an_epoch_is_measured_again(
    own_optimizer: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = specify("quadratic_deep", "SGD", {"lr": 0.1})
    learned(first)
    for others in ({"random_seed": 1}, {"num_epochs": 3}, {"lr_scheduler": SCHEDULE}):
        learned(specify("quadratic_deep", "SGD", {"lr": 0.01}, **others))
    assert measured() == 1

    settings = {"lr": 0.1}
    others = [
        lambda: specify("quadratic_deep", "SGD", settings, batch_size=32),
        lambda: specify("quadratic_deep", "SGD", settings | {"momentum": 0.9}),
        lambda: specify("quadratic_deep", "Adam", settings),
        lambda: specify("quadratic_deep", own_optimizer("pass"), settings),
        lambda: specify("quadratic_deep", own_optimizer("sum([1])"), settings),
    ]
    for expected, other in enumerate(others, start=2):
        learned(other())
        assert measured() == expected
    before = measured()
    with config.temporary(num_threads=2):
        learned(first)
    assert measured() == before + 1
    monkeypatch.setattr(torch, "__version__", "0.1")
    learned(first)
    assert measured() == before + 2
    monkeypatch.setattr(os, "cpu_count", lambda: 999)
    learned(first)
    assert measured() == before + 3


def test_every_field_of_a_run_is_part_of_its_kind_unless_it_costs_no_time() -> None:
    first = specify("quadratic_deep", "SGD", {"lr": 0.1})
    without_effect = {
        name
        for name in RunSpecification.model_fields
        if kind_of(first.model_copy(update={name: "changed"})) == kind_of(first)
    }
    assert without_effect == {
        *(
            "optimizer",
            "label",
            "at_defaults",
            "num_epochs",
            "max_steps",
            "evaluate_every",
            "random_seed",
            "reshuffle",
        ),
        *("lr_sched_epochs", "lr_sched_factors", "lr_scheduler", "train_log_interval"),
    }


@pytest.mark.parametrize(
    ("hyperparameters", "is_another"),
    [
        ({"lr": 0.5}, False),
        ({"lr": 0.1, "max_iter": 2}, True),
        ({"lr": 0.1, "line_search_fn": "strong_wolfe"}, True),
    ],
)
def test_hyperparameters_other_than_fractions_make_another_kind(
    hyperparameters: dict[str, Any], *, is_another: bool
) -> None:
    first, other = (
        specify("quadratic_deep", "LBFGS", values) for values in ({"lr": 0.1}, hyperparameters)
    )
    assert (kind_of(first) != kind_of(other)) == is_another


@pytest.mark.parametrize(
    "changed",
    [{}, {"hardware": {"processor": "another"}}, {"versions": {"torch": "0.1"}}],
)
def test_results_of_another_machine_or_version_are_no_measure_of_this_one(
    tmp_path: Path, changed: dict[str, dict[str, Any]]
) -> None:
    specification = specify("quadratic_deep", "SGD", {"lr": 0.1}, num_epochs=1)
    threads = torch.get_num_threads()
    path = run(specification, output_dir=tmp_path).path
    assert path is not None
    written = json.loads(path.read_bytes())
    for name, values in changed.items():
        written[name] |= values
    path.write_text(json.dumps(written))
    learned(specification, threads=threads, done={kind_of(specification): [path]})
    assert measured() == bool(changed)


def test_on_a_busy_machine_the_range_is_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    specification = specify("quadratic_deep", "SGD", {"lr": 0.1}, num_epochs=1)
    monkeypatch.setattr(time, "process_time", lambda: 0.0)  # others have all of the processor
    span = learned(specification).of(specification)
    assert span is not None
    assert span.low < span.seconds / 5
    assert span.high > span.seconds * 5
