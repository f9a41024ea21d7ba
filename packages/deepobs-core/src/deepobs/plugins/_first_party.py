"""Which of our packages brings which name, so that an error can say what to install.

Written by `tools/generate_facade.py`: do not edit.
"""

DISTRIBUTION_OF: dict[str, str] = {
    "cifar10": "deepobs-vision",
    "cifar100": "deepobs-vision",
    "cifar100_3c3d": "deepobs-vision",
    "cifar100_allcnnc": "deepobs-vision",
    "cifar100_vgg16": "deepobs-vision",
    "cifar100_vgg19": "deepobs-vision",
    "cifar100_wrn164": "deepobs-vision",
    "cifar100_wrn404": "deepobs-vision",
    "cifar10_3c3d": "deepobs-vision",
    "cifar10_vgg16": "deepobs-vision",
    "cifar10_vgg19": "deepobs-vision",
    "digits": "deepobs-vision",
    "digits_2c2d": "deepobs-vision",
    "digits_logreg": "deepobs-vision",
    "digits_mlp": "deepobs-vision",
    "fmnist": "deepobs-vision",
    "fmnist_2c2d": "deepobs-vision",
    "fmnist_logreg": "deepobs-vision",
    "fmnist_mlp": "deepobs-vision",
    "fmnist_vae": "deepobs-vision",
    "imagenet": "deepobs-vision",
    "imagenet_inception_v3": "deepobs-vision",
    "imagenet_vgg16": "deepobs-vision",
    "imagenet_vgg19": "deepobs-vision",
    "mnist": "deepobs-vision",
    "mnist_2c2d": "deepobs-vision",
    "mnist_logreg": "deepobs-vision",
    "mnist_mlp": "deepobs-vision",
    "mnist_vae": "deepobs-vision",
    "svhn": "deepobs-vision",
    "svhn_3c3d": "deepobs-vision",
    "svhn_wrn164": "deepobs-vision",
    "tolstoi": "deepobs-text",
    "tolstoi_char_rnn": "deepobs-text",
    "tolstoi_transformer": "deepobs-text",
}

DISTRIBUTION_OF_COMMAND: dict[str, str] = {
    "baselines": "deepobs-analysis",
    "bench": "deepobs-bench",
    "check": "deepobs-testing",
    "new-plugin": "deepobs-testing",
    "plot": "deepobs-analysis",
    "report": "deepobs-analysis",
    "score": "deepobs-analysis",
    "table": "deepobs-analysis",
    "tune": "deepobs-bench",
}
