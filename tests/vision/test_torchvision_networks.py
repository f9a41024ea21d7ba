"""Networks that torchvision has, too: with its weights, they have its outputs and gradients."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from deepobs_vision.resnet import resnet50, small_resnet18, tiny_resnet
from deepobs_vision.vision_transformer import VisionTransformer, small_vit, tiny_vit, vit_s16

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from deepobs_vision.dense import Shape

    Build = Callable[[Shape, int], nn.Module]

SMALL = (3, 32, 32)
LARGE = (3, 64, 64)
TOLERANCES = {torch.float32: 3e-6, torch.float64: 1e-12}
"""Torchvision's kernels sum in another order where a product is computed otherwise."""


def resnet18_for_small_images(num_classes: int) -> nn.Module:
    """ResNet-18 of torchvision with another first convolution and without pooling."""
    model = models.resnet18(num_classes=num_classes)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def vit_of(image_size: int, *sizes: int) -> Callable[..., nn.Module]:
    """A vision transformer of torchvision: patch, blocks, heads, features, hidden features."""

    def build(num_classes: int) -> nn.Module:
        return models.VisionTransformer(image_size, *sizes, num_classes=num_classes)

    return build


NETWORKS = {
    "resnet18": (small_resnet18, resnet18_for_small_images, SMALL, 100),
    "resnet50": (resnet50, models.resnet50, LARGE, 1001),
    "vit": (small_vit, vit_of(32, 4, 9, 12, 192, 384), SMALL, 100),
    "vit_s16": (vit_s16, vit_of(64, 16, 12, 6, 384, 1536), LARGE, 1001),
}
"""Our network, torchvision's, the shape of an image, and the number of classes."""


def copy_weights(theirs: nn.Module, ours: nn.Module) -> None:
    sources = [*named_parameters(theirs), *theirs.named_buffers()]
    targets = [*named_parameters(ours), *ours.named_buffers()]
    for (their_name, source), (our_name, target) in zip(sources, targets, strict=True):
        assert source.numel() == target.numel(), (their_name, our_name)
        with torch.no_grad():
            target.copy_(source.reshape(target.shape))


def named_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """In the order of computation; what is added to the patches comes first."""
    named = list(model.named_parameters())
    first = ("class_token", "encoder.pos_embedding", "positions")
    return sorted(named, key=lambda pair: not pair[0].startswith(first))


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Relative to the norm of theirs."""
    return float(torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs))


def disturb(model: nn.Module) -> None:
    """Move what starts as zeros and ones, so that no two layers can be mixed up unnoticed."""
    with torch.no_grad():
        for tensor in itertools.chain(model.parameters(), model.buffers()):
            if tensor.is_floating_point() and tensor.std() < 1e-5:
                tensor.add_(torch.rand_like(tensor), alpha=0.2)


@pytest.fixture(params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
def test_outputs_and_gradients_are_those_of_torchvision(
    name: str, is_training: bool, dtype: torch.dtype
) -> None:
    build, build_theirs, shape, num_classes = NETWORKS[name]
    torch.manual_seed(0)
    theirs, ours = build_theirs(num_classes=num_classes), build(shape, num_classes)
    disturb(theirs)
    copy_weights(theirs, ours)
    images, labels = torch.randn(2, *shape, dtype=dtype), torch.tensor([3, 9])
    outputs, gradients, buffers = [], [], []
    for model in (ours, theirs):
        logits = model.to(dtype).train(is_training)(images)
        F.cross_entropy(logits, labels).backward()
        outputs.append(logits.detach())
        gradients.append(torch.cat([p.grad.flatten() for _, p in named_parameters(model)]))
        buffers.append([one.double().flatten() for one in model.buffers()])
    assert distance(*outputs) < TOLERANCES[dtype]
    assert distance(*gradients) < TOLERANCES[dtype]
    if buffers[0]:
        assert distance(*(torch.cat(parts) for parts in buffers)) < TOLERANCES[dtype]


def test_weights_start_as_those_of_torchvision(name: str) -> None:
    build, build_theirs, shape, num_classes = NETWORKS[name]
    torch.manual_seed(0)
    theirs, ours = build_theirs(num_classes=num_classes), build(shape, num_classes)
    pairs = zip(named_parameters(theirs), named_parameters(ours), strict=True)
    for (their_name, their), (our_name, our) in pairs:
        if their_name.startswith("conv1."):  # replaced above
            continue
        scale = their.std(correction=0).item()
        error = 5 * scale / math.sqrt(their.numel())
        assert our.mean().item() == pytest.approx(their.mean().item(), abs=2 * error + 1e-12)
        assert our.std(correction=0).item() == pytest.approx(scale, abs=error), our_name
        assert our.abs().max().item() == pytest.approx(their.abs().max().item(), rel=0.6)


def test_the_digits_have_a_residual_network_of_seven_convolutions() -> None:
    kernels = [m for m in tiny_resnet((1, 8, 8), 10).modules() if isinstance(m, nn.Conv2d)]
    assert [(k.out_channels, k.kernel_size[0], k.stride[0]) for k in kernels] == [
        (16, 3, 1),
        (16, 3, 1),
        (16, 3, 1),
        (32, 3, 2),
        (32, 3, 1),
        (32, 1, 2),
        (64, 3, 2),
        (64, 3, 1),
        (64, 1, 2),
    ]


def test_the_digits_have_a_transformer_of_four_patches() -> None:
    model = tiny_vit((1, 8, 8), 10)
    assert isinstance(model, VisionTransformer)
    assert model.positions.weight.shape == (5, 64)
    patches = model.patches(torch.arange(64.0).view(1, 1, 8, 8))
    first = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]
    assert patches[0, 0].tolist() == first
    assert patches[0, 1].tolist() == [pixel + 4 for pixel in first]


def test_the_head_of_a_transformer_starts_undecided_and_is_trained_first() -> None:
    model = tiny_vit((1, 8, 8), 10)
    logits = model(torch.rand(3, 1, 8, 8))
    assert not logits.any()
    F.cross_entropy(logits, torch.tensor([1, 2, 3])).backward()
    assert model.head.weight.grad.any()
