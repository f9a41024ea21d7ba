"""The packages can be installed and removed in any order; the remaining ones work."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING

import pytest
from fresh_environments import DIST, OURS, FreshEnvironment
from installed_packages import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection

CORE, BENCH, TESTING, VISION, TEXT, ANALYSIS = OURS
SUBSETS = [  # in the order in which they are installed; what is missing comes with the first
    (CORE,),
    (CORE, VISION),
    (TEXT, CORE),
    (ANALYSIS, CORE),
    (BENCH, CORE),
    (ANALYSIS, TESTING, BENCH, VISION, TEXT, CORE),
]
PROBLEMS = {
    CORE: """
        deep_linear matrix_factorization plateau quadratic_deep rotated_ravine saddle_chain
        sparse_embedding two_d_beale two_d_branin two_d_rosenbrock
    """,
    VISION: """
        cifar100_3c3d cifar100_allcnnc cifar100_resnet18 cifar100_vgg16 cifar100_vgg19
        cifar100_vit cifar100_wrn164 cifar100_wrn404 cifar10_3c3d cifar10_resnet18
        cifar10_vgg16 cifar10_vgg19 cifar10_vit digits_2c2d digits_logreg digits_mlp
        digits_resnet digits_vit fmnist_2c2d fmnist_ddpm fmnist_logreg fmnist_mlp
        fmnist_vae imagenet_inception_v3 imagenet_resnet50 imagenet_vgg16 imagenet_vgg19
        imagenet_vit_s16 mnist_2c2d mnist_ddpm mnist_logreg mnist_mlp mnist_vae
        svhn_3c3d svhn_wrn164
    """,
    TEXT: "excerpt_gpt excerpt_lstm tolstoi_char_rnn tolstoi_gpt tolstoi_transformer",
    ANALYSIS: "",
    BENCH: "",
    TESTING: "",
}
RUNS = {  # a quick one of each package that has problems
    CORE: ("two_d_beale", "--lr", "1e-4", "--epochs", "1"),
    TEXT: ("tolstoi_char_rnn", "--lr", "1", "--epochs", "1", "--fake-data", "0.001"),
    VISION: ("digits_mlp", "--lr", "0.1", "--epochs", "1"),
}
COMMANDS = {ANALYSIS: "table", BENCH: "bench", TESTING: "check"}
OF_EXTRAS = (
    "deepobs-core[",
    "deepobs-bench[",
    "'distributed'",
    "'optuna'",
    "'pytest'",
    "'tensorboard",
)
IMPORT_EVERYTHING = f"""
import importlib, pkgutil, sys

for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        try:
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        except ImportError as error:
            if not any(part in str(error) for part in {OF_EXTRAS}):
                raise
"""

pytestmark = pytest.mark.skipif(
    not list(DIST.glob("*.whl")), reason="nothing is built: run `nox -s release`"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    """The place of all environments, one after the other."""
    return FreshEnvironment(tmp_path_factory.mktemp("environments") / "environment")


@pytest.fixture(scope="module", params=SUBSETS, ids="+".join)
def subset(request: pytest.FixtureRequest, environment: FreshEnvironment) -> set[str]:
    """The packages that are installed in the environment."""
    environment.create()
    for package in request.param:
        environment.install(package)
    return {CORE, *request.param}


def check_what_is_offered(environment: FreshEnvironment, subset: Collection[str]) -> None:
    """Exactly the problems and commands of the subset are there; others are known by name."""
    plugins = json.loads(environment.called("deepobs", "plugins", "--json"))
    assert {one["distribution"]: one["state"] for one in plugins} == dict.fromkeys(subset, "loaded")
    listed = json.loads(environment.called("deepobs", "list", "problems", "--json"))
    offered = {package: PROBLEMS[package].split() for package in subset if PROBLEMS[package]}
    assert sorted(one["name"] for one in listed) == sorted(itertools.chain(*offered.values()))
    assert {one["distribution"] for one in listed} == set(offered)
    for package in set(RUNS).difference(subset):
        message = environment.called("deepobs", "run", *RUNS[package], "SGD", status=2)
        assert f"It comes with {package}: pip install {package}." in message
    for package, command in COMMANDS.items():
        if package not in subset:
            message = environment.called("deepobs", command, status=2)
            assert f"It comes with {package}: pip install {package}." in message


def test_it_offers_what_is_installed(environment: FreshEnvironment, subset: set[str]) -> None:
    assert environment.called("deepobs", "--version").startswith("deepobs-core 1.")
    check_what_is_offered(environment, subset)


def test_no_module_needs_a_package_that_is_not_there(
    environment: FreshEnvironment, subset: set[str]
) -> None:
    names = ["deepobs", *(name.replace("-", "_") for name in sorted(subset - {CORE}))]
    environment.called("python", "-W", "error", "-c", IMPORT_EVERYTHING, *names)


def test_it_trains_and_shows_results(environment: FreshEnvironment, subset: set[str]) -> None:
    packages = [package for package in RUNS if package in subset]
    problem, *options = RUNS[packages[-1]]
    assert f"SGD on {problem}" in environment.called("deepobs", "run", problem, "SGD", *options)
    if ANALYSIS in subset:
        assert problem in environment.called("deepobs", "table", "results")


def test_the_training_loop_at_the_top_of_the_readme_runs(
    environment: FreshEnvironment, subset: set[str]
) -> None:
    if subset != {CORE, VISION}:
        pytest.skip("it needs an image problem and nothing else")
    top, heading, _ = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")
    assert heading
    (code,) = re.findall(r"```python\n(.*?)```", top, flags=re.DOTALL)
    # With a seed: 40 steps from some initial weights learn next to nothing.
    code = f'import torch\ntorch.manual_seed(1)\n{code}print(f"{{accuracy:.2f}}")'
    assert float(environment.called("python", "-c", code, DEEPOBS_FAKE_DATA="0.01")) > 0.3


def test_packages_can_be_removed_and_come_back_in_another_order(
    environment: FreshEnvironment, subset: set[str]
) -> None:
    if len(subset) < len(OURS):
        pytest.skip("all packages are needed, to remove one after the other")
    remaining = set(subset)
    for package in (VISION, BENCH, ANALYSIS, TESTING, TEXT):
        environment.uninstall(package)
        remaining.remove(package)
        check_what_is_offered(environment, remaining)
    for package in (TEXT, TESTING, VISION, BENCH, ANALYSIS):
        environment.install(package)
        remaining.add(package)
    check_what_is_offered(environment, remaining)
