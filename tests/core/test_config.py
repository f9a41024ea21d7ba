"""Settings: what was set wins over the environment, which wins over the default."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import deepobs.config
from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.pytorch import config


def test_the_facade_has_every_public_function() -> None:
    public = {
        name
        for name, found in vars(deepobs.config).items()
        if inspect.isfunction(found)
        and found.__module__ == "deepobs.config"
        and not name.startswith("_")
    }
    assert set(config.__all__) == public | {"get_testproblem_default_setting"}
    assert all(getattr(config, name) is getattr(deepobs.config, name) for name in public)


@pytest.mark.parametrize("setting", ["data_dir", "baseline_dir"])
def test_a_directory_comes_from_the_call_then_the_environment_then_the_cache(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, set_ = getattr(config, f"get_{setting}"), getattr(config, f"set_{setting}")
    variable = f"DEEPOBS_{setting.upper()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("DEEPOBS_CACHE_DIR", raising=False)
    assert get().parent.name == "deepobs"
    monkeypatch.setenv(variable, "~/from the environment")
    assert get() == Path("~/from the environment").expanduser()
    set_(tmp_path)
    assert get() == tmp_path
    set_("~/chosen")
    assert get() == Path("~/chosen").expanduser()
    set_(None)
    assert get() == Path("~/from the environment").expanduser()


def test_the_floating_point_type_is_float32_unless_set() -> None:
    import torch

    assert config.get_dtype() is torch.float32
    config.set_dtype(torch.float64)
    assert config.get_dtype() is torch.float64
    config.set_dtype(None)
    assert config.get_dtype() is torch.float32


@pytest.mark.parametrize("value", ["float32", 32, int])
def test_what_is_no_floating_point_type_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"must be a floating-point torch\.dtype"):
        config.set_dtype(value)  # type: ignore[arg-type]


def test_the_device_can_be_set_by_name() -> None:
    config.set_default_device("cpu")
    assert config.get_default_device().type == "cpu"
    assert config.resolve_device(None).type == "cpu"


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "mps:7", 3.5])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(device: object) -> None:
    with pytest.raises(ArgumentError, match="Available: cpu"):
        config.set_default_device(device)  # type: ignore[arg-type]


def test_the_number_of_workers_can_be_set() -> None:
    assert config.get_num_workers() >= 1
    config.set_num_workers(0)
    assert config.get_num_workers() == 0


def test_the_environment_can_say_how_many_workers_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPOBS_NUM_WORKERS", "3")
    assert config.get_num_workers() == 3
    config.set_num_workers(1)
    assert config.get_num_workers() == 1


@pytest.mark.parametrize("value", ["-1", "two", "1.5"])
def test_an_impossible_number_of_workers_in_the_environment_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_NUM_WORKERS", value)
    with pytest.raises(ArgumentError, match=rf"DEEPOBS_NUM_WORKERS must be .*got '{value}'"):
        config.get_num_workers()


@pytest.mark.parametrize("value", [-1, 1.5, "2", True])
def test_an_impossible_number_of_workers_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"num_workers must be .*0 or more"):
        config.set_num_workers(value)  # type: ignore[arg-type]


def test_runs_are_deterministic_unless_set() -> None:
    assert config.get_is_deterministic() is True
    config.set_is_deterministic(False)
    assert config.get_is_deterministic() is False


@pytest.mark.parametrize(
    ("variable", "fraction"), [(None, 0.0), ("", 0.0), ("0", 0.0), ("1", 1.0), ("0.25", 0.25)]
)
def test_the_environment_asks_for_fake_data(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, fraction: float
) -> None:
    if variable is not None:
        monkeypatch.setenv("DEEPOBS_FAKE_DATA", variable)
    assert config.get_fake_data_fraction() == fraction
    assert config.get_fake_data() is (fraction > 0)


def test_a_call_about_fake_data_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPOBS_FAKE_DATA", "1")
    config.set_fake_data(False)
    assert not config.get_fake_data()
    config.set_fake_data(0.5)
    assert config.get_fake_data_fraction() == 0.5
    config.set_fake_data(None)
    assert config.get_fake_data_fraction() == 1


@pytest.mark.parametrize("value", ["yes", "2", "-1", "nan"])
def test_an_environment_that_asks_for_no_fraction_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DEEPOBS_FAKE_DATA", value)
    with pytest.raises(ArgumentError, match=f"DEEPOBS_FAKE_DATA must be .* got '{value}'"):
        config.get_fake_data()


def test_settings_can_be_changed_for_a_while(tmp_path: Path) -> None:
    config.set_num_workers(3)
    with (
        pytest.raises(KeyboardInterrupt),
        config.temporary(data_dir=tmp_path, num_workers=1, fake_data=0.5),
    ):
        assert (config.get_data_dir(), config.get_num_workers()) == (tmp_path, 1)
        assert config.get_fake_data()
        raise KeyboardInterrupt
    assert config.get_data_dir() != tmp_path
    assert config.get_num_workers() == 3
    assert not config.get_fake_data()


def test_the_default_setting_of_a_problem_is_known() -> None:
    assert config.get_testproblem_default_setting("quadratic_deep") == {
        "batch_size": 128,
        "num_epochs": 100,
        "weight_decay": None,
    }


def test_the_default_setting_of_an_unknown_problem_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'two_d_beale'"):
        config.get_testproblem_default_setting("two_d_beal")


def test_a_directory_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPOBS_DATA_DIR", "~nobody-of-this-name")
    with pytest.raises(ArgumentError, match=r"DEEPOBS_DATA_DIR must be .*'~nobody-of-this-name'"):
        config.get_data_dir()
    with pytest.raises(ArgumentError, match=r"data_dir must be the path of a directory, got 3"):
        config.set_data_dir(3)  # type: ignore[arg-type]
