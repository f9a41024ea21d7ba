"""ImageNet: its folders, what is made of an image, and its synthetic twin."""

from __future__ import annotations

import errno
import io
import logging
import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from imagenet_files import WNIDS, imagenet, noise, write_image
from PIL import Image

from deepobs import config
from deepobs.errors import CorruptDataError, DataError, MissingDataError
from deepobs.plugins import registry
from deepobs.protocols import DataSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _images(loader: object) -> torch.Tensor:
    return torch.cat([images for images, _ in loader])  # type: ignore[attr-defined]


def _labels(loader: object) -> list[int]:
    return torch.cat([labels for _, labels in loader]).tolist()  # type: ignore[attr-defined]


def _standardized(crop: np.ndarray) -> np.ndarray:
    return (crop - crop.mean()) / max(crop.std(), crop.size**-0.5)


def test_images_agree_with_the_recorded_ones(root: Path, shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_imagenet.npz")
    for index, (height, width) in enumerate(recorded["sizes"]):
        for part in ("train", "val"):
            path = root / part / f"n{index}" / "image.JPEG"
            write_image(path, noise(60 + index, height, width))
    dataset = imagenet(3)
    for loader in (dataset.test_loader, dataset.train_eval_loader):
        images = _images(loader).permute(0, 2, 3, 1)[:, ::8, ::8].numpy()
        np.testing.assert_allclose(images, recorded["x_every8"], rtol=0, atol=2e-6)


def test_batches_are_standardised_images_and_labels_from_one(tree: Path) -> None:
    dataset = imagenet(8)
    assert isinstance(dataset, DataSet)
    assert dataset.image_shape == (3, 224, 224)
    assert dataset.num_classes == 1001
    assert dataset.split_sizes == {"train": 20, "train_eval": 20, "test": 8}
    images, labels = next(iter(dataset.test_loader))
    assert images.shape == (8, 3, 224, 224)
    assert images.dtype == torch.float32
    assert images.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert (images.std(dim=(1, 2, 3), correction=0) - 1).abs().max() < 1e-5
    assert labels.dtype == torch.int64
    assert labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_constant_image_becomes_zeros(tree: Path) -> None:
    write_image(tree / "val" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG", np.full((30, 30, 3), 255, np.uint8))
    assert _images(imagenet(1).test_loader)[0].abs().max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_images_have_the_chosen_type(tree: Path, dtype: torch.dtype) -> None:
    expected = _images(imagenet(8).test_loader)
    config.set_dtype(dtype)
    assert torch.equal(_images(imagenet(8).test_loader), expected.to(dtype))


def test_classes_and_files_are_sorted_and_other_files_ignored(tree: Path) -> None:
    expected = _images(imagenet(8).test_loader)
    fingerprint = imagenet(8).fingerprint
    (tree / "val" / ".DS_Store").touch()
    (tree / "val" / "synset_words.txt").touch()
    (tree / "train" / ".hidden").mkdir()
    (tree / "val" / WNIDS[0] / "._image.JPEG").touch()
    (tree / "val" / WNIDS[0] / "notes.txt").touch()
    dataset = imagenet(8)
    assert torch.equal(_images(dataset.test_loader), expected)
    assert dataset.fingerprint == fingerprint


@pytest.mark.parametrize("suffix", [".JPEG", ".jpg", ".Jpeg", ".png", ".PNG"])
def test_names_may_end_in_any_usual_way(tree: Path, suffix: str) -> None:
    write_image(tree / "val" / WNIDS[3] / f"zebra{suffix}", noise(1))
    assert imagenet().split_sizes["test"] == 9


def test_the_fingerprint_is_that_of_the_paths(tree: Path) -> None:
    before = imagenet().fingerprint
    path = tree / "train" / WNIDS[1] / f"{WNIDS[1]}_0.JPEG"
    write_image(path, noise(77))
    assert imagenet().fingerprint == before
    path.rename(path.with_name("another.JPEG"))
    assert imagenet().fingerprint != before


def _remove_train(root: Path) -> None:
    _remove(root / "train")


def _remove_val_classes(root: Path) -> None:
    for wnid in WNIDS:
        _remove(root / "val" / wnid)


def _remove_two_classes(root: Path) -> None:
    _remove(root / "val" / WNIDS[0])
    _remove(root / "val" / WNIDS[2])
    (root / "val" / "n99").mkdir()


def _empty_class(root: Path) -> None:
    for path in (root / "train" / WNIDS[2]).iterdir():
        path.rename(path.with_suffix(".txt"))


def _remove(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    directory.rmdir()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_remove_train, "there is no directory .*train"),
        (_remove_val_classes, "val holds no folders"),
        (_remove_two_classes, f"only .*train has {WNIDS[0]}, {WNIDS[2]}; only .*val has n99"),
        (_empty_class, rf"train/{WNIDS[2]} holds no image, a file ending in \.jpeg"),
    ],
)
def test_what_is_missing_is_named_together_with_what_to_do(
    tree: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(tree)
    dataset = registry().datasets.load("imagenet")
    for use in (lambda: imagenet(), lambda: dataset.verify(config.get_data_dir())):
        with pytest.raises(
            MissingDataError, match=f"'imagenet' is missing: .*{complaint}"
        ) as raised:
            use()
        assert "https://image-net.org" in str(raised.value)
        assert "--fake-data" in str(raised.value)


def test_few_of_many_differing_classes_are_named(tree: Path) -> None:
    for number in range(20):
        (tree / "train" / f"n2{number:02}").mkdir()
    with pytest.raises(MissingDataError, match=r"only .*train has n200, n201, n202 and 17 more"):
        imagenet()


def test_more_classes_than_there_are_get_refused(root: Path) -> None:
    for part in ("train", "val"):
        for number in range(1001):
            (root / part / f"n{number:04}").mkdir(parents=True)
    with pytest.raises(CorruptDataError, match=r"1001 folders, .* 1000 classes"):
        imagenet()


def test_a_folder_that_cannot_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)  # permissions would not keep root from reading
    with pytest.raises(DataError, match=rf"cannot be read from .*{WNIDS[0]}: Permission denied"):
        imagenet()


def test_fewer_classes_are_allowed_but_mentioned(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        imagenet()
    assert "(published were 1281167 and 50000): results on it are not comparable" in caplog.text
    dataset = registry().datasets.load("imagenet")
    data_dir = config.get_data_dir()
    assert "4 classes instead of 1000" in dataset.status(data_dir).detail
    assert "4 classes instead of 1000" in dataset.verify(data_dir).detail


def test_the_status_says_what_is_there_or_missing_and_opens_no_image(tree: Path) -> None:
    dataset = registry().datasets.load("imagenet")
    for path in tree.rglob("*.JPEG"):
        path.write_bytes(b"")
    status = dataset.status(config.get_data_dir())
    assert status.state == "ready"
    assert status.path == tree
    _remove_train(tree)
    status = dataset.status(config.get_data_dir())
    assert status.state == "missing"
    assert "train" in status.detail


@pytest.mark.parametrize("num_workers", [0, 2])
def test_verification_finds_every_broken_image(tree: Path, num_workers: int) -> None:
    config.set_num_workers(num_workers)
    dataset = registry().datasets.load("imagenet")
    data_dir = config.get_data_dir()
    assert "20 training and 8 test examples" in dataset.verify(data_dir).detail
    assert "published were 1281167 and 50000" in dataset.prepare(data_dir).detail
    broken = [tree / "train" / WNIDS[0] / f"{WNIDS[0]}_{index}.JPEG" for index in range(3)]
    broken.append(tree / "val" / WNIDS[3] / f"{WNIDS[3]}_1.JPEG")
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CorruptDataError, match="4 of its 28 images are broken") as raised:
        dataset.verify(data_dir)
    assert all(str(path) in str(raised.value) for path in broken[:3])
    assert "And 1 more." in str(raised.value)


def _truncated_jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(noise(1, 200, 200)).save(stream, "JPEG")
    return stream.getvalue()[:5000]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "neither a JPEG nor a PNG"),
        (b"GIF89a" + bytes(100), "neither a JPEG nor a PNG"),
        (_truncated_jpeg(), "truncated"),
        (None, "No such file"),
    ],
)
def test_an_image_that_cannot_be_read_ends_the_pass_with_its_name(
    tree: Path, content: bytes | None, complaint: str, num_workers: int
) -> None:
    path = tree / "val" / WNIDS[1] / f"{WNIDS[1]}_1.JPEG"
    dataset = imagenet(2, num_workers=num_workers)
    path.unlink() if content is None else path.write_bytes(content)
    batches = iter(dataset.test_loader)
    next(batches)
    with pytest.raises(CorruptDataError, match=f"{path.name}.*{complaint}") as raised:
        next(batches)
    assert str(path) in str(raised.value)
    assert "Traceback" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("limit", [1500, 900])  # Pillow warns at once the limit, raises at twice
def test_an_image_larger_than_is_safe_is_refused(
    tree: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(CorruptDataError, match=rf"_0\.JPEG .*{limit}|_0\.JPEG .*{2 * limit}"):
        next(iter(imagenet().test_loader))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_images_of_other_kinds_become_red_green_and_blue(tree: Path, mode: str) -> None:
    path = tree / "val" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    image = Image.fromarray(noise(5)).convert(mode)
    image.save(
        path, "JPEG" if mode == "CMYK" else "PNG", **({"quality": 100} if mode == "CMYK" else {})
    )
    found = _images(imagenet(1).test_loader)[0]
    with Image.open(path) as stored:
        write_image(path, np.asarray(stored.convert("RGB")))
    assert torch.equal(found, _images(imagenet(1).test_loader)[0])


def test_images_of_more_than_eight_bits_are_refused(tree: Path) -> None:
    path = tree / "val" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    Image.fromarray(np.full((30, 30), 40000, np.uint16)).save(path, "PNG")
    with pytest.raises(CorruptDataError, match="I;16"):
        next(iter(imagenet().test_loader))


def test_what_is_held_out_is_not_trained_or_evaluated_on(tree: Path) -> None:
    dataset = imagenet(1, validation_size=6)
    assert dataset.split_sizes == {"train": 14, "train_eval": 14, "valid": 6, "test": 8}
    rows = {
        name: set(getattr(dataset, f"{name}_loader").images.rows.tolist())
        for name in ("train", "valid", "train_eval")
    }
    assert rows["train"] | rows["valid"] == set(range(20))
    assert not rows["train"] & rows["valid"]
    assert rows["train_eval"] == rows["train"]


def test_the_training_loss_is_measured_on_a_fixed_part_without_augmentation(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry().datasets.load("imagenet"), "train_eval_size", 8)
    torch.manual_seed(1)
    first = imagenet(4).train_eval_loader
    torch.manual_seed(2)
    second = imagenet(4).train_eval_loader
    assert len(first) == 2
    assert _labels(first) == _labels(second)
    assert torch.equal(_images(first), _images(first))
    assert torch.equal(_images(first), _images(second))


def test_the_twin_has_the_real_sizes_and_labels_and_is_there_at_once() -> None:
    config.set_fake_data(True)
    start = time.process_time()
    dataset = imagenet(64)
    assert time.process_time() - start < 2
    assert dataset.is_fake is True
    assert dataset.split_sizes == {"train": 1281167, "train_eval": 50000, "test": 50000}
    counts = np.bincount(dataset.train_loader.images.store.labels)
    assert len(counts) == 1001
    assert counts[0] == 0
    assert counts[1:].max() - counts[1:].min() <= 1


def test_a_fraction_of_the_twin_is_not_too_small_for_a_batch() -> None:
    config.set_fake_data(0.0001)
    sizes = imagenet(128).split_sizes
    assert sizes == {"train": 512, "train_eval": 512, "test": 512}


def test_the_twin_is_always_the_same_and_its_splits_differ() -> None:
    def images(seed: int) -> list[np.ndarray]:
        torch.manual_seed(seed)
        np.random.seed(seed)
        splits = registry().datasets.load("imagenet").make_fake(0.0001)
        return [part.store[row].decode() for part in (splits.train, splits.test) for row in (0, 1)]

    first, second = images(1), images(2)
    assert all(map(np.array_equal, first, second))
    assert len({image.tobytes() for image in first}) == 4


def test_what_the_training_part_teaches_about_the_twin_holds_for_the_test_part() -> None:
    splits = registry().datasets.load("imagenet").make_fake(0.0001)

    def coarse(part: object, label: int) -> np.ndarray:
        row = int(np.flatnonzero(part.store.labels == label)[0])  # type: ignore[attr-defined]
        image = part.store[row].decode()[:, 4:].astype(float)  # type: ignore[attr-defined]
        return image[::7, ::7].ravel()

    labels = sorted(set(splits.train.store.labels) & set(splits.test.store.labels))[:20]
    assert len(labels) == 20
    known = np.stack([coarse(splits.train, label) for label in labels])
    for index, label in enumerate(labels):
        distances = np.square(known - coarse(splits.test, label)).sum(axis=1)
        assert distances.argmin() == index


def test_batches_of_the_twin_go_through_the_same_loader() -> None:
    config.set_fake_data(0.0001)
    images, labels = next(iter(imagenet(2).train_loader))
    assert images.shape == (2, 3, 224, 224)
    assert images.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert 1 <= labels.min() <= labels.max() <= 1000
