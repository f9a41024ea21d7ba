"""What several figures of the same results need is computed once."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

_Computed = TypeVar("_Computed")

_known: ContextVar[dict[Hashable, Any] | None] = ContextVar("known", default=None)


@contextlib.contextmanager
def computing_once() -> Iterator[None]:
    """Inside the block, which is about some results and parts of them, compute nothing twice."""
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def once(key: Hashable, compute: Callable[[], _Computed]) -> _Computed:
    """What a function returns; within `computing_once`, what it returned for an equal key.

    Args:
        key: What it depends on, apart from the results: it must not depend on other optimizers and
            problems than the key names, which parts of the results may lack.
        compute: The function.
    """
    known = _known.get()
    if known is None:
        return compute()
    if key not in known:
        known[key] = compute()
    found: _Computed = known[key]
    return found
