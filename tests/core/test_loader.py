"""Batches gathered from tensors in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

from deepobs.data import TensorLoader
from deepobs.data.base import seeded_generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def _numbers(size: int = 10, batch_size: int = 4, **arguments: object) -> TensorLoader:
    numbers = torch.arange(size)
    return TensorLoader((numbers, numbers * 10), batch_size, **arguments)  # type: ignore[arg-type]


def _firsts(loader: TensorLoader) -> list[int]:
    return torch.cat([batch[0] for batch in loader]).tolist()


def test_without_a_generator_the_order_is_that_of_the_examples() -> None:
    assert _firsts(_numbers()) == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("size", [8, 9, 11, 12])
@pytest.mark.parametrize("in_order", [True, False])
def test_the_remainder_is_dropped_and_the_length_is_the_number_of_batches(
    size: int, in_order: bool
) -> None:
    loader = _numbers(size, generator=None if in_order else torch.Generator())
    batches = list(loader)
    assert len(loader) == len(batches) == size // 4
    assert all(len(numbers) == len(tens) == 4 for numbers, tens in batches)
    assert loader.num_examples == 4 * len(batches)


@pytest.mark.parametrize("in_order", [True, False])
def test_the_remainder_can_be_kept(in_order: bool) -> None:
    generator = None if in_order else torch.Generator()
    loader = _numbers(generator=generator, drop_remainder=False)
    assert [len(batch[0]) for batch in loader] == [4, 4, 2]
    assert len(loader) == 3
    assert sorted(_firsts(loader)) == list(range(10))


def test_every_pass_is_another_full_permutation() -> None:
    loader = _numbers(1000, 10, generator=torch.Generator().manual_seed(1))
    first, second = _firsts(loader), _firsts(loader)
    assert sorted(first) == sorted(second) == list(range(1000))
    assert first != second


def test_what_is_dropped_differs_from_pass_to_pass() -> None:
    loader = _numbers(10, 4, generator=torch.Generator().manual_seed(1))
    left_out = {tuple(sorted(set(range(10)) - set(_firsts(loader)))) for _ in range(20)}
    assert len(left_out) > 1


def test_the_parts_of_an_example_stay_together() -> None:
    for numbers, tens in _numbers(100, generator=torch.Generator()):
        assert torch.equal(numbers * 10, tens)


def test_the_same_seed_gives_the_same_orders() -> None:
    def orders() -> list[list[int]]:
        torch.manual_seed(3)
        loader = _numbers(100, generator=seeded_generator())
        return [_firsts(loader), _firsts(loader)]

    assert orders() == orders()


def test_the_order_does_not_depend_on_what_else_draws_random_numbers() -> None:
    torch.manual_seed(3)
    undisturbed = _firsts(_numbers(100, generator=seeded_generator()))
    torch.manual_seed(3)
    loader = _numbers(100, generator=seeded_generator())
    torch.rand(17)
    disturbed = []
    for numbers, _ in loader:
        torch.rand(5)
        disturbed += numbers.tolist()
    assert disturbed == undisturbed


def test_a_pass_does_not_touch_the_global_generator() -> None:
    loader = _numbers(100, generator=torch.Generator())
    before = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pass_within_a_pass_leaves_the_outer_one_as_it_was() -> None:
    def order(disturb: bool) -> list[int]:
        train = _numbers(100, generator=torch.Generator().manual_seed(1))
        test = _numbers(20)
        seen = []
        for numbers, _ in train:
            seen += numbers.tolist()
            if disturb:
                assert _firsts(test) == list(range(20))
        return seen

    assert order(disturb=True) == order(disturb=False)


@pytest.mark.parametrize("in_order", [True, False])
def test_changing_a_batch_in_place_changes_no_other(in_order: bool) -> None:
    loader = _numbers(generator=None if in_order else torch.Generator())
    for numbers, tens in loader:
        numbers.zero_()
        tens.zero_()
    assert loader.tensors[0].tolist() == list(range(10))
    assert loader.tensors[1].tolist() == list(range(0, 100, 10))


def test_the_transform_sees_every_batch() -> None:
    loader = _numbers(transform=lambda batch: (batch[0] + 1, batch[1]))
    assert _firsts(loader) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_order_of_the_first_pass_can_be_repeated() -> None:
    loader = _numbers(100, generator=torch.Generator().manual_seed(1), reshuffle=False)
    first = _firsts(loader)
    assert first != sorted(first)
    assert _firsts(loader) == first


def _values(batches: Iterable[Sequence[torch.Tensor]]) -> list[list[list[int]]]:
    return [[part.tolist() for part in batch] for batch in batches]


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("drop_remainder", [True, False])
def test_a_loader_of_torch_with_its_attributes_yields_the_same_batches(
    in_order: bool, drop_remainder: bool
) -> None:
    def loader() -> TensorLoader:
        return _numbers(
            generator=None if in_order else torch.Generator().manual_seed(1),
            drop_remainder=drop_remainder,
            transform=lambda batch: (batch[0] + 1, batch[1]),
        )

    one = loader()
    torchs = DataLoader(
        one.dataset,
        one.batch_size,
        sampler=one.sampler,
        drop_last=one.drop_last,
        num_workers=one.num_workers,
        collate_fn=one.collate_fn,
    )
    assert isinstance(one, DataLoader)
    assert len(torchs) == len(one)
    assert _values(torchs) == _values(loader())
    assert isinstance(next(iter(torchs)), tuple)


def test_the_data_set_of_a_loader_holds_its_examples() -> None:
    data = _numbers(transform=lambda batch: (batch[0] + 1, batch[1])).dataset
    assert len(data) == 10
    assert _values([data[3], data[-1]]) == [[4, 30], [10, 90]]
    assert _values(DataLoader(data, batch_size=5)) == [
        [[1, 2, 3, 4, 5], [0, 10, 20, 30, 40]],
        [[6, 7, 8, 9, 10], [50, 60, 70, 80, 90]],
    ]
    with pytest.raises(IndexError):
        data[10]


def test_a_repeated_order_is_that_of_the_sampler() -> None:
    loader = _numbers(12, generator=torch.Generator().manual_seed(1), reshuffle=False)
    assert isinstance(loader.sampler, RandomSampler)
    order = list(loader.sampler)
    assert list(loader.sampler) == order == _firsts(loader)
