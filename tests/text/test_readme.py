"""The README of deepobs-text does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from deepobs.data.file_dataset import FileDataSet
from deepobs.plugins import ProblemSpec

if TYPE_CHECKING:
    import pytest

README = Path(__file__).resolve().parents[2] / "packages/deepobs-text/README.md"


def test_its_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.txt").write_text("To be, or not to be.\n" * 600, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    own_text, plugin_text, problem = re.findall(
        r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    exec(compile(own_text, "README.md", "exec"), {})  # noqa: S102 # our own README
    assert capsys.readouterr().out.startswith("11 (' ', ")
    namespace: dict[str, object] = {}
    exec(compile(plugin_text, "README.md", "exec"), namespace)  # noqa: S102
    assert issubclass(namespace["Alice"], FileDataSet)  # type: ignore[arg-type]
    row = problem.partition("ProblemSpec\n\n")[2]
    assert isinstance(eval(row, {"ProblemSpec": ProblemSpec}), ProblemSpec)  # noqa: S307
