"""Text and tables for terminals of any width."""

from __future__ import annotations

import pytest

from deepobs.console.screen import Column, render
from deepobs.console.text import clean, columns_of, shown_value, wrap

COLUMNS = [Column("NAME"), Column("SIZE", is_number=True), Column("SUMMARY")]
ROWS = [["a", 5, "one two three four five six seven"], ["longer", 12345, "eight"]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\n c", "a b c"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b2J", "\\x9b2J"),
        ("left\u202eright", "left\\u202eright"),
        ("\udcff", "\\udcff"),
        ("Grüße, 日本", "Grüße, 日本"),
        (3, "3"),
    ],
)
def test_clean_text_is_one_printable_line(text: object, shown: str) -> None:
    assert clean(text) == shown


def test_wide_and_combining_characters_are_measured_as_a_terminal_shows_them() -> None:
    assert columns_of("日本") == 4
    assert columns_of("e\u0301") == 1


def test_wrapping_leaves_a_long_word_whole() -> None:
    path = "/a/very/long/path/that/does/not/fit"
    assert wrap(f"see {path} there", 10) == ["see", path, "there"]


def test_a_table_without_a_width_has_a_line_a_row() -> None:
    heading, lines = render(COLUMNS, ROWS, None)
    assert heading == "NAME     SIZE  SUMMARY"
    assert lines == [
        "a           5  one two three four five six seven",
        "longer  12345  eight",
    ]


def test_the_last_column_is_broken_into_lines() -> None:
    _, lines = render(COLUMNS, ROWS, 40)
    assert lines == [
        "a           5  one two three four five",
        "               six seven",
        "longer  12345  eight",
    ]


def test_the_last_column_stands_below_where_there_is_no_room() -> None:
    heading, lines = render(COLUMNS, ROWS, 30)
    assert heading == "NAME     SIZE"
    assert lines == [
        "a           5",
        "  one two three four five six",
        "  seven",
        "longer  12345",
        "  eight",
    ]


def test_columns_are_aligned_behind_wide_characters() -> None:
    _, lines = render([Column("A"), Column("B")], [["日本", "x"], ["abcd", "y"]], None)
    assert lines == ["日本  x", "abcd  y"]


def test_a_table_without_rows_is_its_heading() -> None:
    assert render(COLUMNS, [], 80) == ("NAME  SIZE  SUMMARY", [])


def test_values_of_hyperparameters_are_written_as_in_tables_of_results():
    values = [False, None, 0.0, 1.0, 0.1, 1e-5, 0.00420799, 3, (0.9, 0.999), "mode"]
    written = ["false", "null", "0", "1", "0.1", "1e-05", "0.00420799", "3", "(0.9, 0.999)", "mode"]
    assert [shown_value(value) for value in values] == written
