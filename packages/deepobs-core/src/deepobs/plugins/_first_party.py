"""Which of our packages offers which name, so that an error can say what to install.

Written by `tools/generate_facade.py`: do not edit.
"""

_COMPONENTS = {
    "deepobs-text": """
        tolstoi tolstoi_char_rnn tolstoi_transformer
    """,
    "deepobs-vision": """
        cifar10 cifar100 cifar100_3c3d cifar100_allcnnc cifar100_vgg16 cifar100_vgg19
        cifar100_wrn164 cifar100_wrn404 cifar10_3c3d cifar10_vgg16 cifar10_vgg19 digits
        digits_2c2d digits_logreg digits_mlp fmnist fmnist_2c2d fmnist_logreg fmnist_mlp
        fmnist_vae imagenet imagenet_inception_v3 imagenet_vgg16 imagenet_vgg19 mnist mnist_2c2d
        mnist_logreg mnist_mlp mnist_vae svhn svhn_3c3d svhn_wrn164
    """,
}

_COMMANDS = {
    "deepobs-analysis": """
        baselines plot report score table
    """,
    "deepobs-bench": """
        bench tune
    """,
    "deepobs-testing": """
        check new-plugin
    """,
}

DISTRIBUTION_OF = {name: owner for owner, names in _COMPONENTS.items() for name in names.split()}
DISTRIBUTION_OF_COMMAND = {
    name: owner for owner, names in _COMMANDS.items() for name in names.split()
}
