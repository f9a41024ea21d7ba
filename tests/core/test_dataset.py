"""Splits of data sets that live in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest
import torch

from deepobs import config
from deepobs.data import BaseDataSet, DataStatus, Splits, TensorDataSet
from deepobs.errors import ArgumentError
from deepobs.plugins import DatasetSpec
from deepobs.protocols import DataSet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deepobs.protocols import Batch


class Numbers(TensorDataSet):
    """Training examples 0..99 and test examples 1000..1029, each with a half of it as a float."""

    train_eval_size: ClassVar[int] = 30

    @classmethod
    def load(cls, data_dir: Path) -> Splits:
        del data_dir
        train, test = torch.arange(100), torch.arange(1000, 1030)
        return Splits(train=(train, train / 2), test=(test, test / 2))

    @classmethod
    def make_fake(cls, fraction: float) -> Splits:
        numbers = torch.arange(-round(100 * fraction), 0)
        return Splits(train=(numbers, numbers / 2), test=(numbers[:30], numbers[:30] / 2))

    @classmethod
    def status(cls, data_dir: Path) -> DataStatus:
        del data_dir
        return DataStatus("embedded", "counted")

    prepare = verify = status


numbers = Numbers.bind(
    DatasetSpec(
        name="numbers", target="tests:Numbers", summary="Numbers", train_size=100, test_size=30
    )
)


def _held(loader: object) -> list[int]:
    return loader.tensors[0].tolist()  # type: ignore[attr-defined]


def _pass(loader: object) -> list[int]:
    return torch.cat([batch[0] for batch in loader]).tolist()  # type: ignore[attr-defined]


def test_it_fulfils_the_protocol() -> None:
    dataset = numbers(10, device="cpu")
    assert isinstance(dataset, DataSet)
    assert dataset.name == "numbers"
    assert numbers.__doc__ is not None
    assert numbers.__doc__.startswith("Numbers")


def test_by_default_nothing_is_held_out_and_everything_is_trained_on() -> None:
    dataset = numbers(10, device="cpu")
    assert dataset.valid_loader is None
    assert dataset.split_sizes == {"train": 100, "train_eval": 30, "test": 30}
    assert sorted(_pass(dataset.train_loader)) == list(range(100))
    assert _pass(dataset.test_loader) == list(range(1000, 1030))


def test_the_held_out_part_is_disjoint_from_what_is_trained_and_evaluated_on() -> None:
    dataset = numbers(10, device="cpu", validation_size=40)
    assert dataset.valid_loader is not None
    valid = set(_held(dataset.valid_loader))
    train = set(_held(dataset.train_loader))
    assert len(valid) == 40
    assert valid | train == set(range(100))
    assert not valid & train
    assert set(_held(dataset.train_eval_loader)) < train
    assert dataset.split_sizes == {"train": 60, "train_eval": 30, "valid": 40, "test": 30}


def test_splits_do_not_depend_on_the_seed() -> None:
    def splits(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        dataset = numbers(10, device="cpu", validation_size=40)
        return [_held(dataset.valid_loader), _held(dataset.train_eval_loader)]

    assert splits(1) == splits(2)


def test_what_is_held_out_stays_the_same_between_versions() -> None:
    dataset = numbers(2, device="cpu", validation_size=8)
    assert _held(dataset.valid_loader) == [22, 39, 44, 45, 53, 70, 80, 83]


def test_a_larger_validation_size_holds_out_the_same_examples_and_more() -> None:
    small, large = (numbers(10, device="cpu", validation_size=size) for size in (20, 40))
    assert set(_held(small.valid_loader)) < set(_held(large.valid_loader))


def test_the_evaluated_part_of_the_training_set_comes_in_the_same_order_every_time() -> None:
    loader = numbers(10, device="cpu").train_eval_loader
    assert _pass(loader) == _pass(loader) == _held(loader)


def test_the_evaluated_part_is_all_of_a_training_set_that_is_smaller() -> None:
    dataset = numbers(10, device="cpu", validation_size=80)
    assert _held(dataset.train_eval_loader) == _held(dataset.train_loader)


def test_the_same_seed_gives_the_same_orders_and_another_one_others() -> None:
    def orders(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        loader = numbers(10, device="cpu").train_loader
        return [_pass(loader), _pass(loader)]

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)


def test_evaluation_drops_the_remainder_or_keeps_it() -> None:
    kept = numbers(8, device="cpu", validation_size=10, drop_remainder=False)
    dropped = numbers(8, device="cpu", validation_size=10)
    loaders = ("train_loader", "train_eval_loader", "valid_loader", "test_loader")
    assert [len(_pass(getattr(dropped, name))) for name in loaders] == [88, 24, 8, 24]
    assert [len(_pass(getattr(kept, name))) for name in loaders] == [88, 30, 10, 30]


def test_two_data_sets_share_no_batches() -> None:
    first, second = numbers(10, device="cpu"), numbers(10, device="cpu")
    for batch in first.test_loader:
        batch[0].zero_()
    assert _pass(second.test_loader) == list(range(1000, 1030))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_have_the_chosen_type_and_integers_keep_theirs(dtype: torch.dtype) -> None:
    config.set_dtype(dtype)
    dataset = numbers(10, device="cpu")
    for loader in (dataset.train_loader, dataset.test_loader):
        integers, floats = next(iter(loader))
        assert integers.dtype == torch.int64
        assert floats.dtype == dtype


def test_synthetic_examples_stand_in_on_request() -> None:
    assert numbers(10, device="cpu").is_fake is False
    config.set_fake_data(True)
    assert numbers(10, device="cpu").is_fake is True
    config.set_fake_data(0.5)
    fake = numbers(10, device="cpu")
    assert fake.split_sizes == {"train": 50, "train_eval": 30, "test": 30}
    assert max(_pass(fake.train_loader)) < 0


def test_the_environment_can_ask_for_synthetic_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPOBS_FAKE_DATA", "1")
    assert numbers(10, device="cpu").is_fake is True


def test_the_fingerprint_is_that_of_the_content() -> None:
    real = numbers(10, device="cpu").fingerprint
    torch.manual_seed(5)
    assert numbers(7, device="cpu", validation_size=20).fingerprint == real
    config.set_fake_data(True)
    assert numbers(10, device="cpu").fingerprint != real
    zeros = torch.zeros(4)
    reshaped = Splits(train=(zeros.reshape(2, 2),), test=(zeros,))
    assert Splits(train=(zeros,), test=(zeros,)).fingerprint != reshaped.fingerprint


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "8", None])
def test_a_batch_size_that_is_no_positive_integer_is_refused(batch_size: object) -> None:
    with pytest.raises(ArgumentError, match="batch_size"):
        numbers(batch_size, device="cpu")  # type: ignore[arg-type]


def test_a_batch_larger_than_a_split_is_refused_with_the_permitted_range() -> None:
    assert len(numbers(30, device="cpu").test_loader) == 1
    with pytest.raises(ArgumentError, match=r"from 1 to 30, the size of the .* split .* got 31"):
        numbers(31, device="cpu")
    with pytest.raises(ArgumentError, match="from 1 to 20, the size of the valid split"):
        numbers(25, device="cpu", validation_size=20)
    with pytest.raises(ArgumentError, match="from 1 to 5, the size of the train"):
        numbers(25, device="cpu", validation_size=95)


@pytest.mark.parametrize("validation_size", [-1, 100, 1000, 0.1])
def test_a_validation_size_out_of_range_is_refused(validation_size: object) -> None:
    with pytest.raises(ArgumentError, match=rf"validation_size .*{validation_size}"):
        numbers(1, device="cpu", validation_size=validation_size)  # type: ignore[arg-type]


def test_the_permitted_validation_sizes_are_named() -> None:
    with pytest.raises(ArgumentError, match="from 0 to 99, got 100"):
        numbers(1, device="cpu", validation_size=100)


@dataclass
class Interval:
    """Integers that are nowhere stored: the part of a range with these places."""

    whole: range
    places: list[int]


@dataclass
class IntervalLoader:
    """Yields the integers of an interval, one a batch."""

    interval: Interval

    def __len__(self) -> int:
        return len(self.interval.places)

    def __iter__(self) -> Iterator[Batch]:
        for place in self.interval.places:
            yield (torch.tensor([self.interval.whole[place]]),)


@dataclass
class Intervals:
    """What a data set is divided from, with neither tensors nor values to hash."""

    train: Interval
    test: Interval
    fingerprint: str = "0123"


class Computed(BaseDataSet[Interval]):
    """The numbers above, but made when they are asked for."""

    train_eval_size: ClassVar[int] = 30
    status = prepare = verify = Numbers.status

    @classmethod
    def load(cls, data_dir: Path) -> Intervals:
        del data_dir
        return Intervals(
            Interval(range(100), list(range(100))), Interval(range(1000, 1030), list(range(30)))
        )

    @classmethod
    def make_fake(cls, fraction: float) -> Intervals:
        size = round(100 * fraction)
        part = Interval(range(-size, 0), list(range(size)))
        return Intervals(part, part)

    @staticmethod
    def count(examples: Interval) -> int:
        return len(examples.places)

    @staticmethod
    def choose(examples: Interval, rows: NDArray[np.int64]) -> Interval:
        return Interval(examples.whole, rows.tolist())

    def training_loader(self, examples: Interval, *, reshuffle: bool) -> IntervalLoader:
        return IntervalLoader(examples)

    def evaluation_loader(self, examples: Interval, *, drop_remainder: bool) -> IntervalLoader:
        return IntervalLoader(examples)


def test_whatever_examples_are_they_are_divided_as_tensors_are() -> None:
    computed = Computed.bind(numbers.spec)(1, device="cpu", validation_size=8)
    in_memory = numbers(1, device="cpu", validation_size=8)
    assert isinstance(computed, DataSet)
    assert computed.split_sizes == in_memory.split_sizes
    assert computed.fingerprint == "0123"
    for name in ("train", "train_eval", "valid", "test"):
        loaded = _pass(getattr(computed, f"{name}_loader"))
        assert loaded == _held(getattr(in_memory, f"{name}_loader"))
    config.set_fake_data(0.1)
    assert _pass(Computed.bind(numbers.spec)(1, device="cpu").test_loader) == list(range(-10, 0))
