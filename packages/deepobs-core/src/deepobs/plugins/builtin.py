"""What deepobs-core offers, through the same hooks as every other package."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from importlib_metadata import version
from packaging.version import Version

from deepobs.plugins.hookspecs import API_VERSION, hookimpl
from deepobs.plugins.specs import (
    DatasetSpec,
    OptimizerSpec,
    ProblemSpec,
    RunnerSpec,
    SuiteSpec,
    TrackerSpec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        ("rosenbrock", "Rosenbrock's function", (-0.5, 1.5), [(1.0, 1.0)], 0.0),
        ("beale", "Beale's function", (-4.5, 4.5), [(3.0, 0.5)], 0.0),
        ("branin", "Branin's function", (2.5, 12.5), _MINIMA_OF_BRANIN, 5 / (4 * math.pi)),
    ]
    return [quadratic, *_diagnostics()] + [
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
            least_loss=least,
        )
        for name, title, start, minima, least in two_d
    ]


def _diagnostic(
    name: str,
    model: str,
    kind: str,
    arguments: Mapping[str, object] | None = None,
    *,
    problem: str = "LearnedMap",
    **further: Any,
) -> ProblemSpec:
    """A problem with one difficulty, whose least loss is 0."""
    options: dict[str, object] = {"model": f"deepobs.problems.diagnostics:{model}"}
    reference = f"In the manner of {further.pop('source')}; not in the paper of DeepOBS"
    return ProblemSpec(
        name=name,
        target=f"deepobs.problems.diagnostics:{problem}",
        batch_size=32,
        epochs=30,
        reference=reference,
        tags=frozenset({"synthetic", "diagnostic", kind}),
        least_loss=0.0,
        threads=1,
        independent_examples=True,
        options=options | ({"arguments": arguments} if arguments else {}),
        **further,
    )


def _diagnostics() -> list[ProblemSpec]:
    return [
        _diagnostic(
            *("deep_linear", "LinearNetwork", "non-convex"),
            {"widths": [16, *[32] * 9, 16], "gain": 0.8},
            summary="Ten linear layers that learn a linear map of 16 variables",
            dataset="linear_map",
            purpose="whether it gets through plateaus and steep drops, where the gradient of each "
            "layer is scaled by all the others",
            source="Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of "
            "learning in deep linear neural networks, ICLR 2014, https://arxiv.org/abs/1312.6120",
        ),
        _diagnostic(
            *("matrix_factorization", "LinearNetwork", "non-convex"),
            {"widths": [32, 4, 32], "gain": 0.5},
            summary="Two factors of a matrix of rank 4 with condition number 100",
            dataset="low_rank_map",
            purpose="whether it finds weak directions while strong ones limit the learning rate, "
            "and the curvature is that of the factors themselves",
            source="Tong, Ma, Chi: Accelerating ill-conditioned low-rank matrix estimation via "
            "scaled gradient descent, JMLR 22, 2021, https://arxiv.org/abs/2005.08898",
        ),
        _diagnostic(
            *("rotated_ravine", "RotatedRavine", "convex"),
            problem="Diagnostic",
            summary="Rotated quadratic of 32 variables, condition number 1e4, heavy-tailed noise",
            dataset="heavy_tailed_noise",
            purpose="whether it advances along flat directions that are no coordinates, where a "
            "step size for each coordinate helps little, in spite of rare gradients that are huge",
            source="Hansen et al.: BBOB 2009, noiseless functions (f10), "
            "https://inria.hal.science/inria-00362633, with noise as in Zhang et al.: Why are "
            "adaptive methods good for attention models?, NeurIPS 2020, "
            "https://arxiv.org/abs/1912.03194",
        ),
        _diagnostic(
            *("saddle_chain", "SaddleChain", "non-convex"),
            problem="Diagnostic",
            summary="Sixteen saddle points one after the other, with noise on the gradient",
            dataset="gaussian_noise",
            purpose="how soon it leaves saddle points, each of which comes when the one before is "
            "left",
            source="Du et al.: Gradient descent can take exponential time to escape saddle points, "
            "NeurIPS 2017, https://arxiv.org/abs/1705.10412",
        ),
        _diagnostic(
            *("sparse_embedding", "EmbeddingBag", "convex"),
            summary="A table of 512 rows, used as often as words are, learned from sums of rows",
            dataset="zipf_bags",
            purpose="whether it learns rows whose gradients are rare as well as frequent ones",
            source="Duchi, Hazan, Singer: Adaptive subgradient methods, JMLR 12, 2011, "
            "https://jmlr.org/papers/v12/duchi11a.html",
        ),
        _diagnostic(
            *("plateau", "SoftCommitteeMachine", "non-convex"),
            summary="Three hidden units that learn from three others, and begin as the same",
            dataset="soft_committee",
            purpose="how soon it leaves the plateau on which all hidden units do the same",
            source="Saad, Solla: On-line learning in soft committee machines, Physical Review E "
            "52, 1995, https://doi.org/10.1103/PhysRevE.52.4225",
        ),
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
        *_data_of_diagnostics(),
    ]


def _data_of_diagnostics() -> list[DatasetSpec]:
    shared: dict[str, Any] = {
        "train_size": 1024,
        "test_size": 128,
        "reference": "Computed for the diagnostic problem",
        "embedded": True,
    }
    target = "deepobs.data.diagnostics:"
    noise = "Noise that {} adds to its gradient in training, zeros for evaluation"
    return [
        DatasetSpec(
            name="linear_map",
            target=f"{target}LinearMap",
            summary="Normally distributed vectors and their images under a matrix",
            example="x (16,) float, A x (16,) float",
            **shared,
        ),
        DatasetSpec(
            name="low_rank_map",
            target=f"{target}LowRankMap",
            summary="Normally distributed vectors and their images under a matrix of rank 4",
            example="x (32,) float, A x (32,) float",
            **shared,
        ),
        DatasetSpec(
            name="heavy_tailed_noise",
            target=f"{target}HeavyTailedNoise",
            summary=noise.format("rotated_ravine"),
            example="(32,) float, 0.1 times Student's distribution with 2 degrees of freedom",
            **shared,
        ),
        DatasetSpec(
            name="gaussian_noise",
            target=f"{target}GaussianNoise",
            summary=noise.format("saddle_chain"),
            example="(16,) float, standard deviation 0.1",
            **shared,
        ),
        DatasetSpec(
            name="zipf_bags",
            target=f"{target}ZipfBags",
            summary="Bags of rows of a table, drawn as often as words, and the sums of the rows",
            example="row numbers (4,) int64, sum of rows (8,) float",
            **shared | {"train_size": 2048, "test_size": 1024},
        ),
        DatasetSpec(
            name="soft_committee",
            target=f"{target}SoftCommittee",
            summary="Normally distributed vectors and the outputs of a network of three units",
            example="x (32,) float, output () float",
            **shared | {"test_size": 1024},
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
    if Version(version("torch")) < Version("2.9"):
        of_torch = [each for each in of_torch if each[0] != "Muon"]
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


_EMBEDDED = (
    *(spec.name for spec in _diagnostics()),
    *("quadratic_deep", "two_d_rosenbrock", "two_d_beale", "two_d_branin"),
    *("digits_logreg", "digits_mlp", "digits_2c2d", "digits_resnet", "digits_vit"),
    *("excerpt_lstm", "excerpt_gpt"),
)
_MODERN = (
    *("cifar10_resnet18", "cifar100_resnet18", "cifar10_vit", "cifar100_vit"),
    *("imagenet_resnet50", "imagenet_vit_s16", "fmnist_ddpm", "mnist_ddpm", "tolstoi_gpt"),
)


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
            name="diagnostics",
            summary="Six functions with one difficulty each, a second or two a run",
            problems=tuple(spec.name for spec in _diagnostics()),
        ),
        SuiteSpec(
            name="embedded",
            summary="Problems of every kind that need no download, at most minutes a run",
            problems=_EMBEDDED,
            needs_all=False,
        ),
        SuiteSpec(
            name="modern",
            summary="Residual networks, transformers and diffusion, as papers train them today",
            problems=_MODERN,
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


@hookimpl
def deepobs_trackers() -> list[TrackerSpec]:
    """Programs that track experiments, each of which needs an extra of this package."""
    known = [
        ("mlflow", "MLflow", "MLflow: a database, mlflow.db, or a server; PLACE is an experiment"),
        ("tensorboard", "TensorBoard", "TensorBoard: event files; PLACE is their directory"),
        ("trackio", "Trackio", "trackio: a local database, or a Space; PLACE is a project"),
        ("wandb", "WeightsAndBiases", "Weights & Biases, also offline; PLACE is a project"),
    ]
    return [
        TrackerSpec(name=name, target=f"deepobs.runs.trackers.{name}:{kind}", summary=summary)
        for name, kind, summary in known
    ]
