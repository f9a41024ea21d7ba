"""`deepobs completion`: what makes a shell complete commands, options and names."""

from __future__ import annotations

import contextlib
import io

import click
from click.shell_completion import get_completion_class

from deepobs.console import screen

PROGRAM = "deepobs"
VARIABLE = "_DEEPOBS_COMPLETE"
"""The environment variable by which the shell asks for completions; click's choice of name."""

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete commands, options and names of problems.

    Names are those of what is installed: problems, optimizers, data sets, plots and so on. Save
    the script where the shell reads it at its start, and start a new shell:

    \b
      bash   deepobs completion bash > ~/.deepobs-completion.bash
             echo '. ~/.deepobs-completion.bash' >> ~/.bashrc
      zsh    deepobs completion zsh > ~/.deepobs-completion.zsh
             echo '. ~/.deepobs-completion.zsh' >> ~/.zshrc  (below compinit)
      fish   deepobs completion fish > ~/.config/fish/completions/deepobs.fish
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    completion_class = get_completion_class(shell)
    assert completion_class is not None  # noqa: S101 # click has all three
    complete = completion_class(context.find_root().command, {}, PROGRAM, VARIABLE)
    # That of bash looks for a bash of this machine, whose absence is no matter to the script.
    with contextlib.redirect_stderr(io.StringIO()):
        script = complete.source()
    screen.show(script.rstrip())
