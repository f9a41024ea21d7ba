"""MNIST and Fashion-MNIST: layouts, small files, broken files, downloads."""

from __future__ import annotations

import gzip
import hashlib
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepobs import config
from deepobs.errors import CorruptDataError, MissingDataError
from deepobs.plugins import registry
from deepobs.protocols import DataSet

_DEBIAN = Path("/usr/share/datasets")
_LAYOUTS = [
    ("mnist", "MNIST/raw"),
    ("mnist", "mnist"),
    ("fmnist", "FashionMNIST/raw"),
    ("fmnist", "fmnist"),
    ("fmnist", "fashion-mnist"),
]


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _files(train: int = 40, test: int = 20) -> dict[str, np.ndarray]:
    """The four arrays of a small data set."""
    random = np.random.RandomState(1)
    return {
        "train-images-idx3-ubyte": random.randint(0, 256, (train, 28, 28)).astype(np.uint8),
        "train-labels-idx1-ubyte": (np.arange(train) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": random.randint(0, 256, (test, 28, 28)).astype(np.uint8),
        "t10k-labels-idx1-ubyte": (np.arange(test) % 10).astype(np.uint8),
    }


def _put(directory: Path, files: dict[str, np.ndarray], *, packed: bool = True) -> None:
    directory.mkdir(parents=True)
    for name, array in files.items():
        if packed:
            (directory / f"{name}.gz").write_bytes(gzip.compress(_idx(array), compresslevel=1))
        else:
            (directory / name).write_bytes(_idx(array))


@pytest.mark.parametrize(("name", "place"), _LAYOUTS)
@pytest.mark.parametrize("packed", [True, False])
def test_every_layout_is_read(data_dir: Path, name: str, place: str, packed: bool) -> None:
    files = _files()
    _put(data_dir / place, files, packed=packed)
    dataset = registry().datasets.load(name)(10, device="cpu")
    assert isinstance(dataset, DataSet)
    images, labels = dataset.test_loader.tensors
    assert (images.shape, images.dtype) == ((20, 1, 28, 28), torch.uint8)
    assert labels.dtype == torch.int64
    assert np.array_equal(images[:, 0].numpy(), files["t10k-images-idx3-ubyte"])
    assert np.array_equal(dataset.train_loader.tensors[1], files["train-labels-idx1-ubyte"])
    status = registry().datasets.load(name).status(data_dir)
    assert (status.state, status.path) == ("ready", data_dir / place)


def test_plain_and_compressed_files_may_be_mixed(data_dir: Path) -> None:
    _put(data_dir / "mnist", _files())
    packed = data_dir / "mnist/t10k-images-idx3-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert registry().datasets.load("mnist").verify(data_dir).state == "ready"


def test_mnist_is_not_taken_for_fashion_mnist(data_dir: Path) -> None:
    _put(data_dir / "mnist", _files())
    assert registry().datasets.load("fmnist").status(data_dir).state == "missing"


def test_batches_are_those_of_the_original(data_dir: Path, shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_mnist.npz")
    files = _files()
    files["t10k-images-idx3-ubyte"] = recorded["raw"]
    files["t10k-labels-idx1-ubyte"] = recorded["labels"]
    _put(data_dir / "mnist", files)
    dataset = registry().datasets.load("mnist")(8, device="cpu")
    images, labels = next(iter(dataset.test_loader))
    assert images.dtype == torch.float32
    assert np.array_equal(images.numpy().transpose(0, 2, 3, 1), recorded["x"])
    assert np.array_equal(labels.numpy(), recorded["y"].argmax(axis=1))


def test_images_have_the_chosen_type(data_dir: Path) -> None:
    _put(data_dir / "mnist", _files())
    config.set_dtype(torch.float64)
    dataset = registry().datasets.load("mnist")(8, device="cpu")
    images, _ = next(iter(dataset.train_loader))
    assert images.dtype == torch.float64
    assert 0 <= images.min() < images.max() <= 1


def test_small_files_are_taken_and_verify_says_so(data_dir: Path) -> None:
    _put(data_dir / "mnist", _files())
    detail = registry().datasets.load("mnist").verify(data_dir).detail
    assert "40 training and 20 test examples (published were 60000 and 10000)" in detail


@pytest.mark.parametrize("packed", [True, False])
def test_more_labels_than_images_are_refused(data_dir: Path, packed: bool) -> None:
    files = _files()
    files["t10k-labels-idx1-ubyte"] = np.zeros(21, dtype=np.uint8)
    _put(data_dir / "mnist", files, packed=packed)
    with pytest.raises(CorruptDataError, match=r"t10k-images\S+ holds 20 images, but \S+ holds 21"):
        registry().datasets.load("mnist")(10, device="cpu")


def test_a_label_that_does_not_exist_is_refused(data_dir: Path) -> None:
    files = _files()
    files["train-labels-idx1-ubyte"][7] = 10
    _put(data_dir / "mnist", files)
    with pytest.raises(
        CorruptDataError, match=r"train-labels\S+ is corrupt: .* label 10, .*0 to 9"
    ):
        registry().datasets.load("mnist")(10, device="cpu")


@pytest.mark.parametrize("name", sorted(_files()))
@pytest.mark.parametrize("packed", [True, False])
def test_a_truncated_file_is_named_in_the_error(data_dir: Path, name: str, packed: bool) -> None:
    _put(data_dir / "mnist", _files(), packed=packed)
    path = data_dir / "mnist" / (f"{name}.gz" if packed else name)
    path.write_bytes(path.read_bytes()[:-3])
    pattern = rf"'mnist' cannot be used.*{re.escape(str(path))} is corrupt: it is truncated"
    with pytest.raises(CorruptDataError, match=pattern):
        registry().datasets.load("mnist")(10, device="cpu")
    with pytest.raises(CorruptDataError, match="`deepobs data prepare mnist`"):
        registry().datasets.load("mnist").verify(data_dir)


def test_a_page_of_html_in_place_of_a_file_is_refused(data_dir: Path) -> None:
    _put(data_dir / "mnist", _files())
    path = data_dir / "mnist/train-images-idx3-ubyte.gz"
    path.write_text("<!DOCTYPE html>")
    with pytest.raises(CorruptDataError, match=rf"{re.escape(str(path))} .* begins with 3c 21"):
        registry().datasets.load("mnist")(10, device="cpu")


def _offer(
    monkeypatch: pytest.MonkeyPatch, torchvision_name: str, *mirrors: str
) -> dict[str, bytes]:
    """Let torchvision know other mirrors and the checksums of small files."""
    import torchvision

    archives = {f"{name}.gz": gzip.compress(_idx(array)) for name, array in _files().items()}
    source = getattr(torchvision.datasets, torchvision_name)
    monkeypatch.setattr(source, "mirrors", list(mirrors))
    checksums = [
        (name, hashlib.md5(content, usedforsecurity=False).hexdigest())
        for name, content in archives.items()
    ]
    monkeypatch.setattr(source, "resources", checksums)
    return archives


@pytest.mark.parametrize(
    ("name", "torchvision_name"), [("mnist", "MNIST"), ("fmnist", "FashionMNIST")]
)
def test_missing_data_are_downloaded_from_the_mirrors_of_torchvision(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch, name: str, torchvision_name: str
) -> None:
    archives = _offer(monkeypatch, torchvision_name, f"{mirror.url}empty/", mirror.url)
    mirror.files.update(archives)
    dataset = registry().datasets.load(name)(10, device="cpu")
    assert dataset.split_sizes == {"train": 40, "train_eval": 40, "test": 20}
    assert mirror.requests == [path for file in archives for path in (f"empty/{file}", file)]
    directory = data_dir / torchvision_name / "raw"
    assert registry().datasets.load(name).status(data_dir).path == directory
    assert all((directory / file).read_bytes() == archives[file] for file in archives)


def test_a_download_with_another_checksum_is_refused(
    data_dir: Path, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = _offer(monkeypatch, "MNIST", mirror.url)
    mirror.files.update(dict.fromkeys(archives, b"something else"))
    with pytest.raises(MissingDataError, match=r"train-images\S+: its md5 checksum is"):
        registry().datasets.load("mnist").prepare(data_dir)
    assert not list((data_dir / "MNIST/raw").glob("*ubyte*"))


def test_without_a_network_one_error_says_soon_what_to_do(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]
    _offer(monkeypatch, "MNIST", f"http://127.0.0.1:{closed_port}/")
    began = time.monotonic()
    with pytest.raises(MissingDataError) as caught:
        registry().datasets.load("mnist")(10, device="cpu")
    assert time.monotonic() - began < 5
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "The data set 'mnist' is missing",
        *_files(),
        f"none of the 4 files in {data_dir}/MNIST/raw or {data_dir}/mnist",
        "Connection refused",
        "`deepobs data prepare mnist`",
        "DEEPOBS_DATA_DIR",
        "`--fake-data` or DEEPOBS_FAKE_DATA=1",
    ):
        assert part in message


def test_torchvision_names_a_mirror_and_a_checksum_for_every_file() -> None:
    for name in ("mnist", "fmnist"):
        dataset = registry().datasets.load(name)
        files = dataset.remote_files()
        assert {file.name for file in files} == {
            f"{name}.gz" for name in dataset.layouts[0].file_names
        }
        assert all(file.urls and re.fullmatch("md5:[0-9a-f]{32}", file.checksum) for file in files)


@pytest.mark.skipif(
    not (_DEBIAN / "fashion-mnist").is_dir(),
    reason="the Debian package dataset-fashion-mnist is not installed",
)
def test_fashion_mnist_of_debian_is_whole() -> None:
    fmnist = registry().datasets.load("fmnist")
    config.set_data_dir(_DEBIAN)
    dataset = fmnist(128, device="cpu", validation_size=5000)
    assert dataset.split_sizes == {
        "train": 55000,
        "train_eval": 10000,
        "valid": 5000,
        "test": 10000,
    }
    content = "90fb00bb668ec4c4f3e864e1311d6ae4c924dd932cedfd473338d54a19e451a7"
    assert dataset.fingerprint == content
    assert torch.bincount(dataset.test_loader.tensors[1]).tolist() == [1000] * 10
    detail = fmnist.verify(_DEBIAN).detail
    assert detail == f"60000 training and 10000 test examples, fingerprint {content[:12]}"
