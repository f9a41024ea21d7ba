"""What bench says of an experiment to those who read results."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deepobs.errors import ArgumentError
from deepobs.runs import specify
from deepobs_bench.executors import SerialExecutor
from deepobs_bench.experiment_files import load
from deepobs_bench.experiment_runs import experiment_runs
from deepobs_bench.plan import plan
from deepobs_bench.standings import execute
from deepobs_bench.sweep import Sweep

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.records import ExperimentRuns

TUNED = """
problems = ["quadratic_deep"]
defaults.epochs = 1
[optimizers.mine]
class = "SGD"
hyperparameters.momentum = 0.5
[optimizers.mine.tune]
space.lr = "0.001,0.01"
sampler = "grid"
report_seeds = [1]
"""


@pytest.fixture
def said(tmp_path: Path):
    """What is said of the text of a file."""

    def call(text: str) -> ExperimentRuns:
        path = tmp_path / "experiment.toml"
        path.write_text(text)
        return experiment_runs(path, tmp_path / "results")

    return call


@pytest.fixture
def executed(tmp_path: Path):
    """Executes the text of a file."""

    def call(text: str) -> None:
        path = tmp_path / "another.toml"
        path.write_text(text)
        planned = plan(load(path), str(path), device="cpu")
        execute(planned, Sweep(SerialExecutor(), output_dir=tmp_path / "results"), jobs=1)

    return call


def test_every_run_has_the_labels_of_all_optimizers_that_share_it(said) -> None:
    runs = said(
        'problems = ["quadratic_deep"]\nseeds = [1, 2]\ndefaults.epochs = 1\n'
        "[optimizers.SGD]\ngrid.lr = [0.1, 0.2]\n"
        '[optimizers.fixed]\nclass = "SGD"\nhyperparameters.lr = 0.1\n'
    )
    assert sorted(runs.labels.values()) == [("SGD",), ("SGD",), ("SGD", "fixed"), ("SGD", "fixed")]
    example = specify("quadratic_deep", "SGD", {"lr": 0.2}, num_epochs=1, random_seed=2)
    assert runs.labels[example.run_id] == ("SGD",)
    assert runs.tunings == ()


def test_every_schedule_of_an_optimizer_has_a_label_of_its_own(said, executed) -> None:
    text = (
        'problems = ["quadratic_deep"]\ndefaults.epochs = 2\n'
        "[schedules.half]\nepochs = [1]\nfactors = [0.5]\n"
        "[schedules.tenth]\nepochs = [1]\nfactors = [0.1]\n"
        '[optimizers.mine]\nclass = "SGD"\nhyperparameters.lr = 0.001\n'
        "[optimizers.SGD]\nhyperparameters.lr = 0.002\nschedules = ['constant']\n"
    )
    labels = [("SGD",), ("mine + half",), ("mine + tenth",)]
    assert sorted(said(text).labels.values()) == labels
    tune = "tune = { space.lr = '0.001,0.01', sampler = 'grid', report_seeds = [1] }\n"
    tuned = said(text.replace("hyperparameters.lr = 0.001\n", tune))
    assert tuned.tunings == (("mine + half", None), ("mine + tenth", None))


def test_identities_of_earlier_releases_lead_to_those_of_today(said) -> None:
    runs = said(
        'problems = ["quadratic_deep"]\ndefaults.epochs = 1\n'
        "[optimizers.SGD]\nhyperparameters = { lr = 0.1, momentum = 0.0 }\n"
    )
    (run_id,) = runs.labels
    assert set(runs.earlier.values()) == {run_id} and run_id not in runs.earlier


def test_the_record_of_a_tuning_is_found_by_all_of_its_settings(said, executed) -> None:
    assert said(TUNED).tunings == (("mine", None),)
    executed(TUNED)
    ((label, path),) = said(TUNED).tunings
    assert label == "mine" and path is not None and path.suffix == ".tuning"
    assert said(TUNED.replace("mine", "yours")).tunings == (("yours", path),)
    for old, new in (
        ("0.001,0.01", "0.001,0.02"),
        ("momentum = 0.5", "momentum = 0.6"),
        ("epochs = 1", "epochs = 2"),
        ("report_seeds = [1]", "report_seeds = [1, 2]"),
        ('sampler = "grid"', 'sampler = "grid"\nmetric = "loss"\nselect_on = "test"'),
    ):
        assert said(TUNED.replace(old, new)).tunings == (("mine", None),), new


def test_broken_records_are_passed_over(said, executed, tmp_path: Path) -> None:
    executed(TUNED)
    ((_, path),) = said(TUNED).tunings
    assert path is not None
    (path.parent / "broken.tuning").write_text("{")
    assert said(TUNED).tunings == (("mine", path),)


def test_mistakes_of_the_file_are_listed(said) -> None:
    with pytest.raises(ArgumentError, match="quadratic_deep"):
        said('problems = ["quadratic_depp"]\n[optimizers.SGD]\n')


def test_discovering_bench_imports_no_torch() -> None:
    code = (
        "import sys; from deepobs.plugins import registry;"
        "assert registry().manager.hook.deepobs_experiment_runs.get_hookimpls();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
