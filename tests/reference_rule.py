"""The recorded outputs of the original, and the rule that its weights and inputs were made by.

Nothing here imports torch or a package of ours. All arrays have TensorFlow's layout.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


class Reference:
    """The recorded facts of one problem.

    Args:
        shared_dir: The folder that holds `reference/`.
        name: The name of the problem.

    Attributes:
        facts: What the .json file holds.
        arrays: What the .npz file holds.
    """

    def __init__(self, shared_dir: Path, name: str) -> None:
        folder = shared_dir / "reference"
        self.facts: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        with np.load(folder / f"{name}.npz") as archive:
            self.arrays = dict(archive)

    def trainable_weights(self) -> dict[str, Array]:
        """The weights by the rule, in the order in which the original creates them."""
        shapes = {entry["name"]: tuple(entry["shape"]) for entry in self.facts["trainable"]}
        return rule_weights(shapes)

    def weights(self) -> dict[str, Array]:
        """The weights by the rule, moving statistics included."""
        shapes = {entry["name"]: tuple(entry["shape"]) for entry in self.facts["non_trainable"]}
        return self.trainable_weights() | rule_statistics(shapes)

    def images(self) -> Array:
        """The images (B,H,W,C): uniform for MNIST and Fashion-MNIST, else normal."""
        random = np.random.RandomState(7)
        shape = self.facts["input_check"]["x_shape"]
        is_grey = shape[-1] == 1
        draw = random.random_sample(shape) if is_grey else random.standard_normal(shape)
        return draw.astype(np.float32)

    def labels(self, num_classes: int) -> NDArray[np.int64]:
        """The labels (B,)."""
        return np.random.RandomState(8).randint(0, num_classes, self.facts["batch_size"])


def rule_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """The weights of the recorded networks.

    Args:
        shapes: The names of the trainable variables, in the order of their creation, to shapes.
    """
    return {name: _rule(number, name, shape) for number, (name, shape) in enumerate(shapes.items())}


def _rule(number: int, name: str, shape: tuple[int, ...]) -> Array:
    draw = np.random.RandomState(1000 + number).standard_normal(shape).astype(np.float32)
    if name.endswith("gamma:0"):
        return 1 + np.float32(0.1) * draw
    if len(shape) == 1:
        return np.float32(0.1) * draw
    is_transposed = "conv2d_transpose" in name
    fan_in = shape[0] * shape[1] * shape[3] if is_transposed else math.prod(shape[:-1])
    return draw * np.float32(math.sqrt(2 / fan_in))


def rule_statistics(shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """The moving statistics of the recorded networks' normalizations.

    Args:
        shapes: The names of the non-trainable variables, in the order of their creation (a mean
            and a variance for each normalization), to shapes.
    """
    statistics = {}
    for number, (name, shape) in enumerate(shapes.items()):
        layer = number // 2
        if name.endswith("moving_mean:0"):
            value = 0.1 * np.random.RandomState(5000 + layer).standard_normal(shape)
        else:
            value = 1 + 0.5 * np.random.RandomState(7000 + layer).random_sample(shape)
        statistics[name] = value.astype(np.float32)
    return statistics


def assert_distributed_like(values: NDArray[np.floating], recorded: dict[str, Any]) -> None:
    """Compare freshly initialized values with the statistics of the original's.

    Both are random: means and standard deviations may differ by four of their standard errors, and
    extremes by what the thinnest tail here, that of a normal distribution cut at two standard
    deviations, leaves open.

    Args:
        values: All values of one variable.
        recorded: An entry of `init`.
    """
    rounding = 1e-8  # the record has nine digits
    error = 4 * recorded["std"] / math.sqrt(values.size) + rounding
    assert abs(values.mean(dtype=np.float64) - recorded["mean"]) <= math.sqrt(2) * error
    assert abs(values.std(dtype=np.float64) - recorded["std"]) <= error
    open_gap = 40 * (recorded["max"] - recorded["min"]) / 2 / values.size + rounding
    assert abs(values.min() - recorded["min"]) <= open_gap
    assert abs(values.max() - recorded["max"]) <= open_gap
