"""Generate the reference pages in `docs` from the code.

Run it whenever a docstring, an option, a hook, a key of a file or a registered component changes:

    python tools/generate_reference.py

All packages of this repository must be installed.
"""

from __future__ import annotations

from pathlib import Path

from generate_facade import first_party_registry
from reference.api import details, overview
from reference.command_line import command_line
from reference.experiment_files import experiment_files
from reference.hooks import hooks
from reference.problems import problems
from reference.result_files import result_files, schema

_REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write the files."""
    for path, text in generated().items():
        (_REPOSITORY / path).parent.mkdir(parents=True, exist_ok=True)
        (_REPOSITORY / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")


def generated() -> dict[Path, str]:
    """The text of every generated file, by its path in the repository."""
    reference = Path("docs/reference")
    return {
        Path("docs/API_REFERENCE.md"): overview(),
        reference / "command_line.md": command_line(),
        reference / "experiment_files.md": experiment_files(),
        reference / "hooks.md": hooks(),
        reference / "problems.md": problems(first_party_registry()),
        reference / "result_files.md": result_files(),
        reference / "schemas/result_file.schema.json": schema(),
        **{reference / f"api/{name}.md": text for name, text in details().items()},
    }


if __name__ == "__main__":
    main()
