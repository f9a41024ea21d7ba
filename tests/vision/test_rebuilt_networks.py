"""The larger image problems against networks that were built a second time, in plain NumPy.

For most of these problems no outputs of the original lie beside the checkout, and those that do are
in single precision: where two networks agree in double precision, there is no room for a slip.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import tensorflow_layers as tf
import torch
from rebuilt_networks import NORMALIZATION, NUM_CLASSES, Evaluation, evaluate, model_of
from reference_rule import Reference, rule_statistics, rule_weights
from torch import nn

from deepobs.plugins import registry
from deepobs.pytorch.tf_weights import export_tf_weights, load_tf_weights
from deepobs_vision.layers import SamePadding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from rebuilt_networks import NumpyBatch, Variables

    from deepobs.problems import Problem

    Facts = dict[str, Any]
    Build = Callable[..., "Built"]
    Rebuild = Callable[[str, str], Evaluation]
    OnMeta = Callable[[str], Problem]

PROBLEMS = [
    "cifar10_3c3d",
    "cifar100_3c3d",
    "svhn_3c3d",
    "cifar100_allcnnc",
    "cifar100_wrn164",
    "svhn_wrn164",
    "imagenet_inception_v3",
]
NORMALIZED = [name for name in PROBLEMS if model_of(name) in NORMALIZATION]
PHASES = [(name, "eval") for name in PROBLEMS] + [(name, "train") for name in NORMALIZED]
"""In training, All-CNN-C drops units at random, and 3c3d does what it does in evaluation."""

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}
ILL_CONDITIONED = ("imagenet_inception_v3", "train", torch.float32)
"""Its auxiliary head normalizes two values a channel, which may differ by little but rounding."""

SLOW = ("imagenet_inception_v3", "eval", torch.float64)
"""Adds little to the training phase in double and the evaluation in single precision."""

CASES = [case for phase in PHASES for dtype in TOLERANCES if (case := (*phase, dtype)) != SLOW]

WEIGHT_DECAY = {"3c3d": 0.002, "allcnnc": 5e-4, "wrn164": 5e-4, "inception_v3": 5e-4}
KERNELS = {
    "cifar10_3c3d": ("normal", "uniform"),
    "cifar100_allcnnc": ("normal",),
    "svhn_wrn164": ("uniform", "uniform"),
    "imagenet_inception_v3": ("uniform", "uniform"),
    "cifar10_vgg16": ("normal", "uniform"),
}
"""How convolutional and dense kernels are distributed at the start."""

BOUNDS = {"normal": 2 / 0.87962566, "uniform": math.sqrt(3)}
"""The largest value of each of these distributions, in standard deviations."""


class Built(NamedTuple):
    """A problem without data, and the weights that its model started with."""

    problem: Problem
    start: dict[str, NDArray[np.floating]]


@pytest.fixture(scope="module")
def build() -> Build:
    """Gives a problem in a precision, the same one each time."""

    @cache
    def built(name: str, dtype: torch.dtype = torch.float32) -> Built:
        torch.manual_seed(0)
        problem = registry().problems.load(name)(1, device="cpu")
        # Shapes and classes are known to the class.
        problem.dataset = registry().datasets.load(problem.spec.dataset)
        problem.model = problem.build_model().to(dtype)
        return Built(problem, export_tf_weights(problem))

    return built


@pytest.fixture(scope="module")
def recorded(shared_dir: Path) -> Facts:
    """The names and shapes of the variables of the original, by problem."""
    facts: Facts = json.loads((shared_dir / "reference" / "variables.json").read_text())
    return facts


@pytest.fixture(scope="module")
def variables(recorded: Facts) -> Callable[[str], Variables]:
    """Gives the trainable variables and the moving statistics of a problem, by the rule."""

    @cache
    def made(name: str) -> Variables:
        trainable, statistics = (
            {variable: tuple(shape) for variable, shape in recorded[name][kind]}
            for kind in ("trainable", "non_trainable")
        )
        return rule_weights(trainable), rule_statistics(statistics)

    return made


@pytest.fixture(scope="module")
def rebuilt(variables: Callable[[str], Variables]) -> Rebuild:
    """Evaluates the rebuilt network of a problem in a phase, once."""

    @cache
    def evaluated(name: str, phase: str) -> Evaluation:
        return evaluate(name, variables(name), numpy_batch(name), is_training=phase == "train")

    return evaluated


def numpy_batch(name: str) -> NumpyBatch:
    """Images (B,H,W,C) and labels (B,), by the rule."""
    data = name.partition("_")[0]
    batch_size, side = (2, 224) if data == "imagenet" else (4, 32)
    images = np.random.RandomState(7).standard_normal((batch_size, side, side, 3))
    labels = np.random.RandomState(8).randint(0, NUM_CLASSES[data], batch_size)
    return images.astype(np.float32), labels


def torch_batch(name: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The same as our problems have it."""
    images, labels = numpy_batch(name)
    return as_torch(images).to(dtype), torch.from_numpy(labels)


def as_torch(images: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(tf.to_torch_layout(images)))


def prepare(problem: Problem, given: Variables, phase: str) -> None:
    trainable, statistics = given
    load_tf_weights(problem, {**trainable, **statistics})
    problem.model.train(phase == "train").zero_grad()


@pytest.mark.parametrize(
    ("name", "phase"), [("cifar10_3c3d", "eval"), ("cifar100_wrn404", "train")]
)
def test_rebuilt_networks_have_the_losses_of_the_original(
    name: str, phase: str, shared_dir: Path
) -> None:
    reference = Reference(shared_dir, name)
    facts = reference.facts
    shapes = {entry["name"]: tuple(entry["shape"]) for entry in facts["non_trainable"]}
    rule = reference.trainable_weights(), rule_statistics(shapes)
    evaluation = evaluate(name, rule, numpy_batch(name), is_training=phase == "train")
    np.testing.assert_allclose(evaluation.losses, facts[phase]["losses"], rtol=1e-6)
    for entry in facts.get("moving_after_one_train_forward") or []:
        norm = np.linalg.norm(evaluation.statistics[entry["name"]])
        assert norm == pytest.approx(entry["norm"], rel=1e-6)


@pytest.mark.parametrize(("name", "phase", "dtype"), CASES, ids=str)
def test_losses_and_moving_statistics_are_those_of_the_rebuilt_network(
    name: str,
    phase: str,
    dtype: torch.dtype,
    build: Build,
    variables: Callable[[str], Variables],
    rebuilt: Rebuild,
) -> None:
    problem, (trainable, statistics) = build(name, dtype).problem, variables(name)
    prepare(problem, (trainable, statistics), phase)
    images, labels = torch_batch(name, dtype)
    with torch.no_grad():
        losses, accuracy = problem.get_batch_loss_and_accuracy((images, labels))

    expected, tolerance = rebuilt(name, phase), TOLERANCES[dtype]
    is_rough = (name, phase, dtype) == ILL_CONDITIONED
    np.testing.assert_allclose(losses, expected.losses, rtol=1e-3 if is_rough else tolerance)
    assert accuracy == np.mean(expected.logits.argmax(axis=1) == labels.numpy())
    after = export_tf_weights(problem)
    for variable, old in statistics.items():
        new = expected.statistics.get(variable, old)
        scale = abs(new).max()
        np.testing.assert_allclose(after[variable], new, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("name", "phase"),
    [("cifar100_allcnnc", "eval"), ("svhn_wrn164", "train"), ("imagenet_inception_v3", "train")],
)
def test_gradients_are_slopes_of_the_rebuilt_network(
    name: str,
    phase: str,
    build: Build,
    variables: Callable[[str], Variables],
    rebuilt: Rebuild,
) -> None:
    problem, (trainable, statistics) = build(name, torch.float64).problem, variables(name)
    prepare(problem, (trainable, statistics), phase)
    problem.get_batch_loss_and_accuracy(torch_batch(name, torch.float64), "mean")[0].backward()
    gradients = export_tf_weights(problem, gradients=True)

    random = np.random.RandomState(0)
    direction = {key: w * random.standard_normal(w.shape) for key, w in trainable.items()}
    step = 1e-9  # so small that hardly any ReLU on the way changes sides
    moved = {key: weight + step * direction[key] for key, weight in trainable.items()}
    there = evaluate(name, (moved, statistics), numpy_batch(name), is_training=phase == "train")
    slope = (there.losses.mean() - rebuilt(name, phase).losses.mean()) / step
    assert sum((gradients[key] * direction[key]).sum() for key in direction) == pytest.approx(
        slope, rel=1e-4
    )


@pytest.mark.parametrize("name", KERNELS)
def test_weights_start_as_those_of_the_original(name: str, build: Build) -> None:
    constants = {"bias": 0.1 if "allcnnc" in name else 0.0, "gamma": 1.0, "beta": 0.0}
    constants |= {"moving_mean": 0.0, "moving_variance": 1.0}
    for variable, values in build(name).start.items():
        kind = variable.rpartition("/")[2].removesuffix(":0")
        if kind == "kernel":
            distribution = KERNELS[name][0 if values.ndim == 4 else 1]
            assert_glorot(values, BOUNDS[distribution])
        else:
            assert values.min() == values.max() == np.float32(constants[kind])


def assert_glorot(values: NDArray[np.floating], bound: float) -> None:
    """Compare a kernel in TensorFlow's layout with Glorot's rule.

    Args:
        values: The kernel.
        bound: The largest value of the distribution, in standard deviations.
    """
    *receptive_field, inputs, outputs = values.shape
    deviation = math.sqrt(2 / (math.prod(receptive_field) * (inputs + outputs)))
    error = 1 / math.sqrt(values.size)
    largest = max(values.max(), -values.min()) / deviation
    assert largest <= bound * (1 + 1e-6)
    assert largest == pytest.approx(bound, rel=0.05)
    assert values.std() / deviation == pytest.approx(1, rel=5 * error)
    assert values.mean() / deviation == pytest.approx(0, abs=5 * error)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_regulariser_is_half_the_weight_decay_times_the_squares(
    name: str, build: Build, recorded: Facts
) -> None:
    problem = build(name).problem
    weights = export_tf_weights(problem)
    squares = [np.square(weights[v], dtype=np.float64).sum() for v in recorded[name]["regularised"]]
    expected = 0.5 * WEIGHT_DECAY[model_of(name)] * sum(squares)
    for is_training in (True, False):
        problem.model.train(is_training)
        assert problem.get_regularization_loss().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "count"), [("svhn_wrn164", 13), ("cifar100_wrn404", 37), ("imagenet_inception_v3", 96)]
)
def test_normalisations_have_the_constants_of_the_original(
    name: str, count: int, on_meta: OnMeta
) -> None:
    layers = [m for m in on_meta(name).model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(layers) == count
    for layer in layers:
        assert (layer.eps, layer.momentum) == pytest.approx(NORMALIZATION[model_of(name)])


@pytest.mark.parametrize(
    ("name", "count", "padding"),
    [
        ("cifar100_allcnnc", 2, "same"),
        ("svhn_wrn164", 4, "same"),
        ("imagenet_inception_v3", 5, "valid"),
    ],
)
def test_strided_convolutions_pad_as_in_the_original(
    name: str, count: int, padding: str, build: Build
) -> None:
    modules = list(build(name, torch.float64).problem.model.modules())
    strided = [m for m in modules if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == count
    if padding == "same":  # by a layer before each that needs any
        paddings = sum(isinstance(module, SamePadding) for module in modules)
        assert paddings == sum(layer.kernel_size == (3, 3) for layer in strided)
    for layer in strided:
        pad = SamePadding(layer.kernel_size[0], 2) if padding == "same" else nn.Identity()
        images = np.random.RandomState(0).standard_normal((1, 8, 8, layer.in_channels))
        kernel = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        expected = tf.to_torch_layout(tf.conv2d(images, kernel, 2, padding))
        bias = 0 if layer.bias is None else layer.bias.detach()[:, None, None]
        with torch.no_grad():
            found = layer(pad(as_torch(images))) - bias
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("is_training", [True, False])
def test_no_logit_of_all_cnn_c_is_negative(is_training: bool, build: Build) -> None:
    model = build("cifar100_allcnnc").problem.model.train(is_training)
    with torch.no_grad():
        logits = model(torch.randn(8, 3, 32, 32))
    assert logits.shape == (8, 100)
    assert logits.min() >= 0
    assert logits.max() > 0
