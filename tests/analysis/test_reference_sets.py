"""Reference sets by name: those of the package, the published one, and how a set is verified."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from result_files import write_result

from deepobs.cli.main import main
from deepobs.errors import MissingDataError
from deepobs.plugins import registry
from deepobs_analysis import compare, load, plot, reference_names, score
from deepobs_analysis.baselines import load_reference
from deepobs_analysis.result_archives import packed
from deepobs_analysis.results import Metric
from deepobs_analysis.targets import FROM_RESULTS, FROM_SETS, PUBLISHED, Target
from deepobs_analysis.verification import Repetition

if TYPE_CHECKING:
    from collections.abc import Callable

EXPERIMENT = """
problems = ["quadratic_deep"]
defaults.epochs = 2
[optimizers.SGD]
grid = { lr = [0.01] }
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One's own results, in the current directory."""
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2, 3):
        write_result(tmp_path / "results", optimizer="Mine", seed=seed, test_losses=[300, 90, 87])
    return tmp_path / "results"


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], None]:
    """Makes a directory of results a set of the package."""
    sets = tmp_path / "sets"
    sets.mkdir()
    monkeypatch.setattr(reference_names, "SETS", sets)

    def call(directory: Path, name: str) -> None:
        (sets / f"{name}.zip").write_bytes(packed(directory)[0])
        (sets / f"{name}.toml").write_text(EXPERIMENT)
        # What the names of optimizers end with is found out once.
        reference_names._suffixes.cache_clear()

    return call


@pytest.fixture
def shipped(tmp_path: Path, own: Path, ship: Callable[[Path, str], None]) -> str:
    """A small set: two optimizers on a problem, and one of them on another problem, too."""
    theirs = tmp_path / "theirs"
    for seed in (1, 2, 3):
        write_result(theirs, seed=seed, test_losses=[300, 100, 88.5])
        write_result(theirs, optimizer="Adam", seed=seed, test_losses=[300, 95, 88])
        write_result(theirs, problem="digits_mlp", seed=seed, test_accuracies=[0.1, 0.5, 0.9])
    ship(theirs, "tiny-2026")
    return "tiny-2026"


def test_a_set_is_known_by_its_name(
    own: Path, shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_reference(shipped).source == shipped
    both = load(own).beside(load_reference(shipped))
    assert both.optimizers == ["Mine", f"Adam ({shipped})", f"SGD ({shipped})"]
    given = [str(own), "--reference", shipped]
    for words in (["table"], ["score"], ["report", "-o", "page.html"], ["plot", "overview"]):
        assert main([*words, *given]) == 0
    assert f"Adam ({shipped})" in capsys.readouterr().out
    assert f"Adam ({shipped})" in Path("page.html").read_text()
    match = compare("Mine", f"Adam ({shipped})", own).matches[0]
    assert match.names == ("Mine", f"Adam ({shipped})")


def test_a_set_is_shown_by_itself_without_some_of_its_optimizers(
    shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["table", shipped, "--columns", "problem,optimizer,final"]
    assert main(words) == 0
    assert "Adam" in capsys.readouterr().out
    assert main([*words, "--without", "Adam"]) == 0
    assert "Adam" not in capsys.readouterr().out
    assert main([*words, "--without", "Adm"]) == 2
    assert "Did you mean 'Adam'?" in capsys.readouterr().err
    assert main(["table", "results", "--reference", shipped, "--without", f"SGD ({shipped})"]) == 0
    said = capsys.readouterr().out
    assert f"Adam ({shipped})" in said
    assert f"SGD ({shipped})" not in said


def test_a_directory_that_is_called_like_a_set_has_a_path(own: Path, shipped: str) -> None:
    own.rename(shipped)
    assert "Adam" in load_reference(shipped).optimizers
    for path in (f"./{shipped}", Path(shipped)):
        assert load_reference(path).optimizers == ["Mine"]


@pytest.mark.usefixtures("shipped")
def test_an_unknown_set_is_refused_with_those_there_are(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MissingDataError, match=r"mean 'tiny-2026'\?.*: published, tiny-2026\."):
        load_reference("tiny-2027")
    assert main(["table", str(own), "--reference", "tiny-2027"]) == 2
    assert "Did you mean 'tiny-2026'?" in capsys.readouterr().err


def test_sets_are_listed_and_shown(shipped: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baselines", "list", "--json"]) == 0
    published, ours = json.loads(capsys.readouterr().out)
    assert (published["set"], published["runs"]) == ("published", 0)
    assert (ours["set"], ours["runs"], ours["problems"]) == (shipped, 9, 2)
    assert ours["size"] == reference_names.archive_of(shipped).stat().st_size
    assert main(["baselines", "show", shipped, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["problem"], row["optimizer"], row["runs"], row["mean"]) for row in rows] == [
        ("digits_mlp", "SGD", 3, 0.9),
        ("quadratic_deep", "Adam", 3, 88),
        ("quadratic_deep", "SGD", 3, 88.5),
    ]
    assert main(["baselines", "list"]) == 0
    assert main(["baselines", "show", shipped]) == 0
    assert "SHA-256" in capsys.readouterr().out
    assert main(["baselines", "show", shipped, "--experiment"]) == 0
    assert capsys.readouterr().out == EXPERIMENT.rstrip("\n") + "\n"


def test_targets_follow_from_a_set_and_hold_without_it(
    own: Path,
    ship: Callable[[Path, str], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in (1, 2, 3):
        write_result(tmp_path / "theirs", seed=seed, test_losses=[300, 95, 88])
        losses = [4.0, 1.0, 0.5]
        write_result(tmp_path / "theirs", problem="plateau", seed=seed, test_losses=losses)
    ship(tmp_path / "theirs", "tiny-2026")
    assert main(["baselines", "show", "tiny-2026", "--targets"]) == 0
    text = capsys.readouterr().out
    given = tomllib.loads(text)["targets"]
    assert given == pytest.approx({"plateau": 0.5 + 0.005, "quadratic_deep": 88 + 0.88})
    (reference_names.SETS / "targets.toml").write_text(text)
    reference_names._targets.cache_clear()
    epochs = registry().problems.find("plateau").spec.epochs
    losses = [4.0] * epochs + [0.4]
    write_result(own, problem="plateau", optimizer="Mine", test_losses=losses)
    found = score(own).targets
    assert found["plateau"] == Target(given["plateau"], FROM_SETS)
    # One that is published with the problem wins.
    assert found["quadratic_deep"].source == PUBLISHED
    write_result(own / "short", problem="plateau", optimizer="Mine", test_losses=[4.0] * 3)
    short = score(own / "short").targets["plateau"]
    assert short.source == FROM_RESULTS
    fixed = load(own / "short").with_targets({"plateau": 0.7})
    assert score(fixed).targets["plateau"].value == 0.7


def test_an_optimizer_of_a_set_that_lacks_a_problem_takes_none_from_the_ranking(
    own: Path, shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(own, problem="digits_mlp", optimizer="Mine", test_accuracies=[0.1, 0.5, 0.95])
    both = load(own).beside(load_reference(shipped))
    scores = score(both.with_targets({"digits_mlp": 0.9, "quadratic_deep": 88.5}))
    assert list(scores.timed) == ["digits_mlp", "quadratic_deep"]
    assert [each.optimizer for each in scores.scores] == ["Mine", f"SGD ({shipped})"]
    why = "not run on digits_mlp, so not compared"
    assert scores.skipped == {f"Adam ({shipped})": why}
    assert main(["score", str(own), "--reference", shipped]) == 0
    assert f"Skipped: Adam ({shipped}): {why}." in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["ranks", "comparison", "profiles"])
def test_figures_over_problems_leave_out_what_scores_do(own: Path, shipped: str, kind: str) -> None:
    write_result(own, problem="digits_mlp", optimizer="Mine", test_accuracies=[0.1, 0.5, 0.95])
    both = load(own).beside(load_reference(shipped))
    note = plot(kind, both).get_supxlabel().replace("\n", " ")
    assert "2 problems: digits_mlp and quadratic_deep." in note
    assert f"Left out, as not run on all: Adam ({shipped})." in note


def test_references_under_another_protocol_do_not_hide_ones_own_scores(
    own: Path, shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = own.parent / "longer"
    for optimizer, final in (("Mine", 87), ("Other", 89)):
        losses = [300, 90, 89, final]
        write_result(directory, optimizer=optimizer, test_losses=losses)
    scores = score(load(directory).beside(load_reference(shipped)))
    assert [each.optimizer for each in scores.scores] == ["Mine", "Other"]
    assert all(each.benchmark_score is not None for each in scores.scores)
    assert set(scores.skipped) == {f"Adam ({shipped})", f"SGD ({shipped})"}
    for kind in ("ranks", "comparison", "profiles"):
        assert main(["plot", kind, str(directory), "--reference", shipped]) == 0


def test_several_sets_can_be_shown_and_single_optimizers_of_them(
    own: Path, shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["table", str(own), "--columns", "optimizer", "--format", "csv"]
    words += ["--reference", shipped, "--reference", str(own.parent / "theirs")]

    def shown(*options: str) -> set[str]:
        assert main([*words, *options]) == 0
        _, *rows = capsys.readouterr().out.splitlines()
        return {row.partition(",")[0] for row in rows}

    of_both = {f"{name} ({of})" for name in ("Adam", "SGD") for of in ("in theirs", shipped)}
    assert shown() == {"Mine"} | of_both
    assert shown("--optimizer", "Adam (in theirs)") == {"Mine", "Adam (in theirs)"}
    assert shown("--optimizer", "Mine") == {"Mine"} | of_both


def test_optimizers_of_sets_are_found_by_their_bare_names(
    own: Path, shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(own), "--reference", shipped]
    for words in (["score", "--against", "Adam"], ["table", "--without", "Adam"]):
        assert main([words[0], *given, *words[1:]]) == 2
        assert f"Did you mean 'Adam ({shipped})'?" in capsys.readouterr().err
    # Without an optimizer to compare with, it is the usual one, here that of the set.
    assert score(load(own).beside(load_reference(shipped))).base == f"SGD ({shipped})"
    assert main(["compare", "Adam", "SGD", "--results", shipped]) == 0
    assert "Adam" in capsys.readouterr().out


def test_where_no_optimizer_of_a_set_has_all_problems_those_of_all_count(
    own: Path, shipped: str, ship: Callable[[Path, str], None]
) -> None:
    theirs = own.parent / "theirs"
    write_result(theirs, problem="plateau", optimizer="Adam")
    ship(theirs, shipped)
    for problem in ("digits_mlp", "plateau"):
        write_result(own, problem=problem, optimizer="Mine", test_accuracies=[0.1, 0.5, 0.95])
    scores = score(load(own).beside(load_reference(shipped)))
    assert len(scores.scores) == 3
    assert list(scores.timed) == ["quadratic_deep"]
    assert set(scores.skipped) == {"digits_mlp", "plateau"}


def test_many_optimizers_have_a_line_each(
    own: Path, ship: Callable[[Path, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = own.parent / "theirs"
    names = ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adafactor"]
    for place, name in enumerate(names):
        write_result(theirs, optimizer=name, test_losses=[300, 100, 88 + place])
    ship(theirs, "many")
    assert main(["score", str(own), "--reference", "many"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "OPTIMIZER         quadratic_deep" in lines
    assert any(line.startswith("Adafactor (many)") for line in lines)


def test_a_set_without_an_experiment_file_says_which_have_one(
    shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["baselines", "show", "published", "--experiment"]) == 2
    assert f"Sets that have one: {shipped}." in capsys.readouterr().err


@pytest.fixture
def executed(tmp_path: Path, ship: Callable[[Path, str], None], own: Path) -> Path:
    """A set of runs that were executed."""
    directory = tmp_path / "executed"
    run = ["run", "two_d_branin", "--epochs", "2", "--out", str(directory)]
    assert main([*run, "SGD", "--lr", "0.01", "--seed", "1", "--seed", "2"]) == 0
    assert main([*run, "Adam", "--lr", "0.1", "--lr-scheduler", "cosine"]) == 0
    ship(directory, "real")
    return directory


@pytest.mark.usefixtures("executed")
def test_repeated_runs_come_out_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["baselines", "verify", "real"]) == 0
    assert capsys.readouterr().out.count("  same  ") == 3
    assert main(["baselines", "verify", "real", "--only", "optimizer=Adam*", "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)
    assert (only["optimizer"][:4], only["verdict"], only["before"] < 1e-4) == ("Adam", "same", True)


def test_a_run_that_comes_out_otherwise_is_shown(
    executed: Path, ship: Callable[[Path, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (changed,) = executed.rglob("*/Adam/*/random*.json")
    document = json.loads(changed.read_bytes())
    document["test_losses"][-1] *= 1.5
    document["versions"]["torch"] = "1.0"
    changed.write_text(json.dumps(document))
    ship(executed, "other")
    capsys.readouterr()
    assert main(["baselines", "verify", "other"]) == 1
    said = capsys.readouterr().out
    assert (said.count("differs"), said.count("  same  ")) == (1, 2)
    assert "torch was 1.0 and is" in said


def test_what_cannot_be_repeated_is_skipped_with_the_reason(
    executed: Path, ship: Callable[[Path, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (changed,) = executed.rglob("*/Adam/*/random*.json")
    text = changed.read_text()
    changed.write_text(text.replace(" Adam --lr", " no_such_package:Adam --lr"))
    ship(executed, "other")
    assert main(["baselines", "verify", "other"]) == 0
    said = capsys.readouterr()
    assert "No module named 'no_such_package'" in said.err
    assert "nothing was verified" not in said.err
    changed.write_text(text.replace(" Adam --lr", " RMSprop --lr"))
    ship(executed, "another")
    assert main(["baselines", "verify", "another", "--only", "optimizer=Adam*"]) == 1
    said = capsys.readouterr()
    assert "this DeepOBS or its code is another one" in said.err
    assert "nothing was verified" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["raal"], "Did you mean 'real'? Allowed: real."),
        (["published"], "no set 'published' that comes with DeepOBS"),
        (["real", "--only", "problm=x"], "Did you mean 'problem'? Allowed: problem=PATTERN,"),
        (["real", "--only", "problem=digits*"], "No run of the set matches problem=digits*"),
    ],
)
@pytest.mark.usefixtures("executed")
def test_mistakes_about_what_to_verify_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["baselines", "verify", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kept", "now", "is_same"),
    [
        ((2.0, 1.0), (2.0, 1.009), True),
        ((2.0, 1.0), (2.0, 1.011), False),
        ((2.0, 1.0), (2.001, 1.0), False),
        # How far off a failed run ends is as random as with another seed.
        ((2.0, 1e9), (2.0, 4e7), True),
        ((2.0, 1e9), (2.0, 2.0), True),
        ((2.0, 1.0), (2.0, float("nan")), False),
        # Five digits show neither that training changed anything, nor by how much.
        ((16.0, 16.0), (16.00003, 15.9999), True),
        ((16.0, 15.999), (16.0, 15.9994), True),
        ((16.0, 15.999), (16.0, 15.9), False),
        ((16.0, 16.0), (16.0, 15.9), False),
    ],
)
def test_runs_are_the_same_within_what_rounding_explains(
    kept: tuple[float, float], now: tuple[float, float], *, is_same: bool
) -> None:
    run = Repetition("a", "b", "c", 1, kept, now)
    assert run.is_same(Metric("loss")) is is_same


def test_one_test_example_may_be_told_otherwise() -> None:
    kept, example = (0.1, 0.15), 1 / 320
    one, two = (
        Repetition("a", "b", "c", 1, kept, (0.1, 0.15 + count * example), example=example)
        for count in (1, 2)
    )
    assert one.is_same(Metric("accuracy"))
    assert not two.is_same(Metric("accuracy"))
