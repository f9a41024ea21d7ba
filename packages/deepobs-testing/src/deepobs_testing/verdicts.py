"""How a check says that something is wrong, or that it cannot be made."""

from __future__ import annotations

from typing import NoReturn


class CheckFailedError(Exception):
    """A check found something wrong.

    Args:
        reason: What is wrong, with which value, and what is expected.
        remedy: How to mend it.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class CheckSkippedError(Exception):
    """A check cannot be made here; the message says why."""


def require(fulfilled: bool, reason: str, remedy: str) -> None:
    """Let the check fail unless a condition holds.

    Args:
        fulfilled: The condition.
        reason: What is wrong otherwise, with which value, and what is expected.
        remedy: How to mend it.
    """
    if not fulfilled:
        raise CheckFailedError(reason, remedy)


def skip(reason: str) -> NoReturn:
    """Leave the rest of a check out, and say why."""
    raise CheckSkippedError(reason)
