"""The synthetic twin of War and Peace."""

from __future__ import annotations

import numpy as np
import torch
from tolstoi_files import tolstoi

from deepobs import config
from deepobs_text.text_dataset import synthetic_text


def test_the_synthetic_twin_has_the_real_size_and_symbols() -> None:
    config.set_fake_data(True)
    splits = tolstoi().make_fake(1.0)
    assert (len(splits.train[0]), len(splits.test[0])) == (2612948, 653237)
    for (ids,) in (splits.train, splits.test):
        assert torch.equal(ids.unique(), torch.arange(83))


def test_a_small_synthetic_twin_has_some_batches() -> None:
    config.set_fake_data(0.0001)
    dataset = tolstoi()(50, device="cpu", validation_size=5000)
    assert dataset.is_fake
    assert dataset.num_symbols == 83
    assert dataset.vocabulary is None
    assert [len(loader) for loader in (dataset.train_loader, dataset.test_loader)] == [5, 7]


def test_the_synthetic_twin_is_always_the_same_and_leaves_the_generators_alone() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = synthetic_text.__wrapped__(tolstoi().spec, 83, 0.01)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])
    second = synthetic_text.__wrapped__(tolstoi().spec, 83, 0.01)
    assert first.fingerprint == second.fingerprint


def test_the_synthetic_twin_can_be_learnt_from_the_character_before() -> None:
    splits = tolstoi().make_fake(0.05)
    pairs = torch.zeros(83, 83)
    train, test = splits.train[0], splits.test[0]
    pairs.index_put_((train[:-1], train[1:]), torch.ones(len(train) - 1), accumulate=True)
    guesses = pairs.argmax(dim=1)[test[:-1]]
    assert 0.45 < (guesses == test[1:]).float().mean() < 0.6
