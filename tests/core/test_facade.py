"""What users import: `deepobs.pytorch` and its modules."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from plugin_sources import PREAMBLE, offering

from deepobs.errors import AmbiguousNameError, ComponentLoadError
from deepobs.pytorch import datasets, runners, testproblems

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from plugin_sources import Install

    from deepobs.plugins import Registry

CORE_PROBLEMS = [
    *("deep_linear", "matrix_factorization", "plateau", "quadratic_deep", "rotated_ravine"),
    *("saddle_chain", "sparse_embedding", "two_d_beale", "two_d_branin", "two_d_rosenbrock"),
]


def answer(source: str) -> str:
    """What a fresh process prints."""
    completed = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


# Names


def test_every_registered_name_is_listed() -> None:
    assert set(CORE_PROBLEMS) <= set(dir(testproblems))
    assert {"quadratic", "two_d"} <= set(dir(datasets))
    assert {"StandardRunner", "LearningRateScheduleRunner"} <= set(dir(runners))


def test_the_names_of_plugins_are_listed_and_usable(
    install: Install, fresh_registry: Callable[[], Registry]
) -> None:
    install("acme-obs", offering("acme_bowl"))
    fresh_registry()
    assert "acme_bowl" in dir(testproblems)
    from deepobs.pytorch.testproblems import acme_bowl

    assert acme_bowl(batch_size=8, device="cpu").name == "acme_bowl"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (testproblems, "quadratic_deep"),
        (testproblems, "two_d_rosenbrock"),
        (datasets, "quadratic"),
        (runners, "StandardRunner"),
    ],
)
def test_a_name_is_one_class_however_it_is_reached(module: ModuleType, name: str) -> None:
    first = getattr(module, name)
    imported = __import__(module.__name__, fromlist=[name])
    assert isinstance(first, type)
    assert first is getattr(module, name)
    assert first is getattr(imported, name)
    assert first.__name__ == name


def test_a_problem_is_built_as_the_original_was() -> None:
    problem = testproblems.quadratic_deep(10, None, "cpu")
    assert (problem.batch_size, problem.weight_decay, problem.device.type) == (10, 0.0, "cpu")


def test_a_name_that_is_not_there_is_an_attribute_error_with_the_nearest_name() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'quadratic_deep'"):
        _ = testproblems.quadratic_dep
    assert not hasattr(datasets, "quadratic_deep_sea")
    with pytest.raises(ImportError, match="cannot import name 'quadratic_dep'"):
        from deepobs.pytorch.testproblems import quadratic_dep  # noqa: F401


def test_a_name_of_a_missing_package_says_what_to_install(
    fresh_registry: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib_metadata import distributions

    others = [found for found in distributions() if found.name != "deepobs-vision"]
    monkeypatch.setattr("deepobs.plugins.installed.distributions", lambda: others)
    fresh_registry()
    with pytest.raises(AttributeError, match="pip install deepobs-vision"):
        _ = testproblems.mnist_mlp
    with pytest.raises(AttributeError, match="pip install deepobs-vision"):
        _ = datasets.fmnist


def test_a_name_that_is_left_out_says_so(
    install: Install, fresh_registry: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-obs", offering("acme_bowl"))
    monkeypatch.setenv("DEEPOBS_PLUGINS", "")
    fresh_registry()
    with pytest.raises(AttributeError, match="DEEPOBS_PLUGINS excludes acme-obs"):
        _ = testproblems.acme_bowl


def test_every_other_failure_keeps_its_own_error_in_both_forms(
    install: Install, fresh_registry: Callable[[], Registry]
) -> None:
    broken = "problem('acme_broken', target='acme_obs_is_not_there:Bowl')"
    install(
        "acme-obs",
        PREAMBLE + "@hookimpl\ndef deepobs_problems():\n"
        f"    return [problem('quadratic_deep'), {broken}]",
    )
    fresh_registry()
    with pytest.raises(AmbiguousNameError, match="'acme-obs:quadratic_deep'"):
        _ = testproblems.quadratic_deep
    with pytest.raises(AmbiguousNameError, match="'acme-obs:quadratic_deep'"):
        from deepobs.pytorch.testproblems import quadratic_deep  # noqa: F401
    with pytest.raises(ComponentLoadError, match="acme_obs_is_not_there"):
        _ = testproblems.acme_broken
    with pytest.raises(ComponentLoadError, match="acme_obs_is_not_there"):
        from deepobs.pytorch.testproblems import acme_broken  # noqa: F401


def test_an_attribute_error_in_a_problem_is_not_a_missing_name(
    install: Install, fresh_registry: Callable[[], Registry]
) -> None:
    source = offering("acme_bowl").replace("deepobs.problems.synthetic:", "acme_code:")
    install("acme-obs", source)
    install("acme-code", "import math\nmath.nonsense", entry_points="")
    fresh_registry()
    with pytest.raises(ComponentLoadError, match="has no attribute 'nonsense'"):
        _ = testproblems.acme_bowl


# Pickling


def pickled(value: object) -> object:
    """What arrives in another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 # made one line above


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (testproblems, "quadratic_deep"),
        (testproblems, "two_d_beale"),
        (datasets, "quadratic"),
        (runners, "LearningRateScheduleRunner"),
    ],
)
def test_classes_travel_by_name(module: ModuleType, name: str) -> None:
    found = getattr(module, name)
    assert pickled(found) is found
    assert copy.deepcopy(found) is found


@pytest.mark.parametrize("name", CORE_PROBLEMS)
def test_a_problem_travels_with_its_weights_and_the_order_of_its_data(name: str) -> None:
    import torch

    problem = getattr(testproblems, name)(100, device="cpu")
    torch.manual_seed(3)
    problem.set_up()
    with torch.no_grad():
        for parameter in problem.model.parameters():
            parameter.add_(0.25)
    twin = pickled(problem)
    assert type(twin) is type(problem)
    for ours, theirs in zip(problem.dataset.train_loader, twin.dataset.train_loader, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        expected, _ = problem.get_batch_loss_and_accuracy(ours)
        found, _ = twin.get_batch_loss_and_accuracy(theirs)
        assert torch.equal(expected, found)


def test_a_problem_arrives_in_a_process_that_has_imported_nothing(tmp_path: Path) -> None:
    problem = testproblems.quadratic_deep(100, device="cpu")
    problem.set_up()
    sent = tmp_path / "problem.pickle"
    sent.write_bytes(pickle.dumps(problem))
    source = (
        "import pathlib, pickle\n"
        f"problem = pickle.loads(pathlib.Path({str(sent)!r}).read_bytes())\n"
        "from deepobs.pytorch import testproblems\n"
        "print(type(problem) is testproblems.quadratic_deep, len(problem.dataset.train_loader))"
    )
    assert answer(source) == "True 10"


# Imports


def test_listing_names_imports_no_torch() -> None:
    source = (
        "import sys, deepobs.pytorch as facade\n"
        "names = [*dir(facade), *dir(facade.testproblems), *dir(facade.datasets)]\n"
        "names += dir(facade.runners)\n"
        "assert hasattr(facade.testproblems, '__wrapped__') is False\n"
        "print(sorted({'torch', 'torchvision', 'sklearn'} & set(sys.modules)), *names)"
    )
    loaded, *names = answer(source).split()
    assert loaded == "[]"
    assert {"config", "tf_weights", "quadratic_deep", "two_d", "StandardRunner"} <= set(names)


def test_one_run_needs_no_more_than_the_package_itself() -> None:
    source = (
        "import sys, deepobs\n"
        "assert {'run', 'specify'} <= set(dir(deepobs)) and 'torch' not in sys.modules\n"
        "assert not hasattr(deepobs, 'walk')\n"
        "arguments = dict(batch_size=500, num_epochs=1, device='cpu')\n"
        "done = deepobs.run(deepobs.specify('quadratic_deep', 'SGD', {'lr': 0.01}, **arguments))\n"
        "print(len(getattr(done, 'record', done).test_losses))"
    )
    assert answer(source) == "2"


def test_private_names_load_no_plugin() -> None:
    source = (
        "import sys\n"
        "from deepobs.pytorch import testproblems\n"
        "from deepobs.plugins import registry\n"
        "assert not hasattr(testproblems, '_repr_html_')\n"
        "assert not hasattr(testproblems, '__wrapped__')\n"
        "print(sys.modules[registry.__module__]._registry)"
    )
    assert answer(source) == "None"


@pytest.mark.parametrize("first", ["import deepobs.pytorch", "from deepobs.pytorch import config"])
def test_the_modules_of_the_facade_are_attributes(first: str) -> None:
    source = (
        f"{first}\n"
        "import deepobs, sys\n"
        "facade = deepobs.pytorch\n"
        "modules = (facade.testproblems, facade.datasets, facade.runners, facade.config)\n"
        "assert 'torch' not in sys.modules\n"
        "print(*(module.__name__ for module in modules))"
    )
    expected = ("testproblems", "datasets", "runners", "config")
    assert answer(source).split() == [f"deepobs.pytorch.{name}" for name in expected]


def test_the_module_that_imports_torch_is_imported_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import deepobs.pytorch

    monkeypatch.delattr(deepobs.pytorch, "tf_weights", raising=False)
    assert callable(deepobs.pytorch.tf_weights.load_tf_weights)


def test_the_package_has_nothing_else() -> None:
    import deepobs.pytorch

    with pytest.raises(AttributeError, match=r"'deepobs\.pytorch' has no attribute 'tensorflow'"):
        _ = deepobs.pytorch.tensorflow
