from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from deepobs import config
from deepobs.errors import ComponentLoadError
from deepobs.plugins import ProblemSpec
from deepobs.problems.tf_variables import tf_variables
from deepobs_vision import plugin
from deepobs_vision.classification import ImageClassification
from deepobs_vision.dense import logreg, mlp
from deepobs_vision.models import conv_2c2d

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.problems import Problem

    SetUp = Callable[..., Problem]
    OnMeta = Callable[[str], Problem]

PARAMETERS = {
    "mnist_logreg": (7850, 2),
    "mnist_mlp": (1336610, 8),
    "mnist_2c2d": (3274634, 8),
    "mnist_vae": (10151489, 22),
    "fmnist_logreg": (7850, 2),
    "fmnist_mlp": (1336610, 8),
    "fmnist_2c2d": (3274634, 8),
    "fmnist_vae": (10151489, 22),
    "cifar10_3c3d": (895210, 12),
    "cifar10_vgg16": (134301514, 32),
    "cifar10_vgg19": (139611210, 38),
    "cifar100_3c3d": (918340, 12),
    "cifar100_allcnnc": (1387108, 18),
    "cifar100_vgg16": (134670244, 32),
    "cifar100_vgg19": (139979940, 38),
    "cifar100_wrn164": (2772020, 44),
    "cifar100_wrn404": (8972340, 116),
    "svhn_3c3d": (895210, 12),
    "svhn_wrn164": (2748890, 44),
    "imagenet_vgg16": (138361641, 32),
    "imagenet_vgg19": (143671337, 38),
    "imagenet_inception_v3": (27164082, 292),
    "cifar10_resnet18": (11173962, 62),
    "cifar100_resnet18": (11220132, 62),
    "cifar10_vit": (2697610, 116),
    "cifar100_vit": (2714980, 116),
    "imagenet_resnet50": (25559081, 161),
    "imagenet_vit_s16": (22051049, 152),
    "mnist_ddpm": (686769, 168),
    "fmnist_ddpm": (686769, 168),
    "digits_resnet": (77754, 29),
    "digits_vit": (102666, 44),
    "digits_logreg": (64 * 10 + 10, 2),
    "digits_mlp": (65 * 1000 + 1001 * 500 + 501 * 100 + 101 * 10, 8),
    "digits_2c2d": (26 * 32 + (800 + 1) * 64 + 257 * 1024 + 1025 * 10, 8),
}
"""Numbers of parameters and of tensors."""

LARGE = [name for name in PARAMETERS if "vgg" in name or name.startswith("imagenet")]

ADDED = ("digits_", "_resnet18", "_resnet50", "_vit", "_vit_s16", "_ddpm")
FROM_TENSORFLOW = [name for name in PARAMETERS if not any(part in name for part in ADDED)]

CLASSIFICATION = [name for name in PARAMETERS if not name.endswith(("vae", "ddpm"))]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_number_of_parameters_is_right(name: str, on_meta: OnMeta) -> None:
    parameters = list(on_meta(name).model.parameters())
    assert (sum(p.numel() for p in parameters), len(parameters)) == PARAMETERS[name]


def test_no_problem_is_left_out() -> None:
    assert sorted(spec.name for spec in plugin.deepobs_problems()) == sorted(PARAMETERS)


@pytest.mark.parametrize("name", FROM_TENSORFLOW)
def test_the_variables_are_those_of_the_original(
    name: str, on_meta: OnMeta, shared_dir: Path
) -> None:
    recorded = json.loads((shared_dir / "reference" / "variables.json").read_text())[name]
    variables = tf_variables(on_meta(name).model)
    for kind, is_trainable in (("trainable", True), ("non_trainable", False)):
        found = [v for v in variables if v.is_trainable == is_trainable]
        assert [[v.name, list(v.shape)] for v in found] == recorded.get(kind, [])


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name not in LARGE])
def test_a_batch_trains_every_parameter(name: str, set_up: SetUp) -> None:
    problem = set_up(name, batch_size=16)
    for head in (layer for layer in problem.model.modules() if isinstance(layer, nn.Linear)):
        if name.endswith("vit") and not head.weight.any():  # else nothing but it has a gradient
            nn.init.normal_(head.weight)
    losses, accuracy = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.train_loader)))
    (losses.mean() + problem.get_regularization_loss()).backward()

    assert losses.shape == (16,)
    assert torch.isfinite(losses).all()
    if name in CLASSIFICATION:
        assert accuracy.shape == ()
        assert not accuracy.requires_grad
        assert 0 <= accuracy <= 1
    else:
        assert accuracy is None
    for parameter in problem.model.parameters():
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["mnist_2c2d", "fmnist_vae", "digits_mlp"])
def test_a_seed_fixes_the_start(name: str, set_up: SetUp) -> None:
    def start(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(set_up(name).model.parameters())

    first, again, other = start(1), start(1), start(2)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_logistic_regression_starts_undecided(set_up: SetUp) -> None:
    problem = set_up("mnist_logreg")
    losses, _ = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.test_loader)))
    assert losses.tolist() == pytest.approx([math.log(10)] * 4)


def test_accuracy_is_the_fraction_classified_correctly(set_up: SetUp) -> None:
    problem = set_up("mnist_logreg")
    with torch.no_grad():
        problem.model[1].bias[7] = 1  # every image is a seven
    batch = (torch.rand(4, 1, 28, 28), torch.tensor([7, 1, 7, 7]))
    _, accuracy = problem.get_batch_loss_and_accuracy(batch)
    assert accuracy == 0.75
    assert f"{accuracy:.2f}" == "0.75"


def test_models_follow_the_chosen_precision(set_up: SetUp) -> None:
    config.set_dtype(torch.float64)
    problem = set_up("digits_2c2d")
    losses, _ = problem.get_batch_loss_and_accuracy(next(iter(problem.dataset.test_loader)))
    assert losses.dtype == torch.float64


@pytest.mark.parametrize("model", [logreg, mlp, conv_2c2d])
@pytest.mark.parametrize("image_shape", [(3, 9, 13), (1, 1, 1), (2, 32, 30)])
def test_models_are_built_for_images_of_any_shape(
    model: Callable[[tuple[int, int, int], int], nn.Module], image_shape: tuple[int, int, int]
) -> None:
    assert model(image_shape, 7)(torch.rand(2, *image_shape)).shape == (2, 7)


def test_the_regulariser_covers_kernels_alone(set_up: SetUp) -> None:
    problem = set_up("mnist_2c2d", weight_decay=0.2)
    kernels = [v.tensors[0] for v in tf_variables(problem.model) if v.name.endswith("kernel:0")]
    others = [v.tensors[0] for v in tf_variables(problem.model) if v.name.endswith("bias:0")]
    expected = 0.5 * 0.2 * sum(kernel.double().square().sum().item() for kernel in kernels)

    regularizer = problem.get_regularization_loss()
    regularizer.backward()

    assert regularizer.item() == pytest.approx(expected, rel=1e-6)
    for kernel in kernels:
        assert torch.allclose(kernel.grad, 0.2 * kernel)
    assert all(bias.grad is None for bias in others)
    regularized, rest = problem.parameter_groups()
    assert [id(p) for p in regularized["params"]] == [id(p) for p in kernels]
    assert [id(p) for p in rest["params"]] == [id(p) for p in others]
    assert rest["weight_decay"] == 0


def test_no_weight_decay_means_no_regulariser(set_up: SetUp) -> None:
    assert set_up("mnist_mlp").get_regularization_loss() == 0


def spec_with(**options: Any) -> ProblemSpec:
    return ProblemSpec(
        name="digits_other",
        target="deepobs_vision.classification:ImageClassification",
        summary="A problem of somebody else's",
        dataset="digits",
        batch_size=4,
        epochs=1,
        options=options,
    )


def test_a_model_that_cannot_be_imported_is_named() -> None:
    problem = ImageClassification.bind(spec_with(model="deepobs_vision.models:none"))(4)
    with pytest.raises(
        ComponentLoadError, match=r"The model of digits_other .*'deepobs_vision\.mo"
    ):
        problem.set_up()
