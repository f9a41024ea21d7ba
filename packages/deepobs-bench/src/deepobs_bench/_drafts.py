"""What a user wrote without the mistakes found so far, so that later checks see all of the rest."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic_core import ErrorDetails

    from deepobs_bench._validation import Location, Mistake

    InWords = Callable[[ErrorDetails], Mistake]

Table = TypeVar("Table", bound=BaseModel)

_GONE = object()
"""Takes the place of an item of a list, so that those behind it keep their positions."""


class Draft:
    """Tables, lists and values, from which what is wrong can be taken out.

    Args:
        data: What the user wrote, which is left as it is.

    Attributes:
        data: What is left of it.
        mistakes: What was wrong with the rest.
        broken: Where that was.
        unknown_keys: Those of it that were keys which do not exist.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = copy.deepcopy(data)
        self.mistakes: list[Mistake] = []
        self.broken: set[Location] = set()
        self.unknown_keys: set[Location] = set()

    def validated(self, table: type[Table], in_words: InWords) -> Table | None:
        """Validate what is left, and take out what is wrong with it.

        Args:
            table: What it should be.
            in_words: Says what pydantic found.

        Returns:
            The table without all mistakes; `None` if not even a part of it is right.
        """
        before, left = None, _without_gaps(self.data)
        while before != left:
            try:
                return table.model_validate(left)
            except ValidationError as error:
                found = error.errors()
            self._note(found, in_words)
            self.take_out(each["loc"] for each in found)
            before, left = left, _without_gaps(self.data)
        return None

    def _note(self, found: list[ErrorDetails], in_words: InWords) -> None:
        new = [each for each in found if not self._follows(each)]
        self.mistakes += map(in_words, new)
        self.unknown_keys |= {each["loc"] for each in new if each["type"] == "extra_forbidden"}

    def _follows(self, error: ErrorDetails) -> bool:
        """Whether an error is only that there is nothing where a mistake was."""
        table, absent = error["loc"], error.get("ctx", {}).get("absent", ())
        places = {(*table, name) for name in absent}
        return (
            bool(absent)
            and (
                any(place[: len(table) + 1] in places for place in self.broken)
                # A misspelled key may have been one of those.
                or any(place[:-1] == table for place in self.unknown_keys)
            )
        )

    def take_out(self, places: Iterable[Location]) -> None:
        """Take out what is at some places, and remember them."""
        for place in places:
            self.broken.add(place)
            self.remove(place)

    def remove(self, place: Location) -> None:
        """Remove what is at a place, if it is there."""
        if not place:
            return
        *outer, last = place
        container = self._at(*outer)
        if isinstance(container, dict):
            container.pop(last, None)
        elif isinstance(container, list) and isinstance(last, int) and last < len(container):
            container[last] = _GONE

    def _at(self, *place: str | int) -> Any:
        """What is at a place; `None` for nothing."""
        found: Any = self.data
        for part in place:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return None
        return found


def _without_gaps(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_gaps(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_without_gaps(value) for value in data if value is not _GONE]
    return data
