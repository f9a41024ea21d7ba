"""Results for figures, small enough to work out by hand what is drawn of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from result_files import write_result

from deepobs_analysis import load

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_analysis.results import Results

FINALS = {"SGD": (0.5, 0.7), "Adam": (0.8, 0.9)}


@pytest.fixture
def two_problems(tmp_path: Path) -> Results:
    """Adam beats SGD on acme, by accuracy, and on quadratic_deep, by loss; each has two seeds.

    Norms of gradients were recorded on quadratic_deep.
    """
    for optimizer, finals in FINALS.items():
        for seed, final in enumerate(finals):
            write_result(
                tmp_path / "results",
                problem="acme",
                optimizer=optimizer,
                seed=seed,
                test_losses=[2, 1, 0.5],
                test_accuracies=[0.1, 0.4, final],
            )
            write_result(
                tmp_path / "results",
                optimizer=optimizer,
                seed=seed,
                test_losses=[100, 90, 89 - final],
                schedule={"train_log_interval": 1},
                gradient_norms=[4.0, 3.0, 2.0, 1.0 + final],
                steps_per_epoch=2,
            )
    return load(tmp_path / "results")


@pytest.fixture
def grid(tmp_path: Path) -> Results:
    """SGD with three learning rates and two momenta; 10 diverged; the best is 0.1 and 0.9."""
    for lr, momentum, final in (
        (0.01, 0.0, 5.0),
        (0.01, 0.9, 4.0),
        (0.1, 0.0, 3.0),
        (0.1, 0.9, 2.0),
    ):
        write_result(
            tmp_path / "results",
            lr=lr,
            hyperparameters={"momentum": momentum},
            test_losses=[9, 8, final],
        )
    for momentum in (0.0, 0.9):
        write_result(
            tmp_path / "results",
            lr=10.0,
            hyperparameters={"momentum": momentum},
            test_losses=[9, 9, 9],
            status="diverged",
            diverged_at_epoch=1,
        )
    return load(tmp_path / "results")
