"""Errors and warnings, one class for each case that a caller might want to handle.

Every message says what happened and with which value, what is allowed, and what to do next.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_TENSOR = re.compile(r"(?:Parameter containing:\s*)?\b(?:tensor|array)\(")


class DeepOBSError(Exception):
    """Base of every error that DeepOBS raises on purpose."""


class ArgumentError(DeepOBSError, ValueError):
    """A value, of a call, a file or a specification, is out of range or of the wrong kind."""


class UnknownNameError(DeepOBSError, LookupError):
    """No installed plugin offers this name."""


class AmbiguousNameError(DeepOBSError, LookupError):
    """More than one installed plugin offers this name."""


class PluginError(DeepOBSError):
    """A plugin cannot be loaded."""


class PluginWarning(UserWarning):
    """A plugin failed to load and is skipped, or raised in a hook and is disabled."""


class CheckpointWarning(UserWarning):
    """A checkpoint cannot be written or used."""


class TrainingWarning(UserWarning):
    """A run trains less than it seems to."""


class TrackerWarning(UserWarning):
    """A tracker fails, and a run goes on without it."""


class ComponentLoadError(DeepOBSError):
    """A problem, data set or other component of a plugin cannot be imported."""


class ProtocolError(DeepOBSError):
    """A component of a plugin does not conform to its protocol."""


class MissingPackageError(DeepOBSError, ImportError):
    """An optional package is not installed."""


class DataError(DeepOBSError):
    """A data set cannot be used."""


class MissingDataError(DataError, FileNotFoundError):
    """Files of a data set are missing."""


class CorruptDataError(DataError, ValueError):
    """A file of a data set has unexpected content."""


class DownloadError(DataError):
    """No mirror delivered a file with the expected content."""


class ProcessGroupError(DeepOBSError):
    """The processes of a run cannot communicate, or disagree."""


class OutputError(DeepOBSError, OSError):
    """Results cannot be written or read back."""


def closest(name: str, known: Iterable[str]) -> str:
    """Ask "Did you mean 'a' or 'b'?", or return "" if no known name is similar to the given one."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=3, cutoff=0.6)
    if not matches:
        return ""
    return f"Did you mean {' or '.join(repr(by_lower_case[match]) for match in matches)}?"


def joined(names: Iterable[str]) -> str:
    """Join names for a message, with quotes around those that contain a comma themselves."""
    return ", ".join(repr(name) if "," in name else name for name in names)


def sentences(*parts: str) -> str:
    """Join the sentences of a message, without the empty ones."""
    return " ".join(part for part in parts if part)


def text_of(error: BaseException) -> str:
    """The message of an error, without the values of tensors."""
    try:
        return without_tensors(str(error))
    except Exception:  # `__str__` of an error class of another package may itself raise
        return "(its message cannot be shown)"


def message_of(error: BaseException) -> str:
    """The message of an error, with its class unless it is one of ours."""
    text = text_of(error)
    if isinstance(error, DeepOBSError):
        return text
    return f"{type(error).__name__}: {text}" if text.strip() else type(error).__name__


def first_line_of(error: BaseException) -> str:
    """The class of an error, and the first line of its message."""
    message = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def without_tensors(text: str) -> str:
    """Replace what PyTorch and NumPy print of tensors, which can be pages of numbers."""
    parts = []
    while match := _TENSOR.search(text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        parts += [text[: match.start()], "<tensor>"]
        text = text[end:]
    return "".join([*parts, text])
