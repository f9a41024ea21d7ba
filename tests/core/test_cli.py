"""The command line, called as a function on real plugin distributions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import pytest
from plugin_sources import PREAMBLE

from deepobs.cli.main import BUILT_IN, main
from deepobs.plugins.catalog import import_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_sources import Install

ACME_PROBLEM = """
@hookimpl
def deepobs_problems():
    return [problem("acme_mlp")]
"""

COMMANDS = """
import click

@hookimpl
def deepobs_commands():
    return [
        CommandSpec(name="greet", summary="Say hello", target="{module}:greet"),
        CommandSpec(name="list", summary="Another list", target="{module}:greet"),
        CommandSpec(name="broken", summary="Cannot be imported", target="acme_nowhere:command"),
        CommandSpec(name="number", summary="Is no command", target="{module}:DEEPOBS_API_VERSION"),
    ]

@click.command()
def greet():
    click.echo("hello from acme")
    return 7
"""

DATA_SETS = """
from deepobs.data.base import DataStatus
from deepobs.errors import DataError

@hookimpl
def deepobs_datasets():
    return [
        DatasetSpec(
            name=name, target=f"acme_obs:{target}", summary=name, train_size=1, test_size=1
        )
        for name, target in (("acme_good", "Good"), ("acme_bad", "Bad"), ("acme_worse", "Worse"))
    ]

class Good:
    @classmethod
    def status(cls, data_dir):
        return DataStatus("ready", f"in {data_dir}", data_dir)

    @classmethod
    def prepare(cls, data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "prepared").touch()
        return cls.status(data_dir)

    verify = status

class Bad:
    @classmethod
    def status(cls, data_dir):
        return DataStatus("missing", "nothing there", data_dir)

    @classmethod
    def prepare(cls, data_dir):
        raise DataError("The mirror is down.")

    verify = prepare

class Worse(Bad):
    @classmethod
    def prepare(cls, data_dir):
        raise ZeroDivisionError("acme")
"""


class Answer(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def plugin(install: Install) -> Callable[..., Path]:
    """Installs a plugin whose source follows the usual imports."""

    def write(distribution: str, source: str, version: str = "0.1") -> Path:
        imports = "from deepobs.plugins import CommandSpec, OptimizerSpec\n" + PREAMBLE
        return install(distribution, imports + textwrap.dedent(source), version=version)

    return write


@pytest.fixture
def deepobs(fresh_registry: object, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Calls the command line in a process that has not discovered any plugin yet."""

    def call(*args: str) -> Answer:
        code = main(list(args))
        return Answer(code, *capsys.readouterr())

    return call


def test_every_built_in_command_has_the_summary_that_the_help_shows() -> None:
    for spec in BUILT_IN.values():
        command = import_target(spec.target, spec.name)
        assert isinstance(command, click.Command)
        assert command.name == spec.name


def test_help_shows_the_commands_and_their_summaries(deepobs: Callable[..., Answer]) -> None:
    for args in ((), ("--help",), ("-h",)):
        answer = deepobs(*args)
        assert answer.code == 0
        for spec in BUILT_IN.values():
            assert f"{spec.name} " in answer.out
            assert spec.summary in " ".join(answer.out.split())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_output_that_cannot_be_written_is_an_error_without_a_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "deepobs", "list", "suites"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The output cannot be written: No space left on device.")
    assert "Traceback" not in done.stderr


def test_a_current_directory_that_was_removed_is_told(
    deepobs: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    answer = deepobs("doctor")
    assert answer.code == 2
    assert "The current directory no longer exists" in answer.err


def test_the_version_is_that_of_core_and_comes_with_those_of_python_and_torch(
    deepobs: Callable[..., Answer],
) -> None:
    answer = deepobs("--version")
    assert answer.code == 0
    assert answer.out.startswith("deepobs-core 1.")
    assert f"Python {sys.version.split()[0]}" in answer.out
    assert "torch 2" in answer.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["data", "stauts"], "No such command 'stauts'. Did you mean 'status'?"),
        (["list", "--jsn"], "No such option '--jsn'. Did you mean '--json'?"),
        (["list", "problms"], "There is no kind 'problms'. Did you mean 'problems'?"),
        (["list", "--tag", "synthtic"], "There is no tag 'synthtic'. Did you mean 'synthetic'?"),
        (["list", "optimizers", "--tag", "small"], "Only test problems have tags"),
        (["info", "quadratic_dep"], "Did you mean 'quadratic_deep'"),
        (["info", "momentm"], "Did you mean 'Momentum'"),
        (["data", "status", "quadratc"], "no data set 'quadratc'. Did you mean 'quadratic'?"),
        (["data", "prepare"], "Give the names of data sets, or --all"),
        (["data", "prepare", "two_d", "--all"], "Give the names of data sets, or --all"),
        (["info"], "Missing argument 'NAME'"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    deepobs: Callable[..., Answer], args: list[str], message: str
) -> None:
    answer = deepobs(*args)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("Error: ") == 1
    assert message in answer.err


def test_list_shows_every_kind_in_brief(deepobs: Callable[..., Answer]) -> None:
    answer = deepobs("list")
    assert answer.code == 0
    for text in ("Test problems (", "quadratic_deep", "Adam", "two_d", "Plugins (", "StandardR"):
        assert text in answer.out


def test_a_piped_list_has_one_whole_plain_line_for_each_thing(
    deepobs: Callable[..., Answer],
) -> None:
    lines = deepobs("list", "problems").out.splitlines()
    offered = json.loads(deepobs("list", "problems", "--json").out)
    assert len(lines) == 1 + len(offered)
    for line, problem in zip(lines[1:], offered, strict=True):
        assert line.split()[0] == problem["name"]
        assert line.endswith(problem["summary"])
        assert "\x1b" not in line


def test_the_json_of_everything_has_each_kind(deepobs: Callable[..., Answer]) -> None:
    everything = json.loads(deepobs("list", "--json").out)
    (problem,) = (one for one in everything["problems"] if one["name"] == "quadratic_deep")
    assert problem["distribution"] == "deepobs-core"
    assert problem["batch_size"] == 128
    assert problem["tags"] == ["convex", "small", "synthetic"]
    assert problem["is_ambiguous"] is False
    assert "deepobs-core:core" in [plugin["name"] for plugin in everything["plugins"]]
    assert {"datasets", "optimizers", "suites", "runners", "commands"} <= set(everything)


def test_tags_select_the_problems_that_have_all_of_them(deepobs: Callable[..., Answer]) -> None:
    answer = deepobs("list", "--tag", "small", "--tag", "convex", "--json")
    assert [problem["name"] for problem in json.loads(answer.out)] == ["quadratic_deep"]


def test_a_kind_that_nobody_offers_is_said_to_be_empty(
    deepobs: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_PLUGINS", "deepobs-core")
    assert deepobs("list", "plots").out == "No installed plugin offers plots.\n"
    assert json.loads(deepobs("list", "plots", "--json").out) == []


def test_a_name_that_two_plugins_offer_is_listed_by_its_full_names(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin("acme-obs", ACME_PROBLEM)
    plugin("rival-obs", ACME_PROBLEM, version="2.0")
    listed = deepobs("list", "problems")
    assert "acme-obs:acme_mlp" in listed.out
    assert "rival-obs:acme_mlp" in listed.out
    assert "acme_mlp is offered by acme-obs 0.1 and rival-obs 2.0" in listed.out
    ambiguous = [
        problem["qualified_name"]
        for problem in json.loads(deepobs("list", "problems", "--json").out)
        if problem["is_ambiguous"]
    ]
    assert ambiguous == ["acme-obs:acme_mlp", "rival-obs:acme_mlp"]


def without_columns(text: str) -> str:
    """Text with one space wherever there are several."""
    return re.sub(" +", " ", text)


def test_info_shows_both_plugins_of_a_name_and_one_of_a_full_name(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin("acme-obs", ACME_PROBLEM)
    plugin("rival-obs", ACME_PROBLEM, version="2.0")
    both = deepobs("info", "acme_mlp")
    assert both.code == 0
    assert "From acme-obs 0.1" in without_columns(both.out)
    assert "From rival-obs 2.0" in without_columns(both.out)
    (one,) = json.loads(deepobs("info", "rival-obs:acme_mlp", "--json").out)
    assert one["version"] == "2.0"


def test_info_shows_what_an_optimizer_needs(deepobs: Callable[..., Answer]) -> None:
    assert "closure: step(closure)" in deepobs("info", "LBFGS").out
    (facts,) = json.loads(deepobs("info", "SGD", "--json").out)
    assert facts["needs"] == ["plain: step() after the gradients were computed, nothing else"]


def test_info_shows_all_of_a_problem(deepobs: Callable[..., Answer]) -> None:
    answer = deepobs("info", "quadratic_deep")
    assert answer.code == 0
    for text in (
        "quadratic_deep (test problem)",
        "From deepobs-core 1.",
        "Batch size 128",
        "Epochs 100",
        "Compared by loss",
        "Target performance 88.0470458984375",
        "Target, same order 87.70315464772136",
        "Tags convex, small, synthetic",
        "https://arxiv.org/abs/1903.05499",
        "Suites embedded, small",
    ):
        assert text in without_columns(answer.out)


def test_info_says_how_large_a_problem_is_and_how_long_an_epoch_takes(
    deepobs: Callable[..., Answer],
) -> None:
    answer = without_columns(deepobs("info", "quadratic_deep").out)
    for text in (
        "Training examples 1000\n",
        "Test examples 1000\n",
        "Parameters to train 100\n",
        "Time per epoch --time measures it here\n",
    ):
        assert text in answer
    (facts,) = json.loads(deepobs("info", "quadratic_deep", "--time", "--json").out)
    assert facts["time_per_epoch"]["seconds"] > 0
    assert facts["time_per_epoch"]["synthetic_data"] is False
    assert (facts["train_size"], facts["parameters"], facts["classes"]) == (1000, 100, None)


def test_info_shows_everything_of_a_name_that_several_kinds_share(
    deepobs: Callable[..., Answer],
) -> None:
    data_set, suite = json.loads(deepobs("info", "two_d", "--json").out)
    assert data_set["kind"] == "data set"
    assert data_set["state"] == "embedded"
    assert data_set["used_by"] == ["two_d_beale", "two_d_branin", "two_d_rosenbrock"]
    assert suite["kind"] == "suite"
    assert suite["not_installed"] == []


def test_info_names_the_problems_of_a_suite_that_are_not_installed(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin(
        "acme-obs",
        """
        @hookimpl
        def deepobs_suites():
            problems = ("quadratic_deep", "acme_gone")
            return [SuiteSpec(name="acme", summary="Some", problems=problems)]
        """,
    )
    assert "Not installed  acme_gone\n" in deepobs("info", "acme").out


def test_info_shows_the_hyperparameters_of_an_optimizer_as_it_would_be_used(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin(
        "acme-obs",
        """
        @hookimpl
        def deepobs_optimizers():
            target = "acme_obs:Optimizer"
            defaults = {"beta": float("inf")}
            return [OptimizerSpec(name="Acme", target=target, summary="Ours", defaults=defaults)]

        class Optimizer:
            def __init__(self, params, lr, beta=0.5, **others):
                pass
        """,
    )
    answer = deepobs("info", "Acme")
    assert "lr              none: required\n" in answer.out
    assert "beta            inf\n" in answer.out
    (facts,) = json.loads(deepobs("info", "Acme", "--json").out, parse_constant=pytest.fail)
    assert facts["hyperparameters"] == [
        {"name": "lr", "default": None, "is_required": True},
        {"name": "beta", "default": "inf", "is_required": False},
    ]


def test_info_of_momentum_has_the_default_that_makes_it_momentum(
    deepobs: Callable[..., Answer],
) -> None:
    (facts,) = json.loads(deepobs("info", "Momentum", "--json").out)
    defaults = {one["name"]: one["default"] for one in facts["hyperparameters"]}
    assert defaults["momentum"] == 0.9
    assert {"lr", "dampening", "nesterov"} <= set(defaults)


def test_info_says_what_cannot_be_imported_and_exits_1(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin(
        "acme-obs",
        """
        @hookimpl
        def deepobs_optimizers():
            return [OptimizerSpec(name="Acme", target="acme_gone:Acme", summary="Lost")]
        """,
    )
    answer = deepobs("info", "Acme")
    assert answer.code == 1
    assert "Lost" in answer.out
    assert "No module named 'acme_gone'" in answer.out


def test_info_on_a_problem_of_a_package_that_failed_names_the_failure(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin("acme-obs", "import acme_gone")
    answer = deepobs("info", "acme_mlp")
    assert answer.code == 2
    assert "No module named 'acme_gone'" in answer.err.splitlines()[-1]


def test_a_broken_plugin_is_one_line_of_warning(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin("acme-obs", "raise RuntimeError('first line\\nsecond \\x1b[31mline')")
    answer = deepobs("list", "problems")
    assert answer.code == 0
    assert "quadratic_deep" in answer.out
    (line,) = answer.err.splitlines()
    assert line.startswith("Warning: Plugin acme-obs:acme 0.1")
    assert "first line second \\x1b[31mline" in line


def test_the_plugin_list_has_the_failure_instead_of_a_warning_and_exits_1(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin("acme-obs", "import acme_gone")
    answer = deepobs("plugins")
    assert answer.code == 1
    assert answer.err == ""
    (line,) = (line for line in answer.out.splitlines() if line.startswith("acme-obs:acme"))
    assert line.split()[1:3] == ["0.1", "failed"]
    assert line.endswith("No module named 'acme_gone'")


def test_the_plugin_list_is_there_as_json(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    directory = plugin("acme-obs", ACME_PROBLEM)
    answer = deepobs("plugins", "--json")
    assert answer.code == 0
    (acme,) = (one for one in json.loads(answer.out) if one["distribution"] == "acme-obs")
    assert acme == {
        "name": "acme-obs:acme",
        "distribution": "acme-obs",
        "version": "0.1",
        "target": "acme_obs",
        "file": str(directory / "acme_obs.py"),
        "state": "loaded",
        "error": "",
    }


def test_the_plugin_list_warns_of_the_old_deepobs(
    install: Install, deepobs: Callable[..., Answer]
) -> None:
    directory = install("deepobs", "", version="1.1.2", entry_points="")
    (directory / "deepobs-1.1.2.dist-info" / "top_level.txt").write_text("deepobs\n")
    answer = deepobs("plugins")
    assert answer.code == 0
    assert answer.err.startswith("Warning: ")
    assert "deepobs 1.1.2" in answer.err
    assert "pip uninstall deepobs" in answer.err


def test_a_strict_registry_makes_a_broken_plugin_an_error(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_STRICT_PLUGINS", "1")
    plugin("acme-obs", "import acme_gone")
    answer = deepobs("list")
    assert answer.code == 2
    assert answer.err.startswith("Error: Plugin acme-obs:acme 0.1")


@pytest.fixture
def acme_commands(plugin: Callable[..., Path]) -> None:
    plugin("acme-obs", COMMANDS.format(module="acme_obs"))


@pytest.mark.usefixtures("acme_commands")
def test_plugin_commands_are_in_the_help_without_being_imported(
    deepobs: Callable[..., Answer],
) -> None:
    answer = deepobs("--help")
    _, of_plugins = answer.out.split("Commands of other packages:\n")
    assert "  greet          Say hello\n" in of_plugins
    assert "  broken         Cannot be imported\n" in of_plugins


@pytest.mark.usefixtures("acme_commands")
def test_a_plugin_command_runs_and_its_return_value_is_no_exit_code(
    deepobs: Callable[..., Answer],
) -> None:
    assert deepobs("greet") == Answer(0, "hello from acme\n", "")


@pytest.mark.usefixtures("acme_commands")
def test_a_plugin_command_never_takes_the_name_of_a_built_in_one(
    deepobs: Callable[..., Answer],
) -> None:
    assert "Test problems (" in deepobs("list").out
    assert "acme-obs:list  Another list" in deepobs("--help").out
    assert deepobs("acme-obs:list").out == "hello from acme\n"


@pytest.mark.usefixtures("acme_commands")
@pytest.mark.parametrize(
    ("name", "reason"),
    [("broken", "No module named 'acme_nowhere'"), ("number", "It must be a click.Command.")],
)
def test_a_plugin_command_that_cannot_be_used_is_one_error(
    deepobs: Callable[..., Answer], name: str, reason: str
) -> None:
    answer = deepobs(name)
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert line.startswith("Error: The command")
    assert reason in line


def test_a_plugin_command_that_two_plugins_offer_must_be_chosen(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin("acme-obs", COMMANDS.format(module="acme_obs"))
    plugin("rival-obs", COMMANDS.format(module="rival_obs"))
    answer = deepobs("greet")
    assert answer.code == 2
    assert "'acme-obs:greet' or 'rival-obs:greet'" in answer.err
    assert deepobs("rival-obs:greet").out == "hello from acme\n"


def test_an_unknown_command_may_come_from_the_plugin_that_failed(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin("acme-obs", "import acme_gone")
    assert "It may be in a plugin that failed to load: acme-obs:acme." in deepobs("greet").err


def test_what_a_plugin_writes_about_itself_is_shown_literally_and_cannot_control_a_terminal(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer]
) -> None:
    plugin(
        "acme-obs",
        r"""
        from dataclasses import replace

        @hookimpl
        def deepobs_problems():
            summary, reference = "[red]A[/] \x1b[2J", "\x1b]0;x\x07\n\u202eZ"
            return [replace(problem("acme_mlp"), summary=summary, reference=reference)]
        """,
    )
    for args in (["list"], ["list", "problems"], ["info", "acme_mlp"]):
        shown = deepobs(*args).out
        assert r"[red]A[/] \x1b[2J" in shown
        assert all(character.isprintable() or character == "\n" for character in shown)
    assert r"\x1b]0;x\x07 \u202eZ" in deepobs("info", "acme_mlp").out
    (facts,) = json.loads(deepobs("info", "acme_mlp", "--json").out)
    assert facts["reference"] == "\x1b]0;x\x07\n\u202eZ"


def test_data_status_shows_all_and_which_are_missing(
    plugin: Callable[..., Path],
    deepobs: Callable[..., Answer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPOBS_PLUGINS", "acme-obs")
    plugin("acme-obs", DATA_SETS)
    answer = deepobs("data", "status", "--json", "acme_good", "acme_bad", "quadratic")
    assert answer.code == 0
    states = {one["name"]: one["state"] for one in json.loads(answer.out)}
    assert states == {"acme_good": "ready", "acme_bad": "missing", "quadratic": "embedded"}
    table = deepobs("data", "status")
    assert f"Data directory: {tmp_path / 'data'}" in table.out
    assert "acme_bad " in table.out


def test_data_prepare_goes_on_past_what_fails_and_tells_all_at_the_end(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer], tmp_path: Path
) -> None:
    plugin("acme-obs", DATA_SETS)
    names = ["acme_bad", "acme_worse", "acme_good"]
    answer = deepobs("data", "prepare", *names, "--data-dir", str(tmp_path / "there"))
    assert answer.code == 1
    assert (tmp_path / "there" / "prepared").exists()
    rows = [line.split(maxsplit=2) for line in answer.out.splitlines()[-3:]]
    assert rows == [
        ["acme_bad", "failed", "The mirror is down."],
        ["acme_worse", "failed", "ZeroDivisionError: acme"],
        ["acme_good", "ready", f"in {tmp_path / 'there'}"],
    ]
    assert answer.err == "Error: prepare failed for acme_bad, acme_worse.\n"


def test_an_unknown_data_set_is_told_before_any_work(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer], tmp_path: Path
) -> None:
    plugin("acme-obs", DATA_SETS)
    answer = deepobs("data", "prepare", "acme_good", "acme_god")
    assert answer.code == 2
    assert "Did you mean 'acme_good'" in answer.err
    assert not (tmp_path / "data").exists()


def test_data_verify_leaves_out_what_is_missing_unless_it_is_named(
    plugin: Callable[..., Path], deepobs: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_PLUGINS", "acme-obs")
    plugin("acme-obs", DATA_SETS)
    verified = [one["name"] for one in json.loads(deepobs("data", "verify", "--json").out)]
    assert {"acme_good", "quadratic", "two_d"} <= set(verified)
    assert "acme_bad" not in verified
    assert deepobs("data", "verify", "acme_bad").code == 1


def test_calling_main_leaves_the_process_as_it_was(deepobs: Callable[..., Answer]) -> None:
    def state() -> tuple[Any, ...]:
        return list(sys.argv), sys.stdout, warnings.showwarning, list(warnings.filters)

    before = state()
    deepobs("list")
    deepobs("lst")
    assert state() == before
