"""Shells complete commands, options and names, without importing torch."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_sources import PREAMBLE, offering

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_sources import Install

    Complete = Callable[..., list[str]]

PROGRAM = Path(sys.executable).with_name("deepobs")
SECONDS = 30

COMMANDS = """
import click

@click.command("acme-plot")
@click.option("--fast", is_flag=True)
def command(fast):
    pass
"""


OFFERED = {
    "do": "doctor",
    "run quad": "quadratic_deep",
    "run quadratic_deep Mom": "Momentum",
    "run quadratic_deep SGD --batch": "--batch-size",
    "run quadratic_deep SGD --dtype bf": "bfloat16",
    "run quadratic_deep SGD --needs clo": "closure",
    "run quadratic_deep SGD --track wandb --epo": "--epochs",
    "estimate two_d_be": "two_d_beale",
    "data ver": "verify",
    "data status quad": "quadratic",
    "info smal": "small",
    "list prob": "problems",
    "list --tag synth": "synthetic",
    "completion z": "zsh",
}
"""What is completed to what."""


def test_what_commands_take_is_completed(complete: Complete) -> None:
    asked = [line.split() for line in OFFERED]
    found = [line.partition(",")[2] for line in complete(*asked)]
    assert found == list(OFFERED.values())


def test_names_come_with_their_summaries_where_the_shell_shows_them(complete: Complete) -> None:
    zsh = complete(["run", "quad"], form="zsh")
    assert zsh[1] == "quadratic_deep"
    assert zsh[2].startswith("Stochastic quadratic")
    assert "quadratic_deep" in complete(["run", "quad"], form="fish")[0]


def test_commands_and_problems_of_plugins_are_completed(
    complete: Complete, install: Install
) -> None:
    source = offering("acme_bowl") + (
        "from deepobs.plugins import CommandSpec\n@hookimpl\ndef deepobs_commands():\n"
        "    return [CommandSpec(name='acme-plot', target='acme_commands:command', summary='')]\n"
    )
    directory = install("acme-obs", source)
    (directory / "acme_commands.py").write_text(COMMANDS)
    asked = ["acme"], ["acme-plot", "--f"], ["run", "acme"]
    found = complete(*asked, directory=directory)
    assert found == ["plain,acme-plot", "plain,--fast", "plain,acme_bowl"]


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('rusty')",
        "print('plain,nonsense')\nraise RuntimeError('rusty')",
        PREAMBLE + "from deepobs.plugins import CommandSpec\n@hookimpl\ndef deepobs_commands():\n"
        "    return [CommandSpec(name='acme', target='acme_gone:command', summary='')]\n",
    ],
)
def test_a_broken_plugin_disturbs_no_completion(
    complete: Complete, install: Install, source: str
) -> None:
    directory = install("acme-obs", source)
    found = complete(["acme", "--f"], ["run", "quad"], directory=directory)
    assert [line for line in found if line] == ["plain,quadratic_deep"]


def test_an_unknown_shell_is_refused_with_those_there_are(
    command_line: Callable[..., tuple[int, str, str]],
) -> None:
    code, _, err = command_line("completion", "tcsh")
    assert code == 2
    assert "'tcsh'" in err
    assert "'bash', 'zsh', 'fish'" in err


# Shells that somebody types into

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ". {script}"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit && compinit -u -D && . {script}"),
    "fish": (["fish", "--no-config", "--private"], "source {script}"),
}


class Terminal:
    """A terminal that somebody types into, with a shell in it."""

    def __init__(self, command: list[str], directory: Path) -> None:
        pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
        self._process, self._terminal = pty.fork()
        if self._process == 0:  # the child, which becomes the shell
            os.chdir(directory)
            path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
            os.environ.update(PATH=path, TERM="dumb", HOME=str(directory), PS1="ready> ")
            os.execvp(command[0], command)  # noqa: S606 # a list, without a shell
        self.shown = ""

    def type(self, text: str) -> None:
        """Type, without a new line at the end."""
        os.write(self._terminal, text.encode())

    def wait_for(self, text: str) -> bool:
        """Wait until something is to be seen."""
        deadline = time.monotonic() + SECONDS
        while text not in self.shown and time.monotonic() < deadline:
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._terminal, 4096).decode(errors="replace")
                except OSError:  # the shell has ended
                    break
        return text in self.shown

    def close(self) -> None:
        """Hang up."""
        os.close(self._terminal)
        os.waitpid(self._process, 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_is_typed(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    if not PROGRAM.exists():
        pytest.skip(f"the command deepobs is not beside {sys.executable}")
    command, reading = SHELLS[shell]
    script = subprocess.run(
        [str(PROGRAM), "completion", shell], capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "script").write_text(script)
    terminal = Terminal(command, tmp_path)
    try:
        terminal.type(f"{reading.format(script=tmp_path / 'script')} && echo read''y\n")
        assert terminal.wait_for("\nready"), terminal.shown
        terminal.type("deepobs run quadratic_d\t")
        assert terminal.wait_for("quadratic_deep"), terminal.shown
        terminal.type("Moment\t")
        assert terminal.wait_for("Momentum"), terminal.shown
    finally:
        terminal.close()
