"""`deepobs doctor` says what is wrong and how to mend it, whatever is broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from plugin_sources import offering

from deepobs import config
from deepobs.cli.diagnosis import environment, examination, packages, storage
from deepobs.cli.diagnosis.findings import Fact, Trouble, gathered
from deepobs.cli.diagnosis.variables import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plugin_sources import Install

    from deepobs.plugins import Registry

    CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def doctor(
    command_line: CommandLine, fresh_registry: Callable[[], Registry]
) -> Callable[..., dict[str, Any]]:
    """Asks the doctor: what it tells programs, with the exit status as `code`."""
    del fresh_registry

    def ask(*args: str) -> dict[str, Any]:
        code, out, _ = command_line("doctor", "--json", *args)
        return {**json.loads(out), "code": code}

    return ask


def to_mend(said: dict[str, Any], subject: str) -> list[str]:
    """What is wrong with a subject, each with its remedy."""
    return [
        f"{one['what']} {one['remedy']}" for one in said["to_mend"] if one["subject"] == subject
    ]


def test_nothing_is_wrong_with_a_sound_installation(doctor: Callable[..., Any]) -> None:
    said = doctor()
    assert said["to_mend"] == []
    assert said["code"] == 0
    facts = said["facts"]
    assert facts["environment"]["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["packages"]["deepobs-core"]
    assert facts["devices"]["cores"] >= 1
    assert facts["data"]["chosen by"] == "the environment variable DEEPOBS_DATA_DIR"
    assert facts["data"]["quadratic"] == "embedded"
    assert facts["plugins"]["deepobs-core:core"]["state"] == "loaded"
    assert facts["results"]["directory"] is None


def test_people_are_told_that_nothing_is_wrong(command_line: CommandLine) -> None:
    code, out, _ = command_line("doctor")
    assert code == 0
    assert out.endswith("Nothing is wrong.\n")
    assert [line for line in out.splitlines() if line in examination.FINDINGS] == [
        *examination.FINDINGS
    ]


def test_a_plugin_that_fails_is_named_with_what_to_do(
    doctor: Callable[..., Any], install: Install
) -> None:
    install("acme-obs", "raise RuntimeError('rusty')")
    said = doctor()
    assert said["code"] == 1
    (trouble,) = to_mend(said, "plugins")
    assert "acme-obs:acme 1.0 could not be loaded: RuntimeError: rusty." in trouble
    assert "pip uninstall acme-obs" in trouble


def test_names_of_two_plugins_are_told_with_their_full_names(
    doctor: Callable[..., Any], install: Install
) -> None:
    install("acme-obs", offering("quadratic_deep"))
    (trouble,) = to_mend(doctor(), "plugins")
    assert "acme-obs:quadratic_deep" in trouble
    assert "deepobs-core:quadratic_deep" in trouble


def test_a_failing_plugin_is_told_where_failures_are_fatal_too(
    doctor: Callable[..., Any], install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-obs", "raise RuntimeError('rusty')")
    monkeypatch.setenv("DEEPOBS_STRICT_PLUGINS", "1")
    said = doctor()
    assert said["code"] == 1
    (trouble,) = said["to_mend"]
    assert "RuntimeError: rusty" in trouble["what"]
    assert "unset DEEPOBS_STRICT_PLUGINS" in trouble["remedy"]
    assert said["facts"]["devices"]["cores"] >= 1


def test_a_plugin_that_only_the_variable_names_is_to_be_installed(
    doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_PLUGINS", "acme-obs")
    (trouble,) = to_mend(doctor(), "plugins")
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
    assert said["facts"]["variables"][name] == value
    (trouble,) = to_mend(said, "variables")
    assert len(said["to_mend"]) == 1
    assert name in trouble
    assert told in trouble


def test_every_variable_that_the_code_reads_is_known() -> None:
    source = Path(environment.deepobs.__file__).parent
    read = {
        name
        for path in source.rglob("*.py")
        for name in re.findall(
            r'environ(?:\.get\(|\[)"(DEEPOBS_[A-Z_]+)"|_directory\([^)]*"(DEEPOBS_[A-Z_]+)"',
            path.read_text(encoding="utf-8"),
        )
        for name in name
        if name
    }
    assert read == set(KNOWN)


def test_requirements_that_are_not_met_are_named_with_both_versions(install: Install) -> None:
    directory = install("deepobs-vision", "", entry_points="")
    metadata = directory / "deepobs_vision-1.0.dist-info" / "METADATA"
    with metadata.open("a", encoding="utf-8") as stream:
        stream.write("Requires-Dist: numpy>=99\nRequires-Dist: acme-pictures>=2\n")
        stream.write('Requires-Dist: acme-never; extra == "never"\n')
    section = gathered("Packages", (packages.needed_packages,))
    numpy, missing = sorted(one.what for one in section.troubles)[::-1]
    assert "deepobs-vision needs numpy>=99" in numpy
    assert "deepobs-vision needs acme-pictures, which is not installed" in missing
    assert "acme-never" not in str(section)


def test_what_several_packages_lack_is_told_once(install: Install) -> None:
    for name in ("deepobs-vision", "deepobs-text"):
        directory = install(name, "", entry_points="")
        metadata = directory / f"{name.replace('-', '_')}-1.0.dist-info" / "METADATA"
        with metadata.open("a", encoding="utf-8") as stream:
            stream.write("Requires-Dist: acme-pictures>=2\n")
    (trouble,) = gathered("Packages", (packages.needed_packages,)).troubles
    assert trouble.what == (
        "deepobs-vision and deepobs-text need acme-pictures, which is not installed."
    )
    assert trouble.remedy == "Install it: pip install 'acme-pictures>=2'"


def test_packages_of_different_releases_are_advised_against(install: Install) -> None:
    install("deepobs-vision", "", entry_points="", version="0.1")
    section = gathered("Packages", (packages.our_packages,))
    assert "deepobs-vision 0.1" in section.advice[0].what
    assert "pip install --upgrade" in section.advice[0].remedy


def test_a_torchvision_for_another_torch_is_named(install: Install) -> None:
    directory = install("torchvision", "", entry_points="", version="0.1")
    metadata = directory / "torchvision-0.1.dist-info" / "METADATA"
    with metadata.open("a", encoding="utf-8") as stream:
        stream.write("Requires-Dist: torch==1.0\n")
    (trouble,) = gathered("Packages", (packages.torchvision,)).troubles
    assert "torchvision needs torch==1.0" in trouble.what


def test_another_owner_of_the_import_name_is_named(install: Install) -> None:
    directory = install("deepobs", "", version="1.1.2", entry_points="")
    (directory / "deepobs-1.1.2.dist-info" / "RECORD").write_text("deepobs/__init__.py,,")
    (trouble,) = gathered("Packages", (packages.import_name,)).troubles
    assert "deepobs 1.1.2" in trouble.what
    assert trouble.remedy.startswith("Fix it with `pip uninstall deepobs`")


def test_two_versions_of_one_package_are_named(install: Install) -> None:
    install("deepobs-core", "", entry_points="", version="0.1")
    (trouble,) = gathered("Packages", (packages.copies,)).troubles
    assert "0.1 and " in trouble.what
    (stale,) = gathered("Packages", (packages.our_packages,)).troubles
    assert "calls itself 0.1" in stale.what


def test_a_finding_that_fails_is_told_and_the_others_are_made() -> None:
    def the_weather() -> Iterator[Fact | Trouble]:
        yield Fact("sun", True)
        raise OSError("no sky")

    def the_time() -> Iterator[Fact | Trouble]:
        yield Fact("hour", 12)

    section = gathered("World", (the_weather, the_time))
    assert [fact.name for fact in section.facts] == ["sun", "hour"]
    (trouble,) = section.troubles
    assert "the weather failed: OSError: no sky" in trouble.what


def test_a_torch_that_cannot_be_imported_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so is not there')")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "deepobs", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    (trouble,) = said["to_mend"]
    assert "libcudart.so is not there" in trouble["what"]
    assert trouble["remedy"] == "Install it anew: pip install --force-reinstall torch"
    assert said["facts"]["devices"]["cores"] >= 1
    assert said["facts"]["plugins"]["deepobs-core:core"]["state"] == "loaded"


def test_a_torch_that_is_not_installed_is_told_by_those_who_need_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    )
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "deepobs", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path)
    said = json.loads(done.stdout)
    assert said["to_mend"] == []
    assert said["facts"]["devices"]["torch"] is None


def test_a_data_directory_that_is_a_file_cannot_be_written_to(
    doctor: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    said = doctor("--data-dir", str(tmp_path / "taken" / "data"))
    assert said["code"] == 1
    assert said["facts"]["data"]["writable"] is False
    assert said["facts"]["data"]["chosen by"] == "--data-dir"
    (trouble,) = to_mend(said, "data")
    assert "Data sets cannot be written to" in trouble
    assert f"{tmp_path / 'taken'} is no directory. Remove {tmp_path / 'taken'}" in trouble


def test_a_place_where_runs_cannot_write_is_told_before_they_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert gathered("Results", (storage.results,)).advice == []
    Path("results").write_text("")
    (advice,) = gathered("Results", (storage.results,)).advice
    assert f"{tmp_path / 'results'} is no directory" in advice.what
    assert "--out" in advice.remedy


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(2**40, 2**40 - 2**20, 2**20))
    (trouble,) = gathered("Data", (storage.data_directory,)).troubles
    assert "1.00 MiB are free" in trouble.what
    assert "DEEPOBS_DATA_DIR" in trouble.remedy


def test_results_are_counted_and_locks_tried(doctor: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("deepobs_bench")
    from deepobs.runs import checkpoint_file, run, specify
    from deepobs_bench.outcomes import Failure, write_failure

    config.set_fake_data(0.1)
    here = specify("quadratic_deep", "SGD", {"lr": 0.1}, num_epochs=0, batch_size=8, device="cpu")
    run(here, output_dir=tmp_path / "results")
    failure = {"run_id": here.run_id, "kind": "error", "message": "", "specification": here}
    failure |= {"command": "", "started_at": "", "seconds": 1.0}
    write_failure(tmp_path / "results", Failure(**failure))
    checkpoint_file.write(
        checkpoint_file.checkpoint_path(tmp_path / "results", here), here, {}, is_tried=False
    )
    before = sorted(path.name for path in (tmp_path / "results").rglob("*"))
    said = doctor()
    facts = said["facts"]["results"]
    assert (facts["result files"], facts["failures"], facts["checkpoints"]) == (1, 1, 1)
    assert facts["locks"] is True
    assert facts["size"] > 1000
    assert said["to_mend"] == []
    assert sorted(path.name for path in (tmp_path / "results").rglob("*")) == before


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="locks of this system are others")

    def no_locks(*_arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    (trouble,) = gathered("Results", (storage.locks,)).troubles
    assert "cannot be locked" in trouble.what
    assert "--out" in trouble.remedy


def test_a_clock_that_is_behind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() - 50 * 365 * 24 * 3600)
    (trouble,) = gathered("Environment", (environment.clock,)).troubles
    assert "DeepOBS was installed later" in trouble.what


def test_files_dated_by_another_clock_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() + 600)
    (trouble,) = gathered("Results", (storage.clock_of_files,)).troubles
    assert re.search(r"(599|60\d) s behind the clock", trouble.what)
