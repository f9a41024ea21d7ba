"""Problems and data sets of one's own, without a package: by class, by import string, by name."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from plugin_sources import OWN_PROBLEM
from torch import nn

import deepobs
from deepobs.errors import ArgumentError, ComponentLoadError, UnknownNameError
from deepobs.plugins import ProblemSpec, registry
from deepobs.problems import Problem, reduced
from deepobs.pytorch import testproblems
from deepobs.pytorch.runners import StandardRunner
from deepobs.runs import run, specify
from deepobs.runs.estimate import estimate
from deepobs.runs.specification import reproduction_command
from deepobs.runs.store import configuration_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODULE = "own_problem_of_a_test"

SOURCE = f"""{OWN_PROBLEM}

class Nothing:
    pass
"""


class Plain:
    """A bowl, without our base class."""

    spec = ProblemSpec(batch_size=5, epochs=1)

    def __init__(self, batch_size: int, weight_decay: float | None = None, device: Any = None):
        self.batch_size = batch_size

    def set_up(self) -> None:
        quadratic = testproblems.quadratic_deep(self.batch_size, device="cpu")
        quadratic.set_up()
        self.dataset = quadratic.dataset
        self.model = nn.Linear(100, 1)

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        return reduced(self.model(batch[0]).square()[:, 0], reduction), None  # type: ignore[arg-type]

    def get_regularization_loss(self) -> torch.Tensor:
        return torch.zeros(())

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters())}]


class Small(Problem):
    """A linear map of the vectors of quadratic_deep."""

    spec = ProblemSpec(batch_size=100, epochs=1, dataset="quadratic", options={"width": 3})

    def build_model(self) -> nn.Module:
        return nn.Linear(100, int(str(self.spec.options["width"])))

    def batch_losses(self, batch: Any, reduction: Any) -> Any:
        return reduced(self.model(batch[0]).square().sum(dim=1), reduction), None


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Write a module into the directory of `command_line`, and import it anew."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str = SOURCE) -> Any:
        (tmp_path / f"{MODULE}.py").write_text(source, encoding="utf-8")
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()
        import linecache

        linecache.clearcache()
        return importlib.import_module(MODULE)

    return write


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget what a test registers."""
    catalogs = registry().catalogs()
    before = [dict(one._offers) for one in catalogs]
    yield
    for catalog, offers in zip(catalogs, before, strict=True):
        catalog._offers = offers
    sys.modules.pop(MODULE, None)


def test_a_class_is_a_problem_in_a_run(tmp_path: Path) -> None:
    specification = specify(Plain, "SGD", {"lr": 0.01})
    assert specification.testproblem.endswith("test_own_problems:Plain")
    assert (specification.batch_size, specification.num_epochs) == (5, 1)
    result = run(specification, output_dir=tmp_path)
    assert result.path is not None
    assert result.path.parts[-4:-2] == ("Plain", "SGD")
    assert not run(specify(Plain, "SGD", {"lr": 0.01}), output_dir=tmp_path).is_new


def test_an_import_string_names_a_problem_with_its_own_data_set(
    module: Callable[[str], Any], tmp_path: Path
) -> None:
    line = module(SOURCE).Line
    by_name = specify(f"{MODULE}:Line", "SGD", {"lr": 0.1})
    assert by_name == specify(line, "SGD", {"lr": 0.1})
    record = run(by_name).record
    assert record.testproblem == f"{MODULE}:Line"
    assert record.dataset.name == "Points"
    assert record.dataset.split_sizes == {"train": 40, "train_eval": 20, "test": 20}
    assert f"deepobs run {MODULE}:Line SGD" in record.command


def test_the_defaults_and_the_summary_are_those_of_the_class(module: Callable[[str], Any]) -> None:
    spec = registry().problems.offer(module(SOURCE).Line).spec
    assert (spec.name, spec.summary) == ("Line", "A line through points.")
    assert spec.target == spec.dataset.replace("Points", "Line") == f"{MODULE}:Line"


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("SLOPE = 2.0", "SLOPE = 3.0", False),
        ("square()", "abs()", False),
        ("epochs=2", "epochs=2, weight_decay=0.1", False),
        ('"""Pairs of numbers."""', '"""Pairs of numbers."""  # a comment', True),
    ],
)
def test_changed_code_of_the_problem_or_its_data_is_another_run(
    module: Callable[[str], Any], old: str, new: str, is_same: bool
) -> None:
    module(SOURCE)
    before = specify(f"{MODULE}:Line", "SGD", num_epochs=1)
    assert old in SOURCE
    module(SOURCE.replace(old, new))
    after = specify(f"{MODULE}:Line", "SGD", num_epochs=1)
    assert (before.run_id == after.run_id) is is_same


def test_a_problem_is_the_same_in_the_main_module_and_in_its_own(
    module: Callable[[str], Any], tmp_path: Path
) -> None:
    named = specify(module(SOURCE).Line, "SGD")
    main = named.model_copy(update={"testproblem": "__main__:Line"})
    assert named.run_id == main.run_id
    assert configuration_directory(tmp_path, named) == configuration_directory(tmp_path, main)


def test_a_redefined_class_replaces_the_earlier_one(module: Callable[[str], Any]) -> None:
    first = module(SOURCE).Line
    assert registry().problems.load(first) is first
    second = module(SOURCE).Line
    assert second is not first
    assert registry().problems.load(f"{MODULE}:Line") is second


def test_a_class_inside_a_function_can_be_run() -> None:
    class Inside(Small):
        """Another."""

    record = run(specify(Inside, "SGD", {"lr": 0.01})).record
    assert record.testproblem.endswith("<locals>.Inside")


def test_runner_and_estimate_take_a_class() -> None:
    runner = StandardRunner(torch.optim.SGD, {"lr": {"type": float}})
    assert runner.run(Plain, lr=0.01, no_logs=True).testproblem.endswith(":Plain")
    assert estimate(specify(Plain, "SGD", {"lr": 0.01}), seconds=0.01).steps_per_epoch > 0


def test_the_commands_take_an_import_string(
    module: Callable[[str], Any], command_line: Callable[..., Any]
) -> None:
    module(SOURCE)
    name = f"{MODULE}:Line"
    code, out, err = command_line("run", name, "SGD", "--lr", "0.1")
    assert (code, err) == (0, "")
    assert out.startswith(f"SGD on {name}, seed 42: after 2 epochs test loss ")
    code, out, _ = command_line("run", name, "SGD", "--lr", "0.1")
    assert "Result already exists" in out
    assert command_line("estimate", name, "SGD", "--seconds", "0.01")[0] == 0
    code, out, _ = command_line("info", name, "--json")
    (facts,) = json.loads(out)
    assert (facts["name"], facts["batch_size"], facts["dataset"]) == (
        "Line",
        10,
        f"{MODULE}:Points",
    )
    assert command_line("info", f"{MODULE}:Points")[0] == 0


def test_a_class_that_does_not_describe_itself_is_told_how() -> None:
    class Undescribed(Plain):
        spec = None  # type: ignore[assignment]

    with pytest.raises(ArgumentError, match=r"an attribute spec = ProblemSpec\(batch_size=\.\.\."):
        specify(Undescribed, "SGD")


def test_a_problem_of_our_base_class_without_a_data_set_is_told_what_to_add() -> None:
    class WithoutData(Small):
        spec = ProblemSpec(batch_size=10, epochs=1)

    with pytest.raises(ArgumentError, match=r"names no data set. Add one to its description"):
        run(specify(WithoutData, "SGD"))


def test_another_class_is_no_problem(module: Callable[[str], Any]) -> None:
    module(SOURCE)
    for name in ("Points", "Nothing"):
        with pytest.raises(ArgumentError, match=f"A test problem is given as .*{name}"):
            specify(f"{MODULE}:{name}", "SGD")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("my_problem.py", "That is the path of a file; name a class in it as my_problem:Class."),
        ("my_problem.py:Mine", "name a class in it as my_problem:Mine."),
        ("./my_problem.py", "name a class in it as my_problem:Class."),
        ("code/my_problem.py:Mine", "as my_problem:Mine, in the directory code."),
        ("here", "There is a file here.py here; name a class in it as here:Class."),
        ("nowhere:Mine", "Nor is there a module nowhere here"),
    ],
)
def test_a_name_that_looks_like_a_path_is_told_what_to_write(
    name: str, advice: str, command_line: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "here.py").write_text("")
    for words in (("run", name, "SGD"), ("info", name)):
        code, _, err = command_line(*words)
        assert code == 2
        assert advice in " ".join(err.split())
    code, _, err = command_line("run", "quadratic_deep", name)
    assert advice in " ".join(err.split()) or name == "nowhere:Mine"


def test_a_module_that_hides_ones_own_is_named(
    tmp_path: Path, command_line: Callable[..., Any]
) -> None:
    (tmp_path / "colorsys.py").write_text(SOURCE)
    code, _, err = command_line("run", "colorsys:Line", "SGD")
    text = " ".join(err.split())
    assert code != 0
    assert f"which hides {tmp_path / 'colorsys.py'}: rename your file." in text.replace("- ", "-")
    assert importlib.import_module("colorsys").__file__ in text


def test_a_missing_class_is_said_with_the_file_that_was_imported(
    module: Callable[[str], Any], tmp_path: Path
) -> None:
    module(SOURCE)
    file = str(tmp_path / f"{MODULE}.py")
    with pytest.raises(ComponentLoadError) as caught:
        specify(f"{MODULE}:Circle", "SGD")
    assert f"was imported from {file}." in str(caught.value)


def test_a_registered_problem_has_a_short_name_everywhere(tmp_path: Path) -> None:
    deepobs.register(Small, "small_map", options={"width": 2})
    specification = specify("small_map", "SGD", {"lr": 0.01})
    assert specification == specify(testproblems.small_map, "SGD", {"lr": 0.01})
    result = run(specification, output_dir=tmp_path)
    assert result.path is not None
    assert result.path.parts[-4] == result.record.testproblem == "small_map"
    assert "" not in result.record.versions
    assert "small_map" in dir(testproblems)
    assert ":Small SGD" in reproduction_command(specification)


def test_registering_again_replaces_and_another_description_is_another_run() -> None:
    deepobs.register(Small, "small_map", options={"width": 2})
    before = specify("small_map", "SGD").run_id
    deepobs.register(Small, "small_map", options={"width": 4})
    assert specify("small_map", "SGD").run_id != before
    assert registry().problems.load("small_map").spec.options == {"width": 4}


def test_a_class_without_a_description_is_registered_with_one() -> None:
    class Undescribed(Plain):
        spec = None  # type: ignore[assignment]

    deepobs.register(Undescribed, "bowl", batch_size=20, epochs=0)
    assert specify("bowl", "SGD").batch_size == 20
    with pytest.raises(ArgumentError, match=r"A test problem has no 'batch'. Did you mean"):
        deepobs.register(Undescribed, "bowl", batch=20, epochs=0)


def test_data_sets_and_optimizers_are_registered_too(module: Callable[[str], Any]) -> None:
    deepobs.register(module(SOURCE).Points, "own_points")

    class Slow(torch.optim.SGD):
        """SGD."""

    deepobs.register(Slow, "SlowSGD", defaults={"lr": 1e-9})
    specification = specify("quadratic_deep", "SlowSGD")
    assert specification.optimizer == "SlowSGD"
    assert specification.hyperparameters["lr"] == 1e-9
    assert registry().datasets.load("own_points").__name__ in ("Points", "own_points")


def test_a_name_of_an_installed_package_cannot_be_registered() -> None:
    with pytest.raises(ArgumentError, match=r"'quadratic_deep' of deepobs-core .* has this name"):
        deepobs.register(Small, "quadratic_deep")
    with pytest.raises(ArgumentError, match="A class to register must be one of"):
        deepobs.register(dict, "mapping")
    with pytest.raises(UnknownNameError):
        specify("mapping", "SGD")
