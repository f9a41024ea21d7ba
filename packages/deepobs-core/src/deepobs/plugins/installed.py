"""The entry points of the group `deepobs`, found without importing anything they name.

`importlib_metadata.entry_points` reads those of every installed distribution at once, so that a
malformed file of one, even of a package that has nothing to do with us, would hide them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from importlib_metadata import distributions

from deepobs.errors import PluginError
from deepobs.plugins.hookspecs import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importlib_metadata import IDistribution

CORE_DISTRIBUTION = "deepobs-core"
OUR_DISTRIBUTIONS = frozenset(
    {CORE_DISTRIBUTION}
    | {f"deepobs-{name}" for name in ("analysis", "bench", "testing", "text", "vision")}
)


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of the group `deepobs`, and what became of it.

    Attributes:
        name: `distribution:entry point`.
        distribution: Name of the installed distribution.
        version: Its version.
        target: The module it names.
        file: Where that module is, empty where it could not be imported.
        state: `loaded`; `failed` to load; `left out` by `DEEPOBS_PLUGINS`; or `silenced`, loaded
            but told no more of runs because one of its observers failed.
        error: Why it failed or was silenced.
    """

    name: str
    distribution: str
    version: str
    target: str
    file: str = ""
    state: Literal["loaded", "failed", "left out", "silenced"] = "loaded"
    error: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()

    @property
    def origin(self) -> str:
        """Name and version of the distribution."""
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def is_core(self) -> bool:
        """Whether it is ours, which nobody can leave out."""
        return normalized(self.distribution) == CORE_DISTRIBUTION


def normalized(distribution: str) -> str:
    """The form in which installers compare distribution names: case and `-_.` do not matter."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def installed_plugins() -> list[tuple[Plugin, Callable[[], object]]]:
    """Every plugin with the function that imports it; ours first, the others sorted by name.

    Where a distribution's entry points cannot be read, the function raises what was wrong.
    """
    found = [pair for identified in _of_interest() for pair in _plugins_of(*identified)]
    return sorted(found, key=lambda pair: (not pair[0].is_core, pair[0].name))


def _of_interest() -> Iterator[tuple[IDistribution, str, str]]:
    """The distributions that name plugins, with name and version; of two copies the first."""
    met = set()
    for distribution in distributions():
        if f"[{PROJECT}]" in read_metadata(distribution, "entry_points.txt"):
            name, version = identity(distribution)
            if normalized(name) not in met:
                met.add(normalized(name))
                yield distribution, name, version


def _plugins_of(
    distribution: IDistribution, name: str, version: str
) -> Iterator[tuple[Plugin, Callable[[], object]]]:
    def plugin(entry: str, target: str) -> Plugin:
        return Plugin(name=f"{name}:{entry}", distribution=name, version=version, target=target)

    try:
        entries = list(distribution.entry_points.select(group=PROJECT))
    except Exception as error:  # a parser of strangers' files, which says not what it may raise
        yield plugin("entry_points.txt", ""), _raiser(error)
        return
    for entry in entries:
        yield plugin(entry.name, entry.value), entry.load


def _raiser(error: Exception) -> Callable[[], object]:
    def raise_error() -> object:
        raise PluginError(f"Its entry points cannot be read: {error}. Install it again") from error

    return raise_error


def identity(distribution: IDistribution) -> tuple[str, str]:
    """Name and version of a distribution; one that was removed by halves is called by its path."""
    try:
        name, version = distribution.name, distribution.version
    except Exception:  # missing metadata raise differently from release to release
        name = version = None  # type: ignore[assignment]
    return name or str(getattr(distribution, "_path", distribution)), version or ""


def read_metadata(distribution: IDistribution, file: str) -> str:
    """A file of a distribution's metadata, empty where it is missing or no text."""
    try:
        return distribution.read_text(file) or ""
    except (OSError, UnicodeDecodeError):
        return ""


def import_name_conflict() -> str | None:
    """Say which other distributions own the import name `deepobs`, and how to fix it.

    Returns:
        Sentences for the user, `None` if there are none.
    """
    owners = {identity(each) for each in distributions() if _claims_our_name(each)}
    rivals = sorted(owner for owner in owners if normalized(owner[0]) != CORE_DISTRIBUTION)
    if not rivals:
        return None
    listed = " and ".join(f"{name} {version}".rstrip() for name, version in rivals)
    names = " ".join(name for name, _ in rivals)
    return (
        f"The import name {PROJECT!r} is also claimed by {listed}, which has overwritten files of "
        f"{CORE_DISTRIBUTION} or will do so. Fix it with `pip uninstall {names}`, followed by "
        f"`pip install --force-reinstall --no-deps {CORE_DISTRIBUTION}`, because uninstalling "
        "removes files that both own."
    )


def _claims_our_name(distribution: IDistribution) -> bool:
    # `packages_distributions()` answers the same question, but parses a record of every installed
    # file for it: half a second where torch is installed. It knows no editable installs either.
    declared = read_metadata(distribution, "top_level.txt").split()
    return PROJECT in declared or f"\n{PROJECT}/" in "\n" + read_metadata(distribution, "RECORD")
