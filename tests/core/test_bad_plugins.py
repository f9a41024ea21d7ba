"""However bad a plugin is, the others can be used, and the message about it says whose it is."""

from __future__ import annotations

import json
import random
import warnings
from typing import TYPE_CHECKING

import pytest
from bad_plugins import (
    CULPRIT,
    HARMLESS,
    IN_SWEEPS,
    IN_USE,
    LEFT_OUT,
    SHORT,
    BadPlugin,
    assert_named,
    assert_others_are_usable,
)
from plugin_sources import offering

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from plugin_sources import Install

    from deepobs.plugins import Registry

    CommandLine = Callable[..., tuple[int, str, str]]


def test_there_are_more_than_40_kinds_of_bad_plugin() -> None:
    assert len(LEFT_OUT) + len(IN_USE) + len(IN_SWEEPS) + len(HARMLESS) > 40


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_plugin_that_cannot_be_loaded_is_left_out(
    install_bad: Callable[[BadPlugin], None], command_line: CommandLine, kind: str
) -> None:
    plugin = LEFT_OUT[kind]
    install_bad(plugin)
    code, out, _ = command_line(*plugin.command)
    assert code == plugin.code
    (line,) = [line for line in out.splitlines() if line.startswith(CULPRIT)]
    assert "failed" in line
    assert plugin.says in line
    assert "\x1b" not in out
    assert_others_are_usable(command_line)
    code, _, err = command_line("run", "acme_bowl", *SHORT)
    assert code == 2
    assert "There is no test problem 'acme_bowl'" in err
    assert plugin.says in err
    assert CULPRIT in err


@pytest.mark.parametrize("kind", IN_USE)
def test_a_part_that_fails_is_named_with_whose_it_is(
    install_bad: Callable[[BadPlugin], None], command_line: CommandLine, kind: str
) -> None:
    assert_named(IN_USE[kind], install_bad, command_line)


@pytest.mark.parametrize("kind", HARMLESS)
def test_bad_manners_of_a_plugin_change_nothing(
    install: Install,
    command_line: CommandLine,
    fresh_registry: Callable[[], Registry],
    kind: str,
) -> None:
    install("zeta-obs", offering("zeta_bowl"))
    install(CULPRIT, HARMLESS[kind])
    before = _state_of_the_process()
    assert not fresh_registry().failures()
    assert _state_of_the_process() == before
    assert_others_are_usable(command_line)
    code, out, _ = command_line("list", "problems")
    assert code == 0
    assert "acme_" in out
    assert "\x1b" not in out


def _state_of_the_process() -> tuple[object, ...]:
    return warnings.filters[:], random.getstate()


def test_an_observer_cannot_change_the_result(
    install: Install, command_line: CommandLine, tmp_path: Path
) -> None:
    install(CULPRIT, HARMLESS["it observes, and changes what it is told"])
    assert command_line("run", "quadratic_deep", *SHORT)[0] == 0
    (file,) = (tmp_path / "results").rglob("*.json")
    assert len(json.loads(file.read_text())["test_losses"]) == 1


@pytest.mark.parametrize(
    "metadata",
    [b"Name: acme-obs\n", b"Version: 1.0\n", b"\xff\xfe\x00", b"", b"Metadata-Version: 99\n\nName"],
)
def test_metadata_that_say_nothing_are_no_obstacle(
    install: Install,
    install_bad: Callable[[BadPlugin], None],
    command_line: CommandLine,
    metadata: bytes,
) -> None:
    install_bad(BadPlugin(says="", metadata=metadata))
    assert_others_are_usable(command_line)
    code, _, err = command_line("run", "acme_bowl", *SHORT)
    assert code == 0, err


def test_extras_of_an_entry_point_are_passed_over(
    install: Install, command_line: CommandLine, fresh_registry: Callable[[], Registry]
) -> None:
    del fresh_registry
    install(CULPRIT, offering("acme_bowl"), entry_points="[deepobs]\nacme = {module} [fast]\n")
    assert command_line("run", "acme_bowl", *SHORT)[0] == 0


def test_a_loss_that_is_no_number_is_a_run_that_diverged(
    install_bad: Callable[[BadPlugin], None], command_line: CommandLine
) -> None:
    plugin = IN_USE["a loss raises"]
    body = plugin.parts.replace("return self.nothing", "return self.nan(batch), None")
    body += "\n    def nan(self, batch):\n        w = next(self.model.parameters())\n"
    body += "        return (w * float('nan')).sum()\n"
    install_bad(BadPlugin(source=plugin.source, parts=body, says=""))
    code, out, err = command_line(*plugin.command)
    assert code == 0, err
    assert "diverged" in out
    assert_others_are_usable(command_line)
