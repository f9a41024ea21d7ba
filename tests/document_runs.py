"""Executes the code of a page like a reader, but without starting Python for each command.

A line with a plain command of `deepobs` is executed in this process, with the settings of a new
one. Every other line goes to bash. Code that uses data sets without embedded data gets small
synthetic data.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from documents import Block, blocks
from ruamel.yaml import YAML

from deepobs import config
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAKE_DATA = "0.01"

_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_SHELL = re.compile(r"[|&;<>$`*?~(){}\[\]!\\]")
_COMPOUND = re.compile(r"^\s*(for|while|if|case|function|\w+\(\))\b|<<", re.MULTILINE)
_CHANGES_THE_SHELL = re.compile(r"^\s*(export|cd|source|\.|unset|set|alias|\w+=\S*)(\s|$)", re.M)


class DocumentError(AssertionError):
    """A block of a page does not behave as documented."""


class Run:
    """A page that is being read: its directory, and what its Python has defined.

    Args:
        page: How the page is called in messages.
        directory: Where its code runs.
    """

    def __init__(self, page: str, directory: Path) -> None:
        self.page = page
        self.directory = directory
        self._module = ModuleType("__main__")

    @property
    def defined(self) -> dict[str, Any]:
        """The Python namespace of the page."""
        return vars(self._module)

    def read(self, text: str) -> None:
        """Run the blocks of a page.

        Raises:
            DocumentError: One of them fails.
        """
        ways = {"python": self._python, "bash": self._bash, **_PARSED}
        with self._as_in_a_new_python():
            for block in blocks(text):
                if block.file is not None:
                    self._save(block)
                elif block.reason is None and block.language in ways:
                    self._carry_out(block, ways[block.language])

    def _carry_out(self, block: Block, way: Callable[[Block], object]) -> None:
        print(f"--- {self.page}, line {block.line}")
        try:
            way(block)
        except (Exception, SystemExit) as error:
            place = f"{self.page}, the {block.language} in line {block.line}"
            raise DocumentError(f"{place}: {type(error).__name__}: {error}") from error

    def _save(self, block: Block) -> None:
        path = self.directory / str(block.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code, encoding="utf-8")

    def _python(self, block: Block) -> None:
        # As many lines before it as there are in the page, so that tracebacks name the right one.
        code = compile("\n" * (block.line - 1) + block.code, self.page, "exec")
        sys.path.insert(0, str(self.directory))
        try:
            with self._data_for(block.code):
                exec(code, self.defined)  # noqa: S102 # our own pages
        finally:
            sys.path.remove(str(self.directory))

    def _bash(self, block: Block) -> None:
        if _COMPOUND.search(block.code) or _CHANGES_THE_SHELL.search(block.code):
            self._in_a_shell(block.code)
            return
        for line in command_lines(block.code):
            words = words_of_deepobs(line)
            if words is None:
                self._in_a_shell(line)
            else:
                self._in_this_process(line, words)

    def _in_a_shell(self, script: str) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with self._data_for(script):
            finished = subprocess.run(
                ["bash", "-c", f"set -e\n{script}"],  # noqa: S607
                cwd=self.directory,
                env=os.environ | {"PATH": path},
                capture_output=True,
                text=True,
                check=False,
            )
        print(finished.stdout)
        if finished.returncode != 0:
            message = f"`{script.strip()}` ends with {finished.returncode}: {finished.stderr}"
            raise DocumentError(message)

    def _in_this_process(self, line: str, words: list[str]) -> None:
        from deepobs.cli.main import main

        self._forget_modules()
        set_by_python, config._settings = config._settings, config._Settings()
        try:
            with self._data_for(line):
                status = main(words)
        finally:
            config._settings = set_by_python
        if status != 0:
            raise DocumentError(f"`{line}` ends with {status}")

    @contextlib.contextmanager
    def _data_for(self, code: str) -> Iterator[None]:
        """Synthetic data, if the code or a file that it names uses data that need a download."""
        files = [self.directory / word for word in re.findall(r"[\w./-]+\.\w+", code)]
        texts = [code, *(path.read_text("utf-8") for path in files if _is_source(path))]
        if any(_foreign_data().search(text) for text in texts):
            os.environ["DEEPOBS_FAKE_DATA"] = FAKE_DATA
        try:
            yield
        finally:
            os.environ.pop("DEEPOBS_FAKE_DATA", None)

    @contextlib.contextmanager
    def _as_in_a_new_python(self) -> Iterator[None]:
        """Hide the state of the process from the page, and restore it afterwards."""
        begun_with, here = sys.modules["__main__"], Path.cwd()
        registries = sys.modules[registry.__module__]
        known = registry()
        registries._registry = None  # a page may register classes of its own
        sys.modules["__main__"] = self._module
        os.chdir(self.directory)
        try:
            yield
        finally:
            os.chdir(here)
            sys.modules["__main__"] = begun_with
            registries._registry = known
            self._forget_modules()

    def _forget_modules(self) -> None:
        """Forget modules from the directory of the page, so that they are imported anew."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and Path(file).is_relative_to(self.directory):
                del sys.modules[name]
        importlib.invalidate_caches()


def command_lines(code: str) -> list[str]:
    """The commands of a bash block without comments; continued lines are joined."""
    joined = re.sub(r" *\\\n\s*", " ", code)
    lines = [line.strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def words_of_deepobs(line: str) -> list[str] | None:
    """The arguments of a plain command of `deepobs`, `None` for a line for bash."""
    words = shlex.split(line, comments=True)
    bare = _QUOTED.sub("", line).partition(" #")[0]
    is_ours = words[:1] == ["deepobs"] and not _SHELL.search(bare)
    return words[1:] if is_ours else None


def _is_source(path: Path) -> bool:
    return path.suffix in (".py", ".toml", ".yaml") and path.is_file()


def _foreign_data() -> re.Pattern[str]:
    """Names of data sets without embedded data, and of the problems on them."""
    data_sets = [offer.spec for offer in registry().datasets.offers()]
    problems = [offer.spec for offer in registry().problems.offers()]
    foreign = [spec.name for spec in data_sets if not spec.embedded]
    names = [*foreign, *(spec.name for spec in problems if spec.dataset in foreign)]
    return re.compile(rf"\b({'|'.join(names)})\b")


_PARSED: dict[str, Callable[[Block], object]] = {
    "toml": lambda block: tomllib.loads(block.code),
    "yaml": lambda block: YAML(typ="safe").load(block.code),
    "json": lambda block: json.loads(block.code),
}
"""What is not run must at least be well formed."""
