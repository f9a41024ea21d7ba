"""Code of the user's own: found in the current directory, and shown where it fails."""

from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs.errors import DeepOBSError, message_of
from deepobs.plugins import registry
from deepobs.plugins.provenance import provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_LEADS_THERE = {"click", "contextlib", "deepobs", "torch"}


@contextlib.contextmanager
def current_directory_on_the_import_path() -> Iterator[None]:
    """Let `my_module:MyOptimizer` be a file beside the user, whatever command was called."""
    registry()  # plugins are what is installed, whatever lies in the current directory
    here = str(Path.cwd())
    # Last, so that a file of the user's called random.py or types.py hides no other module.
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


@contextlib.contextmanager
def failures_shown_where_they_are(doing: str) -> Iterator[None]:
    """Show the traceback of an error that DeepOBS does not know, from the first foreign line on.

    Args:
        doing: What failed then, such as "Training".

    Raises:
        ClickException: Code that is neither ours nor torch's failed; its traceback was shown.
            Other errors pass as they are.
    """
    try:
        yield
    except (DeepOBSError, click.ClickException, click.Abort):
        raise
    except Exception as error:
        foreign = _from_foreign_code(error.__traceback__)
        if foreign is None:
            raise
        click.echo("".join(traceback.format_exception(error.with_traceback(foreign))), err=True)
        owner = provenance_of(error)
        place = f" in code of {owner}" if owner else ""
        message = f"{doing} failed{place}: {message_of(error)}. Nothing of it was written."
        raise click.ClickException(message) from error


def _from_foreign_code(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins outside of what leads there, `None` without any."""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__") or ""
        if module.partition(".")[0] not in _LEADS_THERE:
            return trace
        trace = trace.tb_next
    return None
