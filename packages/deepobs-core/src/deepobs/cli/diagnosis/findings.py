"""What a finding is, and how one that fails itself is survived."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from deepobs.cli.plugins import discovered_quietly
from deepobs.errors import PluginError


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is as it is.

    Attributes:
        name: What it is about.
        value: What programs are told; anything that JSON can say.
        shown: What people are told; `None` for the value itself.
    """

    name: str
    value: object
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that does not work, or will not.

    Attributes:
        what: What is wrong, and with which value.
        remedy: What to do about it.
    """

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Advice(Trouble):
    """Something that works, but could do so better: nothing that has to be mended."""


Finding: TypeAlias = Callable[[], Iterator[Fact | Trouble]]


@dataclass(frozen=True, slots=True)
class Section:
    """What was found out about one subject.

    Attributes:
        title: The subject.
        facts: What is as it is.
        troubles: What is wrong.
        advice: What could be better.
    """

    title: str
    facts: list[Fact] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    advice: list[Advice] = field(default_factory=list)


def gathered(title: str, findings: tuple[Finding, ...]) -> Section:
    """Find out all about one subject; what cannot be found out is one more trouble.

    Args:
        title: The subject.
        findings: The functions that find it out.
    """
    section = Section(title)
    for finding in findings:
        for found in _survived(finding):
            if isinstance(found, Fact):
                section.facts.append(found)
            elif isinstance(found, Advice):
                section.advice.append(found)
            else:
                section.troubles.append(found)
    return section


def works(package: str) -> bool:
    """Whether torch, say, can be imported; one finding says why not, the others do without it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(package)
    except Exception:  # its libraries may be broken in any way
        return False
    return True


def plugins_load() -> bool:
    """Whether plugins can be asked; one finding says why not, the others do without them."""
    try:
        discovered_quietly()
    except PluginError:  # which DEEPOBS_STRICT_PLUGINS makes of every failure
        return False
    return True


def _survived(finding: Finding) -> Iterator[Fact | Trouble]:
    try:
        yield from finding()
    # What is broken on a machine that needs a doctor is not known beforehand.
    except (Exception, SystemExit) as error:
        subject = finding.__name__.strip("_").replace("_", " ")
        yield Trouble(
            f"The look at {subject} failed: {type(error).__name__}: {error}",
            "Mend what this message names, and call `deepobs doctor` again.",
        )
