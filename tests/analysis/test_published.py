"""The 1080 result files published with the paper, and how they are got."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from result_files import write_result

from deepobs import config
from deepobs.cli.main import main
from deepobs.errors import CorruptDataError, DataError, DownloadError, MissingDataError
from deepobs_analysis import baselines, load, result_archives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Mirror

    from deepobs_analysis.results import Results

PROBLEMS = [
    *("cifar100_allcnnc", "cifar10_3c3d", "fmnist_2c2d", "fmnist_vae"),
    *("mnist_vae", "quadratic_deep", "svhn_wrn164", "tolstoi_char_rnn"),
]


@pytest.fixture(scope="session")
def archive(shared_dir: Path) -> Path:
    path = shared_dir / "data/published-baselines-2019.tar.xz"
    if not path.is_file():
        pytest.skip("the published results are not beside this checkout (../shared/data)")
    return path


@pytest.fixture(scope="module")
def published(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All of them, unpacked once."""
    directory = tmp_path_factory.mktemp("published") / "results"
    assert result_archives.install(directory, archive)
    return load(directory, cache=False)


def test_every_published_run_is_there(published: Results) -> None:
    assert (len(published.runs), published.skipped) == (1080, ())
    assert published.problems == PROBLEMS
    assert published.optimizers == ["Adam", "Momentum", "SGD"]
    assert set(published.runs.format) == {"1.1"}


def test_every_pair_has_36_configurations_one_of_which_ran_with_ten_seeds(
    published: Results,
) -> None:
    pairs = list(published.runs.groupby(["problem", "optimizer"]))
    assert len(pairs) == 24
    for _, runs in pairs:
        seeds = runs.groupby("configuration").seed.apply(list)
        assert (len(runs), len(seeds)) == (45, 36)
        assert sorted(seeds, key=len) == [[42]] * 35 + [list(range(42, 52))]


def test_configurations_are_called_by_their_learning_rates(published: Results) -> None:
    runs = published.only(problems=["mnist_vae"], optimizers=["Momentum"]).runs
    configurations = runs.configuration.unique()
    assert all(text.startswith("lr = ") and "," not in text for text in configurations)
    assert list(configurations[[0, 1, 5, 19]]) == [
        *("lr = 1e-05", "lr = 1.585e-05"),
        *("lr = 0.0001", "lr = 0.06310"),
    ]


@pytest.mark.parametrize(
    ("problem", "optimizer", "lr", "curve", "mean", "deviation"),
    [
        ("tolstoi_char_rnn", "SGD", 1.5848931925, "test_accuracies", 0.62071647, 0.002793),
    ],
)
def test_final_values_are_those_of_the_files(
    problem: str,
    optimizer: str,
    lr: float,
    curve: str,
    mean: float,
    deviation: float,
    published: Results,
) -> None:
    runs = published.only(problems=[problem], optimizers=[optimizer]).runs
    runs = runs[np.isclose([each["lr"] for each in runs.hyperparameters], lr, rtol=1e-9)]
    finals = np.array([values[-1] for values in runs[curve]])
    assert (len(finals), runs.configuration.nunique()) == (10, 1)
    assert finals.mean() == pytest.approx(mean, abs=5e-9)
    assert finals.std() == pytest.approx(deviation, abs=5e-7)


def test_runs_that_diverged_are_known_and_filled(published: Results) -> None:
    runs = published.runs
    not_finite = sum(
        not np.isfinite(json.loads(Path(path).read_text())["test_losses"]).all()
        for path in runs[runs.problem == "quadratic_deep"].file
    )
    assert runs[runs.problem == "quadratic_deep"].has_diverged.sum() == not_finite > 0
    diverged = runs[runs.has_diverged]
    assert (diverged.diverged_at_epoch >= 1).all()
    assert all(losses[-1] == losses[0] for losses in diverged.test_losses)


def test_problems_are_judged_by_what_their_plugins_say(published: Results) -> None:
    by_loss = [name for name in PROBLEMS if published.metric(name).name == "loss"]
    assert by_loss == ["fmnist_vae", "mnist_vae", "quadratic_deep"]


# How they are got: archives as they are published, made here.


@pytest.fixture
def baseline_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where published results are put; it is not there yet."""
    directory = tmp_path / "kept" / "baselines"
    monkeypatch.setenv("DEEPOBS_BASELINE_DIR", str(directory))
    return directory


@pytest.fixture
def entries(tmp_path: Path) -> dict[str, bytes]:
    """What an archive of the repository of the published results holds."""
    made = tmp_path / "made"
    for seed in (42, 43):
        write_result(made, layout="1.1", optimizer="AdamOptimizer", seed=seed)
    files = {path.relative_to(made): path.read_bytes() for path in made.rglob("*.json")}
    inside = {f"DeepOBS_Baselines-1.1/{path.as_posix()}": data for path, data in files.items()}
    return {**inside, "DeepOBS_Baselines-1.1/README.md": b"# Baselines", "x/notes.json": b"{}"}


def tar_of(entries: dict[str, bytes], mode: str = "w:gz", **special: bytes) -> bytes:
    """A tar archive; `special` are types of further entries, by name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, kind in special.items():
            entry = tarfile.TarInfo(name)
            entry.type = kind
            entry.linkname = "/etc/passwd"
            tar.addfile(entry)
    return stream.getvalue()


def zip_of(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return stream.getvalue()


PACKED: list[Callable[[dict[str, bytes]], bytes]] = [
    *(tar_of, zip_of),
    *(lambda entries, mode=mode: tar_of(entries, mode) for mode in ("w:xz", "w:bz2", "w")),
]


@pytest.fixture
def install(tmp_path: Path, baseline_dir: Path) -> Iterator[Callable[[bytes], None]]:
    """Installs an archive; afterwards nothing unfinished may be left."""
    path = tmp_path / "archive"

    def from_file(packed: bytes) -> None:
        path.write_bytes(packed)
        result_archives.install(baseline_dir, path)

    yield from_file
    assert {each.name for each in baseline_dir.parent.iterdir()} <= {"baselines"}


@pytest.mark.parametrize("pack", PACKED)
def test_results_come_out_of_an_archive_and_nothing_else(
    pack: Callable[[dict[str, bytes]], bytes],
    install: Callable[[bytes], None],
    entries: dict[str, bytes],
    baseline_dir: Path,
) -> None:
    install(pack(entries))
    files = [path for path in baseline_dir.rglob("*") if path.is_file()]
    assert {path.relative_to(baseline_dir).parts[:2] for path in files} == {
        ("quadratic_deep", "AdamOptimizer")
    }
    assert len(files) == 2
    reference = baselines.load_reference()
    assert reference.runs.seed.tolist() == [42, 43]
    assert reference.runs.is_reference.all()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/root/random_seed__1.json", "leads out of it"),
        ("a/../../random_seed__1.json", "leads out of it"),
        ("a\\..\\random_seed__1.json", "leads out of it"),
    ],
)
def test_an_archive_that_leads_out_of_its_directory_is_refused_whole(
    name: str,
    reason: str,
    install: Callable[[bytes], None],
    entries: dict[str, bytes],
    baseline_dir: Path,
) -> None:
    content = next(iter(entries.values()))
    with pytest.raises(CorruptDataError, match=f"{reason}. Nothing was installed"):
        install(tar_of({**entries, name: content}))
    assert not baseline_dir.exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_in_place_of_a_result_is_refused(
    kind: bytes, install: Callable[[bytes], None], entries: dict[str, bytes]
) -> None:
    with pytest.raises(CorruptDataError, match="not a regular file"):
        install(tar_of(entries, **{"random_seed__1.json": kind}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"testproblem": "quad', "it is not JSON"),
        (b"{}", "has none of the keys of one"),
        (b"", "it is empty"),
    ],
)
def test_an_archive_with_a_broken_result_is_refused_whole(
    content: bytes,
    reason: str,
    install: Callable[[bytes], None],
    entries: dict[str, bytes],
    baseline_dir: Path,
) -> None:
    with pytest.raises(CorruptDataError, match=reason):
        install(tar_of({**entries, "a/b/c/random_seed__7__x.json": content}))
    assert not baseline_dir.exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b torn", b"PK\x05\x06"])
def test_what_is_no_archive_of_results_is_refused(
    content: bytes, install: Callable[[bytes], None]
) -> None:
    with pytest.raises(CorruptDataError, match=r"archive .* cannot be used"):
        install(content)


def test_a_torn_archive_is_refused_whole(
    install: Callable[[bytes], None], entries: dict[str, bytes], baseline_dir: Path
) -> None:
    many = {f"a/b/{i}/random_seed__{i}.json": next(iter(entries.values())) for i in range(50)}
    packed = tar_of(many)
    for end in (*range(100, len(packed), len(packed) // 10), len(packed) - 1):
        with pytest.raises(CorruptDataError, match="cannot be unpacked"):
            install(packed[:end])
        assert not baseline_dir.exists()


def test_archives_are_bounded(
    install: Callable[[bytes], None], entries: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_archives, "_MOST_ENTRIES", 2)
    with pytest.raises(CorruptDataError, match="far too large"):
        install(tar_of(entries))
    monkeypatch.undo()
    monkeypatch.setattr(result_archives, "_MOST_BYTES", 100)
    with pytest.raises(CorruptDataError, match="far too large"):
        install(zip_of(entries))


def test_two_results_for_one_place_are_refused(
    install: Callable[[bytes], None], entries: dict[str, bytes]
) -> None:
    name, content = next(iter(entries.items()))
    with pytest.raises(CorruptDataError, match="twice"):
        install(tar_of({**entries, f"again/{name}": content}))


def test_a_directory_that_holds_something_else_is_left_alone(
    install: Callable[[bytes], None], entries: dict[str, bytes], baseline_dir: Path
) -> None:
    baseline_dir.mkdir(parents=True)
    (baseline_dir / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="DEEPOBS_BASELINE_DIR"):
        install(tar_of(entries))
    assert [path.name for path in baseline_dir.iterdir()] == ["mine.txt"]


def test_they_are_downloaded_once(
    mirror: Mirror,
    entries: dict[str, bytes],
    baseline_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mirror.files["v1.1.tar.gz"] = tar_of(entries)
    assert main(["baselines", "get", "--url", f"{mirror.url}v1.1.tar.gz"]) == 0
    told = capsys.readouterr().out
    assert told == f"In {baseline_dir}: 2 runs of 1 problem.\n"
    assert main(["baselines", "get", "--url", f"{mirror.url}v1.1.tar.gz"]) == 0
    assert "existed already" in capsys.readouterr().out
    assert mirror.requests == ["v1.1.tar.gz"]


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_download_that_fails_leaves_nothing(
    is_cut: bool, mirror: Mirror, entries: dict[str, bytes], baseline_dir: Path
) -> None:
    if is_cut:
        mirror.files["a.tar.gz"] = tar_of(entries)
        mirror.cut.add("a.tar.gz")
    with pytest.raises(DownloadError, match=r"a\.tar\.gz"):
        baselines.download(baseline_dir, f"{mirror.url}a.tar.gz")
    assert not baseline_dir.parent.exists() or not os.listdir(baseline_dir.parent)  # noqa: PTH208


def test_the_command_shows_what_there_is(
    baseline_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2):
        write_result(baseline_dir, layout="1.1", optimizer="AdamOptimizer", seed=seed)
    assert main(["baselines", "show"]) == 0
    said = capsys.readouterr().out
    assert f"In {baseline_dir}: 2 runs of 1 problem." in said
    assert "quadratic_deep  Adam                    1     2        0.5000 ± 0  lr = 0.1" in said
    assert main(["baselines", "show", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["problem"], row["optimizer"]) == ("quadratic_deep", "Adam")
    assert (row["configurations"], row["runs"]) == (1, 2)


@pytest.mark.usefixtures("baseline_dir")
def test_without_any_the_error_says_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingDataError, match="deepobs baselines get"):
        baselines.load_reference()
    assert main(["baselines", "show"]) == 2
    assert "deepobs baselines get" in capsys.readouterr().err


@pytest.mark.usefixtures("baseline_dir")
def test_mistakes_in_the_command_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baselines", "get", "--file", "nowhere.tar.gz"]) == 2
    assert "Cannot open the archive nowhere.tar.gz" in capsys.readouterr().err
    assert main(["baselines", "get", "--file", "a", "--url", "b"]) == 2
    assert "--url or --file, not both" in capsys.readouterr().err


def test_they_are_kept_in_the_users_cache_unless_said_otherwise(cache_dir: Path) -> None:
    assert config.get_baseline_dir() == cache_dir / "baselines"
