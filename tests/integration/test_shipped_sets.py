"""The reference sets that come with deepobs-analysis: what their experiment files describe."""

from __future__ import annotations

import pytest

from deepobs.plugins import registry
from deepobs_analysis import load, reference_names, select
from deepobs_analysis.baselines import load_reference
from deepobs_analysis.reference_names import archive_of, experiment_of, shipped_sets
from deepobs_analysis.result_archives import unpacked
from deepobs_analysis.targets import derived
from deepobs_bench.experiment_files import load as experiment
from deepobs_bench.plan import plan

MOST_BYTES = 2_000_000
DESCRIBED = sorted(path.stem for path in reference_names.SETS.glob("embedded-*.toml"))


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_experiment_of_a_set_can_be_planned(name: str) -> None:
    pytest.importorskip("schedulefree", reason="an optimizer of the set is in schedulefree")
    file = experiment_of(name)
    planned = plan(experiment(file), str(file), device="cpu")
    assert not planned.runs
    assert {tuning.num_runs for tuning in planned.tunings} == {25 + 10}
    on_some = {tuning.problem for tuning in planned.tunings if tuning.optimizer == "Muon"}
    assert on_some == {"deep_linear", "matrix_factorization"}


@pytest.mark.parametrize("name", shipped_sets())
def test_a_set_holds_the_runs_of_its_experiment_and_no_others(name: str) -> None:
    pytest.importorskip("schedulefree", reason="an optimizer of the set is in schedulefree")
    assert archive_of(name).stat().st_size <= MOST_BYTES
    described = load(experiment_of(name), output_dir=unpacked(archive_of(name)))
    assert described.remarks == ()
    assert set(described.runs["file"]) == set(load_reference(name).runs["file"])


@pytest.mark.parametrize("name", shipped_sets())
def test_the_targets_are_those_that_follow_from_the_sets(name: str) -> None:
    follow = derived(select(load_reference(name)))
    kept = reference_names.targets_of_sets()
    assert {problem: kept[problem] for problem in follow} == pytest.approx(follow)
    known = registry().problems
    assert all(known.find(problem) for problem in follow)
