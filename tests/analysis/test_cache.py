"""Results that were read are kept, and only changes are read again."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from result_files import assert_same, write_failure, write_result

from deepobs_analysis import configurations, load, results_cache
from deepobs_analysis import result_files as files

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from deepobs_analysis.results import Results

NAN = float("nan")


@pytest.fixture
def results_dir(tmp_path: Path) -> Path:
    """Results of all kinds."""
    directory = tmp_path / "results"
    write_result(directory, layout="1.1", seed=1, test_losses=[1.0, NAN])
    write_result(directory, layout="1.2", seed=2, test_accuracies=[0.1, 0.2, 0.3])
    write_result(directory, seed=3, valid_losses=[3.0, 2.0, 1.0])
    write_result(directory, seed=4, test_losses=[1.0], train_seconds=[])
    write_failure(directory)
    (directory / "broken.json").write_text("{")
    return directory


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read, in their order."""
    names: list[str] = []
    read = files.read

    def noting(root: str, found: files.Found) -> files.Content:
        names.append(found.name.rpartition("/")[2])
        return read(root, found)

    monkeypatch.setattr(files, "read", noting)
    return names


def test_what_comes_from_the_cache_is_what_the_files_hold(
    results_dir: Path, read_files: list[str]
) -> None:
    uncached = load(results_dir, cache=False)
    assert_same(load(results_dir), uncached)
    read_files.clear()
    assert_same(load(results_dir), uncached)
    assert read_files == []


def test_only_new_and_changed_files_are_read_again(
    results_dir: Path, read_files: list[str]
) -> None:
    changed = write_result(results_dir, seed=5)
    load(results_dir)
    read_files.clear()
    new = write_result(results_dir, seed=6)
    changed.write_text(changed.read_text().replace('"num_epochs"', '"num_epochS"'))
    results = load(results_dir)
    assert sorted(read_files) == sorted([new.name, changed.name])
    assert_same(results, load(results_dir, cache=False))


def test_a_change_that_leaves_the_size_is_noticed_by_its_time(results_dir: Path) -> None:
    path = write_result(results_dir, seed=5, lr=0.1)
    load(results_dir)
    before = path.stat()
    path.write_text(path.read_text().replace("0.1", "0.2"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size
    assert {"lr": 0.2} in load(results_dir).runs.hyperparameters.tolist()


def test_a_file_that_was_removed_is_gone(results_dir: Path, read_files: list[str]) -> None:
    path = write_result(results_dir, seed=5)
    assert 5 in load(results_dir).runs.seed.tolist()
    path.unlink()
    read_files.clear()
    assert 5 not in load(results_dir).runs.seed.tolist()
    assert read_files == []


def test_a_failure_counts_again_once_the_result_of_its_run_is_removed(results_dir: Path) -> None:
    path = write_result(results_dir, seed=5, run_id="fefefefefefefefe")
    write_failure(results_dir / "again", run_id="fefefefefefefefe", message="It failed.")
    assert all("It failed." not in each.reason for each in load(results_dir).skipped)
    path.unlink()
    for _ in range(2):
        assert any("It failed." in each.reason for each in load(results_dir).skipped)


def test_few_new_files_among_many_are_read_again_instead_of_writing_all_anew(
    tmp_path: Path, cache_dir: Path, read_files: list[str]
) -> None:
    for seed in range(200):
        write_result(tmp_path / "many", seed=seed)
    load(tmp_path / "many")
    (kept,) = cache_dir.rglob("*.cache")
    before = kept.stat().st_mtime_ns
    new = write_result(tmp_path / "many", seed=200)
    for _ in range(2):
        read_files.clear()
        assert_same(load(tmp_path / "many"), load(tmp_path / "many", cache=False))
        assert read_files[0] == new.name and len(read_files) == 202
    assert kept.stat().st_mtime_ns == before
    for seed in range(201, 205):
        write_result(tmp_path / "many", seed=seed)
    load(tmp_path / "many")
    read_files.clear()
    assert len(load(tmp_path / "many").runs) == 205 and read_files == []


def test_configurations_are_named_again_only_where_runs_changed(
    results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[int] = []
    name = configurations.configurations_of

    def noting(identities: Collection[Any], **options: Any) -> Any:
        named.append(len(identities))
        return name(identities, **options)

    monkeypatch.setattr(configurations, "configurations_of", noting)
    for rate in (0.1, 0.01, 0.001):
        write_result(results_dir, optimizer="Adam", lr=rate)
    load(results_dir)
    named.clear()
    load(results_dir)
    assert named == []
    write_result(results_dir, optimizer="Adam", lr=1.0)
    assert_same(load(results_dir), load(results_dir, cache=False))
    assert named[0] == 4, "those of Adam, and then all without the cache"
    assert_same(load(results_dir, by=["lr"]), load(results_dir, by=["lr"], cache=False))


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 torn", None])
def test_a_broken_cache_is_made_anew(
    content: bytes | None, results_dir: Path, cache_dir: Path, read_files: list[str]
) -> None:
    expected = load(results_dir)
    (kept,) = cache_dir.rglob("*.cache")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert_same(load(results_dir), expected)
    read_files.clear()
    load(results_dir)
    assert read_files == []


def test_a_flipped_bit_is_noticed(results_dir: Path, cache_dir: Path) -> None:
    expected = load(results_dir)
    (kept,) = cache_dir.rglob("*.cache")
    whole = kept.read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert_same(load(results_dir), expected)


def test_a_cache_that_somebody_else_wrote_is_not_used(results_dir: Path, cache_dir: Path) -> None:
    expected = load(results_dir)
    (kept,) = cache_dir.rglob("*.cache")
    np.savez(kept, text=np.array([{"pickled": True}], dtype=object), allow_pickle=True)
    assert_same(load(results_dir), expected)


def test_a_cache_of_another_version_is_made_anew(
    results_dir: Path, read_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(results_dir)
    read_files.clear()
    monkeypatch.setattr(results_cache, "__version__", "0.0.0")
    load(results_dir)
    assert len(read_files) == 6


def test_a_cache_that_cannot_be_written_does_no_harm(results_dir: Path, cache_dir: Path) -> None:
    cache_dir.write_text("in the way")
    assert len(load(results_dir).runs) == 4


def test_nothing_is_written_beside_the_results_nor_left_unfinished(
    results_dir: Path, cache_dir: Path
) -> None:
    before = sorted(results_dir.rglob("*"))
    load(results_dir)
    assert sorted(results_dir.rglob("*")) == before
    assert [path.suffix for path in (cache_dir / "results").iterdir()] == [".cache"]


def test_nothing_is_kept_if_that_is_not_wanted(results_dir: Path, cache_dir: Path) -> None:
    load(results_dir, cache=False)
    load(next(results_dir.rglob("*seed__3*.json")))
    assert not cache_dir.exists()


def test_directories_have_a_cache_each_however_they_are_named(
    results_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(results_dir)
    monkeypatch.chdir(results_dir.parent)
    assert not load(results_dir.name).runs.file[0].startswith("/")
    assert len(list(cache_dir.rglob("*.cache"))) == 1
    load(results_dir / "quadratic_deep")
    assert len(list(cache_dir.rglob("*.cache"))) == 2


def test_what_is_kept_for_long_is_removed(results_dir: Path, cache_dir: Path) -> None:
    load(results_dir)
    (kept,) = cache_dir.rglob("*.cache")
    os.utime(kept, (0, 0))
    load(results_dir)
    assert kept.exists(), "nothing is removed while nothing is written"
    load(results_dir / "quadratic_deep")
    assert not kept.exists()
    assert len(list(cache_dir.rglob("*.cache"))) == 1


def test_many_may_read_at_once(results_dir: Path) -> None:
    expected = load(results_dir, cache=False)
    found: list[Results] = []
    threads = [threading.Thread(target=lambda: found.append(load(results_dir))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for each in found:
        assert_same(each, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_cannot_be_read_now_is_tried_again(results_dir: Path) -> None:
    path = write_result(results_dir, seed=9)
    path.chmod(0)
    assert "it cannot be read" in {each.reason[:17] for each in load(results_dir).skipped}
    path.chmod(stat.S_IRUSR)
    assert 9 in load(results_dir).runs.seed.tolist()
