"""A part of a plugin that fails in a sweep is named with the distribution that provides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bad_plugins import IN_SWEEPS, assert_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from bad_plugins import BadPlugin, CommandLine


@pytest.mark.parametrize("kind", IN_SWEEPS)
def test_a_part_that_fails_is_named_with_whose_it_is(
    install_bad: Callable[[BadPlugin], None], command_line: CommandLine, kind: str
) -> None:
    assert_named(IN_SWEEPS[kind], install_bad, command_line)
