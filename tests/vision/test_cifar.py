"""CIFAR-10 and CIFAR-100: every form of the files, the recorded batches, downloads."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from cifar_files import batch, dangerous_pickle, md5, tar_gz

from deepobs.errors import CorruptDataError, DataError, MissingDataError
from deepobs.plugins import registry
from deepobs.protocols import DataSet

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = {
    "cifar10": [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"],
    "cifar100": ["train", "test"],
}
_PICKLES = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
_ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
_TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
_BINARY = [
    ("cifar10", "cifar-10"),
    ("cifar10", "cifar-10-batches-bin"),
    ("cifar100", "cifar-100"),
    ("cifar100", "cifar-100-binary"),
]
_BOTH = pytest.mark.parametrize("name", ["cifar10", "cifar100"])


def _records(name: str, count: int = 12) -> dict[str, np.ndarray]:
    """Records of a small data set by the names of its pickles; no two files hold the same."""
    random = np.random.RandomState(2)
    label_counts = [10] if name == "cifar10" else [20, 100]
    return {
        file: np.hstack(
            [
                *(random.randint(0, most, (count, 1)) for most in label_counts),
                random.randint(0, 256, (count, 3072)),
            ]
        ).astype(np.uint8)
        for file in _NAMES[name]
    }


def _pickles(name: str, records: dict[str, np.ndarray]) -> dict[str, bytes]:
    is_cifar100 = name == "cifar100"
    return {file: batch(array, is_cifar100=is_cifar100) for file, array in records.items()}


def _put(directory: Path, files: dict[str, bytes], suffix: str = "") -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (directory / f"{file}{suffix}").write_bytes(content)


def _put_records(directory: Path, records: dict[str, np.ndarray]) -> None:
    _put(directory, {file: array.tobytes() for file, array in records.items()}, ".bin")


def _check(name: str, records: dict[str, np.ndarray]) -> None:
    """Compare a data set with the records that its files were made of."""
    dataset = registry().datasets.load(name)(4, device="cpu")
    assert isinstance(dataset, DataSet)
    labels = 1 if name == "cifar10" else 2
    *train, test = records.values()
    for loader, expected in (
        (dataset.train_loader, np.concatenate(train)),
        (dataset.test_loader, test),
    ):
        images, classes = loader.tensors
        assert (images.dtype, classes.dtype) == (torch.uint8, torch.int64)
        assert images.is_contiguous()
        assert np.array_equal(images, expected[:, labels:].reshape(-1, 3, 32, 32))
        assert np.array_equal(classes, expected[:, labels - 1])


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets torchvision know the checksums of other pickles, and returns their archive."""

    def change(name: str, pickles: dict[str, bytes], url: str = "http://127.0.0.1/") -> bytes:
        import torchvision

        source = getattr(torchvision.datasets, _TORCHVISION[name])
        packed = tar_gz(
            {f"{_PICKLES[name]}/{file}": content for file, content in pickles.items()}
            | {f"{_PICKLES[name]}/readme.html": b"not wanted"}
        )
        *train, test = [[file, md5(content)] for file, content in pickles.items()]
        monkeypatch.setattr(source, "train_list", train)
        monkeypatch.setattr(source, "test_list", [test])
        monkeypatch.setattr(source, "tgz_md5", md5(packed))
        monkeypatch.setattr(source, "url", f"{url}{_ARCHIVES[name]}")
        return packed

    return change


@pytest.mark.parametrize(("name", "place"), _BINARY)
def test_records_are_read(data_dir: Path, name: str, place: str) -> None:
    records = _records(name)
    _put_records(data_dir / place, records)
    _check(name, records)
    status = registry().datasets.load(name).status(data_dir)
    assert (status.state, status.path) == ("ready", data_dir / place)


@_BOTH
def test_pickles_are_read(data_dir: Path, name: str, publish: Any) -> None:
    records = _records(name)
    pickles = _pickles(name, records)
    publish(name, pickles)
    _put(data_dir / _PICKLES[name], pickles)
    _check(name, records)
    assert registry().datasets.load(name).verify(data_dir).detail.endswith(", as published")


@_BOTH
def test_an_archive_in_the_data_directory_is_unpacked(
    data_dir: Path, name: str, publish: Any
) -> None:
    records = _records(name)
    packed = publish(name, _pickles(name, records))
    _put(data_dir, {_ARCHIVES[name]: packed})
    dataset = registry().datasets.load(name)
    assert dataset.status(data_dir).detail == f"{_ARCHIVES[name]}, not verified"
    _check(name, records)
    assert (data_dir / _ARCHIVES[name]).read_bytes() == packed
    assert dataset.status(data_dir).path == data_dir / _PICKLES[name]
    _check(name, records)


@_BOTH
def test_pickles_are_preferred_to_records_and_records_to_the_archive(
    data_dir: Path, name: str, publish: Any
) -> None:
    records = _records(name)
    pickles = _pickles(name, records)
    place = next(place for other, place in _BINARY if other == name)
    _put(data_dir, {_ARCHIVES[name]: publish(name, pickles)})
    _put_records(data_dir / place, records)
    _put(data_dir / _PICKLES[name], pickles)
    dataset = registry().datasets.load(name)
    assert dataset.status(data_dir).path == data_dir / _PICKLES[name]
    (data_dir / _PICKLES[name] / _NAMES[name][0]).unlink()
    assert dataset.status(data_dir).path == data_dir / place
    (data_dir / place / f"{_NAMES[name][0]}.bin").unlink()
    assert dataset.status(data_dir).path == data_dir


def test_test_batches_are_those_of_the_original(data_dir: Path, shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_cifar10.npz")
    records = _records("cifar10")
    planes = recorded["raw"].transpose(0, 3, 1, 2).reshape(8, -1)
    records["test_batch"] = np.hstack([recorded["labels"][:, None], planes]).astype(np.uint8)
    _put_records(data_dir / "cifar-10", records)
    dataset = registry().datasets.load("cifar10")(8, device="cpu")
    images, labels = next(iter(dataset.test_loader))
    assert images.dtype == torch.float32
    assert np.abs(images.numpy().transpose(0, 2, 3, 1) - recorded["x"]).max() < 5e-6
    assert np.array_equal(labels.numpy(), recorded["y"].argmax(axis=1))


def test_images_of_cifar100_do_not_begin_with_their_label(data_dir: Path, shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_cifar100.npz")
    records = _records("cifar100") | {"test": recorded["records"]}
    _put_records(data_dir / "cifar-100", records)
    dataset = registry().datasets.load("cifar100")(8, device="cpu")
    images, labels = dataset.test_loader.tensors
    assert np.array_equal(images.numpy().transpose(0, 2, 3, 1), recorded["raw"])
    assert np.array_equal(labels.numpy(), recorded["fine"])


def test_training_is_augmented_and_evaluation_is_not(data_dir: Path) -> None:
    _put_records(data_dir / "cifar-10", _records("cifar10"))
    dataset = registry().datasets.load("cifar10")(12, device="cpu")
    assert dataset.flips
    evaluated, again = (next(iter(dataset.train_eval_loader))[0] for _ in range(2))
    assert torch.equal(evaluated, again)
    trained, again = (torch.cat([images for images, _ in dataset.train_loader]) for _ in range(2))
    assert not torch.equal(trained.sort(dim=0).values, again.sort(dim=0).values)


@_BOTH
def test_a_pickle_that_is_not_the_published_one_is_not_loaded(
    data_dir: Path, tmp_path: Path, name: str, publish: Any
) -> None:
    publish(name, _pickles(name, _records(name)))
    trap = tmp_path / "trap"
    dangerous = dangerous_pickle(trap)
    _put(data_dir / _PICKLES[name], dict.fromkeys(_NAMES[name], dangerous))
    with pytest.raises(CorruptDataError, match=r"is corrupt: its md5 .* was not loaded") as caught:
        registry().datasets.load(name)(4, device="cpu")
    assert f"Delete the corrupt file and run `deepobs data prepare {name}`" in str(caught.value)
    assert not trap.exists()
    pickle.loads(dangerous)  # noqa: S301 # shows that the test can fail
    assert trap.exists()


@_BOTH
def test_an_archive_that_is_not_the_published_one_is_not_unpacked(
    data_dir: Path, name: str, publish: Any
) -> None:
    publish(name, _pickles(name, _records(name)))
    _put(data_dir, {_ARCHIVES[name]: tar_gz({f"{_PICKLES[name]}/{_NAMES[name][0]}": b"0"})})
    with pytest.raises(CorruptDataError, match=rf"{_ARCHIVES[name]} is corrupt: its md5 checksum"):
        registry().datasets.load(name).load(data_dir)
    assert not list((data_dir / _PICKLES[name]).glob("[!.]*"))


@_BOTH
def test_a_truncated_record_is_named_in_the_error(data_dir: Path, name: str) -> None:
    records = _records(name)
    place = next(place for other, place in _BINARY if other == name)
    _put_records(data_dir / place, records)
    path = data_dir / place / f"{_NAMES[name][-1]}.bin"
    path.write_bytes(path.read_bytes()[:-3])
    for use in ("load", "verify", "prepare"):
        with pytest.raises(CorruptDataError) as caught:
            getattr(registry().datasets.load(name), use)(data_dir)
        assert f"'{name}' cannot be used" in str(caught.value)
        assert f"{path} is corrupt" in str(caught.value)


def test_files_that_were_written_twice_are_refused(data_dir: Path) -> None:
    _put_records(data_dir / "cifar-10", _records("cifar10"))
    path = data_dir / "cifar-10/data_batch_2.bin"
    full = np.zeros((50000, 3073), dtype=np.uint8).tobytes()
    path.write_bytes(full)
    with pytest.raises(CorruptDataError) as caught:
        registry().datasets.load("cifar10").load(data_dir)
    assert f"{data_dir}/cifar-10 are corrupt: they hold 50048 images, but 50000" in str(
        caught.value
    )
    assert "written twice (data_batch_1.bin holds 12, data_batch_2.bin holds 50000" in str(
        caught.value
    )


@_BOTH
def test_verify_counts_the_images(data_dir: Path, name: str) -> None:
    place = next(place for other, place in _BINARY if other == name)
    _put_records(data_dir / place, _records(name))
    count = 12 * (len(_NAMES[name]) - 1)
    detail = registry().datasets.load(name).verify(data_dir).detail
    assert detail.startswith(
        f"{count} training and 12 test examples (published were 50000 and 10000), fingerprint "
    )
    assert "as published" not in detail, "no checksum of records is known"


@_BOTH
def test_missing_data_are_downloaded_and_unpacked(
    data_dir: Path, mirror: Any, name: str, publish: Any
) -> None:
    records = _records(name)
    pickles = _pickles(name, records)
    mirror.files[_ARCHIVES[name]] = publish(name, pickles, mirror.url)
    _check(name, records)
    _check(name, records)
    assert mirror.requests == [_ARCHIVES[name]]
    place = data_dir / _PICKLES[name]
    assert sorted(path.name for path in place.glob("[!.]*")) == sorted(pickles)
    assert [path.name for path in data_dir.iterdir()] == [_PICKLES[name]]
    assert all((place / file).read_bytes() == content for file, content in pickles.items())
    assert registry().datasets.load(name).status(data_dir).path == place


@_BOTH
def test_a_download_with_another_checksum_is_refused(
    data_dir: Path, mirror: Any, name: str, publish: Any
) -> None:
    publish(name, _pickles(name, _records(name)), mirror.url)
    mirror.files[_ARCHIVES[name]] = b"something else"
    with pytest.raises(MissingDataError, match=rf"{_ARCHIVES[name]}: its md5 checksum is"):
        registry().datasets.load(name).prepare(data_dir)
    assert not list((data_dir / _PICKLES[name]).glob("[!.]*"))


def test_one_error_says_everything_about_missing_data(
    data_dir: Path, mirror: Any, publish: Any
) -> None:
    publish("cifar10", _pickles("cifar10", _records("cifar10")), mirror.url)
    with pytest.raises(MissingDataError) as caught:
        registry().datasets.load("cifar10")(4, device="cpu")
    message = str(caught.value)
    for part in (
        "The data set 'cifar10' is missing",
        f"none of the 6 files in {data_dir}/cifar-10-batches-py",
        f"none of the 6 files in {data_dir}/cifar-10 or {data_dir}/cifar-10-batches-bin",
        f"no cifar-10-python.tar.gz in {data_dir}",
        "HTTP status 404",
        "`deepobs data prepare cifar10`",
        "The files are data_batch_1, data_batch_2, ..., test_batch; or data_batch_1.bin, "
        "data_batch_2.bin, ..., test_batch.bin; or cifar-10-python.tar.gz.",
    ):
        assert part in message


def test_an_archive_that_cannot_be_unpacked_for_want_of_permission_is_a_clear_error(
    data_dir: Path, publish: Any
) -> None:
    packed = publish("cifar10", _pickles("cifar10", _records("cifar10")))
    _put(data_dir, {"cifar-10-python.tar.gz": packed})
    (data_dir / "cifar-10-batches-py").write_text("a file where a directory should be")
    with pytest.raises(DataError, match="cifar-10-batches-py cannot be written to"):
        registry().datasets.load("cifar10")(4, device="cpu")


@_BOTH
def test_torchvision_has_the_same_names_and_a_checksum_for_every_file(name: str) -> None:
    import torchvision

    dataset = registry().datasets.load(name)
    source = getattr(torchvision.datasets, _TORCHVISION[name])
    pickles, _, packed = dataset.layouts
    assert pickles.directories == (source.base_folder,)
    assert packed.file_names == (source.filename,)
    checksums = dataset.checksums()
    assert checksums.keys() == {*pickles.file_names, *packed.file_names}
    assert all(re.fullmatch("md5:[0-9a-f]{32}", checksum) for checksum in checksums.values())
    (file,) = dataset.remote_files()
    assert file.urls[0].startswith("https://")
    assert file.checksum == checksums[source.filename]
