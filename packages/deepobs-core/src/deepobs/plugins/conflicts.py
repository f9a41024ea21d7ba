"""Other distributions that claim our import name, as the long-dead `deepobs` 1.1.2 does.

Installers let the last one win, file by file; and taking the other away takes our files, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importlib_metadata import distributions

from deepobs.plugins.installed import CORE_DISTRIBUTION, identity, normalized, read_metadata

if TYPE_CHECKING:
    from importlib_metadata import IDistribution

PACKAGE = "deepobs"


def import_name_conflict() -> str | None:
    """Say which other distributions own the import name `deepobs`, and how to mend it.

    Returns:
        Sentences for the user, `None` where there is nothing to mend.
    """
    owners = {identity(each) for each in distributions() if _claims_our_name(each)}
    rivals = sorted(owner for owner in owners if normalized(owner[0]) != CORE_DISTRIBUTION)
    if not rivals:
        return None
    listed = " and ".join(f"{name} {version}".rstrip() for name, version in rivals)
    names = " ".join(name for name, _ in rivals)
    return (
        f"The import name {PACKAGE!r} is also claimed by {listed}, which has overwritten files of "
        f"{CORE_DISTRIBUTION} or will do so. Mend it with `pip uninstall {names}`, followed by "
        f"`pip install --force-reinstall --no-deps {CORE_DISTRIBUTION}`, because uninstalling "
        "removes files that both own."
    )


def _claims_our_name(distribution: IDistribution) -> bool:
    # `packages_distributions()` answers the same question, but parses a record of every installed
    # file for it: half a second where torch is installed. It knows no editable installs either.
    declared = read_metadata(distribution, "top_level.txt").split()
    return PACKAGE in declared or f"\n{PACKAGE}/" in "\n" + read_metadata(distribution, "RECORD")
