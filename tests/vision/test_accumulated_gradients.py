"""Micro-batches of images have the gradient of their batch."""

from __future__ import annotations

import pytest
from accumulated_gradients import assert_equal_gradients

from deepobs import config

OF_SMALL_NETWORKS = [
    *(
        "digits_logreg",
        "digits_mlp",
        "digits_2c2d",
        "digits_vit",
        "mnist_logreg",
        "mnist_mlp",
        "mnist_2c2d",
    ),
    *("mnist_vae", "fmnist_logreg", "fmnist_mlp", "fmnist_2c2d", "fmnist_vae"),
    *("svhn_3c3d", "cifar10_3c3d", "cifar100_3c3d", "cifar100_allcnnc"),
]
OF_LARGE_NETWORKS = [
    *("cifar10_vgg16", "cifar10_vgg19", "cifar100_vgg16", "cifar100_vgg19"),
    *("imagenet_vgg16", "imagenet_vgg19"),
]


@pytest.mark.parametrize("name", OF_SMALL_NETWORKS)
def test_micro_batches_have_the_gradient_of_the_batch(name: str) -> None:
    config.set_fake_data(0.01)
    # Parts of 2, so that 16 numbers are drawn as the noise of an autoencoder: fewer are drawn in
    # another way by torch, which makes other ones.
    assert_equal_gradients(name, 3, batch_size=6)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_LARGE_NETWORKS)
def test_micro_batches_of_large_networks_have_the_gradient_of_the_batch(name: str) -> None:
    config.set_fake_data(0.01)
    assert_equal_gradients(name, 2, batch_size=2)
