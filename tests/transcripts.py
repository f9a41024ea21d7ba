"""A terminal for transcripts: tests that type what users type, and read what users see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Terminal:
    """A shell in one directory, with the environment that the tests run in.

    Attributes:
        directory: Where commands are executed.
        lines: Everything that was typed and printed; a failing test shows it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[str] = []

    def type(self, command: str, *, status: int = 0) -> str:
        """Execute a command as bash does, and return what it prints, errors included.

        Args:
            command: One or several lines.
            status: The exit code that the command must have.
        """
        ended = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.directory,
            env=os.environ
            # The command is the one of this environment; a wide terminal folds no lines.
            | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
            | {"COLUMNS": "300", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.lines += [f"$ {command}", ended.stdout]
        print(f"$ {command}\n{ended.stdout}")
        assert ended.returncode == status, ended.stdout
        assert "Traceback" not in ended.stdout or status == 1, ended.stdout
        return ended.stdout

    def python(self, code: str, *, status: int = 0) -> str:
        """Execute code that is typed into `python -`, which has no file."""
        return self.type(f"python - <<'END OF CODE'\n{code}\nEND OF CODE", status=status)

    def save(self, name: str, text: str, *edits: tuple[str, str]) -> None:
        """Save a file, as an editor does, after replacing each first by each second text."""
        for before, after in edits:
            assert before in text, before
            text = text.replace(before, after)
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def results(self) -> list[Path]:
        """The result files of runs in all directories below."""
        return sorted(self.directory.rglob("random_seed__*.json"))
