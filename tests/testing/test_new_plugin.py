"""`deepobs new-plugin`: names, what is refused, and that nothing is left half-written."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_sources import offering

import deepobs
from deepobs.errors import ArgumentError, OutputError
from deepobs.plugins import Plugin, Registry
from deepobs_testing._new_plugin import FILES, Names, names_of, write_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plugin_sources import Install

    CommandLine = Callable[..., tuple[int, str, str]]

ACME = Names("deepobs-acme", "deepobs_acme", "acme")


def files_below(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*.*")}


def test_the_command_says_what_it_wrote_and_what_to_type_next(command_line: CommandLine) -> None:
    code, output, errors = command_line("new-plugin", "deepobs-acme")
    assert (code, errors) == (0, "")
    written = {path for path in files_below(Path("deepobs-acme")) if Path(path).suffix != ""}
    assert len(FILES) == 10
    for path in (*written, ".gitignore"):
        assert f"deepobs-acme/{path} " in output
    assert "data set acme, test problem acme_mlp" in output
    assert output.splitlines()[-4:] == [
        '  pip install -e "./deepobs-acme[test]"',
        "  deepobs check --all-of deepobs-acme",
        "  pytest deepobs-acme",
        "  deepobs run acme_mlp Adam --lr 0.01",
    ]


def test_it_takes_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from deepobs.cli.main import main; "
        "sys.exit(main(['new-plugin', 'deepobs-acme']) or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_out_is_where_the_directory_is_made(command_line: CommandLine, tmp_path: Path) -> None:
    parent = tmp_path / "with space" / "deeper"
    code, output, _ = command_line("new-plugin", "deepobs-acme", "--out", str(parent))
    assert code == 0
    assert (parent / "deepobs-acme/pyproject.toml").is_file()
    assert f'  pytest "{parent}/deepobs-acme"' in output
    assert sorted(parent.iterdir()) == [parent / "deepobs-acme"]  # no temporary directory


def test_what_is_written_is_python_that_the_registry_accepts(tmp_path: Path) -> None:
    write_package(ACME, tmp_path)
    source = tmp_path / "deepobs-acme/src/deepobs_acme"
    for path in tmp_path.rglob("*.py"):
        ast.parse(path.read_text("utf-8"))
        assert "$" not in path.read_text("utf-8")
    namespace: dict[str, object] = {"__name__": "plugin"}
    exec(compile((source / "plugin.py").read_text("utf-8"), "plugin.py", "exec"), namespace)  # noqa: S102
    registry = Registry()
    module = type("Module", (), {k: v for k, v in namespace.items() if not k.startswith("__")})
    registry.add(module, Plugin(name="a:a", distribution="a", version="1", target="a"))
    assert registry.problems.names() == ["acme_mlp"]
    assert registry.problems.offer("acme_mlp").spec.target == "deepobs_acme.problem:AcmeMLP"
    assert registry.datasets.names() == ["acme"]


def test_the_package_asks_for_a_core_with_the_same_interface(tmp_path: Path) -> None:
    write_package(ACME, tmp_path)
    text = (tmp_path / "deepobs-acme/pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    major, minor, *_ = deepobs.__version__.split(".")
    assert f"deepobs-core>={major}.{minor},<{int(major) + 1}" in project["dependencies"]
    assert project["entry-points"]["deepobs"] == {"acme": "deepobs_acme.plugin"}


@pytest.mark.parametrize(
    ("typed", "distribution", "package", "dataset", "stem"),
    [
        ("deepobs-acme", "deepobs-acme", "deepobs_acme", "acme", "Acme"),
        ("DeepOBS.Big_Sea", "deepobs-big-sea", "deepobs_big_sea", "big_sea", "BigSea"),
        ("acme-3d", "acme-3d", "acme_3d", "acme_3d", "Acme3d"),
    ],
)
def test_all_names_follow_from_that_of_the_distribution(
    typed: str, distribution: str, package: str, dataset: str, stem: str
) -> None:
    names = names_of(typed)
    assert (names.distribution, names.package) == (distribution, package)
    assert (names.name, names.problem, names.stem) == (dataset, f"{dataset}_mlp", stem)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "'' is not a valid name"),
        ("-acme", "begins and ends with a letter or a digit"),
        ("deepobs acme", "A name has letters, digits, '-', '_' and '.'"),
        ("../acme", "'../acme' is not a valid name"),
        ("äcme", "is not a valid name of a distribution"),
        ("2d", "'2d', from which names in the package are made, is not a Python identifier"),
        ("deepobs-2d", "'2d', from which names in the package are made"),
        ("deepobs-class", "'class', from which names in the package are made"),
        ("deepobs-" + "a" * 25, "has 25 characters"),
        ("deepobs", "'deepobs' is a package of DeepOBS itself"),
        ("DeepOBS_Vision", "'deepobs-vision' is a package of DeepOBS itself"),
        ("torch", "'torch' is taken: torch 2"),
        ("json", "'json' is a module of Python's standard library"),
        ("torchgen", "the module 'torchgen' already exists"),
        ("deepobs-two-d", "The data set would be called 'two_d', like one of deepobs-core"),
        (
            "deepobs-mnist",
            "would be called 'mnist_mlp', like one of deepobs-vision",
        ),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(
    command_line: CommandLine, tmp_path: Path, name: str, reason: str
) -> None:
    before = files_below(tmp_path)
    code, output, errors = command_line("new-plugin", "--", name)
    assert (code, output) == (2, "")
    assert reason in errors
    assert "hoose" in errors or "such as 'deepobs-acme'" in errors
    assert files_below(tmp_path) == before


def test_names_of_installed_plugins_are_refused(
    install: Install, fresh_registry: Callable[[], Registry]
) -> None:
    install("stranger-problems", offering("acme_mlp"))
    fresh_registry()
    with pytest.raises(ArgumentError, match=r"'acme_mlp', like one of stranger-problems 1\.0,"):
        names_of("deepobs-acme")


def test_the_directory_of_an_earlier_call_is_left_alone(
    command_line: CommandLine, tmp_path: Path
) -> None:
    mine = tmp_path / "deepobs-acme"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine", encoding="utf-8")
    code, _, errors = command_line("new-plugin", "deepobs-acme")
    assert code == 2
    assert "deepobs-acme already exists and is not overwritten" in errors
    assert files_below(mine) == {"notes.txt"}


def test_a_place_that_cannot_be_written_to_is_named(
    command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, _, errors = command_line("new-plugin", "deepobs-acme", "--out", "file/below")
    assert code == 2
    assert "file/below/deepobs-acme cannot be written: Not a directory" in errors


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """As on a full disk: what writes more into one file fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_left_where_writing_fails_halfway(tmp_path: Path) -> None:
    parent = tmp_path / "plugins"
    sizes = {path: path.stat().st_size for path in write_package(ACME, tmp_path / "whole")}
    largest = max(sizes.values())
    assert list(sizes.values()).index(largest) > 4  # others are written before it
    with files_limited_to(largest - 1), pytest.raises(OutputError, match="File too large"):
        write_package(ACME, parent)
    assert list(parent.iterdir()) == []
