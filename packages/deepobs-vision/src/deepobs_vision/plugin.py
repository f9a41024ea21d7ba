"""What deepobs-vision offers: a row for every data set and every test problem."""

from __future__ import annotations

from deepobs.plugins import API_VERSION, DatasetSpec, ProblemSpec, SuiteSpec, hookimpl

DEEPOBS_API_VERSION = API_VERSION

_PAPER = "Schneider, Balles, Hennig: DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499"
_DIGITS = "The embedded counterpart of the DeepOBS problem on MNIST"

_MODELS = {
    "logreg": ("deepobs_vision.models.logreg:logreg", "Logistic regression"),
    "mlp": ("deepobs_vision.models.mlp:mlp", "Perceptron with four layers (1000, 500, 100, 10)"),
    "2c2d": ("deepobs_vision.models.conv:conv_2c2d", "Two convolutional and two dense layers"),
}
_DATA = {"mnist": "MNIST", "fmnist": "Fashion-MNIST", "digits": "8x8 digits, no download"}


def _classifier(
    data: str, model: str, *, batch_size: int, epochs: int, reference: str = _PAPER
) -> ProblemSpec:
    target, title = _MODELS[model]
    return ProblemSpec(
        name=f"{data}_{model}",
        target="deepobs_vision.classification:ImageClassification",
        summary=f"{title} on {_DATA[data]}",
        dataset=data,
        batch_size=batch_size,
        epochs=epochs,
        metric="accuracy",
        reference=reference,
        tags=frozenset({"vision", "classification"}),
        options={"model": target},
    )


def _autoencoder(data: str, *, batch_size: int, epochs: int) -> ProblemSpec:
    return ProblemSpec(
        name=f"{data}_vae",
        target="deepobs_vision.vae:VariationalAutoencoder",
        summary=f"Variational autoencoder on {_DATA[data]}",
        dataset=data,
        batch_size=batch_size,
        epochs=epochs,
        reference=_PAPER,
        tags=frozenset({"vision", "generative"}),
    )


@hookimpl
def deepobs_problems() -> list[ProblemSpec]:
    """The image problems."""
    return [
        _classifier("mnist", "logreg", batch_size=128, epochs=50),
        _classifier("mnist", "mlp", batch_size=128, epochs=100),
        _classifier("mnist", "2c2d", batch_size=128, epochs=100),
        _autoencoder("mnist", batch_size=64, epochs=50),
        _classifier("fmnist", "logreg", batch_size=128, epochs=50),
        _classifier("fmnist", "mlp", batch_size=128, epochs=100),
        _classifier("fmnist", "2c2d", batch_size=128, epochs=100),
        _autoencoder("fmnist", batch_size=64, epochs=100),
        _classifier("digits", "logreg", batch_size=64, epochs=20, reference=_DIGITS),
        _classifier("digits", "mlp", batch_size=64, epochs=20, reference=_DIGITS),
        _classifier("digits", "2c2d", batch_size=64, epochs=20, reference=_DIGITS),
    ]


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
