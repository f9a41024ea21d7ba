"""The digits of scikit-learn and their split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from deepobs import config
from deepobs.errors import CorruptDataError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.data import Splits


def test_the_images_are_those_of_scikit_learn_divided_by_sixteen() -> None:
    config.set_dtype(torch.float64)
    dataset = registry().datasets.load("digits")(360, device="cpu")
    images, labels = next(iter(dataset.test_loader))
    assert images.shape == (360, 1, 8, 8)
    bunch = load_digits()
    rows = np.sort(np.argsort(bunch.target, kind="stable")[::5])
    assert np.array_equal(images[:, 0].numpy(), bunch.images[rows] / 16)
    assert np.array_equal(labels.numpy(), bunch.target[rows])


def test_the_two_parts_make_up_the_whole_and_are_balanced() -> None:
    dataset = registry().datasets.load("digits")(64, device="cpu")
    assert dataset.split_sizes == {"train": 1437, "train_eval": 1437, "test": 360}
    train, test = (loader.tensors for loader in (dataset.train_loader, dataset.test_loader))
    both = torch.cat([train[0], test[0]]).flatten(1).tolist()
    assert sorted(both) == sorted(load_digits().images.reshape(-1, 64).astype(int).tolist())
    assert torch.bincount(test[1]).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]


def test_where_the_file_is_elsewhere_scikit_learn_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = registry().datasets.load("digits")
    of_file = digits.load(config.get_data_dir()).fingerprint
    monkeypatch.setattr("deepobs_vision.digits.find_spec", lambda _: None)
    assert digits.load(config.get_data_dir()).fingerprint == of_file


def test_the_split_depends_on_no_seed() -> None:
    def fingerprint(seed: int) -> str:
        torch.manual_seed(seed)
        np.random.seed(seed)
        return registry().datasets.load("digits")(64, device="cpu").fingerprint

    assert fingerprint(1) == fingerprint(2)


def test_the_batches_are_floats_from_zero_to_one() -> None:
    dataset = registry().datasets.load("digits")(64, device="cpu", validation_size=100)
    assert dataset.valid_loader is not None
    for loader in (dataset.train_loader, dataset.valid_loader, dataset.train_eval_loader):
        images, labels = next(iter(loader))
        assert (images.shape, images.dtype) == ((64, 1, 8, 8), torch.float32)
        assert (labels.shape, labels.dtype) == ((64,), torch.int64)
        assert images.min() == 0
        assert images.max() == 1


def test_bytes_become_correctly_rounded_quotients() -> None:
    def scaled(name: str, values: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = (
            registry()
            .datasets.load(name)(1, device="cpu")
            .transform((values, torch.zeros(len(values))))[0]
        )
        return images

    every_byte = np.arange(256, dtype=np.uint8)
    config.set_fake_data(0.01)
    images = scaled("mnist", torch.from_numpy(every_byte))
    assert images.dtype == torch.float32
    assert np.array_equal(images.numpy(), every_byte.astype(np.float32) / np.float32(255))
    config.set_dtype(torch.float64)
    assert scaled("digits", torch.tensor([0, 8, 16])).tolist() == [0.0, 0.5, 1.0]


def test_digits_are_embedded_and_checked(tmp_path: Path) -> None:
    digits = registry().datasets.load("digits")
    for ask in (digits.status, digits.prepare, digits.verify):
        assert ask(tmp_path / "absent").state == "embedded"
    assert not (tmp_path / "absent").exists()


def test_other_images_than_the_known_ones_are_noticed(tmp_path: Path) -> None:
    class Altered(registry().datasets.load("digits")):  # type: ignore[misc]
        @classmethod
        def load(cls, data_dir: Path) -> Splits:
            splits = super().load(data_dir)
            splits.train[0][0, 0, 0, 0] ^= 1
            return splits

    with pytest.raises(CorruptDataError, match="scikit-learn have the fingerprint"):
        Altered.verify(tmp_path)


@pytest.mark.parametrize("name", ["digits_logreg", "digits_mlp", "digits_2c2d", "digits_vit"])
def test_the_loss_function_gives_the_loss_of_outputs_and_targets(name: str) -> None:
    problem = registry().problems.load(name)(batch_size=8, device="cpu")
    problem.set_up()
    problem.model.eval()
    images, labels = batch = next(iter(problem.dataset.test_loader))
    loss = problem.loss_function(problem.model(images), labels)
    assert problem.loss_function.reduction == "mean"
    assert torch.equal(loss, problem.get_batch_loss(batch, "mean"))
