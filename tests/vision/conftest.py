"""Fixtures for the tests of deepobs-vision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.problems import Problem


@pytest.fixture
def root() -> Path:
    """Where the folders of ImageNet belong; there are none."""
    from deepobs import config

    return config.get_data_dir() / "imagenet"


@pytest.fixture
def tree(root: Path) -> Path:
    """The same with five training and two test images in each of four classes."""
    from imagenet_files import write_tree

    write_tree(root)
    return root


@pytest.fixture
def on_meta() -> Callable[[str], Problem]:
    """Gives a problem, by its name, with a model of tensors without memory; there are no data."""
    import torch

    from deepobs.plugins import registry

    def build(name: str) -> Problem:
        problem = registry().problems.load(name)(1, device="cpu")
        # Shapes and classes are known to the class.
        problem.dataset = registry().datasets.load(problem.spec.dataset)
        with torch.device("meta"):
            problem.model = problem.build_model()
        return problem

    return build
