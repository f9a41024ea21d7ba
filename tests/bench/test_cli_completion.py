"""Shells complete the options of `bench` and `tune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OFFERED = {
    "tune two_d_be": "two_d_beale",
    "tune two_d_beale SGD --sampler t": "tpe",
    "tune two_d_beale SGD --preset cr": "crowded-valley",
    "tune two_d_beale SGD --budget me": "medium",
    "tune two_d_beale SGD --select-on v": "valid",
    "tune two_d_beale SGD --epoch b": "best",
    "tune two_d_beale SGD --metric acc": "accuracy",
    "bench experiment.toml --executor ser": "serial",
}
"""What is completed to what."""


def test_what_the_commands_take_is_completed(complete: Callable[..., list[str]]) -> None:
    asked = [line.split() for line in OFFERED]
    found = [line.partition(",")[2] for line in complete(*asked)]
    assert found == list(OFFERED.values())
