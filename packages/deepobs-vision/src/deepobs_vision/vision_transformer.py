"""Vision transformers for classification, as torchvision has them; arguments as in `models`.

Axes in the names of tensors: B batch, C channels, H height, W width, T tokens, D features, N heads,
K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs.problems.attention import suitable_kernels

if TYPE_CHECKING:
    from deepobs_vision.dense import Shape

_EPSILON = 1e-6
_SCALE = 0.02


class Size(NamedTuple):
    """The size of a vision transformer.

    Attributes:
        patch: Height and width of the patches, in pixels.
        blocks: Number of blocks.
        features: Features of a token.
        heads: Heads of attention.
        hidden: Hidden features of a perceptron.
    """

    patch: int
    blocks: int
    features: int
    heads: int
    hidden: int


def small_vit(image_shape: Shape, num_classes: int) -> VisionTransformer:
    """A transformer of 2.7 million parameters for images of 32x32 pixels.

    References:
        Lee, Lee, Song: Vision Transformer for Small-Size Datasets, 2021, arXiv:2112.13492, for its
        size.
    """
    size = Size(patch=4, blocks=9, features=192, heads=12, hidden=384)
    return VisionTransformer(image_shape, num_classes, size)


def tiny_vit(image_shape: Shape, num_classes: int) -> VisionTransformer:
    """A transformer of 0.1 million parameters for images of 8x8 pixels.

    Of patches of 2x2, it learns these few images by heart, and classifies others less well.
    """
    size = Size(patch=4, blocks=3, features=64, heads=4, hidden=128)
    return VisionTransformer(image_shape, num_classes, size)


def vit_s16(image_shape: Shape, num_classes: int) -> VisionTransformer:
    """ViT-S/16, of 22 million parameters.

    References:
        Touvron et al.: Training Data-Efficient Image Transformers, ICML 2021, arXiv:2012.12877.
    """
    size = Size(patch=16, blocks=12, features=384, heads=6, hidden=1536)
    return VisionTransformer(image_shape, num_classes, size)


class VisionTransformer(nn.Module):
    """Blocks of attention and perceptron on the patches of an image, normalized before each.

    The logits are computed from a further token, which starts alike for all images. There is no
    dropout: a step is deterministic. Weights start as in torchvision: the head at 0.

    Args:
        image_shape: Channels, height and width of an image; patches must fit into it.
        num_classes: Number of logits.
        size: The size of the network.

    References:
        Dosovitskiy et al.: An Image is Worth 16x16 Words, ICLR 2021, arXiv:2010.11929.
    """

    def __init__(self, image_shape: Shape, num_classes: int, size: Size) -> None:
        super().__init__()
        channels, height, width = image_shape
        num_patches = (height // size.patch) * (width // size.patch)
        # Not a convolution, which would compute the same: it is slower on a CPU.
        self.patches = Patches(size.patch)
        self.embedding = nn.Linear(channels * size.patch**2, size.features)
        self.class_token = nn.Parameter(torch.zeros(size.features))
        self.positions = nn.Embedding(num_patches + 1, size.features)
        self.blocks = nn.Sequential(*(Block(size) for _ in range(size.blocks)))
        self.norm = nn.LayerNorm(size.features, eps=_EPSILON)
        self.head = nn.Linear(size.features, num_classes)
        nn.init.trunc_normal_(self.embedding.weight, std=self.embedding.in_features**-0.5)
        nn.init.zeros_(self.embedding.bias)
        nn.init.normal_(self.positions.weight, std=_SCALE)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Compute the logits (B,K)."""
        patches_BTD = self.embedding(self.patches(images_BCHW))
        class_B1D = self.class_token.expand(len(images_BCHW), 1, -1)
        tokens_BTD = torch.cat([class_B1D, patches_BTD], dim=1) + self.positions.weight
        tokens_BTD = self.blocks(tokens_BTD)
        # Each token is normalized on its own, so that the others need not be.
        logits_BK: Tensor = self.head(self.norm(tokens_BTD[:, 0]))
        return logits_BK


class Patches(nn.Module):
    """Cuts images (B,C,H,W) into patches (B,T,C*size*size), row by row."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Cut images into patches, each in the order of a kernel of a convolution."""
        batch, channels, height, width = images_BCHW.shape
        rows, columns = height // self.size, width // self.size
        shape = (batch, channels, rows, self.size, columns, self.size)
        patches = images_BCHW.reshape(shape).permute(0, 2, 4, 1, 3, 5)
        return patches.reshape(batch, rows * columns, -1)


class Block(nn.Module):
    """Attention, then a perceptron on each token, each added to its input."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(size.features, eps=_EPSILON)
        self.attention = Attention(size.features, size.heads)
        self.perceptron_norm = nn.LayerNorm(size.features, eps=_EPSILON)
        widening = nn.Linear(size.features, size.hidden)
        to_residual = nn.Linear(size.hidden, size.features)
        self.perceptron = nn.Sequential(widening, nn.GELU(), to_residual)
        for layer in (widening, to_residual):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        """Transform tokens."""
        tokens_BTD = tokens_BTD + self.attention(self.attention_norm(tokens_BTD))
        transformed: Tensor = self.perceptron(self.perceptron_norm(tokens_BTD))
        return tokens_BTD + transformed


class Attention(nn.Module):
    """Scaled dot-product attention of all tokens to each other.

    It is `nn.MultiheadAttention`, but consists of dense layers, as tools know them.
    """

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(features, 3 * features)
        self.to_residual = nn.Linear(features, features)
        nn.init.xavier_uniform_(self.query_key_value.weight)
        nn.init.zeros_(self.query_key_value.bias)
        nn.init.zeros_(self.to_residual.bias)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        """Transform tokens."""
        shape = tokens_BTD.shape
        query_BNTD, key_BNTD, value_BNTD = (
            part.reshape(*shape[:2], self.heads, -1).transpose(1, 2)
            for part in self.query_key_value(tokens_BTD).chunk(3, dim=2)
        )
        with suitable_kernels(tokens_BTD):
            mixed_BNTD = F.scaled_dot_product_attention(query_BNTD, key_BNTD, value_BNTD)
        mixed: Tensor = self.to_residual(mixed_BNTD.transpose(1, 2).reshape(shape))
        return mixed
