"""Embedded problems reach the losses that docs/reference/problems.md states (slow)."""

import pytest

from deepobs.runs import run, specify

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [42, 43, 44])
def test_excerpt_lstm_reaches_the_stated_loss(seed):
    specification = specify(
        *("excerpt_lstm", "AdamW", {"lr": 0.01}),
        lr_scheduler="recommended",
        random_seed=seed,
        device="cpu",
    )
    losses = run(specification).record.test_losses
    print(seed, losses)
    assert losses[-1] <= 1.72
