"""Mistakes on the command line, and the required content of error messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    CommandLine = Callable[..., tuple[int, str, str]]


class Mistake(NamedTuple):
    """What somebody types, and what the answer must have.

    Attributes:
        words: What follows `deepobs`.
        value: The value that is wrong, as it must be shown.
        way_out: What is allowed, or what to do next.
    """

    words: str
    value: str
    way_out: str


def check_answer(mistake: Mistake, command_line: CommandLine, directory: Path) -> None:
    """Check that the message names the value and a fix, and that nothing was started."""
    code, out, err = command_line(*mistake.words.split())
    assert code == 2, out + err
    assert mistake.value in err
    assert mistake.way_out in err
    assert "Traceback" not in out + err
    assert not list((directory / "results").rglob("*.json"))  # nothing was begun
