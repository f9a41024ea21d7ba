"""The data of the synthetic problems, against the original's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from deepobs import config
from deepobs.plugins import registry

if TYPE_CHECKING:
    from pathlib import Path


def test_the_quadratic_data_are_those_of_the_original(shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_quadratic_two_d.npz")
    dataset = registry().datasets.load("quadratic")(8, device="cpu")
    (first_batch,) = next(iter(dataset.test_loader))
    assert first_batch.dtype == torch.float32
    assert np.array_equal(first_batch.numpy(), recorded["quadratic_test8"])


def test_the_two_d_data_are_those_of_the_original(shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_quadratic_two_d.npz")
    dataset = registry().datasets.load("two_d")(8, device="cpu")
    x, y = dataset.train_loader.tensors
    assert np.array_equal(x[:8].numpy(), recorded["two_d_train_x8"])
    assert np.array_equal(y[:8].numpy(), recorded["two_d_train_y8"])


def test_the_quadratic_training_data_have_the_stated_distribution() -> None:
    (x,) = registry().datasets.load("quadratic")(100, device="cpu").train_loader.tensors
    assert x.shape == (1000, 100)
    assert abs(x.mean()) < 0.01
    assert abs(x.std() - 0.6) < 0.01


def test_the_two_d_test_data_are_zeros() -> None:
    dataset = registry().datasets.load("two_d")(100, device="cpu")
    assert dataset.split_sizes == {"train": 10000, "train_eval": 10000, "test": 10000}
    assert all(not part.any() for part in dataset.test_loader.tensors)


def test_generated_data_are_never_fake_and_always_there(tmp_path: Path) -> None:
    config.set_fake_data(True)
    for name in ("quadratic", "two_d"):
        dataset_class = registry().datasets.load(name)
        assert dataset_class(100, device="cpu").is_fake is False
        for ask in (dataset_class.status, dataset_class.prepare, dataset_class.verify):
            assert ask(tmp_path / "absent").state == "embedded"
    assert not (tmp_path / "absent").exists()


def test_a_default_device_of_torch_does_not_matter() -> None:
    def batches(name: str) -> list[float]:
        torch.manual_seed(1)
        dataset = registry().datasets.load(name)(100, device="cpu")
        return [float(loader[0].sum()) for loader in (*dataset.train_loader, *dataset.test_loader)]

    for name in ("quadratic", "two_d"):
        expected = batches(name)
        with torch.device("meta"):
            assert batches(name) == expected


def test_a_model_is_made_on_its_own_device_whatever_torch_has_for_a_default() -> None:
    with torch.device("meta"):
        problem = registry().problems.load("two_d_beale")(100, device="cpu")
        problem.set_up()
    assert [parameter.item() for parameter in problem.model.parameters()] == [-4.5, 4.5]


def test_making_the_data_leaves_the_global_generators_alone() -> None:
    np.random.seed(1)
    expected = np.random.RandomState(1).random_sample(3)
    for name in ("quadratic", "two_d"):
        registry().datasets.load(name).load(config.get_data_dir())
    assert np.array_equal(np.random.random_sample(3), expected)
