"""What can go wrong, one class for each thing a caller might want to catch.

Every message says what happened and with which value, what is allowed, and what to do next.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class DeepOBSError(Exception):
    """Base of every error that DeepOBS raises on purpose."""


class ArgumentError(DeepOBSError, ValueError):
    """A value is out of range or of the wrong kind."""


class UnknownNameError(DeepOBSError, LookupError):
    """No installed plugin offers this name."""


class AmbiguousNameError(DeepOBSError, LookupError):
    """More than one installed plugin offers this name."""


class SpecError(DeepOBSError, ValueError):
    """A plugin describes something in a way that cannot be used."""


class PluginError(DeepOBSError):
    """A plugin cannot be loaded."""


class PluginWarning(UserWarning):
    """A plugin was left out because it is broken, or one of its observers failed."""


class CheckpointWarning(UserWarning):
    """What there is to know about a checkpoint, such as that it cannot be used."""


class ComponentLoadError(DeepOBSError):
    """A plugin names a problem, data set or other component that cannot be imported."""


class ProtocolError(DeepOBSError):
    """Something that a plugin brought does not do what its protocol asks for."""


class MissingPackageError(DeepOBSError, ImportError):
    """An optional package is not installed."""


class DataError(DeepOBSError):
    """A data set cannot be used."""


class MissingDataError(DataError, FileNotFoundError):
    """Files of a data set are not where they are looked for."""


class CorruptDataError(DataError, ValueError):
    """A file of a data set does not hold what it should."""


class DownloadError(DataError):
    """No mirror delivered a file as it should be."""


class ExperimentError(DeepOBSError, ValueError):
    """An experiment file cannot be used."""


class OutputError(DeepOBSError, OSError):
    """Results cannot be written or read back."""


class ExecutorError(DeepOBSError):
    """Runs cannot be handed out, or not be carried out where they were handed to."""


def closest(name: str, known: Iterable[str]) -> str:
    """Ask whether a similar name was meant.

    Args:
        name: What the user wrote.
        known: The names that exist.

    Returns:
        "Did you mean 'a' or 'b'?", or the empty string where nothing is similar.
    """
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=3, cutoff=0.6)
    if not matches:
        return ""
    return f"Did you mean {' or '.join(repr(by_lower_case[match]) for match in matches)}?"


def sentences(*parts: str) -> str:
    """Join the sentences of a message, leaving out the empty ones."""
    return " ".join(part for part in parts if part)


def text_of(error: BaseException) -> str:
    """What an error says, whatever its class is like."""
    try:
        return str(error)
    except Exception:  # a stranger's exception may be broken, too
        return "(its message cannot be shown)"


def message_of(error: BaseException) -> str:
    """What an error says, with its kind where it is not ours."""
    text = text_of(error)
    return text if isinstance(error, DeepOBSError) else f"{type(error).__name__}: {text}"
