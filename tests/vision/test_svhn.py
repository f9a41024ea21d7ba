"""SVHN: MATLAB files, records, downloads."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from cifar_files import md5
from scipy.io import savemat

from deepobs.errors import CorruptDataError, MissingDataError
from deepobs.plugins import registry
from deepobs.protocols import DataSet

if TYPE_CHECKING:
    from pathlib import Path

_COUNTS = {"train_32x32.mat": 40, "test_32x32.mat": 16}
_BATCHES = [*(f"data_batch_{number}.bin" for number in range(5)), "test_batch.bin"]


def _arrays(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) and labels from 1 to 10."""
    random = np.random.RandomState(count)
    images = random.randint(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    return images, random.permutation(np.arange(count) % 10 + 1).astype(np.uint8)


def _mat(images: np.ndarray, labels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    variables = {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None]}
    savemat(stream, variables, do_compression=True)
    return stream.getvalue()


def _mats() -> dict[str, bytes]:
    return {name: _mat(*_arrays(count)) for name, count in _COUNTS.items()}


def _put(directory: Path, files: dict[str, bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)


def _records(images: np.ndarray, labels: np.ndarray) -> bytes:
    """As the original converts them: a byte of the label, and the image in H,W,C order."""
    rows = np.hstack([labels[:, None] % 10, images.reshape(len(images), -1)])
    return rows.astype(np.uint8).tobytes()


def _batches() -> dict[str, bytes]:
    images, labels = _arrays(40)
    parts = np.split(np.arange(40), 5)
    files = [_records(images[part], labels[part]) for part in parts]
    return dict(zip(_BATCHES, [*files, _records(*_arrays(16))], strict=True))


def _check() -> None:
    """Compare the data set with the arrays that its files were made of."""
    dataset = registry().datasets.load("svhn")(4, device="cpu")
    assert isinstance(dataset, DataSet)
    for loader, count in ((dataset.train_loader, 40), (dataset.test_loader, 16)):
        images, classes = loader.tensors
        expected_images, expected_labels = _arrays(count)
        assert (images.dtype, classes.dtype) == (torch.uint8, torch.int64)
        assert images.is_contiguous()
        assert np.array_equal(images.numpy().transpose(0, 2, 3, 1), expected_images)
        assert np.array_equal(classes.numpy(), expected_labels % 10)


@pytest.mark.parametrize("place", ["svhn", "SVHN", ""])
def test_matlab_files_are_read(data_dir: Path, place: str) -> None:
    _put(data_dir / place, _mats())
    _check()
    status = registry().datasets.load("svhn").status(data_dir)
    assert (status.state, status.path) == ("ready", data_dir / place)


def test_records_are_read(data_dir: Path) -> None:
    _put(data_dir / "svhn", _batches())
    _check()


def test_matlab_files_are_preferred_to_records(data_dir: Path) -> None:
    _put(data_dir / "svhn", _batches())
    _put(data_dir, _mats())
    assert registry().datasets.load("svhn").status(data_dir).path == data_dir


def test_labels_are_converted_as_by_the_original(data_dir: Path, shared_dir: Path) -> None:
    recorded = json.loads((shared_dir / "reference" / "data.json").read_text())["svhn"]
    images, _ = _arrays(8)
    test = _mat(images, np.array(recorded["labels_mat"], dtype=np.uint8))
    _put(data_dir / "svhn", _mats() | {"test_32x32.mat": test})
    dataset = registry().datasets.load("svhn")(4, device="cpu")
    assert dataset.test_loader.tensors[1].tolist() == recorded["labels_out"]


def test_house_numbers_are_never_flipped(data_dir: Path) -> None:
    _put(data_dir / "svhn", _mats())
    assert not registry().datasets.load("svhn")(4, device="cpu").flips


def test_a_conversion_that_ran_twice_is_refused(data_dir: Path) -> None:
    _put(data_dir / "svhn", _batches())
    path = data_dir / "svhn/test_batch.bin"
    with path.open("r+b") as stream:
        stream.truncate(2 * 26032 * 3073)  # takes neither disk nor memory
    with pytest.raises(
        CorruptDataError, match=r"test_batch\.bin is corrupt: it holds 52064 records, but 26032 "
    ):
        registry().datasets.load("svhn").load(data_dir)


@pytest.mark.parametrize("name", _COUNTS)
def test_a_broken_matlab_file_is_named_in_the_error(data_dir: Path, name: str) -> None:
    files = _mats()
    files[name] = files[name][:5000]
    _put(data_dir / "SVHN", files)
    pattern = rf"'svhn' cannot be used.*{re.escape(f'{data_dir}/SVHN/{name}')} is corrupt"
    with pytest.raises(CorruptDataError, match=pattern):
        registry().datasets.load("svhn")(4, device="cpu")


def test_a_label_that_does_not_exist_is_refused(data_dir: Path) -> None:
    images, labels = _arrays(40)
    labels[7] = 11
    _put(data_dir / "svhn", _mats() | {"train_32x32.mat": _mat(images, labels)})
    with pytest.raises(CorruptDataError, match=r"train_32x32\.mat .*label 7 is 11"):
        registry().datasets.load("svhn")(4, device="cpu")


def _publish(monkeypatch: pytest.MonkeyPatch, url: str) -> dict[str, bytes]:
    """Let torchvision know the checksums of small files."""
    import torchvision

    files = _mats()
    splits = {
        name.partition("_")[0]: [f"{url}{name}", name, md5(content)]
        for name, content in files.items()
    }
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", splits)
    return files


def test_missing_data_are_downloaded(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.files.update(_publish(monkeypatch, mirror.url))
    _check()
    assert mirror.requests == list(_COUNTS)
    svhn = registry().datasets.load("svhn")
    assert svhn.status(data_dir).path == data_dir / "svhn"
    detail = svhn.verify(data_dir).detail
    assert detail.startswith("40 training and 16 test examples (published were 73257 and 26032)")
    assert detail.endswith(", as published")


def test_a_download_with_another_checksum_is_refused(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.files.update(dict.fromkeys(_publish(monkeypatch, mirror.url), b"something else"))
    with pytest.raises(MissingDataError, match=r"train_32x32\.mat: its md5 checksum is"):
        registry().datasets.load("svhn").prepare(data_dir)


def test_verify_says_that_other_files_are_not_the_published_ones(data_dir: Path) -> None:
    _put(data_dir / "svhn", _mats())
    detail = registry().datasets.load("svhn").verify(data_dir).detail
    assert detail.endswith(", not as published: train_32x32.mat, test_32x32.mat")


def test_torchvision_names_an_address_and_a_checksum_for_every_file() -> None:
    svhn = registry().datasets.load("svhn")
    files = svhn.remote_files()
    assert tuple(file.name for file in files) == svhn.layouts[0].file_names
    assert all(file.urls and re.fullmatch("md5:[0-9a-f]{32}", file.checksum) for file in files)
