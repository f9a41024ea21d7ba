"""What an experiment calls an optimizer, as a row of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from result_files import write_result

from deepobs_analysis import load, select

if TYPE_CHECKING:
    from pathlib import Path

COSINE = {"lr_scheduler": {"name": "CosineAnnealingLR", "arguments": {"T_max": 2}}}


def test_an_optimizer_is_called_what_its_experiment_calls_it(tmp_path: Path) -> None:
    for momentum in (0.9, 0.99):
        label = f"Momentum {momentum}"
        write_result(
            tmp_path / label, optimizer="SGD", hyperparameters={"momentum": momentum}, label=label
        )
    write_result(tmp_path / "bare", optimizer="SGD", label="")
    write_result(tmp_path / "old", optimizer="Adam")
    assert load(tmp_path).optimizers == ["Adam", "Momentum 0.9", "Momentum 0.99", "SGD"]


def test_configurations_with_one_label_are_selected_among_themselves(tmp_path: Path) -> None:
    for lr, label in ((0.1, "mine"), (0.01, "mine"), (0.001, "yours")):
        write_result(tmp_path / f"{lr}", lr=lr, label=label, test_losses=[2.0, 1.0, lr])
    chosen = {each.optimizer: each.configuration for each in select(load(tmp_path))}
    assert chosen == {"mine": "lr = 0.01", "yours": "lr = 0.001"}


def test_two_classes_with_one_label_are_told_apart(tmp_path: Path) -> None:
    write_result(tmp_path / "one", optimizer="SGD", label="mine")
    write_result(tmp_path / "two", optimizer="Adam", label="mine")
    assert load(tmp_path).optimizers == ["mine (torch.optim:Adam)", "mine (torch.optim:SGD)"]


def test_labels_that_tell_schedules_apart_are_the_whole_name(tmp_path: Path) -> None:
    for label, factor in (("mine + half", 0.5), ("mine + tenth", 0.1)):
        schedule = {"lr_sched_epochs": [1], "lr_sched_factors": [factor]}
        write_result(tmp_path / label, label=label, schedule=schedule)
    write_result(tmp_path / "cosine", label="mine + cosine", schedule=COSINE)
    assert load(tmp_path).optimizers == ["mine + cosine", "mine + half", "mine + tenth"]
    assert load(tmp_path, by=["schedule"]).optimizers == load(tmp_path).optimizers


def test_a_schedule_is_added_to_a_label_that_does_not_tell_it(tmp_path: Path) -> None:
    write_result(tmp_path / "one", label="mine", schedule=COSINE)
    write_result(tmp_path / "two", label="mine")
    assert load(tmp_path).optimizers == ["mine", "mine + CosineAnnealingLR"]
