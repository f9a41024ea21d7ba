"""How a text is divided into splits and read in batches."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tolstoi_files import put_arrays, tolstoi

from deepobs.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path


def test_held_out_is_the_end_of_the_training_text_and_evaluated_on_its_beginning(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_arrays(data_dir)
    monkeypatch.setattr(tolstoi(), "train_eval_size", 90)
    dataset = tolstoi()(2, device="cpu", sequence_length=5, validation_size=50)
    assert dataset.split_sizes == {"train": 350, "train_eval": 90, "valid": 50, "test": 100}
    text = torch.arange(400) % 83
    assert torch.equal(dataset.train_loader.ids, text[:350])
    assert torch.equal(dataset.train_eval_loader.ids, text[:90])
    assert torch.equal(dataset.valid_loader.ids, text[350:])
    assert torch.equal(dataset.test_loader.ids, torch.arange(100) % 83)


def test_a_fraction_of_a_text_is_its_beginning(data_dir: Path) -> None:
    put_arrays(data_dir)
    options = {"device": "cpu", "sequence_length": 5, "validation_size": 50}
    dataset = tolstoi()(2, train_fraction=0.5, **options)
    assert torch.equal(dataset.train_loader.ids, torch.arange(175) % 83)
    assert torch.equal(dataset.valid_loader.ids, (torch.arange(400) % 83)[350:])


def test_without_shuffling_every_batch_goes_on_where_the_last_one_ended(data_dir: Path) -> None:
    put_arrays(data_dir)
    dataset = tolstoi()(2, device="cpu", sequence_length=5)
    batches = list(dataset.train_loader)
    for (_, before), (after, _) in itertools.pairwise(batches):
        assert torch.equal(before[:, -1], after[:, 0])


def test_shuffled_sequences_come_in_an_order_that_a_seed_fixes(data_dir: Path) -> None:
    put_arrays(data_dir)

    def passes(seed: int, **options: Any) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        dataset = tolstoi()(2, device="cpu", sequence_length=5, shuffles=True, **options)
        return [torch.cat([ids for ids, _ in dataset.train_loader]) for _ in range(2)]

    first, second = passes(1)
    assert first.shape == (78, 5)
    assert not torch.equal(first, second)
    assert all(map(torch.equal, passes(1), (first, second)))
    assert torch.equal(*passes(1, reshuffle=False))
    assert set(map(tuple, first.tolist())) <= {
        tuple(number % 83 for number in range(start, start + 5)) for start in range(0, 395, 5)
    }


def test_evaluation_is_never_shuffled(data_dir: Path) -> None:
    put_arrays(data_dir)
    dataset = tolstoi()(
        2, device="cpu", sequence_length=5, shuffles=True, validation_size=50, drop_remainder=False
    )
    for loader, start, count in (
        (dataset.train_eval_loader, 0, 69),
        (dataset.valid_loader, 350, 9),
        (dataset.test_loader, 0, 19),
    ):
        ids = torch.cat([ids for ids, _ in loader]).flatten()
        assert torch.equal(ids, torch.arange(start, start + 5 * count) % 83)


@pytest.mark.parametrize("shuffles", [True, False])
def test_a_split_has_one_batch_at_least(data_dir: Path, shuffles: bool) -> None:
    put_arrays(data_dir)
    dataset = tolstoi()(9, device="cpu", sequence_length=11, shuffles=shuffles)
    assert [len(list(loader)) for loader in (dataset.train_loader, dataset.test_loader)] == [4, 1]
    with pytest.raises(ArgumentError) as caught:
        tolstoi()(10, device="cpu", sequence_length=10, shuffles=shuffles)
    message = str(caught.value)
    for part in ("tolstoi", "10 sequences of 10 characters", "test split has 100 ", "101 are need"):
        assert part in message
    assert message.endswith(
        "Choose a smaller batch_size or sequence_length, or take a longer text."
    )


@pytest.mark.parametrize(
    ("validation_size", "sequence_length", "split", "advice"),
    [
        (20, 5, "valid split has 20 ", "a larger validation_size"),
        (380, 5, "train split has 20 ", "a smaller validation_size"),
        (120, 20, "test split has 100 ", "take a longer text"),
    ],
)
def test_what_to_do_depends_on_the_split_that_is_too_short(
    data_dir: Path, validation_size: int, sequence_length: int, split: str, advice: str
) -> None:
    put_arrays(data_dir)
    with pytest.raises(ArgumentError, match=rf"{split}.*or {advice}\.$"):
        tolstoi()(5, device="cpu", sequence_length=sequence_length, validation_size=validation_size)


def test_more_validation_than_text_is_refused(data_dir: Path) -> None:
    put_arrays(data_dir)
    with pytest.raises(ArgumentError, match=r"validation_size must be from 0 to 399, got 400"):
        tolstoi()(2, device="cpu", sequence_length=5, validation_size=400)


@pytest.mark.parametrize("sequence_length", [0, -1, 2.5, True])
def test_a_sequence_has_one_character_at_least(data_dir: Path, sequence_length: Any) -> None:
    put_arrays(data_dir)
    with pytest.raises(ArgumentError, match="sequence_length"):
        tolstoi()(2, device="cpu", sequence_length=sequence_length)
