"""Streaming images: crops, order, and independence of the number of worker processes."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from imagenet_files import WNIDS, imagenet, write_image
from torch.utils.data import DataLoader

from deepobs import config
from deepobs.errors import DataError
from deepobs_vision.streaming_images import draw_crops
from deepobs_vision.workers import in_workers

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.protocols import Batch


def _equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(one, other)
        for batch, another in zip(first, second, strict=True)
        for one, other in zip(batch, another, strict=True)
    )


def _seeded(seed: int = 1, **arguments: object) -> object:
    torch.manual_seed(seed)
    return imagenet(**arguments)


def test_batches_do_not_depend_on_the_number_of_workers(tree: Path) -> None:
    passes = []
    for num_workers in (0, 1, 2):
        dataset = _seeded(batch_size=3, num_workers=num_workers, drop_remainder=False)
        passes.append([*dataset.train_loader, *dataset.test_loader, *dataset.train_loader])
    assert _equal(passes[0], passes[1])
    assert _equal(passes[0], passes[2])


def test_portions_for_an_accelerator_make_the_same_batches(tree: Path) -> None:
    whole, portioned = _seeded(batch_size=8).train_loader, _seeded(batch_size=8).train_loader
    portioned._portion_size = 3  # chosen for an accelerator only, which need not be there
    config.set_num_workers(2)
    assert _equal(list(whole), list(portioned))


def test_the_same_seed_gives_the_same_batches_and_another_one_others(tree: Path) -> None:
    first, again, other = (list(_seeded(seed).train_loader) for seed in (1, 1, 2))
    assert _equal(first, again)
    assert not _equal(first, other)


def test_every_pass_has_a_new_order_and_new_crops(tree: Path) -> None:
    loader = _seeded(batch_size=1).train_loader
    first, second = list(loader), list(loader)
    assert [int(labels) for _, labels in first] != [int(labels) for _, labels in second]
    assert sorted(int(labels) for _, labels in first) == sorted(5 * [1, 2, 3, 4])
    assert not _equal(first, second)


def test_the_order_of_the_first_pass_can_be_repeated(tree: Path) -> None:
    loader = _seeded(batch_size=4, reshuffle=False).train_loader
    first, second = list(loader), list(loader)
    assert all(torch.equal(one[1], other[1]) for one, other in zip(first, second, strict=True))
    assert not _equal(first, second)


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_the_remainder_is_dropped_or_kept(tree: Path, drop_remainder: bool) -> None:
    dataset = _seeded(batch_size=3, drop_remainder=drop_remainder)
    sizes = [len(labels) for _, labels in dataset.test_loader]
    assert sizes == ([3, 3] if drop_remainder else [3, 3, 2])
    assert len(dataset.test_loader) == len(sizes)
    assert dataset.test_loader.num_examples == sum(sizes)
    assert [len(labels) for _, labels in dataset.train_loader] == [3] * 6


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loader_of_torch_yields_the_same_evaluated_images(tree: Path, num_workers: int) -> None:
    loader = _seeded(batch_size=3, num_workers=num_workers, drop_remainder=False).test_loader
    torchs = DataLoader(
        loader.dataset, 3, num_workers=loader.num_workers, collate_fn=loader.collate_fn
    )
    assert isinstance(loader, DataLoader)
    assert loader.num_workers == num_workers
    assert _equal(list(torchs), list(loader))


def test_examples_of_training_are_random_crops(tree: Path) -> None:
    data = _seeded(batch_size=4).train_loader.dataset
    (first, label), (second, same_label) = data[0], data[0]
    assert first.shape == (3, 224, 224)
    assert label == same_label
    assert not torch.equal(first, second)


def test_a_pass_within_a_pass_leaves_the_outer_one_as_it_was(tree: Path) -> None:
    undisturbed = list(_seeded(num_workers=2).train_loader)
    dataset = _seeded(num_workers=2)
    expected = list(dataset.test_loader)
    disturbed = []
    for batch in dataset.train_loader:
        disturbed.append(batch)
        if len(disturbed) in (1, 3):
            assert _equal(list(dataset.test_loader), expected)
    assert _equal(undisturbed, disturbed)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_pass_that_is_given_up_leaves_no_processes_and_does_not_change_the_next(
    tree: Path, num_workers: int
) -> None:
    complete = _seeded(num_workers=0)
    list(complete.train_loader)
    dataset = _seeded(num_workers=num_workers)
    for _ in dataset.train_loader:
        assert len(multiprocessing.active_children()) == num_workers
        break
    assert not multiprocessing.active_children()
    assert _equal(list(dataset.train_loader), list(complete.train_loader))


def test_an_error_leaves_no_processes(tree: Path) -> None:
    (tree / "val" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG").write_bytes(b"")
    try:
        list(imagenet(2, num_workers=2).test_loader)
    except ValueError:
        assert not multiprocessing.active_children()
    else:
        pytest.fail("the broken image went unnoticed")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_pass_touches_no_global_generator(tree: Path, num_workers: int) -> None:
    dataset = _seeded(num_workers=num_workers)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    list(dataset.train_loader)
    list(dataset.test_loader)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_are_as_they_are_where_torch_has_another_default_device(
    tree: Path, num_workers: int
) -> None:
    def load() -> list[Batch]:
        dataset = _seeded(num_workers=num_workers)
        return [*dataset.train_loader, *dataset.test_loader]

    expected = load()
    with torch.device("meta"):
        found = load()
    assert _equal(found, expected)


def test_a_worker_that_the_system_ends_is_one_clear_error() -> None:
    config.set_num_workers(1)
    with pytest.raises(DataError, match=r"killed a worker process .* usually for lack of"):
        list(in_workers(_end_this_process, [signal.SIGKILL], 1))


def _end_this_process(reason: signal.Signals) -> None:
    os.kill(os.getpid(), reason)


def test_no_more_workers_are_started_than_have_something_to_do(tree: Path) -> None:
    loader = imagenet(8, num_workers=3).test_loader
    for _ in loader:
        assert len(multiprocessing.active_children()) == 1


def test_batches_can_be_changed_in_place(tree: Path) -> None:
    loader = imagenet(4, num_workers=2).test_loader
    expected = [(images.clone(), labels.clone()) for images, labels in loader]
    for images, labels in loader:
        images.zero_()
        labels.zero_()
    assert _equal(list(loader), expected)


def test_all_places_of_a_crop_are_equally_likely_and_half_are_flipped() -> None:
    num_crops = 33 * 33 * 100
    crops = draw_crops(num_crops, torch.Generator().manual_seed(1)).long()
    counts = torch.bincount(33 * crops[:, 0] + crops[:, 1], minlength=33 * 33)
    assert len(counts) == 33 * 33
    # The sum of 1088 squared deviations: its mean is 1088, its standard deviation 47.
    statistic = float(((counts - 100.0) ** 2 / 100).sum())
    assert abs(statistic - 1088) < 5 * 47
    assert abs(crops[:, 2].float().mean() - 0.5) < 5 * 0.5 / num_crops**0.5
    assert set(crops[:, 2].tolist()) == {0, 1}
    flipped = crops[:, 2] == 1
    assert abs(crops[flipped, 1].float().mean() - 16) < 0.2


def _places(loader: object) -> list[tuple[int, int, bool]]:
    """Where each crop was taken from images whose pixels say where they are."""
    places = []
    for images, _ in loader:  # type: ignore[attr-defined]
        for rows, columns, zero in images.double():
            step = float(rows[-1, 0] - rows[0, 0]) / 223
            is_flipped = bool(columns[0, 0] > columns[0, -1])
            left = columns[0, -1] if is_flipped else columns[0, 0]
            offsets = (round(float(corner - zero[0, 0]) / step) for corner in (rows[0, 0], left))
            places.append((*offsets, is_flipped))
    return places


@pytest.fixture
def ramps(root: Path) -> None:
    """Images of 256x256 pixels, red the row and green the column, and one longer than high."""
    ramp = np.zeros((256, 256, 3), np.uint8)
    ramp[..., 0] = np.arange(256)[:, None]
    ramp[..., 1] = np.arange(256)
    for index in range(12):
        write_image(root / "train" / "n1" / f"{index}.png", ramp)
    write_image(root / "val" / "n1" / "0.png", ramp)


@pytest.mark.usefixtures("ramps")
def test_evaluation_takes_the_middle_and_flips_nothing() -> None:
    dataset = imagenet(1)
    assert _places(dataset.test_loader) == [(16, 16, False)]
    assert set(_places(dataset.train_eval_loader)) == {(16, 16, False)}


@pytest.mark.usefixtures("ramps")
def test_training_takes_the_crops_that_were_drawn() -> None:
    loader = _seeded(batch_size=1).train_loader
    places = [place for _ in range(20) for place in _places(loader)]
    rows, columns, flips = zip(*places, strict=True)
    assert min(rows) == min(columns) == 0
    assert max(rows) == max(columns) == 32
    assert 80 < sum(flips) < 160
    assert len(set(places)) > 200


def test_a_random_crop_is_taken_from_the_central_square(root: Path) -> None:
    wide = np.zeros((256, 499, 3), np.uint8)
    wide[:, :121] = wide[:, 121 + 256 :] = 255  # floor((499 - 256) / 2) columns at the left
    wide[:, 121 : 121 + 256, 0] = np.arange(256)
    for part in ("train", "val"):
        for index in range(8):
            write_image(root / part / "n1" / f"{index}.png", wide)
    for images, _ in imagenet(1).train_loader:
        red, green, _ = images[0]
        assert green.max() == green.min()
        assert len(red[0].unique()) == 224
