"""What others may bring along without deriving from anything of ours."""

import pytest
import torch
from plugin_sources import PREAMBLE

from deepobs import protocols
from deepobs.errors import ArgumentError
from deepobs.pytorch import runners, testproblems
from deepobs.runs import run, specify

STRANGER = f"""{PREAMBLE}
@hookimpl
def deepobs_problems():
    return [problem("foreign", target="acme_obs:Foreign")]

class Data:
    name = "zeros"
    valid_loader = None

    def __init__(self, batch_size):
        import torch

        self.batch_size = batch_size
        self.train_loader = self.train_eval_loader = self.test_loader = [
            (torch.ones(batch_size, 3),) for _ in range(2)
        ]

class Foreign:
    def __init__(self, batch_size, weight_decay=None, device=None):
        self.batch_size = batch_size

    def set_up(self):
        import torch

        self.model = torch.nn.Linear(3, 1)
        self.dataset = Data(self.batch_size)

    def get_batch_loss_and_accuracy(self, batch, reduction="none"):
        losses = self.model(batch[0]).square().flatten()
        return (losses if reduction == "none" else getattr(losses, reduction)()), None

    def get_regularization_loss(self):
        import torch

        return torch.zeros(())

    def parameter_groups(self):
        return [{{"params": list(self.model.parameters())}}]
"""


@pytest.fixture
def foreign(install, fresh_registry):
    install("acme-obs", STRANGER)
    fresh_registry()
    return testproblems.foreign


def test_our_problems_and_data_sets_keep_to_the_protocols():
    problem = testproblems.quadratic_deep(batch_size=128)
    problem.set_up()
    assert isinstance(problem, protocols.TestProblem)
    assert isinstance(problem.dataset, protocols.DataSet)
    assert isinstance(problem.dataset.train_loader, protocols.Loader)
    assert isinstance(runners.StandardRunner(torch.optim.SGD, {}), protocols.Runner)


def test_a_problem_that_derives_from_nothing_of_ours_is_a_test_problem(foreign):
    problem = foreign(4)
    problem.set_up()
    assert isinstance(problem, protocols.TestProblem)
    assert isinstance(problem.dataset, protocols.DataSet)


def test_pytest_does_not_take_the_protocol_for_a_test_class():
    assert protocols.TestProblem.__test__ is False


def test_a_problem_that_derives_from_nothing_of_ours_can_be_run(foreign):
    record = run(specify("foreign", "SGD", {"lr": 0.01}, num_epochs=2)).record
    assert record.test_losses[2] < record.test_losses[0]
    assert record.dataset.name == "zeros"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"validation_size": 10}, "foreign does not support validation_size=10"),
        ({"full_evaluation": True}, "foreign does not support drop_remainder=False"),
        ({"reshuffle": False}, "foreign does not support reshuffle=False"),
    ],
)
def test_an_option_that_a_problem_does_not_know_is_refused(foreign, option, message):
    with pytest.raises(ArgumentError, match=message):
        run(specify("foreign", "SGD", {"lr": 0.01}, **option))


def test_the_settings_of_torch_do_not_change_a_run(foreign):
    specification = specify("foreign", "SGD", {"lr": 0.01}, num_epochs=1)
    expected = run(specification).record.test_losses
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            assert run(specification).record.test_losses == expected
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
