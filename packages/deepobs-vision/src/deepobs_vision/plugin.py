"""Data sets and test problems of deepobs-vision."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from deepobs.plugins import API_VERSION, DatasetSpec, ProblemSpec, SuiteSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPOBS_API_VERSION = API_VERSION

_PAPER = "Schneider, Balles, Hennig: DeepOBS, ICLR 2019, https://arxiv.org/abs/1903.05499"
_DIGITS = "The embedded counterpart of the DeepOBS problem on MNIST"
_RESNET = (
    "He et al., CVPR 2016, https://arxiv.org/abs/1512.03385, trained as in "
    "https://github.com/kuangliu/pytorch-cifar with Momentum and lr 0.1; not in the paper"
)
_VIT = (
    "Dosovitskiy et al., ICLR 2021, https://arxiv.org/abs/2010.11929; size, epochs and "
    "schedule of Lee et al. 2021, https://arxiv.org/abs/2112.13492, who train with AdamW, lr 0.001 "
    "and weight decay 0.05, and augment more; not in the paper"
)
_RESNET50 = (
    "He et al., CVPR 2016, https://arxiv.org/abs/1512.03385; warm-up, cosine and smoothed labels "
    "of He et al., CVPR 2019, https://arxiv.org/abs/1812.01187, who train with Nesterov and "
    "augment more, here lr 0.1; not in the paper"
)
_DEIT = (
    "Touvron et al., ICML 2021, https://arxiv.org/abs/2012.12877, who train with AdamW, "
    "lr 0.001 and weight decay 0.05, and augment more; not in the paper"
)
_DDPM = (
    "Ho, Jain, Abbeel, NeurIPS 2020, https://arxiv.org/abs/2006.11239, with a smaller U-Net, "
    "trained as there with Adam, lr 0.0002 and gradients clipped to a norm of 1; not in the paper"
)
_TINY = "A small form of the problem on CIFAR-10; not in the paper"

_CLASSIFICATION = "deepobs_vision.classification:ImageClassification"
_LOGISTIC_REGRESSION = "deepobs_vision.classification:LogisticRegression"
_INCEPTION = "deepobs_vision.inception:InceptionClassification"

_MODELS = {
    "logreg": ("deepobs_vision.dense:logreg", "Logistic regression"),
    "mlp": ("deepobs_vision.dense:mlp", "Perceptron with four layers (1000, 500, 100, 10)"),
    "2c2d": ("deepobs_vision.models:conv_2c2d", "Two convolutional and two dense layers"),
    "3c3d": ("deepobs_vision.models:conv_3c3d", "Three convolutional and three dense layers"),
    "allcnnc": ("deepobs_vision.models:all_cnn_c", "All-CNN-C, nine convolutional layers"),
    "vgg16": ("deepobs_vision.models:vgg16", "VGG 16"),
    "vgg19": ("deepobs_vision.models:vgg19", "VGG 19"),
    "wrn164": ("deepobs_vision.wide_resnet:wide_resnet_16_4", "Wide ResNet 16-4"),
    "wrn404": ("deepobs_vision.wide_resnet:wide_resnet_40_4", "Wide ResNet 40-4"),
    "inception_v3": ("deepobs_vision.inception:InceptionV3", "Inception v3"),
    "resnet18": ("deepobs_vision.resnet:small_resnet18", "ResNet-18 for small images"),
    "resnet50": ("deepobs_vision.resnet:resnet50", "ResNet-50"),
    "vit_s16": ("deepobs_vision.vision_transformer:vit_s16", "Vision transformer ViT-S/16"),
    "vit": ("deepobs_vision.vision_transformer:small_vit", "Vision transformer"),
    "digits_resnet": ("deepobs_vision.resnet:tiny_resnet", "Small residual network"),
    "digits_vit": ("deepobs_vision.vision_transformer:tiny_vit", "Small vision transformer"),
}
"""Networks by the last part of a name, or by a whole name."""

_DATA = {
    "mnist": "MNIST",
    "fmnist": "Fashion-MNIST",
    "digits": "8x8 digits, no download",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "svhn": "SVHN",
    "imagenet": "ImageNet",
}
_SMALL = {"digits_mlp", "digits_resnet", "digits_vit"}

_COSINE = {"name": "cosine"}


def _classifier(
    data: str,
    model: str,
    *,
    batch_size: int = 128,
    epochs: int = 100,
    weight_decay: float | None = None,
    regularizes_dense: bool = True,
    target: str = "",
    reference: str = _PAPER,
    tags: tuple[str, ...] = (),
    schedule: Mapping[str, object] | None = None,
    **options: object,
) -> ProblemSpec:
    name = f"{data}_{model}"
    model_target, title = _MODELS.get(name) or _MODELS[model]
    return ProblemSpec(
        name=name,
        target=target or (_LOGISTIC_REGRESSION if model == "logreg" else _CLASSIFICATION),
        summary=f"{title} on {_DATA[data]}",
        dataset=data,
        batch_size=batch_size,
        epochs=epochs,
        weight_decay=weight_decay,
        recommended_lr_scheduler=schedule,
        metric="accuracy",
        reference=reference,
        tags=frozenset({"vision", "classification", *tags}),
        # More would wait for each other longer than they work.
        threads=1 if model == "logreg" or name in _SMALL else None,
        # So are those of others, which take about as long however many batches there are at once.
        independent_examples=model == "logreg",
        options={"model": model_target, "regularizes_dense": regularizes_dense, **options},
    )


def _warmup_and_cosine(warmup: float, **arguments: float) -> dict[str, object]:
    return {"name": "cosine", "arguments": {"warmup": warmup, **arguments}}


_digits = partial(_classifier, "digits", batch_size=64, epochs=20, reference=_DIGITS)
_3c3d = partial(_classifier, model="3c3d", weight_decay=0.002)
_all_cnn_c = partial(_classifier, model="allcnnc", weight_decay=0.0005)
_vgg = partial(_classifier, weight_decay=0.0005, regularizes_dense=False)
_wide_resnet = partial(_classifier, weight_decay=0.0005)
_resnet18 = partial(
    _classifier,
    model="resnet18",
    epochs=200,
    weight_decay=0.0005,
    reference=_RESNET,
    tags=("residual",),
    schedule=_COSINE,
    preprocessing="crop_and_flip",
)
_vit = partial(
    _classifier,
    model="vit",
    reference=_VIT,
    tags=("transformer",),
    schedule=_warmup_and_cosine(0.1),
    preprocessing="crop_and_flip",
    label_smoothing=0.1,
)
_inception = partial(
    _classifier,
    model="inception_v3",
    weight_decay=0.0005,
    regularizes_dense=False,
    target=_INCEPTION,
)


@hookimpl
def deepobs_problems() -> list[ProblemSpec]:
    """The image problems."""
    autoencoders = (
        ProblemSpec(
            name=f"{data}_vae",
            target="deepobs_vision.vae:VariationalAutoencoder",
            summary=f"Variational autoencoder on {_DATA[data]}",
            dataset=data,
            batch_size=64,
            epochs=epochs,
            reference=_PAPER,
            tags=frozenset({"vision", "generative"}),
        )
        for data, epochs in (("mnist", 50), ("fmnist", 100))
    )
    diffusions = (
        ProblemSpec(
            name=f"{data}_ddpm",
            target="deepobs_vision.diffusion:DenoisingDiffusion",
            summary=f"Denoising diffusion with a small U-Net on {_DATA[data]}",
            dataset=data,
            batch_size=128,
            epochs=20,
            recommended_lr_scheduler={"name": "warmup", "arguments": {"warmup": 0.05}},
            reference=_DDPM,
            tags=frozenset({"vision", "generative", "diffusion"}),
            options={"noise_levels": 1000},
        )
        for data in ("mnist", "fmnist")
    )
    return [
        *autoencoders,
        *diffusions,
        _classifier("mnist", "logreg", epochs=50),
        _classifier("mnist", "mlp"),
        _classifier("mnist", "2c2d"),
        _classifier("fmnist", "logreg", epochs=50),
        _classifier("fmnist", "mlp"),
        _classifier("fmnist", "2c2d"),
        _digits("logreg"),
        _digits("mlp"),
        _digits("2c2d"),
        _digits("resnet", reference=_TINY, tags=("residual",), schedule=_warmup_and_cosine(0.05)),
        _digits(
            "vit",
            epochs=40,
            reference=_TINY,
            tags=("transformer",),
            schedule=_warmup_and_cosine(0.1),
            label_smoothing=0.1,
        ),
        _3c3d("cifar10"),
        _vgg("cifar10", "vgg16"),
        _vgg("cifar10", "vgg19"),
        _resnet18("cifar10"),
        _vit("cifar10"),
        _3c3d("cifar100"),
        _all_cnn_c("cifar100", batch_size=256, epochs=350),
        _vgg("cifar100", "vgg16"),
        _vgg("cifar100", "vgg19"),
        _wide_resnet("cifar100", "wrn164", epochs=200),
        _wide_resnet("cifar100", "wrn404", epochs=200),
        _resnet18("cifar100"),
        _vit("cifar100"),
        _3c3d("svhn"),
        _wide_resnet("svhn", "wrn164", epochs=160),
        _vgg("imagenet", "vgg16"),
        _vgg("imagenet", "vgg19"),
        _inception("imagenet", batch_size=32),
        _classifier(
            "imagenet",
            "resnet50",
            batch_size=256,
            epochs=120,
            weight_decay=0.0001,
            reference=_RESNET50,
            tags=("residual",),
            schedule=_warmup_and_cosine(0.042),
            label_smoothing=0.1,
        ),
        _classifier(
            "imagenet",
            "vit_s16",
            batch_size=1024,
            epochs=300,
            reference=_DEIT,
            tags=("transformer",),
            # 5 epochs of warm-up, and a decay to 0.00001.
            schedule=_warmup_and_cosine(0.017, end_factor=0.01),
            label_smoothing=0.1,
        ),
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
            name="cifar10",
            target="deepobs_vision.cifar:CIFAR10",
            summary="CIFAR-10: photographs in ten classes",
            train_size=50000,
            test_size=10000,
            example="image (3, 32, 32) standardized, label 0..9",
            reference="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        DatasetSpec(
            name="cifar100",
            target="deepobs_vision.cifar:CIFAR100",
            summary="CIFAR-100: photographs in a hundred classes",
            train_size=50000,
            test_size=10000,
            example="image (3, 32, 32) standardized, label 0..99",
            reference="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        DatasetSpec(
            name="svhn",
            target="deepobs_vision.svhn:SVHN",
            summary="SVHN: photographs of house numbers",
            train_size=73257,
            test_size=26032,
            example="image (3, 32, 32) standardized, label 0..9",
            reference="Netzer et al. 2011, http://ufldl.stanford.edu/housenumbers",
        ),
        DatasetSpec(
            name="imagenet",
            target="deepobs_vision.imagenet:ImageNet",
            summary="ImageNet: photographs in a thousand classes, put into folders by the user",
            train_size=1281167,
            test_size=50000,
            example="image (3, 224, 224) standardized, label 1..1000 (0 is background)",
            reference="Russakovsky et al. 2015, https://arxiv.org/abs/1409.0575",
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
    """Suites of problems that need no download."""
    return [
        SuiteSpec(
            name="digits",
            summary="Real images that come with the package: no download",
            problems=("digits_logreg", "digits_mlp", "digits_2c2d"),
        ),
    ]
