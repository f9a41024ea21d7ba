"""The import name `deepobs` belongs to one distribution only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import deepobs
import deepobs_command
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


COMMAND = """
import sys
sys.path = [sys.argv.pop(1), *(each for each in sys.path if each != sys.argv[1])]
del sys.argv[1]
import deepobs_command
sys.exit(deepobs_command.main())
"""


def called(first: Path, *words: str, without: str = "-") -> str:
    """Execute the command `deepobs` as its script does, and return its message.

    Args:
        first: What is first on the import path.
        words: The command.
        without: What is removed from the path.
    """
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(first), without, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("Error: "), done.stderr
    return done.stderr


@pytest.mark.parametrize("command", ["doctor", "--help"])
def test_commands_say_who_has_overwritten_the_package(install: Install, command: str) -> None:
    directory = install("deepobs", "from . import tensorflow", version="1.1.2", entry_points="")
    (directory / "deepobs-1.1.2.dist-info" / "RECORD").write_text(RECORD)
    (directory / "deepobs").mkdir()
    (directory / "deepobs.py").rename(directory / "deepobs" / "__init__.py")
    said = called(directory, command)
    assert "Error: deepobs 1.1.2 has overwritten files of deepobs-core." in said
    assert "the discontinued TensorFlow package of 2019" in said
    assert "`pip uninstall deepobs`, followed by `pip install --force-reinstall" in said


def test_commands_say_that_files_were_removed_with_another_package(tmp_path: Path) -> None:
    # What uninstalling the other package leaves: all of ours but `deepobs/__init__.py`.
    (ours,) = deepobs.__path__
    (tmp_path / "deepobs").mkdir()
    for each in Path(ours).iterdir():
        if each.name != "__init__.py":
            (tmp_path / "deepobs" / each.name).symlink_to(each)
    source = Path(deepobs_command.__file__)
    (tmp_path / source.name).symlink_to(source)
    said = called(tmp_path, "doctor", without=str(source.parent))
    assert "Files of deepobs-core are missing" in said
    assert "`pip install --force-reinstall --no-deps deepobs-core`" in said


def test_other_errors_of_the_command_are_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ImportError('no click')")
    with pytest.raises(AssertionError, match="no click"):
        called(tmp_path, "doctor")
