"""Which runs are of one configuration, and what tables call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from result_files import write_result

from deepobs_analysis import load
from deepobs_analysis.configurations import Identity, configurations_of

if TYPE_CHECKING:
    from pathlib import Path


def texts_of(*hyperparameters: dict[str, Any]) -> list[str]:
    """The texts of configurations that differ in hyperparameters only."""
    identities = [
        Identity(json.dumps(each), json.dumps({"format": "own", "batch_size": 128}))
        for each in hyperparameters
    ]
    configurations = configurations_of(identities)
    return [configurations[identity].text for identity in identities]


def test_learning_rates_of_the_published_files_are_one_though_rounded() -> None:
    texts = texts_of({"lr": 0.06309573444801936}, {"lr": 0.063095734448}, {"lr": 0.1})
    assert texts == ["lr = 0.06310", "lr = 0.06310", "lr = 0.1"]


def test_values_on_both_sides_of_a_rounding_boundary_are_one() -> None:
    first, second = texts_of({"lr": 0.0999999999949}, {"lr": 0.0999999999951})
    assert first == second


def test_values_that_differ_by_more_than_a_billionth_are_not_one() -> None:
    texts = texts_of({"lr": 0.1}, {"lr": 0.1 * (1 + 1e-8)})
    assert len(set(texts)) == 2


def test_integers_are_one_only_if_they_are_equal() -> None:
    texts = texts_of({"steps": 10**12}, {"steps": 10**12 + 1})
    assert texts == ["steps = 1000000000000", "steps = 1000000000001"]


@pytest.mark.parametrize(("one", "other"), [(0, 0.0), (1, 1.0), ([0, 1], [0.0, 1.0])])
def test_a_whole_number_is_one_in_either_way_of_writing(one: Any, other: Any) -> None:
    texts = texts_of({"lr": 0.1, "momentum": one}, {"lr": 0.1, "momentum": other})
    assert texts == ["lr = 0.1", "lr = 0.1"]


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, None), (1, "1"), ([], {}), (True, "true")]
)
def test_values_of_different_kinds_are_not_one(one: Any, other: Any) -> None:
    texts = texts_of({"lr": 0.1, "momentum": one}, {"lr": 0.1, "momentum": other})
    assert len(set(texts)) == 2


def test_a_missing_hyperparameter_differs_from_every_value() -> None:
    texts = texts_of({"lr": 0.1}, {"lr": 0.1, "momentum": 0})
    assert texts == ["lr = 0.1", "lr = 0.1, momentum = 0"]


def test_only_what_varies_is_written_besides_the_learning_rate() -> None:
    texts = texts_of(
        {"momentum": 0.9, "lr": 0.1, "nesterov": True},
        {"momentum": 0.9, "lr": 0.1, "nesterov": False},
    )
    assert texts == ["lr = 0.1, nesterov = true", "lr = 0.1, nesterov = false"]


def test_a_single_configuration_is_called_by_its_learning_rate_or_all_there_is() -> None:
    assert texts_of({"lr": 0.1, "momentum": 0.9}) == ["lr = 0.1"]
    assert texts_of({"eta": 0.1, "betas": [0.9, 0.99]}) == ["betas = (0.9, 0.99), eta = 0.1"]
    assert texts_of({}) == ["defaults"]


def test_numbers_are_written_with_as_many_digits_as_tell_them_apart() -> None:
    texts = texts_of({"lr": 0.123456}, {"lr": 0.123457}, {"lr": 12345.6789})
    assert texts == ["lr = 0.123456", "lr = 0.123457", "lr = 12345.7"]


def test_parts_of_lists_and_dictionaries_are_compared_one_by_one() -> None:
    texts = texts_of(
        {"betas": [0.9, 0.999]}, {"betas": [0.9, 0.999 + 1e-13]}, {"betas": [0.9, 0.99]}
    )
    assert texts == ["betas = (0.9, 0.999)", "betas = (0.9, 0.999)", "betas = (0.9, 0.99)"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"batch_size": 64}, "lr = 0.1, batch size = 64"),
        ({"weight_decay": 0.5}, "lr = 0.1, weight decay = 0.5"),
        ({"test_losses": [1.0, 0.5]}, "lr = 0.1, epochs = 1"),
        ({"parameter_groups": {"hidden": {"lr": 1.0}}}, "lr = 0.1, groups = (hidden (lr 1))"),
        ({"optimizer_needs": ["closure"]}, "lr = 0.1, needs = (closure)"),
        ({"code": {"lr_scheduler": "abc"}}, "lr = 0.1, code = (lr_scheduler abc)"),
        ({"full_evaluation": True}, "lr = 0.1, full evaluation = true"),
        ({"bare_losses": True}, "lr = 0.1, bare losses = true"),
        ({"dtype": "float64"}, "lr = 0.1, dtype = float64"),
        ({"schedule": {"validation_size": 9}}, "lr = 0.1, validation size = 9"),
        ({"schedule": {"reshuffle": False}}, "lr = 0.1, reshuffle = false"),
    ],
)
def test_all_that_changes_numbers_is_part_of_a_configuration(
    changed: dict[str, Any], text: str, tmp_path: Path
) -> None:
    write_result(tmp_path / "a")
    write_result(tmp_path / "b", **changed)
    configurations = load(tmp_path, code="all", across_protocols=True).runs.configuration
    assert text in configurations.tolist()
    assert configurations.nunique() == 2


def test_versions_of_code_are_optimizers_where_all_are_asked_for(tmp_path: Path) -> None:
    for module, version in (("mine", "abc"), ("__main__", "abd")):
        own = {"optimizer_target": f"{module}:Mine", "optimizer_source": version}
        write_result(tmp_path / version, optimizer="Mine", **own)
    runs = load(tmp_path, code="all").runs
    assert set(runs.configuration) == {"lr = 0.1"}
    assert set(runs.optimizer) == {"Mine@abc", "Mine@abd"}


@pytest.mark.parametrize(
    "changed",
    [
        {"device": "cuda:0"},
        {"schedule": {"train_log_interval": 1}},
        {"steps": 99},
        {"command": "another"},
        {"optimizer_source": ...},
    ],
)
def test_what_changes_no_numbers_is_not(changed: dict[str, Any], tmp_path: Path) -> None:
    write_result(tmp_path / "a", seed=1)
    write_result(tmp_path / "b", seed=2, **changed)
    assert load(tmp_path).runs.configuration.tolist() == ["lr = 0.1", "lr = 0.1"]


def test_arguments_of_a_schedule_are_part_of_a_configuration(tmp_path: Path) -> None:
    for T_max in (5, 10):
        scheduler = {"name": "CosineAnnealingLR", "arguments": {"T_max": T_max}, "every": "step"}
        write_result(tmp_path / str(T_max), schedule={"lr_scheduler": scheduler})
    configurations = load(tmp_path).runs.configuration.tolist()
    assert "lr = 0.1, schedule = CosineAnnealingLR(T_max=5) every step" in configurations
    assert len(set(configurations)) == 2


def test_formats_are_configurations_of_their_own_told_apart_by_the_format_alone(
    tmp_path: Path,
) -> None:
    for layout in ("1.1", "1.2", "own"):
        write_result(tmp_path / layout, layout=layout)
    configurations = load(tmp_path).runs.configuration
    assert sorted(configurations) == [
        f"lr = 0.1, format = {layout}" for layout in ("1.1", "1.2", "own")
    ]
