"""`deepobs doctor` says what is wrong and how to fix it, whatever is broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from plugin_sources import offering

import deepobs
from deepobs.cli import _doctor_command as examination
from deepobs.cli._doctor_command import Fact, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plugin_sources import Install

    from deepobs.plugins import Registry

    CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def doctor(
    command_line: CommandLine, fresh_registry: Callable[[], Registry]
) -> Callable[..., dict[str, Any]]:
    """Runs the doctor: its JSON output, with the exit code as `code`."""
    del fresh_registry

    def ask(*args: str) -> dict[str, Any]:
        code, out, _ = command_line("doctor", "--json", *args)
        return {**json.loads(out), "code": code}

    return ask


def to_fix(said: dict[str, Any], subject: str | None = None) -> list[str]:
    """What is wrong with a subject, or with all, each with its remedy."""
    return [
        f"{one['what']} {one['remedy']}"
        for name, section in said.items()
        if name != "code" and subject in (None, name)
        for one in section["to_fix"]
    ]


def problems_of(check: examination.Check) -> list[Problem]:
    return [one for one in check() if isinstance(one, Problem)]


def test_nothing_is_wrong_with_a_sound_installation(
    doctor: Callable[..., Any], tmp_path: Path
) -> None:
    said = doctor()
    assert to_fix(said) == []
    assert said["code"] == 0
    versions = said["versions"]["facts"]
    assert versions["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["deepobs-core"]
    assert said["devices"]["facts"]["cores"] >= 1
    assert said["directories"]["facts"]["data"]["path"] == os.environ["DEEPOBS_DATA_DIR"]
    assert said["plugins"]["facts"]["deepobs-core:core"].endswith(" loaded")
    assert said["directories"]["facts"]["results"]["path"] == str(tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_people_are_told_that_nothing_is_wrong(command_line: CommandLine) -> None:
    code, out, _ = command_line("doctor")
    assert code == 0
    assert out.endswith("No problems found.\n")
    assert [line for line in out.splitlines() if line in examination.CHECKS] == [
        *examination.CHECKS
    ]


def test_a_plugin_that_fails_is_named_with_what_to_do(
    doctor: Callable[..., Any], install: Install
) -> None:
    install("acme-obs", "raise RuntimeError('rusty')")
    said = doctor()
    assert said["code"] == 1
    (trouble,) = to_fix(said, "plugins")
    assert "acme-obs:acme 1.0 could not be loaded: RuntimeError: rusty." in trouble
    assert "pip install --upgrade acme-obs" in trouble


def test_names_of_two_plugins_are_told_with_their_full_names(
    doctor: Callable[..., Any], install: Install
) -> None:
    install("acme-obs", offering("quadratic_deep"))
    (trouble,) = to_fix(doctor(), "plugins")
    assert "acme-obs:quadratic_deep" in trouble
    assert "deepobs-core:quadratic_deep" in trouble


def test_a_failing_plugin_is_told_where_failures_are_fatal_too(
    doctor: Callable[..., Any], install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-obs", "raise RuntimeError('rusty')")
    monkeypatch.setenv("DEEPOBS_STRICT_PLUGINS", "1")
    said = doctor()
    assert said["code"] == 1
    (trouble,) = to_fix(said)
    assert "RuntimeError: rusty" in trouble
    assert "unset DEEPOBS_STRICT_PLUGINS" in trouble
    assert said["devices"]["facts"]["cores"] >= 1


def test_a_plugin_that_only_the_variable_names_is_to_be_installed(
    doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_PLUGINS", "acme-obs")
    (trouble,) = to_fix(doctor(), "plugins")
    assert "pip install acme-obs" in trouble
    assert "uninstall" not in trouble


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DEEPOBS_DATADIR", "/data", "Did you mean 'DEEPOBS_DATA_DIR'"),
        ("DEEPOBS_NUM_WORKERS", "many", "must be an integer of 0 or more, got 'many'"),
        ("DEEPOBS_FAKE_DATA", "2", "got '2'"),
    ],
)
def test_variables_that_mean_nothing_are_named(
    doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    said = doctor()
    assert said["code"] == 1
    assert said["environment"]["facts"][name] == value
    (trouble,) = to_fix(said, "environment")
    assert len(to_fix(said)) == 1
    assert name in trouble
    assert told in trouble


def test_every_variable_that_the_code_reads_is_known() -> None:
    source = Path(deepobs.__file__).parent
    read = {
        name
        for path in source.rglob("*.py")
        for name in re.findall(
            r'(?:environ(?:\.get\(|\[)|_from_environment\()"(DEEPOBS_[A-Z_]+)"',
            path.read_text(encoding="utf-8"),
        )
    }
    assert read == set(examination.VARIABLES)


def test_requirements_that_are_not_met_are_named_with_both_versions(install: Install) -> None:
    directory = install("deepobs-vision", "", entry_points="")
    metadata = directory / "deepobs_vision-1.0.dist-info" / "METADATA"
    with metadata.open("a", encoding="utf-8") as stream:
        stream.write("Requires-Dist: numpy>=99\nRequires-Dist: acme-pictures>=2\n")
        stream.write('Requires-Dist: acme-never; extra == "never"\n')
    problems = problems_of(examination.versions)
    versions, missing, numpy = (one.what for one in problems)
    assert "deepobs-vision 1.0" in versions
    assert "deepobs-vision needs numpy>=99" in numpy
    assert "acme-pictures is not installed, but needed by deepobs-vision" in missing
    assert "acme-never" not in str(problems)


def test_what_several_packages_lack_is_told_once(install: Install) -> None:
    for name in ("deepobs-vision", "deepobs-text"):
        directory = install(name, "", entry_points="")
        metadata = directory / f"{name.replace('-', '_')}-1.0.dist-info" / "METADATA"
        with metadata.open("a", encoding="utf-8") as stream:
            stream.write("Requires-Dist: acme-pictures>=2\n")
    _, trouble = problems_of(examination.versions)
    assert trouble.what == (
        "acme-pictures is not installed, but needed by deepobs-text and deepobs-vision."
    )
    assert trouble.remedy == "Install it: pip install 'acme-pictures>=2'"


def test_packages_of_different_releases_are_named(install: Install) -> None:
    install("deepobs-vision", "", entry_points="", version="0.1")
    problem, *_ = problems_of(examination.versions)
    assert "deepobs-vision 0.1" in problem.what
    assert "pip install --upgrade" in problem.remedy


def test_a_torchvision_for_another_torch_is_named(install: Install) -> None:
    directory = install("torchvision", "", entry_points="", version="0.1")
    metadata = directory / "torchvision-0.1.dist-info" / "METADATA"
    with metadata.open("a", encoding="utf-8") as stream:
        stream.write("Requires-Dist: torch==1.0\n")
    found = [problem.what for problem in problems_of(examination.versions)]
    assert any("torchvision needs torch==1.0" in what for what in found)


def test_another_owner_of_the_import_name_is_named(install: Install) -> None:
    directory = install("deepobs", "", version="1.1.2", entry_points="")
    (directory / "deepobs-1.1.2.dist-info" / "RECORD").write_text("deepobs/__init__.py,,")
    (trouble,) = problems_of(examination.plugins)
    assert "deepobs 1.1.2" in trouble.what
    assert trouble.remedy.startswith("Fix it with `pip uninstall deepobs`")


def test_a_check_that_fails_is_reported() -> None:
    def the_weather() -> Iterator[Fact | Problem]:
        yield Fact("sun", True)
        raise OSError("no sky")

    facts, problems = examination._survived(the_weather)
    assert [fact.name for fact in facts] == ["sun"]
    (problem,) = problems
    assert "the_weather failed: OSError: no sky" in problem.what


def test_a_torch_that_cannot_be_imported_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so is not there')")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "deepobs", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    (trouble,) = to_fix(said)
    assert "libcudart.so is not there" in trouble
    assert trouble.endswith("Reinstall it: pip install --force-reinstall torch")
    assert said["devices"]["facts"]["cores"] >= 1
    assert said["plugins"]["facts"]["deepobs-core:core"].endswith(" loaded")


def test_a_torch_that_is_not_installed_is_told_by_those_who_need_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    )
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "deepobs", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path)
    said = json.loads(done.stdout)
    assert to_fix(said) == []
    assert "default device" not in said["devices"]["facts"]


def test_a_data_directory_that_is_a_file_cannot_be_written_to(
    doctor: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    said = doctor("--data-dir", str(tmp_path / "taken" / "data"))
    assert said["code"] == 1
    assert said["directories"]["facts"]["data"]["writable"] is False
    (trouble,) = to_fix(said)
    assert f"The directory {tmp_path / 'taken' / 'data'} is not writable" in trouble
    assert f"{tmp_path / 'taken'} is not a directory. Remove {tmp_path / 'taken'}" in trouble


def test_a_place_where_runs_cannot_write_is_told_before_they_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert problems_of(examination.directories) == []
    Path("results").write_text("")
    (problem,) = problems_of(examination.directories)
    assert f"{tmp_path / 'results'} is not a directory" in problem.what
    assert "--out" in problem.remedy


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(2**40, 2**40 - 2**20, 2**20))
    data, results = problems_of(examination.directories)
    assert "1.00 MiB free" in data.what
    assert "DEEPOBS_DATA_DIR" in data.remedy
    assert "--out" in results.remedy
