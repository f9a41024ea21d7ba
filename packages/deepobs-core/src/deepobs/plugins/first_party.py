"""Which of our packages brings which name, so that an error can say what to install.

Written by `tools/generate_facade.py`: do not edit.
"""

DISTRIBUTION_OF: dict[str, str] = {
    "digits": "deepobs-vision",
    "digits_2c2d": "deepobs-vision",
    "digits_logreg": "deepobs-vision",
    "digits_mlp": "deepobs-vision",
    "fmnist": "deepobs-vision",
    "fmnist_2c2d": "deepobs-vision",
    "fmnist_logreg": "deepobs-vision",
    "fmnist_mlp": "deepobs-vision",
    "fmnist_vae": "deepobs-vision",
    "mnist": "deepobs-vision",
    "mnist_2c2d": "deepobs-vision",
    "mnist_logreg": "deepobs-vision",
    "mnist_mlp": "deepobs-vision",
    "mnist_vae": "deepobs-vision",
}
