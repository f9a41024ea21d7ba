"""Runs of image problems, on the embedded digits and on synthetic images."""

import pytest
import torch

from deepobs import config
from deepobs.plugins import registry
from deepobs.runs import run, specify
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.estimate import estimate
from deepobs.runs.evaluation import (
    batches_at_once,
    evaluate,
    evaluated_loaders,
    evaluating,
    mean_loss_and_accuracy,
)
from deepobs.runs.run_state import RunState


def digits(problem="digits_logreg", **arguments):
    given = {"hyperparameters": {"lr": 0.1}, "num_epochs": 2}
    return specify(problem, "SGD", **(given | arguments))


def test_accuracies_are_recorded_beside_losses():
    record = run(digits(validation_size=100)).record
    for accuracies in (
        record.train_accuracies,
        record.valid_accuracies,
        record.test_accuracies,
    ):
        assert len(accuracies) == 3
        assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert record.test_accuracies[2] > record.test_accuracies[0]
    assert record.dataset.fingerprint


def test_accuracies_of_zero_are_kept():
    # The original deletes them from the file when any epoch scored exactly 0.0.
    class TurnsAround(torch.optim.SGD):
        """Learns for an epoch of 22 steps, then takes every image for what it looks least like."""

        steps_left = 22

        def step(self, closure=None):
            super().step(closure)
            self.steps_left -= 1
            if self.steps_left == 0:
                for parameter in self.param_groups[0]["params"]:
                    parameter.data.neg_()

    specification = specify("digits_logreg", TurnsAround, {"lr": 0.1}, num_epochs=1)
    record = run(specification, optimizer_class=TurnsAround).record
    assert record.test_accuracies[1] == 0.0
    assert '"test_accuracies"' in record.to_json()


def test_the_regulariser_is_part_of_the_objective_and_of_the_reported_losses():
    plain = run(digits("digits_mlp", num_epochs=1)).record
    regularized = run(digits("digits_mlp", num_epochs=1, weight_decay=0.1)).record
    bare = run(digits("digits_mlp", num_epochs=1, weight_decay=0.1, bare_losses=True)).record
    assert regularized.weight_decay == 0.1
    assert regularized.test_losses[0] > plain.test_losses[0]
    assert bare.test_losses[0] == plain.test_losses[0]
    assert bare.test_losses[1] != plain.test_losses[1]
    assert bare.minibatch_train_losses == regularized.minibatch_train_losses


def test_fake_data_are_recorded():
    config.set_fake_data(0.01)
    record = run(specify("mnist_logreg", "SGD", {"lr": 0.1}, num_epochs=1)).record
    assert record.fake_data
    assert record.dataset.split_sizes["train"] == 600


def test_stochastic_problems_repeat_to_the_bit():
    config.set_fake_data(0.01)
    specification = specify("mnist_vae", "Adam", {"lr": 1e-3}, num_epochs=1)
    assert run(specification).record.test_losses == run(specification).record.test_losses


def test_evaluation_leaves_training_as_it_was():
    config.set_fake_data(0.01)

    def train(*, evaluates):
        torch.manual_seed(0)
        problem = registry().problems.load("mnist_vae")(64)
        problem.set_up()
        optimizer = torch.optim.SGD(problem.model.parameters(), lr=1e-4)
        objectives = []
        for batch in problem.dataset.train_loader:
            optimizer.zero_grad()
            loss, _ = problem.get_batch_loss_and_accuracy(batch, "mean")
            loss.backward()
            optimizer.step()
            objectives.append(loss.item())
            if evaluates:
                evaluate(problem)
                assert problem.model.training
        return objectives

    assert train(evaluates=True) == train(evaluates=False)


HAS_MUON = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="came with torch 2.9")


@pytest.mark.parametrize(
    "optimizer", ["Adam", "AdamW", "RMSprop", "LBFGS", pytest.param("Muon", marks=HAS_MUON)]
)
def test_any_optimizer_of_torch_trains_or_says_why_not(optimizer):
    specification = specify("digits_logreg", optimizer, num_epochs=1)
    if optimizer == "Muon":  # takes matrices only, and the model has a vector
        with pytest.raises(ValueError, match="Muon cannot train the model of digits_logreg"):
            run(specification)
    else:
        assert run(specification).record.status == "completed"


def test_the_reported_loss_does_not_change_training():
    objectives = []
    for bare in (False, True):
        specification = specify(
            "digits_mlp",
            "SGD",
            {"lr": 0.1},
            num_epochs=6,
            # The regularizer falls in all epochs, and the bare loss rises from the third on.
            weight_decay=0.05,
            bare_losses=bare,
            lr_scheduler={"name": "ReduceLROnPlateau", "arguments": {"patience": 0}},
        )
        objectives.append(run(specification).record.minibatch_train_losses)
    assert objectives[0] == objectives[1]


def test_an_estimate_on_synthetic_data_counts_the_fraction():
    options = {"batch_size": 10, "num_epochs": 1, "train_fraction": 0.5}
    with config.temporary(fake_data=0.05):
        estimated = estimate(specify("fmnist_logreg", "SGD", {"lr": 0.01}, **options), seconds=0.0)
    assert estimated.steps_per_epoch == 3000


class Climbs(torch.optim.SGD):
    """As SAM: a pass at the weights of the step, and one at others."""

    @torch.no_grad()
    def step(self, closure):
        closure()
        parameters = self.param_groups[0]["params"]
        climbs = [0.01 * one.grad for one in parameters]
        torch._foreach_add_(parameters, climbs)
        closure()
        torch._foreach_sub_(parameters, climbs)
        super().step()


@pytest.mark.parametrize(("optimizer", "passes"), [(Climbs, 2), (torch.optim.LBFGS, 4)])
def test_wide_resnets_see_each_batch_once_however_many_passes_a_step_takes(optimizer, passes):
    hyperparameters = {"lr": 0.01} | ({"max_iter": 4} if passes == 4 else {})
    with config.temporary(fake_data=0.0005):
        specification = specify(
            "svhn_wrn164", optimizer, hyperparameters, batch_size=4, max_steps=3
        )
        problem = set_up_problem(specification)
        used = build_optimizer(specification, problem, optimizer)
        state = RunState(specification, problem, used)
        list(state.train_epoch(is_resumable=False))  # without evaluations, which take longer
    assert state.trainer.gradient_evaluations == 3 * passes
    layers = [one for one in problem.model.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert {int(layer.num_batches_tracked) for layer in layers} == {3}


@pytest.mark.parametrize("name", ["digits_logreg", "mnist_logreg"])
@pytest.mark.parametrize(("batch_size", "drop_remainder"), [(64, True), (50, False)])
def test_groups_of_batches_give_the_bits_of_single_ones(name, batch_size, drop_remainder):
    with config.temporary(fake_data=0.02):
        problem = registry().problems.load(name)(
            batch_size, device="cpu", validation_size=100, drop_remainder=drop_remainder
        )
        torch.manual_seed(5)
        problem.set_up()
    with torch.no_grad():
        for parameter in problem.model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    expected = {}
    with evaluating(problem):
        for split, loader in evaluated_loaders(problem.dataset).items():
            loss, accuracy = mean_loss_and_accuracy(problem, loader)
            expected |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
    assert evaluate(problem) == expected


def test_the_means_of_batches_at_once_are_cross_entropies_to_the_bit():
    problem = registry().problems.load("digits_logreg")(50, device="cpu", drop_remainder=False)
    problem.set_up()
    # An identity, so that no machine may add in another order where there are more rows.
    problem.model = torch.nn.Identity()
    logits, labels = torch.randn(120, 10), torch.randint(10, (120,))
    losses, accuracy = problem.losses_of_batches((logits, labels), 50)
    batches = [
        (logits[rows], labels[rows]) for rows in (slice(50), slice(50, 100), slice(100, 120))
    ]
    assert losses.tolist() == [problem.get_batch_loss(one, "mean").item() for one in batches]
    assert accuracy == (logits.argmax(dim=1) == labels).float().mean()


def test_problems_whose_evaluation_draws_numbers_are_evaluated_a_batch_at_a_time():
    with config.temporary(fake_data=0.02):
        problem = registry().problems.load("mnist_vae")(64, device="cpu")
        problem.set_up()
    assert batches_at_once(problem) == {}
