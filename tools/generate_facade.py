"""Write what the facade shows to type checkers and says about packages that are missing.

Run it whenever a first-party package changes what it offers:

    python tools/generate_facade.py

It reads the descriptions of the installed packages and imports none of the things they describe.
"""

from __future__ import annotations

import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs.plugins import Offer, Registry
from deepobs.plugins.installed import CORE_DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs.plugins.catalog import Catalog

_REPOSITORY = Path(__file__).resolve().parents[1]
_SOURCE = Path("packages/deepobs-core/src/deepobs")
_GENERATED = "Written by `tools/generate_facade.py`: do not edit."


def main() -> None:
    """Write the files."""
    for path, text in generated(first_party_registry()).items():
        (_REPOSITORY / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")


def first_party_distributions() -> list[str]:
    """The packages of this repository that are plugins."""
    projects = [
        tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        for path in sorted(_REPOSITORY.glob("packages/*/pyproject.toml"))
    ]
    return [project["name"] for project in projects if "deepobs" in project["entry-points"]]


def first_party_registry() -> Registry:
    """What our own packages offer.

    Raises:
        PluginError: One of them is not installed, or is broken.
    """
    registry = Registry(strict=True)
    registry.discover(first_party_distributions())
    return registry


def generated(registry: Registry) -> dict[Path, str]:
    """The text of every generated file, by its path in the repository.

    Args:
        registry: What our own packages offer.
    """
    facade = _SOURCE / "pytorch"
    return {
        facade / "testproblems/__init__.pyi": _stub_of_classes(registry.problems, "TestProblem"),
        facade / "datasets/__init__.pyi": _stub_of_classes(registry.datasets, "DataSet"),
        facade / "runners/__init__.pyi": _stub_of_aliases(registry.runners, "Runner"),
        _SOURCE / "plugins/_first_party.py": _tables_of_distributions(registry),
    }


def _stub_of_classes(catalog: Catalog[Any], protocol: str) -> str:
    """A subclass for every name, as `bind` makes them."""
    return _stub(
        catalog,
        protocol,
        "\n\n".join(
            f'class {offer.spec.name}({_path(offer)}):\n    """{offer.spec.summary}."""'
            for offer in catalog.offers()
        ),
    )


def _stub_of_aliases(catalog: Catalog[Any], protocol: str) -> str:
    """Another name for every class."""
    return _stub(
        catalog,
        protocol,
        "\n".join(f"{offer.spec.name} = {_path(offer)}" for offer in catalog.offers()),
    )


def _stub(catalog: Catalog[Any], protocol: str, definitions: str) -> str:
    modules = {offer.spec.target.partition(":")[0] for offer in catalog.offers()}
    imports = _lines(f"import {module}" for module in sorted(modules | {"deepobs.protocols"}))
    return f'''"""{_GENERATED}"""

{imports}
{definitions}

def __getattr__(name: str) -> type[deepobs.protocols.{protocol}]: ...
def __dir__() -> list[str]: ...
'''


def _path(offer: Offer[Any]) -> str:
    path: str = offer.spec.target.replace(":", ".")
    return path


def _tables_of_distributions(registry: Registry) -> str:
    return f'''"""Which of our packages offers which name, so that an error can say what to install.

{_GENERATED}
"""

{_table("_COMPONENTS", registry.problems, registry.datasets)}
{_table("_COMMANDS", registry.commands)}
DISTRIBUTION_OF = {{name: owner for owner, names in _COMPONENTS.items() for name in names.split()}}
DISTRIBUTION_OF_COMMAND = {{
    name: owner for owner, names in _COMMANDS.items() for name in names.split()
}}
'''


def _table(name: str, *catalogs: Catalog[Any]) -> str:
    """A dictionary from our packages other than the core to the names that they offer."""
    names_of: dict[str, list[str]] = {}
    for offer in (offer for catalog in catalogs for offer in catalog.offers()):
        if offer.distribution != CORE_DISTRIBUTION:
            names_of.setdefault(offer.distribution, []).append(offer.spec.name)
    rows = ""
    for distribution, names in sorted(names_of.items()):
        text = textwrap.fill(" ".join(sorted(names)), 88, break_on_hyphens=False)
        rows += f'    "{distribution}": """\n{textwrap.indent(text, " " * 8)}\n    """,\n'
    return f"{name} = {{\n{rows}}}\n"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
