"""What deepobs-vision offers: a row for every data set and every test problem."""

from __future__ import annotations

from typing import Any

from deepobs.plugins import API_VERSION, DatasetSpec, ProblemSpec, SuiteSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION

_PAPER = "Schneider, Balles, Hennig: DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499"
_DIGITS = "The embedded counterpart of the DeepOBS problem on MNIST"


def _classification(
    name: str, model: str, summary: str, *, batch_size: int, epochs: int, **further: Any
) -> ProblemSpec:
    """A row: `model` names a function of `deepobs_vision.models`, the name begins with the data."""
    return ProblemSpec(
        name=name,
        target="deepobs_vision.classification:ImageClassification",
        summary=summary,
        dataset=name.partition("_")[0],
        batch_size=batch_size,
        epochs=epochs,
        metric="accuracy",
        tags=frozenset({"vision", "classification"}),
        options={"model": f"deepobs_vision.models.{model}"},
        **further,
    )


def _vae(name: str, summary: str, *, batch_size: int, epochs: int) -> ProblemSpec:
    return ProblemSpec(
        name=name,
        target="deepobs_vision.vae:VariationalAutoencoder",
        summary=summary,
        dataset=name.partition("_")[0],
        batch_size=batch_size,
        epochs=epochs,
        reference=_PAPER,
        tags=frozenset({"vision", "generative"}),
    )


@hookimpl
def deepobs_problems() -> list[ProblemSpec]:
    """The image problems."""
    logreg, mlp, convolutional = (
        "Logistic regression",
        "Perceptron with four layers (1000, 500, 100, 10)",
        "Two convolutional and two dense layers",
    )
    rows = []
    for data, title in (("mnist", "MNIST"), ("fmnist", "Fashion-MNIST")):
        rows += [
            _classification(
                f"{data}_logreg",
                "logreg:logreg",
                f"{logreg} on {title}",
                batch_size=128,
                epochs=50,
                reference=_PAPER,
            ),
            _classification(
                f"{data}_mlp",
                "mlp:mlp",
                f"{mlp} on {title}",
                batch_size=128,
                epochs=100,
                reference=_PAPER,
            ),
            _classification(
                f"{data}_2c2d",
                "conv:conv_2c2d",
                f"{convolutional} on {title}",
                batch_size=128,
                epochs=100,
                reference=_PAPER,
            ),
        ]
    rows += [
        _vae("mnist_vae", "Variational autoencoder on MNIST", batch_size=64, epochs=50),
        _vae("fmnist_vae", "Variational autoencoder on Fashion-MNIST", batch_size=64, epochs=100),
        _classification(
            "digits_logreg",
            "logreg:logreg",
            f"{logreg} on 8x8 digits, no download",
            batch_size=64,
            epochs=20,
            reference=_DIGITS,
        ),
        _classification(
            "digits_mlp",
            "mlp:mlp",
            f"{mlp} on 8x8 digits, no download",
            batch_size=64,
            epochs=20,
            reference=_DIGITS,
        ),
        _classification(
            "digits_2c2d",
            "conv:conv_2c2d",
            f"{convolutional} on 8x8 digits, no download",
            batch_size=64,
            epochs=20,
            reference=_DIGITS,
        ),
    ]
    return rows


@hookimpl
def deepobs_datasets() -> list[DatasetSpec]:
    """The image data sets."""
    return [
        DatasetSpec(
            name="mnist",
            target="deepobs_vision.mnist:MNIST",
            summary="Handwritten digits",
            train_size=60000,
            test_size=10000,
            example="image (1, 28, 28) in [0, 1], label 0..9",
            reference="LeCun, Cortes, Burges 1998",
        ),
        DatasetSpec(
            name="fmnist",
            target="deepobs_vision.mnist:FashionMNIST",
            summary="Fashion-MNIST: photographs of clothes",
            train_size=60000,
            test_size=10000,
            example="image (1, 28, 28) in [0, 1], label 0..9",
            reference="Xiao, Rasul, Vollgraf 2017, https://arxiv.org/abs/1708.07747",
        ),
        DatasetSpec(
            name="digits",
            target="deepobs_vision.digits:Digits",
            summary="Handwritten digits of 8x8 pixels that come with scikit-learn",
            train_size=1437,
            test_size=360,
            example="image (1, 8, 8) in [0, 1], label 0..9",
            reference="Alpaydin, Kaynak 1998, UCI machine learning repository",
            embedded=True,
        ),
    ]


@hookimpl
def deepobs_suites() -> list[SuiteSpec]:
    """Sets of problems that need no download."""
    return [
        SuiteSpec(
            name="digits",
            summary="Real images that come with the package: no download",
            problems=("digits_logreg", "digits_mlp", "digits_2c2d"),
        ),
    ]
