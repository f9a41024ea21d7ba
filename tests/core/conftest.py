"""Fixtures for the tests of deepobs-core; nothing here imports torch."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from plugin_sources import Install

    from deepobs.plugins import Registry

OWN_OPTIMIZERS = """
import torch

class Working(torch.optim.SGD):
    pass

class BrokenStep(torch.optim.SGD):
    def step(self, closure=None):
        self.no_such_buffer.zero_()

class NoOptimizer:
    pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution of one module, as an installer lays it out: three files."""
    before = set(sys.modules)

    def write(
        distribution: str,
        source: str,
        *,
        version: str = "1.0",
        entry_points: str = "[deepobs]\nacme = {module}\n",
    ) -> Path:
        module = distribution.replace("-", "_")
        directory = tmp_path / "installed" / distribution
        metadata = directory / f"{module}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (directory / f"{module}.py").write_text(source, encoding="utf-8")
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
        )
        (metadata / "entry_points.txt").write_text(
            entry_points.format(module=module), encoding="utf-8"
        )
        monkeypatch.syspath_prepend(directory)
        return directory

    yield write
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Registry]:
    """`registry()` in a process that has not discovered any plugin yet."""
    from deepobs.plugins import registry

    module = sys.modules[registry.__module__]
    undiscovered = functools.cache(module._discovered.__wrapped__)
    monkeypatch.setattr(module, "_discovered", undiscovered)
    return registry


@pytest.fixture
def command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls `deepobs` in an empty directory: its exit status, what it prints and its errors."""
    from deepobs.cli.main import main

    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> tuple[int, str, str]:
        code = main(list(args))
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def own_optimizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that lies where `command_line` is called."""
    name = "own_optimizers_of_a_test"
    (tmp_path / f"{name}.py").write_text(OWN_OPTIMIZERS, encoding="utf-8")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name
