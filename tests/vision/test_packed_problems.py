"""Problems of images whose runs are trained together, and those that are not."""

from __future__ import annotations

import pytest
import torch

from deepobs import config
from deepobs.runs import run, specify
from deepobs.runs.packing import PackingError, reason_of_problem, run_together

SMALL = ("digits_logreg", "digits_mlp", "fmnist_logreg")
OF_BOTH = [(problem, optimizer) for problem in SMALL for optimizer in ("Momentum", "Adam")]


@pytest.mark.parametrize(("problem", "optimizer"), [*OF_BOTH, ("digits_vit", "Adam")])
def test_networks_in_a_pack_have_the_results_that_they_have_alone(
    problem: str, optimizer: str
) -> None:
    config.set_fake_data(0.02)
    pack = [specify(problem, optimizer, {"lr": rate}, num_epochs=1) for rate in (1e-4, 1e-3)]
    for packed, specification in zip(run_together(pack), pack, strict=True):
        assert not isinstance(packed, Exception)
        alone = run(specification).record
        for name in ("train_losses", "test_losses", "train_accuracies", "test_accuracies"):
            found, theirs = getattr(packed.record, name), getattr(alone, name)
            torch.testing.assert_close(
                torch.tensor(found), torch.tensor(theirs), rtol=1e-5, atol=1e-6
            )


def test_logistic_regressions_in_a_pack_are_regularized() -> None:
    config.set_fake_data(0.02)
    pack = [
        specify("digits_logreg", "SGD", {"lr": rate}, num_epochs=1, weight_decay=0.1)
        for rate in (0.1, 1.0)
    ]
    for packed, specification in zip(run_together(pack), pack, strict=True):
        assert not isinstance(packed, Exception)
        found, theirs = packed.record.test_losses, run(specification).record.test_losses
        torch.testing.assert_close(torch.tensor(found), torch.tensor(theirs))


def test_what_is_slower_in_a_pack_or_keeps_statistics_is_executed_alone() -> None:
    config.set_fake_data(0.02)
    assert "convolutions" in reason_of_problem(specify("digits_2c2d", "SGD", {"lr": 0.1}))
    pack = [specify("digits_2c2d", "SGD", {"lr": rate}, num_epochs=1) for rate in (0.1, 0.01)]
    with pytest.raises(PackingError, match="convolutions"):
        run_together(pack)
