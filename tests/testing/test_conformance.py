"""Our own problems, data sets and optimizers pass the checks that others are held to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_sources import PREAMBLE

from deepobs.errors import ArgumentError, UnknownNameError
from deepobs_testing import check_dataset, check_optimizer, check_testproblem
from deepobs_testing._checks import CHECKS
from deepobs_testing._targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_sources import Install

CONFORMING = """
import pytest

@pytest.mark.deepobs_checks(problems=["two_d_beale"], only=["losses_sum_to_the_mean"])
def test_conformance(deepobs_check):
    deepobs_check()
"""


@pytest.mark.deepobs_checks(distribution="deepobs-core")
def test_what_deepobs_core_offers_conforms(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()


DESCRIBED_BADLY = f"""{PREAMBLE}
from deepobs.data.generated import Quadratic
from deepobs.plugins import OptimizerSpec

class Real(Quadratic):
    has_fake_twin = True

    @classmethod
    def make_fake(cls, fraction):
        from deepobs.data.tensor_dataset import Splits
        import torch
        return Splits(train=(torch.zeros(300, 99),), test=(torch.zeros(300, 99),))

class AsksTheNetwork(Quadratic):
    @classmethod
    def load(cls, data_dir):
        import socket
        socket.create_connection(("192.0.2.1", 80), timeout=0.01)

def problem(name, **further):
    base = dict(target="deepobs.problems.synthetic:QuadraticDeep", summary="Ours",
                dataset="quadratic", batch_size=8, epochs=1)
    return ProblemSpec(name=name, **base | further)

def dataset(name, **further):
    base = dict(target="deepobs.data.generated:Quadratic", summary="Ours", train_size=1000,
                test_size=1000, embedded=True)
    return DatasetSpec(name=name, **base | further)

@hookimpl
def deepobs_problems():
    return [
        problem("silent", summary=" "),
        problem("homeless", dataset="quadratc"),
        problem("nowhere", target="acme_nowhere:Problem"),
        problem("greedy", batch_size=1001),
        problem("boastful", metric="accuracy"),
        problem("mistaken", dataset="renamed"),
        problem("hasty", recommended_lr_scheduler=dict(name="warmup", arguments=dict(warmup=200))),
    ]

@hookimpl
def deepobs_datasets():
    return [
        dataset("renamed", target="acme_obs:Renamed"),
        dataset("larger", train_size=1001),
        dataset("not_embedded", embedded=False),
        dataset("connected", target="acme_obs:AsksTheNetwork"),
        dataset("unlike", target="acme_obs:Real"),
        dataset("silent_data", summary=""),
        dataset("data_nowhere", target="acme_nowhere:Data"),
    ]

@hookimpl
def deepobs_optimizers():
    return [OptimizerSpec(name="Silent", target="torch.optim:SGD", summary=" ")]

class Renamed(Quadratic):
    name = "quadratic"
"""

CAUGHT = {
    (check_testproblem, "silent", "its_summary_says_what_it_is"): "The summary is ' '",
    (check_testproblem, "homeless", "its_data_set_is_registered"): "Did you mean 'quadratic'",
    (check_testproblem, "nowhere", "its_target_can_be_imported"): "acme_nowhere:Problem",
    (check_testproblem, "greedy", "its_default_batch_size_fits_its_data"): "must be at most 1000",
    (check_testproblem, "boastful", "its_metric_fits_its_accuracy"): "returns None for the accu",
    (check_testproblem, "hasty", "its_recommended_schedule_is_valid"): "at most 125 steps",
    (check_testproblem, "mistaken", "its_data_set_is_the_one_it_names"): "dataset.name is 'quadr",
    (check_dataset, "silent_data", "its_summary_says_what_it_is"): "The summary is ''",
    (check_dataset, "data_nowhere", "its_target_can_be_imported"): "acme_nowhere:Data",
    (check_dataset, "renamed", "its_name_is_that_of_its_description"): "calls it 'renamed'",
    (check_dataset, "larger", "its_sizes_are_those_of_its_description"): "'train': 1001",
    (check_dataset, "not_embedded", "its_status_is_reported"): "embedded=False, but its state",
    (check_dataset, "connected", "embedded_data_need_no_network"): "asks for a connection",
    (check_dataset, "unlike", "its_synthetic_data_have_the_same_shapes"): r"\(4, 99\)",
    (check_optimizer, "Silent", "its_summary_says_what_it_is"): "The summary is ' '",
}


@pytest.mark.parametrize(
    ("call", "message"), CAUGHT.items(), ids=[f"{name}-{about}" for _, name, about in CAUGHT]
)
def test_a_wrong_description_is_caught(
    call: tuple[Callable[..., object], str, str],
    message: str,
    install: Install,
    fresh_registry: Callable[[], object],
) -> None:
    install("acme-obs", DESCRIBED_BADLY)
    fresh_registry()
    check, name, about = call
    result = check(name, only=[about], raise_on_failure=False)[about]
    assert result.outcome == "failed"
    assert re.search(message, result.reason), result.reason
    assert result.remedy


def test_every_check_of_a_description_is_seen_to_fail() -> None:
    seen = {(check.__name__, about) for check, _, about in CAUGHT}
    functions = {
        "test problem": "check_testproblem",
        "data set": "check_dataset",
        "optimizer": "check_optimizer",
    }
    expected = {
        (functions[kind], check.name)
        for kind, checks in CHECKS.items()
        for check in checks
        if check.is_of_the_description
    }
    assert expected <= seen


def test_every_check_leads_to_a_function_that_says_what_it_checks() -> None:
    for checks in CHECKS.values():
        for check in checks:
            assert check.load().__doc__


def test_the_guide_names_every_check() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "conformance.md"
    text = guide.read_text(encoding="utf-8")
    for checks in CHECKS.values():
        assert not [check.name for check in checks if f"`{check.name}`" not in text]


def test_a_function_without_arguments_builds_what_is_checked() -> None:
    from deepobs.pytorch import testproblems

    report = check_testproblem(lambda: testproblems.two_d_beale(batch_size=8))
    skipped = report["its_constructor_takes_the_arguments_of_the_protocol"]
    assert skipped.reason == "It is built by a function that takes no arguments"
    assert report["its_batches_have_the_requested_size"].outcome == "passed"


def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'quadratic_deep'"):
        check_testproblem("quadratic_dep")
    with pytest.raises(ArgumentError, match=r"no check 'losses_sum'.*Did you mean 'losses_sum_to"):
        check_testproblem("quadratic_deep", only=["losses_sum"])
    with pytest.raises(ArgumentError, match="a registered name or a class, got 3"):
        check_dataset(3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="batch_size must be 2 or more, got 1"):
        check_testproblem("quadratic_deep", batch_size=1)
    with pytest.raises(UnknownNameError, match=r"'deepobs-cor'.*Did you mean 'deepobs-core'"):
        targets_of("deepobs-cor")


def test_the_command_shows_one_line_a_check_and_a_summary(command_line) -> None:
    code, output, errors = command_line("check", "two_d_beale", "--only", "losses_sum_to_the_mean")
    assert (code, errors) == (0, "")
    assert re.match(
        r"two_d_beale \(test problem, deepobs-core \S+\)\n"
        r"  passed   losses_sum_to_the_mean\n\n"
        r"1 check: 1 passed, 0 failed, 0 skipped. No failures.\n",
        output,
    )


def test_the_command_fails_and_says_why(command_line, tmp_path: Path) -> None:
    source = """
    import broken_problems

    class Percent(broken_problems.Percent):
        pass
    """
    (tmp_path / "own_problem_of_a_test.py").write_text(textwrap.dedent(source), encoding="utf-8")
    name = "own_problem_of_a_test:Percent"
    code, output, _ = command_line("check", name, "--only", "accuracy_is_a_fraction_or_none")
    assert code == 1
    assert re.search(r"FAILED   accuracy_is_a_fraction_or_none\n +.*fraction from 0 to 1", output)
    assert "Not conforming: own_problem_of_a_test:Percent." in output


def test_the_command_writes_json(command_line) -> None:
    code, output, _ = command_line("check", "SGD", "--json", "--only", "it_can_be_built")
    (report,) = json.loads(output)
    assert code == 0
    assert (report["name"], report["kind"], report["passed"]) == ("SGD", "optimizer", True)
    assert report["results"][0]["check"] == "it_can_be_built"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "Give either names to check or --all-of"),
        (("SGD", "--all-of", "deepobs-core"), "Give either names to check or --all-of"),
        (("quadratc",), "Did you mean 'quadratic'"),
        (("--all-of", "deepobs-cor"), "Did you mean 'deepobs-core'"),
        (("SGD", "--only", "it_can_be_bilt"), "Did you mean 'it_can_be_built'"),
        (("nowhere_of_a_test:Class",), "nowhere_of_a_test"),
        (("math:sqrt",), "recognized as a class"),
    ],
)
def test_mistakes_of_the_command_are_explained(command_line, args, message) -> None:
    code, _, errors = command_line("check", *args)
    assert code == 2
    assert message in errors


def in_pytest(directory: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(source, encoding="utf-8")
    # So that a temporary directory inside this repository does not get its options.
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "test_it.py"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_pytest_has_a_test_for_each_check(tmp_path: Path) -> None:
    ended = in_pytest(tmp_path, CONFORMING, "-W", "error", "--strict-markers", "-v")
    assert "test_it.py::test_conformance[two_d_beale-losses_sum_to_the_mean] PASSED" in ended.stdout
    assert ended.returncode == 0


MISTAKES = {
    'distribution="deepobs-cor"': "Did you mean 'deepobs-core'",
    'problems=["two_d_bale"]': "Did you mean 'two_d_beale'",
    'problem=["two_d_beale"]': "There is no argument 'problem'. Did you mean 'problems'",
    'problems=["two_d_beale"], only=["losses_sum"]': "There is no check 'losses_sum'",
    "": "needs keyword arguments that say what to check",
    "problems=[]": "names nothing to check",
    'problems="two_d_beale", batch_size=1': "batch_size must be 2 or more, got 1",
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.items())
def test_mistakes_in_the_marker_are_explained(tmp_path: Path, arguments: str, message: str) -> None:
    test = f"@pytest.mark.deepobs_checks({arguments})\ndef test_it(deepobs_check):\n    pass\n"
    ended = in_pytest(tmp_path, f"import pytest\n\n{test}")
    assert message in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    assert ended.returncode == 2


def test_importing_the_checks_imports_no_torch() -> None:
    imports = "import sys, deepobs_testing, deepobs_testing.pytest_plugin"
    code = f"{imports}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pytest_imports_no_torch_because_of_us(tmp_path: Path) -> None:
    source = "import sys\n\ndef test_it():\n    assert 'torch' not in sys.modules\n"
    ended = in_pytest(tmp_path, source)
    assert ended.returncode == 0, ended.stdout
