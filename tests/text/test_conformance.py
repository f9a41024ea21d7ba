"""The text problems and their data pass the checks that others are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.deepobs_checks(distribution="deepobs-text")
def test_what_deepobs_text_offers_conforms(deepobs_check: Callable[[], None]) -> None:
    deepobs_check()
