"""The diagnostic problems: values and gradients by hand, and their minimum of 0."""

import math

import numpy as np
import pytest
import torch

from deepobs.plugins import registry
from deepobs.problems.diagnostics import ravine
from deepobs.runs import specify
from deepobs.runs.packing import reason_of_problem

SPECS = [one for one in (o.spec for o in registry().problems.offers()) if "diagnostic" in one.tags]
NAMES = [spec.name for spec in SPECS]


def set_up(name, seed=0, batch_size=32):
    torch.manual_seed(seed)
    problem = registry().problems.load(name)(batch_size)
    problem.set_up()
    problem.model.double()
    return problem


def in_double(batch):
    return tuple(part.double() if part.is_floating_point() else part for part in batch)


def examples(problem, loader="train_loader"):
    """A batch in double precision."""
    return in_double(next(iter(getattr(problem.dataset, loader))))


def parameters_at(problem, seed=1):
    """Move the parameters to random places, and return them as arrays."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in problem.model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return [parameter.detach().numpy().copy() for parameter in problem.model.parameters()]


def linear(weights, x, y):
    """Losses and gradients of a linear network."""
    layers = [x]
    for weight in weights:
        layers.append(layers[-1] @ weight.T)
    error = layers[-1] - y
    losses, gradients = 0.5 * (error**2).sum(axis=1), []
    for weight, inputs in zip(reversed(weights), reversed(layers[:-1]), strict=True):
        gradients.append(error.T @ inputs / len(x))
        error = error @ weight
    return losses, gradients[::-1]


def committee(weights, x, y):
    (weight,) = weights
    hidden = x @ weight.T
    errors = np.vectorize(math.erf)(hidden / np.sqrt(2)).sum(axis=1) - y
    slopes = np.sqrt(2 / np.pi) * np.exp(-(hidden**2) / 2)
    return 0.5 * errors**2, [(errors[:, None] * slopes).T @ x / len(x)]


def embedding(weights, ids, sums):
    (table,) = weights
    errors, gradient = table[ids].sum(axis=1) - sums, np.zeros_like(table)
    for bag, error in zip(ids, errors, strict=True):
        for row in bag:
            gradient[row] += error / len(ids)
    return 0.5 * (errors**2).sum(axis=1), [gradient]


def quadratic(weights, noise):
    hessian, minimum = (part.astype(np.float32).astype(float) for part in ravine())
    away = weights[0] - minimum
    losses = 0.5 * away @ hessian @ away + noise @ away
    return losses, [(hessian + hessian.T) / 2 @ away + noise.mean(axis=0)]


def chain(weights, noise):
    (theta,) = weights
    value, gradient = 0.0, noise.mean(axis=0)
    for k, x in enumerate(theta):
        reached = 1.0 if k == 0 else min(abs(theta[k - 1]), 1.0)
        gate, slope = 3 * reached**2 - 2 * reached**3, 6 * reached * (1 - reached)
        well, bowl = (x**2 - 1) ** 2 / 4, 1 / 4 + x**2
        value += gate * well + (1 - gate) * bowl
        gradient[k] += gate * (x**2 - 1) * x + (1 - gate) * 2 * x
        if k:
            gradient[k - 1] += slope * np.sign(theta[k - 1]) * (well - bowl)
    return value + noise @ theta, [gradient]


BY_HAND = {
    "deep_linear": linear,
    "matrix_factorization": linear,
    "rotated_ravine": quadratic,
    "saddle_chain": chain,
    "sparse_embedding": embedding,
    "plateau": committee,
}


def test_every_diagnostic_problem_is_tested_here():
    assert set(BY_HAND) == set(NAMES) == set(registry().suites.offer("diagnostics").spec.problems)


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_and_gradients_are_those_of_formulas(name):
    problem = set_up(name)
    weights, batch = parameters_at(problem), examples(problem)
    losses = problem.get_batch_loss(batch)
    losses.mean().backward()
    expected, gradients = BY_HAND[name](weights, *(part.numpy() for part in batch))
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    for parameter, gradient in zip(problem.model.parameters(), gradients, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-7, atol=1e-10)


def solve(name, problem):
    """Put the parameters where the loss is least."""
    dataset = registry().datasets.load(problem.spec.dataset)
    random = np.random.RandomState(42)
    if name in ("deep_linear", "matrix_factorization"):
        left, values, right = np.linalg.svd(dataset.matrix(random))
        rank = len(dataset.singular_values)
        shapes = [parameter.shape for parameter in problem.model.parameters()]
        solved = [np.eye(*shape) for shape in shapes]
        solved[0][:rank] = values[:rank, None] * right[:rank]
        solved[-1][:, :rank] = left[:, :rank]
    elif name == "plateau":
        solved = [dataset.teacher(random)]
    elif name == "sparse_embedding":
        solved = [random.normal(size=(512, 8))]
    else:
        solved = [ravine()[1] if name == "rotated_ravine" else -np.ones(16)]
    with torch.no_grad():
        for parameter, value in zip(problem.model.parameters(), solved, strict=True):
            parameter.copy_(torch.from_numpy(value))


@pytest.mark.parametrize("name", BY_HAND)
def test_the_least_loss_is_reached_on_every_split(name):
    problem = set_up(name)
    solve(name, problem)
    for loader in ("train_eval_loader", "test_loader"):
        losses = problem.get_batch_loss(examples(problem, loader))
        np.testing.assert_allclose(losses.detach(), problem.spec.least_loss, atol=1e-9)


@pytest.mark.parametrize("name", BY_HAND)
def test_an_epoch_has_the_same_losses_in_any_order(name):
    passes = []
    for seed in (1, 2):
        problem = set_up(name, seed)
        with torch.no_grad():
            for parameter in problem.model.parameters():
                parameter.fill_(0.1)
            losses = [problem.get_batch_loss(in_double(b)) for b in problem.dataset.train_loader]
        passes.append(torch.cat(losses).numpy())
    assert not np.array_equal(*passes)
    np.testing.assert_allclose(*map(np.sort, passes), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["deep_linear", "matrix_factorization"])
def test_the_test_loss_is_the_distance_of_the_matrices(name):
    problem = set_up(name, batch_size=128)
    weights = parameters_at(problem)
    dataset = registry().datasets.load(problem.spec.dataset)
    product = np.linalg.multi_dot(weights[::-1])
    distance = 0.5 * ((product - dataset.matrix(np.random.RandomState(42))) ** 2).sum()
    losses = problem.get_batch_loss(examples(problem, "test_loader"))
    assert losses.mean().item() == pytest.approx(distance, rel=1e-6)


def test_the_matrices_have_the_condition_numbers_of_their_descriptions():
    values = np.linalg.svd(
        registry().datasets.load("low_rank_map").matrix(np.random.RandomState(42)), compute_uv=False
    )
    assert values[0] / values[3] == pytest.approx(100)
    assert values[4] == pytest.approx(0, abs=1e-12)
    eigenvalues = np.linalg.eigvalsh(ravine()[0])
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(1e4)
    off_the_diagonal = np.abs(ravine()[0] - np.diag(np.diag(ravine()[0])))
    assert off_the_diagonal.max() > 0.05


@pytest.mark.parametrize("kept", [{}, {"validation_size": 128}, {"train_fraction": 0.3}])
@pytest.mark.parametrize("name", ["heavy_tailed_noise", "gaussian_noise"])
def test_noise_adds_up_to_zero_and_is_absent_from_evaluation(name, kept):
    dataset = registry().datasets.load(name)(32, **{"validation_size": 64, **kept})
    (noise,) = dataset.train_loader.tensors
    # Else the least training loss would be elsewhere than that of the function.
    assert noise.double().mean(dim=0).abs().max() < 1e-7
    assert all(batch[0].abs().sum() > 0 for batch in dataset.train_loader)
    for loader in (dataset.train_eval_loader, dataset.valid_loader, dataset.test_loader):
        assert all(batch[0].abs().sum() == 0 for batch in loader)


def test_the_chain_has_saddle_points_where_the_first_variables_are_in_wells():
    problem = set_up("saddle_chain")
    zeros = torch.zeros(1, 16, dtype=torch.float64)
    for in_wells in range(16):
        theta = torch.tensor([1.0] * in_wells + [0.0] * (16 - in_wells), dtype=torch.float64)

        def function(theta):
            return torch.func.functional_call(problem.model, {"theta": theta}, (zeros,))[0]

        assert function(theta).item() == pytest.approx((16 - in_wells) / 4)
        assert torch.func.grad(function)(theta).abs().max() == 0
        curvatures = torch.linalg.eigvalsh(torch.autograd.functional.hessian(function, theta))
        assert (curvatures < 0).sum() == 1


def test_the_noise_of_some_batches_is_huge():
    dataset = registry().datasets.load("heavy_tailed_noise")(32)
    norms = [batch[0].mean(dim=0).norm() for _ in range(30) for batch in dataset.train_loader]
    median, large = np.quantile(norms, [0.5, 0.99])
    assert large > 9 * median


def test_most_rows_are_rare():
    ids = registry().datasets.load("zipf_bags").load(None).train[0]
    counts = torch.bincount(ids.flatten(), minlength=512)
    assert counts[0] == 905  # 4, and 1 / (1 + 1/2 + ... + 1/512) of the other 6144 places
    assert counts.median() < 10


@pytest.mark.parametrize("validation_size", [0, 64, 224, 512])
def test_every_row_follows_from_the_bags_of_training(validation_size):
    dataset = registry().datasets.load("zipf_bags")(32, validation_size=validation_size)
    ids = dataset.train_loader.tensors[0]
    design = torch.nn.functional.one_hot(ids, 512).sum(dim=1).double()
    values = torch.linalg.svdvals(design)
    assert values[-1] > values[0] / 50


def test_the_units_of_the_plateau_begin_as_the_same():
    outputs = set_up("plateau").model.hidden.weight
    assert outputs.abs().max() < 1e-2


@pytest.mark.parametrize("name", BY_HAND)
def test_runs_on_it_can_be_packed(name):
    assert reason_of_problem(specify(name, "SGD", {"lr": 0.01}, num_epochs=1)) == ""


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_each_says_what_it_tells_and_where_it_comes_from(spec):
    assert len(spec.purpose) > 20
    assert "https://" in spec.reference


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_function_is_that_of_outputs_and_targets(name):
    problem = set_up(name)
    batch = examples(problem)
    if problem.loss_function is None:
        assert len(batch) == 1
        return
    inputs, targets = batch
    for reduction in ("none", "mean", "sum"):
        loss = type(problem.loss_function)(reduction=reduction)(problem.model(inputs), targets)
        assert torch.equal(loss, problem.get_batch_loss(batch, reduction))
    assert problem.loss_function.reduction == "mean"
