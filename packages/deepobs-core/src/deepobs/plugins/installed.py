"""The entry points of the group `deepobs`, found without importing anything they name.

`importlib_metadata.entry_points` reads those of every installed distribution at once, so that a
malformed file of one, even of a package that has nothing to do with us, would hide them all.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from importlib_metadata import distributions

from deepobs.errors import PluginError
from deepobs.plugins.hookspecs import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from importlib_metadata import IDistribution

CORE_DISTRIBUTION = "deepobs-core"
OUR_DISTRIBUTIONS = frozenset(
    {CORE_DISTRIBUTION}
    | {f"deepobs-{name}" for name in ("analysis", "bench", "testing", "text", "vision")}
)


@dataclass(slots=True)
class Plugin:
    """One entry point of the group `deepobs`, and what became of it.

    Attributes:
        name: `distribution:entry point`.
        distribution: Name of the installed distribution.
        version: Its version.
        target: The module it names.
        file: The file of that module, empty if it was not imported.
        state: `loaded`; `failed` to load; `excluded` by `DEEPOBS_PLUGINS`; or `disabled`, loaded
            but no longer called because it raised in a hook.
        error: Why it failed or was disabled.
    """

    name: str
    distribution: str
    version: str
    target: str
    file: str = ""
    state: Literal["loaded", "failed", "excluded", "disabled"] = "loaded"
    error: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()

    @property
    def origin(self) -> str:
        """Name and version of the distribution."""
        return f"{self.distribution} {self.version}".rstrip()


def normalized(distribution: str) -> str:
    """The form in which installers compare distribution names: case and `-_.` do not matter."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def installed_plugins() -> list[tuple[Plugin, Callable[[], object]]]:
    """Every plugin with the function that imports it; deepobs-core first, the others by name.

    If the entry points of a distribution cannot be read, the function raises the reason.
    """
    found: list[tuple[Plugin, Callable[[], object]]] = []
    seen = set()
    for distribution in distributions():
        # A search in the text first: parsing the files of all distributions takes much longer.
        if f"[{PROJECT}]" not in read_metadata(distribution, "entry_points.txt"):
            continue
        name, version = identity(distribution)
        # Of two copies on the path, Python imports the first.
        if normalized(name) in seen:
            continue
        seen.add(normalized(name))
        try:
            entries = list(distribution.entry_points.select(group=PROJECT))
        # The parser does not document what it raises.
        except Exception as error:
            plugin = Plugin(f"{name}:entry_points.txt", name, version, target="")
            found.append((plugin, functools.partial(_refuse, error)))
        else:
            found += [
                (Plugin(f"{name}:{entry.name}", name, version, entry.value), entry.load)
                for entry in entries
            ]
    return sorted(
        found,
        key=lambda pair: (normalized(pair[0].distribution) != CORE_DISTRIBUTION, pair[0].name),
    )


def _refuse(error: Exception) -> object:
    raise PluginError(f"Its entry points cannot be read: {error}. Install it again") from error


def identity(distribution: IDistribution) -> tuple[str, str]:
    """Name and version of a distribution; its path if half of it was removed."""
    try:
        name, version = distribution.name, distribution.version
    # Missing metadata raise different errors in different releases.
    except Exception:
        name = version = None  # type: ignore[assignment]
    return name or str(getattr(distribution, "_path", distribution)), version or ""


def read_metadata(distribution: IDistribution, file: str) -> str:
    """A file of a distribution's metadata, empty if it is missing or not text."""
    try:
        return distribution.read_text(file) or ""
    except (OSError, UnicodeDecodeError):
        return ""


def import_name_conflict() -> str | None:
    """Say which other distributions claim the import name `deepobs`, and how to fix it.

    Installers let the last one overwrite the files of the other, as the old `deepobs` 1.1.2 does;
    the module `deepobs_command` says so where this one cannot be imported any more.

    Returns:
        Sentences for the user, `None` if no other does.
    """
    owners = {identity(each) for each in distributions() if _claims_our_name(each)}
    rivals = sorted(owner for owner in owners if normalized(owner[0]) != CORE_DISTRIBUTION)
    if not rivals:
        return None
    listed = " and ".join(f"{name} {version}".rstrip() for name, version in rivals)
    names = " ".join(name for name, _ in rivals)
    return (
        f"The import name {PROJECT!r} is also claimed by {listed}, which has overwritten files of "
        f"{CORE_DISTRIBUTION} or will do so. (`pip install deepobs` installs the discontinued "
        f"TensorFlow package of 2019.) Fix it with `pip uninstall {names}`, followed by "
        f"`pip install --force-reinstall --no-deps {CORE_DISTRIBUTION}`, because uninstalling "
        "removes files that both own."
    )


def _claims_our_name(distribution: IDistribution) -> bool:
    # `packages_distributions()` would parse the records of all installed files, which takes half a
    # second if torch is installed, and would miss editable installs.
    declared = read_metadata(distribution, "top_level.txt").split()
    return PROJECT in declared or f"\n{PROJECT}/" in "\n" + read_metadata(distribution, "RECORD")
