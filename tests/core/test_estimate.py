"""What an estimate measures, how it is scaled, and what it leaves as it was."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from plugin_sources import PREAMBLE

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.runs import specify
from deepobs.runs.estimate import (
    Estimate,
    PeakMemory,
    Spread,
    estimate,
    peak_memory,
    reset_peak_memory,
)
from deepobs.runs.timing import Span, pace_of, time_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plugin_sources import Install

MEBIBYTE = 2**20
CPU = torch.device("cpu")

SCALED_PLUGIN = f"""
import torch
from deepobs.data import Splits
from deepobs.data import EmbeddedDataSet
{PREAMBLE}

@hookimpl
def deepobs_problems():
    return [
        ProblemSpec(
            name="acme_deep", target="deepobs.problems.synthetic:QuadraticDeep", summary="Ours",
            dataset="acme_vectors", batch_size=32, epochs=3,
        )
    ]

@hookimpl
def deepobs_datasets():
    return [
        DatasetSpec(
            name="acme_vectors", target="acme_obs:Vectors", summary="Ours",
            train_size=1000, test_size=350,
        )
    ]

class Vectors(EmbeddedDataSet):
    origin = "made"
    train_eval_size = 300

    @classmethod
    def make_fake(cls, fraction):
        return Splits(
            train=(torch.ones(round(1000 * fraction), 100),),
            test=(torch.ones(round(350 * fraction), 100),),
        )

    @classmethod
    def load(cls, data_dir):
        return cls.make_fake(1.0)
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quick(optimizer: Any = "Adam", hyperparameters: Any = None, **arguments: Any) -> Estimate:
    """As little as is always measured: three steps to warm up, then two blocks."""
    specification = specify("quadratic_deep", optimizer, hyperparameters, **arguments)
    optimizer_class = None if isinstance(optimizer, str) else optimizer
    return estimate(specification, optimizer_class=optimizer_class, seconds=0)


def example(**changes: Any) -> Estimate:
    """An estimate with numbers that are easy to reckon with."""
    step = Spread(mean=0.5, median=0.45, low=0.4, high=0.6)
    one = Spread(mean=1.0, median=1.0, low=1.0, high=1.0)
    fields: dict[str, Any] = {
        "specification": specify("quadratic_deep", "SGD", num_epochs=10),
        "step_seconds": step,
        "sgd_step_seconds": step,
        "sgd_ratio": one,
        "is_sgd": True,
        "timed_steps": 8,
        "gradient_evaluations_per_step": 1.0,
        "steps_per_epoch": 7,
        "evaluation_seconds": 2.0,
        "set_up_seconds": 30.0,
        "peak_memory": PeakMemory(process=None, device=None),
        "has_diverged": False,
        "fake_data": False,
        "hardware": {},
    }
    return Estimate(**fields | changes)


def test_an_epoch_is_its_steps_and_one_evaluation() -> None:
    assert example().epoch_seconds == 7 * 0.5 + 2.0


def test_a_run_is_the_set_up_an_evaluation_and_all_epochs() -> None:
    assert example().run_seconds == 30.0 + 2.0 + 10 * 5.5
    untrained = specify("quadratic_deep", "SGD", num_epochs=0)
    assert example(specification=untrained).run_seconds == 32.0


def test_what_is_measured_is_plausible() -> None:
    estimated = quick()
    assert estimated.steps_per_epoch == 7  # 1000 examples in batches of 128, the rest dropped
    for spread in (estimated.step_seconds, estimated.sgd_step_seconds, estimated.sgd_ratio):
        assert 0 < spread.low <= spread.median <= spread.high
    assert estimated.evaluation_seconds > 0
    assert estimated.set_up_seconds > 0
    assert estimated.timed_steps >= 2
    assert not estimated.is_sgd
    assert not estimated.has_diverged
    assert not estimated.fake_data
    assert estimated.hardware["torch_threads"] == torch.get_num_threads()


def test_no_more_time_is_measured_than_passed() -> None:
    start = time.perf_counter()
    estimated = quick()
    passed = time.perf_counter() - start
    assert estimated.timed_steps * estimated.step_seconds.low < passed
    assert estimated.set_up_seconds < passed


def test_more_time_is_used_for_more_steps() -> None:
    specification = specify("two_d_rosenbrock", "Adam")
    assert (
        estimate(specification, seconds=0).timed_steps
        < estimate(specification, seconds=0.8).timed_steps
    )


def test_steps_of_sgd_in_between_move_nothing() -> None:
    positions: list[torch.Tensor] = []

    class Recorder(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            position = self.param_groups[0]["params"][0].detach().clone()
            if position.numel() == 100:  # not that of a trial before the run
                positions.append(position)
            return super().step(closure)

    quick(Recorder, {"lr": 0.0})
    assert len(positions) > 2
    assert all(torch.equal(position, positions[0]) for position in positions)


def test_sgd_is_not_compared_with_itself() -> None:
    estimated = quick("SGD", {"lr": 0.1, "momentum": 0})
    assert estimated.is_sgd
    assert estimated.sgd_ratio == Spread(1.0, 1.0, 1.0, 1.0)
    assert estimated.sgd_step_seconds == estimated.step_seconds


@pytest.mark.parametrize("optimizer", ["Momentum", "Nesterov"])
def test_sgd_with_anything_added_is_compared_with_sgd(optimizer: str) -> None:
    estimated = quick(optimizer)
    assert not estimated.is_sgd
    assert estimated.sgd_ratio != Spread(1.0, 1.0, 1.0, 1.0)


def test_an_optimizer_that_does_more_takes_longer_than_sgd() -> None:
    class Slow(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            for _ in range(200):
                torch.linalg.qr(torch.eye(60))
            return super().step(closure)

    assert quick(Slow, {"lr": 0.01}).sgd_ratio.median > 1.5


def test_every_gradient_of_an_optimizer_with_a_closure_is_counted() -> None:
    # Without a tolerance, every step of LBFGS evaluates as often as it may.
    always = {"max_iter": 5, "tolerance_grad": 0.0, "tolerance_change": 0.0, "lr": 1e-4}
    assert quick("LBFGS", always).gradient_evaluations_per_step == 5
    assert quick("Adam").gradient_evaluations_per_step == 1


def test_training_that_diverges_is_measured_all_the_same() -> None:
    estimated = quick("SGD", {"lr": 1e30})
    assert estimated.has_diverged
    assert estimated.step_seconds.median > 0


def test_epochs_of_fake_data_are_scaled_to_the_real_size(
    install: Install, fresh_registry: Callable[[], object]
) -> None:
    install("acme-obs", SCALED_PLUGIN)
    config.set_fake_data(0.5)
    estimated = estimate(specify("acme_deep", "SGD"), seconds=0)
    assert estimated.fake_data
    assert estimated.steps_per_epoch == 31  # 1000 // 32, not the 15 of 500 examples


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # 1000, 300 and 350 examples in batches of 32, whole ones only
        ({}, {"train": 31, "train_eval": 9, "test": 10}),
        # 750 remain for training; 300 of them are still evaluated on
        ({"validation_size": 250}, {"train": 23, "train_eval": 9, "valid": 7, "test": 10}),
        ({"full_evaluation": True}, {"train": 31, "train_eval": 10, "test": 11}),
    ],
)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_all_splits_are_scaled_to_the_real_size(
    install: Install,
    fresh_registry: Callable[[], object],
    fraction: float,
    settings: dict[str, Any],
    expected: dict[str, int],
) -> None:
    from deepobs.runs.assembly import set_up_problem
    from deepobs.runs.timing import full_lengths

    install("acme-obs", SCALED_PLUGIN)
    config.set_fake_data(fraction)
    specification = specify("acme_deep", "SGD", **settings)
    dataset = set_up_problem(specification).dataset
    assert full_lengths(dataset, specification) == expected


def test_the_random_state_is_left_as_it_was() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    before = torch.get_rng_state(), np.random.get_state(legacy=True)[1].tolist(), random.getstate()
    quick()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state(legacy=True)[1].tolist() == before[1]
    assert random.getstate() == before[2]


def test_an_estimate_is_json_as_it_stands() -> None:
    estimated = quick(batch_size=100, num_epochs=4)
    said = json.loads(json.dumps(estimated.for_json(), allow_nan=False))
    assert (said["testproblem"], said["optimizer"], said["batch_size"]) == (
        "quadratic_deep",
        "Adam",
        100,
    )
    assert set(said["step_seconds"]) == {"mean", "median", "low", "high"}
    assert said["run_seconds"] == estimated.run_seconds
    assert said["epoch_seconds"] == estimated.epoch_seconds
    assert said["peak_memory"]["device"] is None


def test_an_error_in_the_users_own_step_is_passed_on() -> None:
    class Broken(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return {}["exp_avg"]

    with pytest.raises(KeyError, match="exp_avg"):
        quick(Broken, {"lr": 0.1})


@pytest.mark.parametrize("seconds", [-1, float("nan"), "ten"])
def test_a_time_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ArgumentError, match=r"seconds must be a .*number, 0 or more"):
        estimate(specify("quadratic_deep", "SGD"), seconds=seconds)


def test_a_spread_is_the_mean_the_median_and_the_quartiles() -> None:
    assert Spread.of([9.0, 1.0, 2.0, 4.0, 3.0]) == Spread(mean=3.8, median=3.0, low=2.0, high=4.0)
    assert Spread.of([1.0, 3.0]) == Spread(mean=2.0, median=2.0, low=1.5, high=2.5)


def test_ratios_are_those_of_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    def timings(rivals: Any, **_: Any) -> Any:
        for rival in rivals:
            rival(1)
        return 30, [(2.0, 1.0), (60.0, 20.0), (4.0, 1.0)]

    monkeypatch.setattr("deepobs.runs.estimate.time_in_turn", timings)
    estimated = quick()
    assert estimated.timed_steps == 30
    assert estimated.step_seconds.median == 4.0
    assert estimated.sgd_ratio.median == 3.0


def test_the_pace_of_a_run_is_that_on_its_own_data(
    install: Install, fresh_registry: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def timings(rivals: Any, **_: Any) -> Any:
        for rival in rivals:
            rival(1)
        return 20, [(2.0,), (4.0,)]

    monkeypatch.setattr("deepobs.runs.timing.time_in_turn", timings)
    install("acme-obs", SCALED_PLUGIN)
    config.set_fake_data(0.5)
    pace = pace_of(specify("acme_deep", "Adam"), seconds=0)
    # From 2 to 4 seconds for each of 15 batches to train on, 9 and 5 to evaluate.
    assert pace.epoch == Span(15 * 3.0, 15 * 2.0, 15 * 4.0)
    assert pace.evaluation == Span((9 + 5) * 3.0, (9 + 5) * 2.0, (9 + 5) * 4.0)
    assert 0 < pace.set_up.seconds < 100


@pytest.mark.parametrize(
    ("settings", "steps", "evaluated"),
    [({}, 31, 9 + 10), ({"validation_size": 250}, 23, 9 + 7 + 10)],
)
def test_without_its_data_the_pace_of_a_run_is_scaled_from_a_few_synthetic_batches(
    install: Install,
    fresh_registry: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    steps: int,
    evaluated: int,
) -> None:
    fractions = []

    def timings(rivals: Any, **_: Any) -> Any:
        fractions.append(config.get_fake_data_fraction())
        return 20, [(2.0,), (4.0,)]

    monkeypatch.setattr("deepobs.runs.timing.time_in_turn", timings)
    install("acme-obs", SCALED_PLUGIN)
    pace = pace_of(specify("acme_deep", "Adam", **settings), seconds=0, has_data=False)
    assert pace.epoch.seconds == steps * 3.0
    assert pace.evaluation.seconds == evaluated * 3.0
    assert 0 < min(fractions) == max(fractions) < 0.3


def test_rivals_take_turns_in_alternating_order() -> None:
    asked: list[tuple[str, int]] = []

    def rival(name: str) -> Callable[[int], None]:
        return lambda units: asked.append((name, units))

    units, _ = time_in_turn([rival("a"), rival("b")], seconds=0, device=CPU)
    warm_up, blocks = asked[:2], asked[2:]
    assert warm_up == [("a", 1), ("b", 1)]
    # Work that takes no time is done in blocks as long as those between two reports of a run.
    assert blocks == [("a", 100), ("b", 100), ("b", 100), ("a", 100)]
    assert units == 200


def test_slow_work_is_timed_one_unit_at_a_time() -> None:
    asked: list[int] = []

    def work(units: int) -> None:
        asked.append(units)
        time.sleep(0.1 * units)

    _, rounds = time_in_turn([work], seconds=0, device=CPU)
    assert statistics.median(taken for (taken,) in rounds) == pytest.approx(0.1, 0.5)
    assert asked == [1, 1, 1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux forgets a peak")
def test_the_peak_starts_from_what_is_in_use() -> None:
    earlier = torch.ones(400 * MEBIBYTE, dtype=torch.uint8)
    del earlier
    reset_peak_memory(CPU)
    before = peak_memory(CPU).process
    needed = torch.ones(200 * MEBIBYTE, dtype=torch.uint8)
    after = peak_memory(CPU).process
    assert len(needed) == 200 * MEBIBYTE
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(200 * MEBIBYTE, rel=0.1)
    assert peak_memory(CPU).device is None


def test_the_comparison_with_sgd_adds_no_memory() -> None:
    """A model of 50 MiB: gradients, two moments and temporary tensors, but no second model."""
    program = (
        "import torch\n"
        "torch.set_num_threads(1)\n"
        "from deepobs.plugins import registry\n"
        "from deepobs.runs import specify\n"
        "from deepobs.runs.estimate import estimate\n"
        "problem = registry().problems.load('quadratic_deep')\n"
        "build = problem.build_model\n"
        "def with_ballast(self):\n"
        "    model = build(self)\n"
        "    model.ballast = torch.nn.Parameter(torch.ones(50 * 2**18))\n"
        "    return model\n"
        "losses = problem.batch_losses\n"
        "def touching_it(self, batch, reduction):\n"
        "    loss, rest = losses(self, batch, reduction)\n"
        "    return loss + self.model.ballast.sum(), rest\n"
        "small = estimate(specify('quadratic_deep', 'Adam'), seconds=0).peak_memory.process\n"
        "problem.build_model, problem.batch_losses = with_ballast, touching_it\n"
        "large = estimate(specify('quadratic_deep', 'Adam'), seconds=0).peak_memory.process\n"
        "print((large - small) / 2**20)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    # Four tensors are kept, and Adam's step makes two for a while; a second model that is trained
    # would keep two more.
    assert 190 < float(process.stdout) < 340
