"""Optimizers are recorded, imported and repeated under the name that was given."""

import importlib
import json
import sys

import pytest
from two_layers import TwoLayers

from deepobs.run_specifications import RunSpecification
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.store import find

LIBRARY = """
import torch

FACTOR = 1.0


class Scaled(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.mul_(FACTOR)
        super().step()
"""
FUNCTION = """
import torch


def make():
    class Inner(torch.optim.SGD):
        pass

    return Inner


Made = make()
"""
MODULES = {
    "scaled_library": LIBRARY,
    "scaled_options": "import scaled_library\nscaled_library.FACTOR = 0.1\n"
    "from scaled_library import Scaled\nOther = Scaled\n",
    "of_a_function": FUNCTION,
}


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    """Modules beside the run, and a package that is installed in a directory like others."""
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "installed_optimizers.py").write_text(LIBRARY)
    release(site, "1.5")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(site))
    (tmp_path / "set_up_installed.py").write_text(
        "import installed_optimizers\ninstalled_optimizers.FACTOR = 0.1\n"
        "from installed_optimizers import Scaled\n"
    )
    forget()
    yield site
    forget()


def release(site, version):
    metadata = site / "installed_optimizers.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: installed-optimizers\nVersion: {version}\n"
    )
    (metadata / "top_level.txt").write_text("installed_optimizers\n")


def forget():
    from deepobs import fingerprints

    fingerprints._release_of_file.cache_clear()
    fingerprints._known.clear()
    importlib.invalidate_caches()
    for name in (*MODULES, "installed_optimizers", "set_up_installed"):
        sys.modules.pop(name, None)


def specified(optimizer, **options):
    return specify("quadratic_deep", optimizer, {"lr": 0.01}, num_epochs=1, **options)


def test_a_name_that_sets_options_is_recorded_and_repeated_as_it_was_given():
    specification = specified("scaled_options:Scaled")
    assert specification.optimizer_target == "scaled_options:Scaled"
    assert " scaled_options:Scaled " in reproduction_command(specification)
    forget()  # as in a worker, which imports nothing else
    restored = RunSpecification.model_validate_json(specification.model_dump_json())
    record = run(restored).record
    assert record.optimizer_target == "scaled_options:Scaled"
    slow = run(specify("quadratic_deep", "SGD", {"lr": 0.001}, num_epochs=1)).record
    assert record.train_losses == pytest.approx(slow.train_losses)


def test_the_module_by_which_a_released_class_is_named_is_part_of_the_identity():
    plain = specified("installed_optimizers:Scaled")
    changed = specified("set_up_installed:Scaled")
    assert plain.code == {}
    assert set(changed.code) == {"imports"}
    assert changed.run_id != plain.run_id


def test_a_class_that_a_function_made_is_found_by_its_name_in_the_module():
    specification = specified("of_a_function:Made")
    assert (specification.optimizer, specification.optimizer_target) == (
        "Made",
        "of_a_function:Made",
    )
    assert run(specification).record.optimizer_name == "Made"
    made = sys.modules["of_a_function"].Made
    assert specified(made).run_id == specification.run_id
    assert specified(made).optimizer_target == "of_a_function:Made"


def test_a_class_inside_a_function_runs_in_the_process_that_has_it():
    make = importlib.import_module("of_a_function").make
    assert run(specified(make())).record.optimizer_name == "Inner"


def test_the_version_of_the_package_of_an_optimizer_is_recorded_and_part_of_the_identity(modules):
    specification = specified("installed_optimizers:Scaled")
    assert run(specification).record.versions["installed-optimizers"] == "1.5"
    release(modules, "1.6")
    forget()
    assert specified("installed_optimizers:Scaled").run_id != specification.run_id


def test_the_versions_of_packages_of_other_optimizers_of_a_run_are_recorded_too():
    groups = {"head": {}, "others": {"optimizer": "installed_optimizers:Scaled", "lr": 0.01}}
    specification = specify(TwoLayers, "SGD", parameter_groups=groups, num_epochs=1)
    assert run(specification).record.versions["installed-optimizers"] == "1.5"


def test_results_under_the_name_of_the_definition_are_still_found(tmp_path):
    now = specified("of_a_function:Made")
    earlier = now.model_copy(
        update={
            "optimizer": "Inner",
            "optimizer_target": "of_a_function:make.<locals>.Inner",
            "defined_as": "",
        }
    )
    made = sys.modules["of_a_function"].Made
    path = run(earlier, optimizer_class=made, output_dir=tmp_path / "out").path
    assert now.run_id != earlier.run_id
    found = find(tmp_path / "out", now)
    assert found is not None
    assert found[0] == path


def test_the_name_of_the_definition_is_no_part_of_the_identity():
    specification = specified("of_a_function:Made")
    assert specification.defined_as == "of_a_function:make.<locals>.Inner"
    assert specification.model_copy(update={"defined_as": ""}).run_id == specification.run_id
    assert "defined_as" not in json.loads(run(specification).record.to_json())
