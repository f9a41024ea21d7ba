"""`deepobs new-plugin`: write a package with a test problem of one's own, to start from."""

from __future__ import annotations

from pathlib import Path

import click

from deepobs.console import screen


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--out",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where to make the package's directory [default: the current directory].",
)
def command(name: str, parent: Path) -> None:
    """Write a package with a test problem of your own, to start from.

    NAME is that of the distribution, as it is installed. Of deepobs-acme, the import name is
    deepobs_acme, the data set acme and the test problem acme_mlp. The package can be installed and
    passes its tests as it is; change it step by step into what you want.

    \b
    Example:
      deepobs new-plugin deepobs-acme
    """  # noqa: D301 # \b keeps click from joining the lines of the example
    from deepobs_testing.skeleton.names import names_of
    from deepobs_testing.skeleton.writing import write_package

    names = names_of(name)
    written = write_package(names, parent)
    directory = parent / names.distribution
    screen.show_heading(
        f"{names.distribution}: data set {names.dataset}, test problem {names.problem}"
    )
    screen.show_fields({str(path): summary for path, summary in written.items()}, indent="  ")
    screen.show()
    screen.show("Next:")
    place = directory if directory.is_absolute() else f"./{directory}"
    for line in (
        f'pip install -e "{place}[test]"',
        f"deepobs check --all-of {names.distribution}",
        f'pytest "{directory}"' if " " in str(directory) else f"pytest {directory}",
        f"deepobs run {names.problem} Adam --lr 0.01",
    ):
        screen.show(f"  {line}")
