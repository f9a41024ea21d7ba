import math
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.records import RunRecord
from deepobs.runs import RunObserver, run, specify

METRICS = ("train_losses", "test_losses", "minibatch_train_losses")


def metrics_of(record):
    return {name: getattr(record, name) for name in METRICS}


def quick(optimizer="SGD", hyperparameters=None, **arguments):
    hyperparameters = {"lr": 0.01} if hyperparameters is None else hyperparameters
    return specify("quadratic_deep", optimizer, hyperparameters, num_epochs=3, **arguments)


def test_the_loss_before_training_is_the_published_one():
    record = run(specify("quadratic_deep", "SGD", num_epochs=0)).record
    assert record.test_losses == pytest.approx([353.44676426478793], rel=1e-6)


def test_there_is_an_entry_before_the_first_and_after_every_epoch():
    record = run(quick()).record
    assert len(record.train_losses) == len(record.test_losses) == len(record.eval_seconds) == 4
    assert len(record.train_seconds) == 3
    assert record.status == "completed"
    assert record.steps == record.gradient_evaluations == 3 * 7  # 1000 examples, the rest dropped
    assert record.test_losses[3] < record.test_losses[0]


def test_metrics_that_the_problem_has_not_are_left_out_of_the_record():
    record = run(quick()).record
    assert record.valid_losses is None
    assert record.test_accuracies is None
    assert "accuracies" not in record.to_json()
    assert "valid_losses" not in record.to_json()


def test_a_validation_part_is_measured_and_recorded():
    record = run(quick(validation_size=200)).record
    assert len(record.valid_losses) == 4
    assert record.dataset.split_sizes["valid"] == 200
    assert record.dataset.split_sizes["train"] == 800


def test_the_same_seed_gives_the_same_bits_whatever_ran_before():
    first = metrics_of(run(quick("Adam", {"lr": 0.1})).record)
    run(quick("LBFGS", {"lr": 1.0}))
    torch.manual_seed(0)
    torch.rand(17)
    random.random()  # noqa: S311
    np.random.rand(3)
    assert metrics_of(run(quick("Adam", {"lr": 0.1})).record) == first


def test_another_process_gives_the_same_bits():
    program = (
        "from deepobs.runs import run, specify\n"
        "record = run(specify('quadratic_deep', 'SGD', {'lr': 0.01}, num_epochs=3)).record\n"
        "print(record.test_losses)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == str(run(quick()).record.test_losses)


def test_another_seed_gives_another_order_of_the_data():
    assert run(quick()).record.train_losses[1:] != run(quick(random_seed=1)).record.train_losses[1:]


def test_optimizers_see_the_same_data_in_the_same_order():
    one, other = run(quick("SGD")).record, run(quick("Adam", {"lr": 0.01})).record
    assert one.minibatch_train_losses[0] == other.minibatch_train_losses[0]


def test_a_run_leaves_no_trace_in_the_process():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    run(quick())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == flags


@pytest.fixture
def two_threads():
    """Torch has two threads in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_threads_is_that_of_the_problem_unless_it_was_set():
    def threads(**settings):
        with config.temporary(**settings):
            return run(quick()).record.hardware["torch_threads"]

    assert threads() == 1
    assert threads(num_threads=2) == 2
    assert torch.get_num_threads() == 2
    with pytest.raises(ArgumentError, match="num_threads must be 1 or more, got 0"):
        config.set_num_threads(0)


def test_a_diverged_run_stops_and_is_filled_with_its_initial_values():
    record = run(specify("quadratic_deep", "Momentum", {"lr": 100.0}, num_epochs=30)).record
    assert record.status == "diverged"
    assert record.diverged_at_epoch is not None
    assert record.steps < 30 * 7
    assert len(record.test_losses) == len(record.train_losses) == 31
    assert set(record.test_losses[record.diverged_at_epoch :]) == {record.test_losses[0]}
    assert all(map(math.isfinite, record.test_losses))


def test_the_file_of_a_diverged_run_is_strict_json():
    import json

    record = run(specify("quadratic_deep", "Momentum", {"lr": 1e10}, num_epochs=5)).record

    def refuse(constant):
        raise AssertionError(constant)

    parsed = json.loads(record.to_json(), parse_constant=refuse)
    assert None in parsed["minibatch_train_losses"] or record.diverged_at_step % 10 != 1


def test_divergence_that_only_the_evaluation_notices_is_recorded():
    # One step an epoch: the objective before it is finite, the loss after it is not.
    record = run(
        specify("quadratic_deep", "SGD", {"lr": 1e30}, num_epochs=4, batch_size=1000)
    ).record
    assert record.status == "diverged"
    assert record.diverged_at_epoch == 1
    assert record.diverged_at_step is None
    assert set(record.test_losses) == {record.test_losses[0]}


def test_a_schedule_multiplies_the_initial_rate():
    rates = []

    class Recorder(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    specification = specify(
        "quadratic_deep",
        Recorder,
        {"lr": 0.1},
        num_epochs=4,
        batch_size=1000,
        lr_sched_epochs=[1, 3],
        lr_sched_factors=[0.1, 0.02],
    )
    rates.clear()  # the specification was tried in a step
    run(specification, optimizer_class=Recorder)
    assert rates == pytest.approx([0.1, 0.01, 0.01, 0.002])


def test_an_optimizer_that_evaluates_the_objective_itself_is_counted():
    record = run(quick("LBFGS", {"lr": 1.0, "max_iter": 5})).record
    assert record.steps == 21
    assert record.gradient_evaluations > record.steps
    assert record.test_losses[-1] < 90


def test_full_evaluation_measures_every_example():
    dropped, full = run(quick()).record, run(quick(full_evaluation=True)).record
    problem = registry().problems.load("quadratic_deep")(1000)
    problem.set_up()
    (batch,) = problem.dataset.test_loader
    expected = problem.get_batch_loss_and_accuracy(batch, "mean")[0].item()
    assert full.test_losses[0] == pytest.approx(expected, rel=1e-6)
    assert dropped.test_losses[0] != full.test_losses[0]
    assert dropped.minibatch_train_losses == full.minibatch_train_losses


def test_double_precision_is_recorded_and_used():
    config.set_dtype(torch.float64)
    record = run(quick()).record
    assert record.dtype == "float64"
    assert record.test_losses[0] == pytest.approx(353.44676426478793, rel=1e-6)
    minibatch = record.minibatch_train_losses[0]
    assert float(np.float32(minibatch)) != minibatch


def test_a_batch_size_beyond_the_data_is_refused_before_training():
    started = []

    class Watcher(RunObserver):
        def run_started(self, specification, steps_per_epoch, resumed_at):
            started.append(specification)

    with pytest.raises(ArgumentError, match="batch_size must be from 1 to 1000"):
        run(quick(batch_size=1001), observers=[Watcher()])
    assert not started


def test_a_weight_decay_that_the_problem_cannot_honour_is_refused():
    with pytest.raises(ArgumentError, match="quadratic_deep has no regularizer"):
        run(quick(weight_decay=0.1))


def test_observers_are_told_everything_in_order():
    events = []

    class Recorder(RunObserver):
        def run_started(self, specification, steps_per_epoch, resumed_at):
            events.append(("started", steps_per_epoch))

        def steps_taken(self, steps, metrics):
            events.append(("steps", steps))

        def epoch_ended(self, epoch, metrics):
            events.append(("epoch", epoch, sorted(metrics)))

        def run_ended(self, record):
            events.append(("ended", record.status))

    run(specify("quadratic_deep", "SGD", num_epochs=1), observers=[Recorder()])
    names = ["test_loss", "train_loss"]
    assert events == [
        ("started", 7),
        ("epoch", 0, names),
        ("steps", 7),
        ("epoch", 1, names),
        ("ended", "completed"),
    ]


def test_an_optimizer_without_a_learning_rate_can_be_run():
    class Parameterless(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})

        @torch.no_grad()
        def step(self, closure=None):
            for parameter in self.param_groups[0]["params"]:
                parameter -= 0.01 * parameter.grad

    record = run(
        specify("quadratic_deep", Parameterless, num_epochs=1), optimizer_class=Parameterless
    ).record
    assert record.test_losses == pytest.approx(run(quick()).record.test_losses[:2], rel=1e-5)


def test_what_observers_draw_at_random_does_not_change_the_run():
    class Gambler(RunObserver):
        def steps_taken(self, steps, metrics):
            torch.rand(1)

        def epoch_ended(self, epoch, metrics):
            torch.rand(1)

    assert metrics_of(run(quick(), observers=[Gambler()]).record) == metrics_of(run(quick()).record)


def test_a_record_is_the_same_in_memory_and_in_the_file():
    record = run(specify("quadratic_deep", "Momentum", {"lr": 1e10}, num_epochs=5)).record
    assert RunRecord.model_validate_json(record.to_json()) == record


def test_iterates_are_recorded_for_functions_of_two_variables_only():
    record = run(specify("two_d_branin", "SGD", {"lr": 0.001}, num_epochs=2)).record
    assert record.iterates is not None
    assert record.iterates[0] == [2.5, 12.5]
    assert len(record.iterates) == 3
    assert RunRecord.model_validate_json(record.to_json()).iterates == record.iterates
    diverged = run(specify("two_d_branin", "SGD", {"lr": 10.0}, num_epochs=2)).record
    assert diverged.iterates == [[2.5, 12.5]]
    assert "iterates" not in run(quick()).record.to_json()


def test_what_is_missing_before_set_up_is_explained():
    problem = registry().problems.load("quadratic_deep")(128)
    with pytest.raises(AttributeError, match=r"has no attribute 'model': call set_up\(\) first"):
        _ = problem.model
    assert repr(problem).startswith("quadratic_deep(batch_size=128")


def test_an_error_in_the_users_own_step_is_not_mistaken_for_a_wrong_value():
    class Broken(torch.optim.SGD):
        def step(self, closure=None):
            return {}["exp_avg"]

    with pytest.raises(KeyError, match="exp_avg"):
        run(specify("quadratic_deep", Broken, {"lr": 0.1}), optimizer_class=Broken)
