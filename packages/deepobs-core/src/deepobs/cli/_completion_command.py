"""`deepobs completion`: a script that enables shell completion."""

from __future__ import annotations

import contextlib
import io

import click
from click.shell_completion import get_completion_class

from deepobs.console import screen

PROGRAM = "deepobs"
VARIABLE = "_DEEPOBS_COMPLETE"
"""Environment variable by which a shell asks for completions; click derives it from the name."""


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete commands, options and names.

    It completes the names of what is installed: problems, optimizers, data sets, plots and so on.
    Save the script where the shell reads it at startup, and start a new shell:

    \b
      bash   deepobs completion bash > ~/.deepobs-completion.bash
             echo '. ~/.deepobs-completion.bash' >> ~/.bashrc
      zsh    deepobs completion zsh > ~/.deepobs-completion.zsh
             echo '. ~/.deepobs-completion.zsh' >> ~/.zshrc  (below compinit)
      fish   deepobs completion fish > ~/.config/fish/completions/deepobs.fish
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    # The script of the root command, whatever name this process was started under.
    completion_class = get_completion_class(shell)
    assert completion_class is not None  # noqa: S101 # click has all three
    complete = completion_class(context.find_root().command, {}, PROGRAM, VARIABLE)
    # click looks for bash on this machine and warns if it is missing; the script needs none.
    with contextlib.redirect_stderr(io.StringIO()):
        script = complete.source()
    screen.show(script.rstrip())
