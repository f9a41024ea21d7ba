"""The README shows what it says; that the code of all other pages runs is tested beside it."""

from __future__ import annotations

import json
from types import ModuleType
from typing import TYPE_CHECKING

import documents
import torch
from document_runs import Run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ROOT = documents.ROOT
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return [block.code for block in documents.blocks(text) if block.language == language]


def test_its_code_runs_and_does_what_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_CACHE_DIR", str(tmp_path / "cache"))
    directory = tmp_path / "page"
    directory.mkdir()
    reader = Run("README.md", directory)
    torch.manual_seed(1)  # the plain loop has no seed, and little synthetic data
    reader.read(README)
    # The plain loop learns.
    assert reader.defined["loss"].shape == (128,)
    assert reader.defined["accuracy"].ndim == 0
    assert 0.3 < reader.defined["accuracy"] <= 1  # ten classes: guessing gives 0.1
    # The runs that the second command executed are skipped.
    assert "24 runs: 12 done, 12 pending." in capsys.readouterr().out
    seeds = [json.loads(path.read_text())["random_seed"] for path in results_of(directory)]
    assert {42, 43, 44} == set(seeds)
    assert (directory / "curves.pdf").exists()
    assert (directory / "report.html").exists()


def results_of(directory: Path) -> list[Path]:
    return list((directory / "results").rglob("*.json"))


def test_there_is_code_to_run() -> None:
    assert len(blocks("python")) == 2
    assert "for batch in tproblem.dataset.train_loader:" in blocks("python")[0]
    commands = [line for line in "".join(blocks("bash")).splitlines() if "experiment.toml" in line]
    assert len(commands) == 3


def test_ci_runs_the_command_of_the_readme() -> None:
    (command,) = (line for line in "".join(blocks("bash")).splitlines() if line.endswith("/nox"))
    assert command in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_the_plugin_in_the_readme_of_the_core_is_accepted() -> None:
    from deepobs.plugins import Plugin, Registry

    text = (ROOT / "packages/deepobs-core/README.md").read_text(encoding="utf-8")
    (code,) = blocks("python", text)
    module = ModuleType("acme")
    exec(compile(code, "README.md", "exec"), vars(module))  # noqa: S102
    registry = Registry()
    registry.add(module, Plugin(name="acme:acme", distribution="acme", version="1", target="acme"))
    assert registry.problems.names() == ["acme_mlp"]
