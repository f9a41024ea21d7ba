"""A directory of which results are kept is not listed again, and no change in it is missed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from result_files import assert_same, write_failure, write_result, write_tuning

from deepobs_analysis import file_statuses, known_files, load, result_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def results_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results in several directories, which were read, and count as changed long before."""
    monkeypatch.setattr(known_files, "_COARSEST_TIME", 0)
    directory = tmp_path / "results"
    for lr in (0.1, 0.01, 0.001):
        write_result(directory, lr=lr, seed=1)
        write_result(directory, optimizer="Adam", lr=lr, seed=1)
    write_failure(directory)
    (directory / "broken.json").write_text("{")
    load(directory)
    return directory


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were listed, in their order."""
    names: list[str] = []
    entries = result_files._entries

    def noting(root: str, prefix: str, *others: object) -> list[os.DirEntry[str]]:
        names.append(prefix)
        return entries(root, prefix, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(result_files, "_entries", noting)
    return names


def some_file(directory: Path, optimizer: str = "SGD") -> Path:
    return min((directory / "quadratic_deep" / optimizer).rglob("*.json"))


def with_other_seed(content: str) -> str:
    assert '"random_seed": 1' in content
    return content.replace('"random_seed": 1', '"random_seed": 2')


def rewrite_in_place(directory: Path) -> None:
    path = some_file(directory)
    before = path.stat()
    content = path.read_text()
    path.write_text(with_other_seed(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replace_by_a_copy(directory: Path) -> None:
    path = some_file(directory)
    before, content = path.stat(), path.read_text()
    path.unlink()
    path.write_text(with_other_seed(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def add_a_seed(directory: Path) -> None:
    write_result(directory, lr=0.1, seed=2)


def add_directories(directory: Path) -> None:
    write_result(directory, problem="quadratic_deep", optimizer="New", seed=1)
    write_result(directory / "deep" / "deeper", seed=7)


def add_a_tuning(directory: Path) -> None:
    write_tuning(directory)


def delete_a_file(directory: Path) -> None:
    some_file(directory).unlink()


def delete_a_broken_file(directory: Path) -> None:
    (directory / "broken.json").unlink()


def repair_a_broken_file(directory: Path) -> None:
    (directory / "broken.json").write_bytes(some_file(directory).read_bytes())


def delete_a_directory(directory: Path) -> None:
    shutil.rmtree(directory / "quadratic_deep" / "SGD")


def rename_a_directory(directory: Path) -> None:
    (directory / "quadratic_deep" / "SGD").rename(directory / "quadratic_deep" / "Renamed")


def hide_a_directory(directory: Path) -> None:
    (directory / "quadratic_deep" / "SGD").rename(directory / "quadratic_deep" / ".SGD")


def swap_directories(directory: Path) -> None:
    parent = directory / "quadratic_deep"
    (parent / "SGD").rename(parent / "other")
    (parent / "Adam").rename(parent / "SGD")
    (parent / "other").rename(parent / "Adam")


def replace_a_directory_by_a_file(directory: Path) -> None:
    delete_a_directory(directory)
    (directory / "quadratic_deep" / "SGD").write_text("a file")


def replace_a_directory_by_a_link(directory: Path) -> None:
    moved = (directory / "quadratic_deep" / "SGD").rename(directory.parent / "elsewhere")
    (directory / "quadratic_deep" / "SGD").symlink_to(moved)


def add_a_link_to_a_directory(directory: Path) -> None:
    (directory / "a link").symlink_to(directory / "quadratic_deep" / "SGD")


def do_nothing(directory: Path) -> None:
    pass


CHANGES = [
    rewrite_in_place,
    replace_by_a_copy,
    add_a_seed,
    add_directories,
    add_a_tuning,
    delete_a_file,
    delete_a_broken_file,
    repair_a_broken_file,
    delete_a_directory,
    rename_a_directory,
    hide_a_directory,
    swap_directories,
    replace_a_directory_by_a_file,
    replace_a_directory_by_a_link,
    add_a_link_to_a_directory,
    do_nothing,
]


def test_an_unchanged_directory_is_not_listed_again(results_dir: Path, listed: list[str]) -> None:
    load(results_dir)
    assert listed == []
    add_a_seed(results_dir)
    load(results_dir)
    assert len(listed) == 1 and listed[0].startswith("quadratic_deep/SGD/")


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noticed(change: Callable[[Path], None], results_dir: Path) -> None:
    change(results_dir)
    expected = load(results_dir, cache=False)
    for _ in range(2):
        assert_same(load(results_dir), expected)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_another_is_noticed(
    change: Callable[[Path], None], results_dir: Path
) -> None:
    add_directories(results_dir)
    load(results_dir)
    change(results_dir)
    assert_same(load(results_dir), load(results_dir, cache=False))


def test_a_link_whose_target_appears_is_noticed(results_dir: Path) -> None:
    target = results_dir.parent / "elsewhere.json"
    (results_dir / "link.json").symlink_to(target)
    load(results_dir)
    target.write_text(with_other_seed(some_file(results_dir).read_text()))
    assert 2 in load(results_dir).runs.seed.tolist()


def test_a_directory_that_was_changed_just_before_it_was_listed_is_listed_again(
    tmp_path: Path, listed: list[str]
) -> None:
    write_result(tmp_path / "new")
    load(tmp_path / "new")
    listed.clear()
    load(tmp_path / "new")
    assert len(listed) == 4


def test_processes_that_read_at_once_all_see_the_change(results_dir: Path) -> None:
    for seed in range(2, 9):
        write_result(results_dir, seed=seed)
    code = "import sys; from deepobs_analysis import load; print(*load(sys.argv[1]).runs.seed)"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, results_dir], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    expected = " ".join(map(str, load(results_dir, cache=False).runs.seed))
    assert [each.communicate()[0].decode().strip() for each in processes] == [expected] * 3
    assert_same(load(results_dir), load(results_dir, cache=False))


def test_another_process_finds_out_the_same(
    results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(results_dir.rglob("*"))
    odd = results_dir / os.fsdecode(b"\xff")
    odd.touch()
    names = [
        ".",
        "gone",
        "broken.json/x",
        odd.name,
        *(str(path.relative_to(results_dir)) for path in paths),
    ]
    expected = file_statuses.statuses(str(results_dir), names)
    assert expected[5:15].tolist() == [-1] * 10 and expected[-3] == paths[-1].stat().st_size
    monkeypatch.setattr(file_statuses, "_FEWEST", 2)
    assert file_statuses.statuses(str(results_dir), names) == expected
    for broken in ("/bin/false", "/no/such/interpreter"):
        monkeypatch.setattr(sys, "executable", broken)
        assert file_statuses.statuses(str(results_dir), names) == expected
