"""Mistakes on the command line, and what the answers to them must have."""

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
    """The answer names the value and a way out, and nothing was begun."""
    code, out, err = command_line(*mistake.words.split())
    assert code == 2, out + err
    assert mistake.value in err
    assert mistake.way_out in err
    assert "Traceback" not in out + err
    assert not list((directory / "results").rglob("*.json"))  # nothing was begun
