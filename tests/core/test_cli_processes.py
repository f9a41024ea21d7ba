"""The command line as a process: what it imports, signals, pipes and terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from plugin_sources import PREAMBLE

if TYPE_CHECKING:
    from pathlib import Path

    from plugin_sources import Install

WAITING = f"""
import click
import time
from deepobs.plugins import CommandSpec
{PREAMBLE}

@hookimpl
def deepobs_commands():
    return [CommandSpec(name="wait", summary="Wait", target="acme_obs:wait")]

@click.command()
def wait():
    click.echo("waiting")
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "args",
    [["--help"], ["list"], ["list", "--json"], ["plugins"], ["--version"], ["data", "--help"]],
)
def test_neither_torch_nor_rich_is_imported_for(args: list[str]) -> None:
    program = (
        "import sys; from deepobs.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'torchvision', 'rich', 'numpy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_the_package_can_be_run_as_a_module() -> None:
    command = [sys.executable, "-m", "deepobs"]
    process = subprocess.run([*command, "lst"], capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert process.stderr.startswith("Usage: deepobs [OPTIONS]")
    assert "Did you mean 'list'?" in process.stderr


def test_a_pipe_that_closes_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "deepobs", "list"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert process.stderr == ""


def test_an_interruption_from_the_keyboard_is_a_short_line_and_exit_code_130(
    install: Install,
) -> None:
    directory = install("acme-obs", WAITING)
    with subprocess.Popen(
        [sys.executable, "-m", "deepobs", "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment_with(directory),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "Interrupted: stopped by the keyboard."


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_tables_as_wide_as_it_is(columns: int) -> None:
    lines = _in_terminal(["list", "problems"], columns)
    assert lines[0].startswith("\x1b[1mNAME")
    assert len(lines) > 4
    assert max(map(len, lines[1:])) <= columns


def test_output_that_the_encoding_lacks_is_spelt_out(install: Install) -> None:
    directory = install("acme-obs", WAITING.replace('"Wait"', '"Résumé"'))
    process = subprocess.run(
        [sys.executable, "-m", "deepobs", "list", "commands"],
        capture_output=True,
        text=True,
        check=True,
        env=_environment_with(directory) | {"PYTHONIOENCODING": "ascii"},
    )
    assert "R\\xe9sum\\xe9" in process.stdout


def test_the_shell_completes_commands_and_names() -> None:
    assert "plain,list" in _completions("deepobs li", 1)
    assert "plain,quadratic_deep" in _completions("deepobs info quadratic_", 2)
    assert "plain,two_d" in _completions("deepobs data verify tw", 3)
    assert "plain,--json" in _completions("deepobs list --js", 2)


def _environment_with(site: Path) -> dict[str, str]:
    """The environment of a process that finds what is installed in `site`."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


def _completions(words: str, position: int) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-m", "deepobs"],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "_DEEPOBS_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        },
    )
    return process.stdout.splitlines()


def _in_terminal(args: list[str], columns: int) -> list[str]:
    """The lines that a command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "deepobs", *args],
        stdout=theirs,
        env={**os.environ, "COLUMNS": str(columns), "LINES": "24"},
    ):
        os.close(theirs)
        written = b""
        # The end of the output of a terminal is an error on Linux.
        try:
            while part := os.read(ours, 4096):
                written += part
        except OSError:
            pass
        os.close(ours)
    return written.decode().splitlines()
