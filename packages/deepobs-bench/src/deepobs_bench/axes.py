"""The values of a hyperparameter in a grid: a list of them, or a line such as `log:1e-5:1e2:36`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from deepobs.errors import ArgumentError
from deepobs_bench.tuning.spaces import parsed
from deepobs_bench.values import must_be

_PERMITTED = (
    'a list of values such as [0.1, 0.01], or "log:1e-5:1e2:36" for 36 values (instead of log also '
    "uniform, int or one-minus-log)"
)


def _values(value: object) -> object:
    if isinstance(value, list) and value:
        return value
    if isinstance(value, str):
        try:
            return parsed(value).grid()
        except ArgumentError:
            pass
    raise must_be(_PERMITTED, value)


Axis = Annotated[tuple[Any, ...], BeforeValidator(_values)]
