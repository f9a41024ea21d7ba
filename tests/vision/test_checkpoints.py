"""Interrupted runs of image problems: augmentation, noise and streaming images continue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from imagenet_files import imagenet
from interruptions import assert_resumes_exactly

from deepobs import config
from deepobs.runs import specify, training

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs can be interrupted every two steps."""
    monkeypatch.setattr(training, "STEPS_BETWEEN_REPORTS", 2)


@pytest.mark.parametrize("step", [4, 13, 20])
@pytest.mark.parametrize("reshuffle", [True, False])
def test_a_run_on_digits_goes_on_to_the_bit(step: int, reshuffle: bool, tmp_path: Path) -> None:
    specification = specify(
        *("digits_mlp", "Adam", {"lr": 1e-3}),
        num_epochs=2,
        batch_size=100,  # 13 steps an epoch
        validation_size=100,
        reshuffle=reshuffle,
    )
    assert_resumes_exactly(specification, tmp_path, step)


@pytest.mark.parametrize("problem", ["cifar10_3c3d", "fmnist_vae"])
def test_augmentation_and_noise_go_on_to_the_bit(problem: str, tmp_path: Path) -> None:
    config.set_fake_data(0.001)  # 512 training images
    specification = specify(problem, "Momentum", {"lr": 1e-3}, num_epochs=2, batch_size=100)
    assert_resumes_exactly(specification, tmp_path, step=8)


@pytest.mark.parametrize("reshuffle", [True, False])
def test_streaming_images_continue_where_they_left_off_in_the_middle_of_a_pass(
    reshuffle: bool, tree: Path
) -> None:
    def seeded(seed: int) -> object:
        torch.manual_seed(seed)
        return imagenet(batch_size=3, reshuffle=reshuffle).train_loader

    loader, other = seeded(1), seeded(2)
    next(iter(loader))
    state = loader.state_dict()
    batches, following = list(loader), list(loader)
    other.load_state_dict(state)
    resumed = [*other.batches_from(4), *other]
    expected = [*batches[4:], *following]
    assert len(resumed) == len(expected)
    for batch, like in zip(resumed, expected, strict=True):
        assert all(map(torch.equal, batch, like))


def test_skipped_images_are_not_decoded(tree: Path) -> None:
    for path in (tree / "train").rglob("*.JPEG"):
        path.write_bytes(b"no image")
    loader = imagenet(batch_size=3).train_loader
    assert list(loader.batches_from(len(loader))) == []
