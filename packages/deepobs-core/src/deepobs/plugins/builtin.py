"""What deepobs-core offers, through the same hooks as every other package."""

from __future__ import annotations

import math

from deepobs.plugins.hookspecs import API_VERSION, hookimpl
from deepobs.plugins.specs import DatasetSpec, OptimizerSpec, ProblemSpec, RunnerSpec, SuiteSpec

DEEPOBS_API_VERSION = API_VERSION

_PAPER = "Schneider, Balles, Hennig: DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499"
_MINIMA_OF_BRANIN = [(-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475)]


@hookimpl
def deepobs_problems() -> list[ProblemSpec]:
    """The synthetic problems."""
    quadratic = ProblemSpec(
        name="quadratic_deep",
        target="deepobs.problems.synthetic:QuadraticDeep",
        summary="Stochastic quadratic of 100 dimensions with a deep-learning-like spectrum",
        dataset="quadratic",
        batch_size=128,
        epochs=100,
        reference=_PAPER,
        tags=frozenset({"synthetic", "small", "convex"}),
        target_performance=88.0470458984375,  # docs/explanation/measures.md says of which runs
        target_performance_same_order=87.70315464772136,
        threads=1,
        independent_examples=True,
    )
    two_d = [
        ("rosenbrock", "Rosenbrock's function", (-0.5, 1.5), [(1.0, 1.0)]),
        ("beale", "Beale's function", (-4.5, 4.5), [(3.0, 0.5)]),
        ("branin", "Branin's function", (2.5, 12.5), _MINIMA_OF_BRANIN),
    ]
    return [quadratic] + [
        ProblemSpec(
            name=f"two_d_{name}",
            target="deepobs.problems.synthetic:TwoD",
            summary=f"{title} of two variables, with noise on its gradient",
            dataset="two_d",
            batch_size=128,
            epochs=100,
            reference=_PAPER,
            tags=frozenset({"synthetic", "small", "non-convex"}),
            threads=1,
            independent_examples=True,
            options={
                "start": start,
                "function": f"deepobs.problems.synthetic:{name}",
                "minima": minima,  # for figures
            },
        )
        for name, title, start, minima in two_d
    ]


@hookimpl
def deepobs_datasets() -> list[DatasetSpec]:
    """The data of the synthetic problems."""
    return [
        DatasetSpec(
            name="quadratic",
            target="deepobs.data.generated:Quadratic",
            summary="Normally distributed vectors, the noise of quadratic_deep",
            train_size=1000,
            test_size=1000,
            example="x (100,) float, standard deviation 0.6",
            reference=_PAPER,
            embedded=True,
        ),
        DatasetSpec(
            name="two_d",
            target="deepobs.data.generated:TwoD",
            summary="Pairs of standard normal numbers, zeros for testing",
            train_size=10000,
            test_size=10000,
            example="x () float, y () float",
            reference=_PAPER,
            embedded=True,
        ),
    ]


@hookimpl
def deepobs_runners() -> list[RunnerSpec]:
    """The runners of the original."""
    return [
        RunnerSpec(
            name="StandardRunner",
            target="deepobs.runs.runner:StandardRunner",
            summary="Trains with constant hyperparameters",
        ),
        RunnerSpec(
            name="LearningRateScheduleRunner",
            target="deepobs.runs.runner:LearningRateScheduleRunner",
            summary="Trains with a learning rate that changes at given epochs",
        ),
    ]


@hookimpl
def deepobs_optimizers() -> list[OptimizerSpec]:
    """The optimizers of `torch.optim`, and the two that the original calls by names of its own."""
    of_torch = [
        ("Adadelta", "Per-parameter rates from running averages", "arXiv:1212.5701"),
        ("Adafactor", "Adam with factored second moments", "arXiv:1804.04235"),
        ("Adagrad", "Per-parameter rates from summed squares", "Duchi et al. 2011"),
        ("Adam", "Adaptive moment estimation", "arXiv:1412.6980"),
        ("AdamW", "Adam with decoupled weight decay", "arXiv:1711.05101"),
        ("Adamax", "Adam with the infinity norm", "arXiv:1412.6980"),
        ("ASGD", "Averaged stochastic gradient descent", "Polyak, Juditsky 1992"),
        ("Muon", "Orthogonalized momentum; trains matrices only", "Jordan et al. 2024"),
        ("NAdam", "Adam with Nesterov's momentum", "Dozat 2016"),
        ("RAdam", "Adam with a rectified warm-up", "arXiv:1908.03265"),
        ("RMSprop", "Gradients divided by their running norm", "Hinton 2012"),
        ("Rprop", "Resilient back-propagation, from signs alone", "Riedmiller, Braun 1993"),
        ("SGD", "Stochastic gradient descent", "Robbins, Monro 1951"),
    ]
    return [
        OptimizerSpec(
            name="Momentum",
            target="torch.optim:SGD",
            summary="Stochastic gradient descent with momentum 0.9",
            defaults={"momentum": 0.9},
            reference="Polyak 1964",
        ),
        OptimizerSpec(
            name="Nesterov",
            target="torch.optim:SGD",
            summary="Stochastic gradient descent with Nesterov's momentum 0.9",
            defaults={"momentum": 0.9, "nesterov": True},
            reference="Nesterov 1983",
        ),
        OptimizerSpec(
            name="LBFGS",
            target="torch.optim:LBFGS",
            summary="Limited-memory quasi-Newton method; evaluates a batch several times per step",
            needs=("closure",),
            reference="Liu, Nocedal 1989",
        ),
        *(
            OptimizerSpec(name=name, target=f"torch.optim:{name}", summary=text, reference=source)
            for name, text, source in of_torch
        ),
    ]


@hookimpl
def deepobs_suites() -> list[SuiteSpec]:
    """The sets of problems that need nothing but this package, and those of the paper."""
    return [
        SuiteSpec(
            name="two_d",
            summary="Three functions of two variables, to look at trajectories",
            problems=("two_d_rosenbrock", "two_d_beale", "two_d_branin"),
        ),
        SuiteSpec(
            name="small",
            summary="The small benchmark of the paper",
            problems=("quadratic_deep", "mnist_vae", "fmnist_2c2d", "cifar10_3c3d"),
            reference=_PAPER,
        ),
        SuiteSpec(
            name="large",
            summary="The large benchmark of the paper",
            problems=("fmnist_vae", "cifar100_allcnnc", "svhn_wrn164", "tolstoi_char_rnn"),
            reference=_PAPER,
        ),
    ]
