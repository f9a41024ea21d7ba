"""Batches of sequences out of one text."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from deepobs_text.sequences import StreamLoader, window_loader

TEXT = torch.arange(100)


def test_every_batch_goes_on_where_the_last_one_ended() -> None:
    batches = list(StreamLoader(TEXT, batch_size=3, sequence_length=10))
    assert len(batches) == len(StreamLoader(TEXT, 3, 10)) == 3
    for number, (ids, next_ids) in enumerate(batches):
        assert ids.tolist() == [
            list(range(30 * row + 10 * number, 30 * row + 10 * number + 10)) for row in range(3)
        ]
        assert torch.equal(next_ids, ids + 1)


def test_a_batch_needs_a_character_after_its_last_one() -> None:
    assert len(StreamLoader(torch.arange(61), 3, 10)) == 2
    assert len(StreamLoader(torch.arange(60), 3, 10)) == 1


def test_the_remainder_can_be_read_too() -> None:
    batches = list(StreamLoader(TEXT, batch_size=3, sequence_length=10, drop_remainder=False))
    assert [tuple(ids.shape) for ids, _ in batches] == [(3, 10)] * 3 + [(3, 3)]
    rows = torch.cat([ids for ids, _ in batches], dim=1)
    assert torch.equal(rows.flatten(), TEXT[:99])


def test_batches_are_views_of_the_text() -> None:
    start = TEXT.data_ptr()
    for tensor in next(iter(StreamLoader(TEXT, 3, 10))):
        assert start <= tensor.data_ptr() < start + TEXT.nbytes


def test_batches_know_their_pass_and_their_place_in_it() -> None:
    loader = StreamLoader(TEXT, 3, 10)
    first, second = list(loader), list(loader)
    assert [batch.number for batch in first] == [0, 1, 2]
    assert len({id(batch.reading) for batch in first}) == 1
    assert first[0].reading is not second[0].reading
    assert isinstance(first[0], tuple)


def test_a_pass_begins_when_it_is_asked_for() -> None:
    loader = StreamLoader(TEXT, 3, 10)
    passes = iter(loader), iter(loader)
    assert loader.passes_started == 2
    assert next(passes[0]).number == next(passes[1]).number == 0


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_a_loader_of_torch_with_its_attributes_yields_the_same_batches(
    drop_remainder: bool,
) -> None:
    loader = StreamLoader(TEXT, 3, 10, drop_remainder=drop_remainder)
    torchs = DataLoader(
        loader.dataset, loader.batch_size, drop_last=loader.drop_last, collate_fn=loader.collate_fn
    )
    assert isinstance(loader, DataLoader)
    assert len(torchs) == len(loader)
    for batch, expected in zip(torchs, loader, strict=True):
        assert all(map(torch.equal, batch, expected))


def test_the_sequences_of_a_text_are_the_examples() -> None:
    sequences = StreamLoader(TEXT, batch_size=3, sequence_length=10).dataset
    assert len(sequences) == 9
    ids, next_ids = sequences[4]
    assert ids.tolist() == list(range(40, 50))
    assert torch.equal(next_ids, ids + 1)
    with pytest.raises(IndexError):
        sequences[9]


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_windows_follow_each_other(drop_remainder: bool) -> None:
    loader = window_loader(TEXT, 4, 10, generator=None, drop_remainder=drop_remainder)
    batches = list(loader)
    assert [len(ids) for ids, _ in batches] == ([4, 4] if drop_remainder else [4, 4, 1])
    ids, next_ids = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert torch.equal(ids.flatten(), TEXT[: ids.numel()])
    assert torch.equal(next_ids, ids + 1)


def test_windows_come_in_a_new_order_in_every_pass() -> None:
    def first_ids(loader):
        return torch.cat([ids[:, 0] for ids, _ in loader]).tolist()

    text = torch.arange(1001)
    loader = window_loader(text, 10, 10, generator=torch.Generator().manual_seed(0))
    one, other = first_ids(loader), first_ids(loader)
    assert one != other
    assert sorted(one) == sorted(other) == list(range(0, 1000, 10))
