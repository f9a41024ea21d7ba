"""Embedded problems reach the losses that docs/reference/problems.md states (slow)."""

import pytest

from deepobs.runs import run, specify

RECIPES = {
    "excerpt_lstm": ({"lr": 0.01}, {}, 1.72),
    "excerpt_gpt": (
        {"lr": 0.003, "betas": (0.9, 0.99), "weight_decay": 0.1},
        {"clip_norm": 1.0},
        1.85,
    ),
}
"""Hyperparameters of AdamW, options of the run, and the test loss."""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [42, 43, 44])
@pytest.mark.parametrize("name", RECIPES)
def test_the_recommended_schedule_reaches_the_stated_loss(name, seed):
    hyperparameters, options, stated = RECIPES[name]
    specification = specify(
        *(name, "AdamW", hyperparameters),
        lr_scheduler="recommended",
        random_seed=seed,
        device="cpu",
        **options,
    )
    losses = run(specification).record.test_losses
    print(seed, losses)
    assert losses[-1] <= stated
