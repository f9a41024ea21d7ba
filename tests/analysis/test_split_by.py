"""Ablations: optimizers that are split by what was varied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from result_files import write_result

from deepobs.errors import UnknownNameError
from deepobs_analysis import compare, load, select

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def cosine(epochs: int) -> dict[str, Any]:
    return {"lr_scheduler": {"name": "CosineAnnealingLR", "arguments": {"T_max": epochs}}}


@pytest.fixture
def momenta(tmp_path: Path) -> Path:
    """Momentum with two values on one problem, and others with one."""
    directory = tmp_path / "momenta"
    for momentum in (0.9, 0.99):
        for lr in (0.1, 0.01):
            place = directory / f"{momentum}-{lr}"
            write_result(place, optimizer="Momentum", lr=lr, hyperparameters={"momentum": momentum})
    write_result(
        directory,
        problem="two_d_beale",
        optimizer="Momentum",
        hyperparameters={"momentum": 0.9},
    )
    write_result(directory, optimizer="SGD", optimizer_defaults={"momentum": 0.0})
    write_result(directory, optimizer="Adam")
    return directory


def test_each_value_of_a_hyperparameter_is_an_optimizer_on_request(momenta: Path) -> None:
    assert load(momenta).optimizers == ["Adam", "Momentum", "SGD"]
    results = load(momenta, by=["momentum"])
    assert results.optimizers == [
        "Adam",
        "Momentum, momentum = 0.9",
        "Momentum, momentum = 0.99",
        "SGD",
    ]
    chosen = {(each.problem, each.optimizer): each.configurations for each in select(results)}
    assert chosen["quadratic_deep", "Momentum, momentum = 0.99"] == 2
    assert ("two_d_beale", "Momentum, momentum = 0.9") in chosen


def test_optimizers_are_split_by_several_names_in_their_order(momenta: Path) -> None:
    names = load(momenta, by=["lr", "momentum"]).optimizers
    assert "Momentum, lr = 0.1, momentum = 0.9" in names and "SGD" in names


def test_equal_values_of_a_hyperparameter_are_one_optimizer(tmp_path: Path) -> None:
    for place, momentum in enumerate((0.1, 0.1 + 1e-12, 0.2)):
        write_result(tmp_path / str(place), hyperparameters={"momentum": momentum}, seed=place)
    assert load(tmp_path, by=["momentum"]).optimizers == [
        "SGD, momentum = 0.1",
        "SGD, momentum = 0.2",
    ]


def test_a_default_is_the_value_of_runs_that_were_not_given_one(tmp_path: Path) -> None:
    write_result(tmp_path / "one", optimizer_defaults={"momentum": 0.0})
    write_result(tmp_path / "two", hyperparameters={"momentum": 0.9})
    assert load(tmp_path, by=["momentum"]).optimizers == [
        "SGD, momentum = 0",
        "SGD, momentum = 0.9",
    ]


def test_optimizers_are_split_by_parameter_groups(tmp_path: Path) -> None:
    write_result(tmp_path / "one")
    write_result(tmp_path / "two", parameter_groups={"head": {"lr": 0.5}})
    assert load(tmp_path, by=["groups"]).optimizers == [
        "SGD, groups = (head (lr 0.5))",
        "SGD, no groups",
    ]


def test_optimizers_are_split_by_the_arguments_of_schedules(tmp_path: Path) -> None:
    write_result(tmp_path / "none")
    for epochs in (5, 10):
        write_result(tmp_path / str(epochs), schedule=cosine(epochs))
    assert load(tmp_path).optimizers == ["SGD", "SGD + CosineAnnealingLR"]
    assert load(tmp_path, by=["schedule"]).optimizers == [
        "SGD",
        "SGD + CosineAnnealingLR(T_max=10)",
        "SGD + CosineAnnealingLR(T_max=5)",
    ]


def test_clipped_gradients_make_another_optimizer(tmp_path: Path) -> None:
    write_result(tmp_path / "none")
    for norm in (0.5, 2.0):
        write_result(tmp_path / str(norm), schedule={"clip_norm": norm})
    write_result(tmp_path / "value", schedule={"clip_value": 0.1})
    results = load(tmp_path)
    assert results.optimizers == ["SGD", "SGD + clip_norm", "SGD + clip_value"]
    assert "clip norm = 0.5" in select(results)[1].configuration
    assert results.problems == ["quadratic_deep"]
    assert load(tmp_path, by=["clip_norm"]).optimizers == [
        "SGD",
        "SGD + clip_norm = 0.5",
        "SGD + clip_norm = 2",
        "SGD + clip_value",
    ]


def test_a_label_tells_clipping_unless_it_is_shared(tmp_path: Path) -> None:
    write_result(tmp_path / "one", label="mine", schedule={"clip_norm": 1.0})
    assert load(tmp_path).optimizers == ["mine"]
    write_result(tmp_path / "two", label="mine")
    assert load(tmp_path).optimizers == ["mine", "mine + clip_norm"]


def test_a_batch_size_in_the_name_is_no_part_of_the_protocol(tmp_path: Path) -> None:
    for batch_size in (64, 128):
        write_result(tmp_path / str(batch_size), batch_size=batch_size)
    write_result(tmp_path / "adam", optimizer="Adam")
    assert len(load(tmp_path).problems) == 2
    results = load(tmp_path, by=["batch_size"])
    assert results.problems == ["quadratic_deep"]
    assert results.optimizers == ["Adam", "SGD, batch size = 128", "SGD, batch size = 64"]


def test_labels_are_split_too(tmp_path: Path) -> None:
    for momentum in (0.5, 0.9):
        write_result(tmp_path / str(momentum), label="mine", hyperparameters={"momentum": momentum})
    assert load(tmp_path, by=["momentum"]).optimizers == [
        "mine, momentum = 0.5",
        "mine, momentum = 0.9",
    ]


def test_what_no_run_has_is_refused_with_what_there_is(momenta: Path) -> None:
    with pytest.raises(UnknownNameError, match="momentum") as caught:
        load(momenta, by=["momentun"])
    assert "batch_size, clip_norm, clip_value, groups, lr, momentum, schedule" in str(caught.value)


def test_references_are_split_alike(
    momenta: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    def references(*words: str) -> list[str]:
        columns = ("--columns", "optimizer", "--problem", "quadratic_deep")
        code, out, err = command_line("table", str(momenta), "--reference", *words, *columns)
        assert code == 0, err
        return [line.rstrip() for line in out.splitlines() if line.endswith(")")]

    reference = momenta.parent / "reference"
    for momentum in (0.9, 0.99):
        write_result(
            reference / str(momentum),
            optimizer="MomentumOptimizer",
            hyperparameters={"momentum": momentum},
            layout="1.1",
        )
    assert references(str(reference)) == ["Momentum (in reference)"]
    assert references(str(reference), "--by", "momentum") == [
        "Momentum, momentum = 0.9 (in reference)",
        "Momentum, momentum = 0.99 (in reference)",
    ]
    # What only one's own runs have splits these alone.
    plain = momenta.parent / "plain"
    write_result(plain, optimizer="Adam")
    assert references(str(plain), "--by", "momentum") == ["Adam (in plain)"]


def test_results_that_are_compared_need_not_all_have_what_splits_them(
    momenta: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write_result(other, optimizer="Adam")
    comparison = compare(str(momenta), str(other), by=["momentum"])
    assert [each.names[0] for each in comparison.matches] == [f"Adam in {momenta}"]
    (warning,) = comparison.warnings
    assert warning.startswith(f"No run in {other} has 'momentum' to split optimizers by. Known: ")
    match = compare(
        "Momentum, momentum = 0.99", "Adam (in other)", momenta, reference=other, by=["momentum"]
    ).matches[0]
    assert match.names == ("Momentum, momentum = 0.99", "Adam (in other)")
    with pytest.raises(UnknownNameError, match="Did you mean 'momentum'"):
        compare("Adam", "SGD", momenta, by=["momentun"])


def test_schedules_of_one_class_are_configurations_that_say_which(tmp_path: Path) -> None:
    for place, epochs in enumerate((5, 10)):
        losses = [2.0, 1.0, 0.5 - place / 10]
        write_result(tmp_path / str(epochs), schedule=cosine(epochs), test_losses=losses)
    (selection,) = select(load(tmp_path))
    assert selection.configurations == 2
    assert selection.configuration == "lr = 0.1, schedule = CosineAnnealingLR(T_max=10)"


@pytest.mark.parametrize("command", ["table", "score"])
def test_commands_split_optimizers(
    momenta: Path, command: str, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = command_line(command, str(momenta), "--by", "momentum")
    assert code == 0, err
    assert "Momentum, momentum = 0.99" in out
    code, _, err = command_line(command, str(momenta), "--by", "nesterow")
    assert code == 2 and "has 'nesterow' to split" in err
