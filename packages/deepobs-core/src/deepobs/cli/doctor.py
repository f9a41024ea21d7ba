"""`deepobs doctor`: look at the installation, and say what is wrong and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deepobs import config
from deepobs.console import run_options, screen
from deepobs.console.commands import as_json
from deepobs.console.text import clean, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from deepobs.cli.diagnosis.findings import Section, Trouble

_INDENT = "  "


@click.command("doctor")
@run_options.data_dir
@as_json
@click.pass_context
def command(context: click.Context, data_dir: Path | None, as_json: bool) -> None:
    """Look at the installation, and say what is wrong and how to mend it.

    Nothing is changed. Results are those in the directory results of the current one. The exit
    code is 1 if there is something to mend; what could merely be better does not count.
    """
    from deepobs.cli.diagnosis.examination import examined

    with config.temporary(**({} if data_dir is None else {"data_dir": data_dir})):
        sections = examined()
    if as_json:
        screen.show_json(_as_json(sections))
    else:
        _show(sections)
    if any(section.troubles for section in sections):
        context.exit(1)


def _as_json(sections: list[Section]) -> dict[str, Any]:
    return {
        "facts": {
            section.title.lower(): {fact.name: fact.value for fact in section.facts}
            for section in sections
        },
        "to_mend": _rows((section.title, section.troubles) for section in sections),
        "advice": _rows((section.title, section.advice) for section in sections),
    }


def _rows(troubles: Iterable[tuple[str, Iterable[Trouble]]]) -> list[dict[str, str]]:
    return [
        {"subject": title.lower(), "what": one.what, "remedy": one.remedy}
        for title, several in troubles
        for one in several
    ]


def _show(sections: list[Section]) -> None:
    for section in sections:
        screen.show_heading(section.title)
        facts = {
            fact.name: fact.value if fact.shown is None else fact.shown for fact in section.facts
        }
        screen.show_fields(facts, indent=_INDENT)
        screen.show()
    advice = [one for section in sections for one in section.advice]
    troubles = [one for section in sections for one in section.troubles]
    _show_all("Could be better", advice)
    _show_all("To mend", troubles)
    if not troubles:
        screen.show("Nothing is wrong.")


def _show_all(heading: str, troubles: Iterable[Trouble]) -> None:
    texts = list(dict.fromkeys(line for one in troubles for line in [(one.what, one.remedy)]))
    if not texts:
        return
    screen.show_heading(f"{heading} ({len(texts)})")
    for number, (what, remedy) in enumerate(texts, start=1):
        for line in _lines(f"{number}.", what, remedy):
            screen.show(line)
    screen.show()


def _lines(number: str, what: str, remedy: str) -> Iterator[str]:
    width = screen.terminal_width()
    hanging = " " * (len(_INDENT) + len(number) + 1)
    first, *others = wrap(clean(what), width, hanging)
    yield f"{_INDENT}{number} {first.lstrip()}"
    yield from others
    yield from wrap(clean(remedy), width, hanging)
