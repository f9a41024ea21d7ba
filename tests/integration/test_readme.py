"""The README does what it says."""

import re
import shlex
from pathlib import Path

import pytest

from deepobs import config

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config.set_fake_data(0.01)


def test_there_is_python_to_test():
    assert len(blocks("python")) == 2
    assert "for batch in tproblem.dataset.train_loader:" in blocks("python")[0]


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_code_runs_as_it_stands(code):
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 # our own README


def test_the_plain_loop_learns():
    namespace = {}
    exec(compile(blocks("python")[0], "README.md", "exec"), namespace)  # noqa: S102
    assert namespace["loss"].shape == (128,)
    assert namespace["accuracy"].ndim == 0
    assert 0.3 < namespace["accuracy"] <= 1  # ten classes: guessing gives 0.1


def test_the_experiment_runs_by_the_commands_below_it(tmp_path, capsys):
    from deepobs.cli.main import main

    (experiment,) = blocks("toml")
    Path("experiment.toml").write_text(experiment, encoding="utf-8")
    lines = "".join(blocks("bash")).splitlines()
    commands = [
        shlex.split(line, comments=True)[1:]
        for line in lines
        if line.startswith("deepobs bench experiment.toml")
    ]
    assert len(commands) == 3
    counts = []
    for command in commands:
        assert main(command) == 0
        counts.append(len(list(Path("results").rglob("*.json"))))
    assert counts == [0, 12, 24]
    assert "24 runs: 12 there, 12 missing." in capsys.readouterr().out


def test_ci_runs_the_command_of_the_readme():
    (command,) = (line for line in "".join(blocks("bash")).splitlines() if line.endswith("/nox"))
    assert command in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_the_plugin_in_the_readme_of_the_core_is_accepted():
    from types import ModuleType

    from deepobs.plugins import Plugin, Registry

    text = (ROOT / "packages/deepobs-core/README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    module = ModuleType("acme")
    exec(compile(code, "README.md", "exec"), vars(module))  # noqa: S102
    registry = Registry()
    registry.add(module, Plugin(name="acme:acme", distribution="acme", version="1", target="acme"))
    assert registry.problems.names() == ["acme_mlp"]
