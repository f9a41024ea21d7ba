"""The import name `deepobs` belongs to one distribution only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deepobs.plugins.installed import import_name_conflict

if TYPE_CHECKING:
    from plugin_sources import Install

RECORD = "deepobs-1.1.2.dist-info/METADATA,,\ndeepobs/__init__.py,sha256=abc,15\n"


def test_nothing_is_said_where_the_name_is_ours_alone(install: Install) -> None:
    directory = install("acme-obs", "", entry_points="")
    (directory / "acme_obs-1.0.dist-info" / "RECORD").write_text("acme_deepobs/__init__.py,,\n")
    assert import_name_conflict() is None


@pytest.mark.parametrize(
    ("file", "content"),
    [("RECORD", RECORD), ("RECORD", "deepobs/__init__.py,,"), ("top_level.txt", "deepobs\n")],
)
def test_the_old_distribution_is_named_with_the_way_to_mend_it(
    install: Install, file: str, content: str
) -> None:
    directory = install("deepobs", "", version="1.1.2", entry_points="")
    (directory / "deepobs-1.1.2.dist-info" / file).write_text(content)
    said = import_name_conflict()
    assert said is not None
    assert "deepobs 1.1.2" in said
    assert "`pip uninstall deepobs`" in said
    assert "`pip install --force-reinstall --no-deps deepobs-core`" in said
    assert said.index("uninstall") < said.index("force-reinstall")


def test_several_rivals_are_uninstalled_together(install: Install) -> None:
    for distribution in ("deepobs", "acme-fork"):
        directory = install(distribution, "", entry_points="")
        module = distribution.replace("-", "_")
        (directory / f"{module}-1.0.dist-info" / "RECORD").write_text(RECORD)
    said = import_name_conflict()
    assert said is not None
    assert "acme-fork 1.0 and deepobs 1.0" in said
    assert "`pip uninstall acme-fork deepobs`" in said
