"""Results packed into one file: what comes out of it, and what is refused."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from result_files import write_result, write_tuning

from deepobs.cli.main import main
from deepobs.errors import CorruptDataError
from deepobs_analysis import load, packed_results
from deepobs_analysis.result_archives import packed

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_analysis.results import Results

LOSSES = [2.302585092994046, 0.1234567890123, 1e-30, -12345.678]
COLUMNS = ["problem", "optimizer", "configuration", "seed", "has_diverged", "started_at", "command"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Runs of a tuning, one that diverged, and one of another DeepOBS."""
    directory = tmp_path / "study"
    for run_id, rate, seed in [("trial0", 0.1, 42), ("trial1", 0.2, 42), ("report43", 0.2, 43)]:
        curves = {"test_losses": LOSSES, "valid_losses": LOSSES}
        write_result(directory, lr=rate, seed=seed, run_id=run_id, **curves)
    write_result(
        directory,
        optimizer="Adam",
        test_losses=[2.0, None, None, None],
        status="diverged",
        diverged_at_epoch=1,
        iterates=[[1.0, 2.0]] * 4,
    )
    write_result(
        directory, optimizer="MomentumOptimizer", layout="1.1", hyperparameters={"momentum": 0.9}
    )
    write_tuning(directory)
    return directory


def pack(directory: Path, file: Path) -> Path:
    content, left_out = packed(directory)
    assert not left_out
    file.write_bytes(content)
    return file


def of_each(results: Results) -> list[dict[str, Any]]:
    return results.runs.sort_values(["optimizer", "seed", "configuration"])[COLUMNS].to_dict(
        "records"
    )


def test_what_comes_out_is_what_was_packed(study: Path, tmp_path: Path) -> None:
    before, after = load(study), load(pack(study, tmp_path / "study.zip"))
    assert of_each(before) == of_each(after)
    assert after.skipped == ()
    assert [each.protocol for each in after.tunings] == [each.protocol for each in before.tunings]
    assert list(after.runs.role) == list(before.runs.role)


def test_curves_have_three_significant_digits_between_five(study: Path, tmp_path: Path) -> None:
    runs = load(pack(study, tmp_path / "study.zip")).only(optimizers=["SGD"]).runs
    for losses in runs.test_losses:
        np.testing.assert_array_equal(losses, [2.3026, 0.123, 1e-30, -12346.0])


def test_losses_that_are_not_finite_stay_so(study: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(study, tmp_path / "study.zip")) as archive:
        files = [json.loads(content) for _, content in packed_results.unpack(archive)]
    (diverged,) = (each for each in files if each.get("status") == "diverged")
    assert diverged["test_losses"] == [2.0, None, None, None]
    assert "iterates" not in diverged
    assert diverged["minibatch_train_losses"] == []


def test_what_tells_of_no_number_is_packed_as_none(tmp_path: Path) -> None:
    # The original writes NaN and Infinity; times of interrupted epochs may be missing.
    losses = [2.0, math.nan, math.inf]
    write_result(tmp_path / "old", layout="1.1", test_losses=losses)
    write_result(
        tmp_path / "old", optimizer="Adam", train_seconds=[1.0, None], test_losses=LOSSES[:2]
    )
    with zipfile.ZipFile(pack(tmp_path / "old", tmp_path / "old.zip")) as archive:
        old, new = sorted(
            (json.loads(content) for _, content in packed_results.unpack(archive)),
            key=lambda each: "train_seconds" in each,
        )
    assert old["test_losses"] == [2.0, None, None]
    assert new["train_seconds"] == [1.0, None]
    before, after = load(tmp_path / "old"), load(tmp_path / "old.zip")
    assert list(after.runs.has_diverged) == list(before.runs.has_diverged)


def test_a_run_takes_up_some_hundred_bytes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for seed in range(200):
        write_result(tmp_path / "many", seed=seed, test_losses=generator.random(21).tolist())
    content, _ = packed(tmp_path / "many")
    assert len(content) < 200 * 250


def test_what_is_no_result_is_left_out_and_said(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "broken.json").write_text("{")
    write_result(study / "synthetic", fake_data=True)
    content, left_out = packed(study)
    assert {name.rpartition("/")[2][:6]: "broken" in why for name, why in left_out.items()} == {
        "broken": True,
        "random": False,
    }
    assert main(["baselines", "pack", str(study), str(tmp_path / "study.zip")]) == 0
    said = capsys.readouterr()
    assert "2 files" in said.err
    assert (tmp_path / "study.zip").read_bytes() == content


def test_commands_read_the_file_in_place_of_a_directory(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pack(study, tmp_path / "study.zip")
    own = tmp_path / "own"
    write_result(own, optimizer="Mine", test_losses=LOSSES)
    assert main(["table", str(file)]) == 0
    assert "SGD" in capsys.readouterr().out
    assert main(["table", str(own), "--reference", str(file)]) == 0
    assert "SGD (in study.zip)" in capsys.readouterr().out


def test_the_file_is_unpacked_once(study: Path, tmp_path: Path, cache_dir: Path) -> None:
    file = pack(study, tmp_path / "study.zip")
    load(file)
    (directory,) = (cache_dir / "archives").iterdir()
    before = directory.stat().st_mtime_ns
    load(file)
    assert [each.stat().st_mtime_ns for each in (cache_dir / "archives").iterdir()] == [before]


def changed(content: bytes, name: str, change: Any) -> bytes:
    """An archive, one of whose parts was changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for member in old.namelist():
            part = old.read(member)
            new.writestr(member, change(part) if member == name else part)
    return stream.getvalue()


def as_text(change: dict[str, Any]) -> Any:
    return lambda part: json.dumps(json.loads(part) | change).encode()


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        ("columns.json", as_text({"layout": 99}), "layout 99"),
        ("columns.json", as_text({"paths": []}), "cannot be unpacked"),
        ("columns.json", as_text({"values": {"seed": [1]}}), "cannot be unpacked"),
        ("columns.json", lambda _: b"[", "cannot be unpacked"),
        ("test_losses/lengths", lambda part: part[:-4], "cannot be unpacked"),
        ("test_losses/between/significands", lambda part: part[:-4], "cannot be unpacked"),
        ("test_losses/lengths", lambda part: b"\x05" + part[1:], "cannot be unpacked"),
        ("status/where", lambda part: b"\x7f" * len(part), "cannot be unpacked"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(
    part: str, change: Any, reason: str, study: Path, tmp_path: Path, cache_dir: Path
) -> None:
    file = tmp_path / "study.zip"
    file.write_bytes(changed(packed(study)[0], part, change))
    with pytest.raises(CorruptDataError, match=reason):
        load(file)
    assert not list((cache_dir / "archives").iterdir())


def test_a_path_that_leads_out_of_the_directory_is_refused(study: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.zip"
    paths = [f"../../random_seed__{number}.json" for number in range(8)]
    file.write_bytes(changed(packed(study)[0], "columns.json", as_text({"paths": paths})))
    with pytest.raises(CorruptDataError, match="leads out of it"):
        load(file)


def test_too_much_is_refused_before_it_is_unpacked(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pack(study, tmp_path / "study.zip")
    monkeypatch.setattr(packed_results, "MOST_BYTES", 1000)
    with pytest.raises(CorruptDataError, match="far too large"):
        load(file)


def test_what_none_could_unpack_is_not_packed(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packed_results, "MOST_BYTES", 1000)
    assert main(["baselines", "pack", str(study), str(tmp_path / "study.zip")]) == 2
    assert "too many for one archive" in capsys.readouterr().err
    assert not (tmp_path / "study.zip").exists()


def test_a_compression_whose_blocks_have_no_limit_is_refused(study: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("columns.json", json.dumps({"layout": packed_results.LAYOUT}))
    with pytest.raises(CorruptDataError, match="Allowed: deflate and LZMA"):
        load(file)


def test_a_member_of_many_blocks_is_read_whole(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 9, 100_000, dtype=np.uint8).tobytes()
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "large.zip", "w", compression) as archive:
            archive.writestr("large", content)
        with zipfile.ZipFile(tmp_path / "large.zip") as archive:
            assert packed_results.read_member(archive, "large") == content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "study.zip"], "There are no results in nowhere"),
        (["nowhere", "study.npz"], r"must be named \*.zip"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["baselines", "pack", *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)
