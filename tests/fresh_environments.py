"""Virtual environments with only the built distributions that a test installs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from installed_packages import CONSTRAINTS, ROOT, uv, variables_of_others

if TYPE_CHECKING:
    from pathlib import Path

DIST = ROOT / "dist"
OURS = (
    "deepobs-core",
    "deepobs-bench",
    "deepobs-testing",
    "deepobs-vision",
    "deepobs-text",
    "deepobs-analysis",
)


@dataclass(frozen=True, slots=True)
class FreshEnvironment:
    """A virtual environment, with a directory to call commands in.

    Environments at one place share compiled modules, which are not part of them: torch takes ten
    seconds to compile.

    Attributes:
        place: Where it is.
    """

    place: Path

    @property
    def directory(self) -> Path:
        """The working directory of commands."""
        return self.place / "directory"

    def create(self) -> None:
        """Create it, and replace an existing one."""
        _uv("venv", "--clear", "--no-project", "--python", sys.executable, str(self.place))
        self.directory.mkdir()

    def install(self, *requirements: str) -> None:
        """Install distributions, ours from the built files."""
        sources = ("--offline", "--find-links", str(DIST), "--constraints", str(CONSTRAINTS))
        # Else uv installs what it remembers of a wheel of the same name.
        anew = (f"--reinstall-package={name}" for name in OURS)
        _uv("pip", "install", *self._python(), *sources, *anew, *requirements)

    def uninstall(self, distribution: str) -> None:
        """Remove one distribution."""
        _uv("pip", "uninstall", *self._python(), distribution)

    def called(self, *words: str, status: int = 0, **variables: str) -> str:
        """Execute a command of the environment.

        Args:
            words: The command.
            status: The exit status that it must have.
            **variables: Further environment variables.

        Returns:
            Its output, or where it must fail, its messages.
        """
        finished = subprocess.run(
            (str(self.place / "bin" / words[0]), *words[1:]),
            cwd=self.directory,
            env=_environment() | {"PYTHONPYCACHEPREFIX": f"{self.place}-compiled"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == status, finished.stdout + finished.stderr
        assert "Traceback" not in finished.stderr
        return finished.stderr if status else finished.stdout

    def _python(self) -> tuple[str, str]:
        return ("--python", str(self.place / "bin" / "python"))


def _uv(*words: str) -> None:
    finished = subprocess.run(
        (uv(), *words), env=_environment(), capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def _environment() -> dict[str, str]:
    """The variables of this process without its settings and the paths of its packages."""
    return variables_of_others() | {"OMP_NUM_THREADS": "1"}
