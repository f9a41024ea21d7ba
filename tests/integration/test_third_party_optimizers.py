"""Optimizers from the package index, trained as they are."""

from __future__ import annotations

import inspect
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import pytorch_optimizer
import schedulefree
import torch
import torch_optimizer
from torch.optim.swa_utils import update_bn

from deepobs.errors import ArgumentError
from deepobs.pytorch import testproblems
from deepobs.runs import run, specify

if TYPE_CHECKING:
    from deepobs.records import RunRecord

# Warnings of third-party packages are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore")

DO_NOT_RUN = {
    "DeMo": "needs the package einops, without which its constructor raises ImportError",
    "Kron": "needs the package opt_einsum: without it, torch multiplies its three preconditioning "
    "factors from the left, which takes 16 GB for a matrix of 1000 by 64",
    "LoRARite": "trains pairs of low-rank factors, which no test problem has",
    "SpectralSphere": "trains matrices only; it runs with --group hidden "
    "--group others:optimizer=AdamW",
}
"""The optimizers that can be built from parameters and a learning rate, but do not run."""

OF_ROLES = ("AdaGO", "AdaMuon", "Muon", "MuonClip", "NorMuon")
"""Those that want to be told which parameters are hidden matrices."""

WITH_FURTHER_ARGUMENTS = {
    "AdamMini": {},
    "BSAM": {"num_data": 1000},
    "FriendlySAM": {"base_optimizer": "SGD"},
    "Lookahead": {"optimizer": "SGD"},
    "LookSAM": {"base_optimizer": "SGD"},
    "OrthoGrad": {"optimizer": "SGD"},
    "Ranger21": {"num_iterations": 100},
    "SAM": {"base_optimizer": "Momentum"},
    "ScheduleFreeWrapper": {"optimizer": "SGD"},
    "TRAC": {"optimizer": "Adam"},
    "WSAM": {"base_optimizer": "SGD"},
}
"""Those that need more than parameters and a learning rate, such as another optimizer."""

NEEDS = {
    "AdaHessian": ["create_graph"],
    "AdamMini": ["model"],
    "AliG": ["closure"],
    "BSAM": ["closure", "gradients"],
    "Lion": [],
    "Lookahead": [],
    "SAM": ["closure", "gradients"],
    "SPlus": ["mode"],
    "ScheduleFreeAdamW": ["mode"],
    "ScheduleFreeWrapper": ["mode"],
    "SophiaH": ["create_graph"],
    "WSAM": ["closure", "model"],
}


def _all() -> dict[str, type[torch.optim.Optimizer]]:
    return {
        name: value
        for name, value in vars(pytorch_optimizer).items()
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and value.__module__.startswith("pytorch_optimizer.")
    }


def _from_parameters(optimizer_class: type[torch.optim.Optimizer]) -> bool:
    """Whether parameters and a learning rate are all that the constructor asks for."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    try:
        optimizer_class(model.parameters(), **_rate(optimizer_class))
    except ImportError:
        return True
    except Exception:  # a third-party constructor may raise anything
        return False
    return True


def _rate(optimizer_class: type[torch.optim.Optimizer]) -> dict[str, Any]:
    return {"lr": 1e-3} if "lr" in inspect.signature(optimizer_class).parameters else {}


FROM_PARAMETERS = sorted(name for name, value in _all().items() if _from_parameters(value))
RUNNING = [name for name in FROM_PARAMETERS if name not in DO_NOT_RUN]


def _trained(name: str, problem: str, **further: Any) -> RunRecord:
    optimizer_class = _all()[name]
    hyperparameters = {**_rate(optimizer_class), **further}
    batch_size = 256 if problem == "digits_mlp" else None
    specification = specify(
        problem, optimizer_class, hyperparameters, num_epochs=3, batch_size=batch_size
    )
    return run(specification).record


def _check(record: RunRecord) -> None:
    assert record.status == "completed"
    assert len(record.train_losses) == 4
    assert record.gradient_evaluations >= record.steps > 0


def test_at_least_95_percent_run() -> None:
    assert len(FROM_PARAMETERS) > 100
    assert set(FROM_PARAMETERS) >= DO_NOT_RUN.keys()
    assert len(RUNNING) >= 0.95 * len(FROM_PARAMETERS)


@pytest.mark.parametrize("name", RUNNING)
def test_an_optimizer_runs_three_epochs(name: str) -> None:
    for problem in ("quadratic_deep", "digits_mlp"):
        _check(_trained(name, problem))


@pytest.mark.parametrize("name", OF_ROLES)
def test_an_optimizer_of_roles_is_told_which_parameters_are_hidden(name: str) -> None:
    record = _trained(name, "digits_mlp")
    _check(record)
    assert record.parameter_groups == {
        "hidden": {"use_muon": True},
        "others": {"use_muon": False},
    }


@pytest.mark.parametrize("name", WITH_FURTHER_ARGUMENTS)
def test_an_optimizer_that_needs_more_is_given_more(name: str) -> None:
    rate = {} if "lr" in _rate(_all()[name]) else {"lr": 0.001}
    _check(_trained(name, "digits_mlp", **rate, **WITH_FURTHER_ARGUMENTS[name]))


@pytest.mark.parametrize("name", NEEDS)
def test_needs_are_found_out(name: str) -> None:
    hyperparameters = {"lr": 0.001, **WITH_FURTHER_ARGUMENTS.get(name, {})}
    if name == "AliG":
        del hyperparameters["lr"]
    specification = specify("quadratic_deep", _all()[name], hyperparameters)
    assert list(specification.optimizer_needs) == NEEDS[name]


def test_a_sharpness_aware_run_is_that_of_a_loop_by_hand() -> None:
    hyperparameters = {"base_optimizer": "SGD", "lr": 0.001, "rho": 0.5}
    record = run(
        specify("quadratic_deep", pytorch_optimizer.SAM, hyperparameters, num_epochs=1)
    ).record
    torch.manual_seed(42)
    problem = testproblems.quadratic_deep(128)
    problem.set_up()
    optimizer = pytorch_optimizer.SAM(
        problem.model.parameters(), torch.optim.SGD, lr=0.001, rho=0.5
    )
    for batch in problem.dataset.train_loader:

        def closure(batch: Any = batch) -> torch.Tensor:
            optimizer.zero_grad()
            loss: torch.Tensor = problem.get_batch_loss(batch, "mean")
            loss.backward()
            return loss

        closure()
        optimizer.step(closure)
    assert record.gradient_evaluations == 2 * record.steps
    assert record.test_losses[1] == pytest.approx(_test_loss(problem), rel=1e-6)


STEPPED_OTHERWISE = {
    "adam_mini:Adam_mini": ({"lr": 0.001}, ("named_parameters",)),
    "ivon:IVON": ({"lr": 0.1, "ess": 1000.0}, ("context:sampled_params",)),
    "singd.optim.optimizer:SINGD": ({"lr": 0.001}, ("model",)),
    "sophia_opt:SophiaG": ({"lr": 0.001}, ("hook:update_hessian:10",)),
    "torch_optimizer:Adahessian": ({"lr": 0.1}, ("create_graph",)),
}
"""Optimizers of further packages, each built or stepped in another way."""


@pytest.mark.parametrize("target", STEPPED_OTHERWISE)
def test_an_optimizer_that_is_built_or_stepped_otherwise_trains(target: str) -> None:
    hyperparameters, needs = STEPPED_OTHERWISE[target]
    specification = specify("digits_mlp", target, hyperparameters, num_epochs=2, batch_size=256)
    assert specification.optimizer_needs == needs
    record = run(specification).record
    assert record.status == "completed"
    assert record.train_losses[2] < record.train_losses[0]


def test_an_optimizer_of_layers_says_that_there_are_none() -> None:
    specification = specify("quadratic_deep", "singd.optim.optimizer:SINGD", {"lr": 0.001})
    with pytest.raises(ArgumentError, match=r"SINGD cannot train .*: .*empty parameter list\.$"):
        run(specification)


@pytest.mark.parametrize(
    ("optimizer_class", "hyperparameters"),
    [
        (torch_optimizer.Adahessian, {"lr": 0.1}),
        (
            pytorch_optimizer.AdaHessian,
            {"lr": 1e-3, "weight_decay": 0.1, "weight_decouple": False},
        ),
    ],
)
def test_a_second_order_run_is_that_of_a_loop_by_hand(
    optimizer_class: Any, hyperparameters: dict[str, Any]
) -> None:
    specification = specify("digits_logreg", optimizer_class, hyperparameters, num_epochs=1)
    record = run(specification).record
    torch.manual_seed(42)
    problem = testproblems.digits_logreg(specification.batch_size)
    problem.set_up()
    optimizer = optimizer_class(list(problem.model.parameters()), **hyperparameters)
    losses = []
    for batch in problem.dataset.train_loader:
        optimizer.zero_grad()
        loss = problem.get_batch_loss(batch, "mean")
        loss.backward(create_graph=True)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert record.minibatch_train_losses == pytest.approx(losses[::10], rel=1e-6)


class TestScheduleFree:
    @pytest.mark.parametrize(
        "name",
        [name for name, value in vars(schedulefree).items() if isinstance(value, type)],
    )
    def test_every_optimizer_trains_a_network(self, name: str) -> None:
        optimizer_class = getattr(schedulefree, name)
        base = {"base": "SGD"} if "Wrapper" in name else {}
        specification = specify("digits_mlp", optimizer_class, {"lr": 0.01, **base}, num_epochs=2)
        record = run(specification).record
        assert record.status == "completed"
        assert record.train_losses[2] < record.train_losses[0]

    @pytest.mark.parametrize(
        "optimizer_class",
        [
            schedulefree.SGDScheduleFree,
            schedulefree.AdamWScheduleFree,
            schedulefree.RAdamScheduleFree,
        ],
    )
    def test_what_is_evaluated_are_the_averaged_weights(self, optimizer_class: Any) -> None:
        record = run(specify("digits_mlp", optimizer_class, {"lr": 0.01}, num_epochs=2)).record
        torch.manual_seed(42)
        problem = testproblems.digits_mlp(64)
        problem.set_up()
        optimizer = optimizer_class(problem.model.parameters(), lr=0.01)
        averaged, current = [_test_loss(problem)], [_test_loss(problem)]
        for _ in range(2):
            optimizer.train()
            for batch in problem.dataset.train_loader:
                optimizer.zero_grad()
                problem.get_batch_loss(batch, "mean").backward()
                optimizer.step()
            current.append(_test_loss(problem))
            optimizer.eval()
            averaged.append(_test_loss(problem))
        assert record.test_losses == pytest.approx(averaged, rel=1e-6)
        assert record.test_losses[1:] != pytest.approx(current[1:], rel=1e-6)

    def test_batch_normalization_has_the_statistics_of_the_averaged_weights(self) -> None:
        specification = specify(NormalizedDigits, "schedulefree:SGDScheduleFree", {"lr": 1.0})
        specification = specification.model_copy(update={"num_epochs": 2})
        record = run(specification).record
        assert record.training_params["bn_recalibration"] == 50
        torch.manual_seed(42)
        problem: Any = NormalizedDigits(64)
        problem.set_up()
        loader = problem.dataset.train_loader
        optimizer = schedulefree.SGDScheduleFree(problem.model.parameters(), lr=1.0)
        expected, of_training = [_test_loss(problem)], [_test_loss(problem)]
        for _ in range(2):
            optimizer.train()
            for batch in loader:
                optimizer.zero_grad()
                problem.get_batch_loss(batch, "mean").backward()
                optimizer.step()
            optimizer.eval()
            of_training.append(_test_loss(problem))
            statistics = {name: one.clone() for name, one in problem.model.named_buffers()}
            order = loader.state_dict()
            update_bn(itertools.islice(loader, 50), problem.model)
            loader.load_state_dict(order)
            expected.append(_test_loss(problem))
            problem.model.load_state_dict(statistics, strict=False)
        assert record.test_losses == pytest.approx(expected, rel=1e-6)
        assert record.test_losses[1:] != pytest.approx(of_training[1:], rel=1e-3)


class NormalizedDigits(testproblems.digits_mlp):
    """Batch normalization of the outputs, whose statistics change with all weights."""

    def build_model(self) -> torch.nn.Module:
        return torch.nn.Sequential(super().build_model(), torch.nn.BatchNorm1d(10))


def _test_loss(problem: Any) -> float:
    problem.model.eval()
    with torch.no_grad():
        losses = [problem.get_batch_loss(batch, "mean") for batch in problem.dataset.test_loader]
    problem.model.train()
    return float(torch.stack(losses).mean())
