"""What installed plugins offer, as commands list, describe and complete it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from deepobs.console.screen import Column
from deepobs.plugins import registry

if TYPE_CHECKING:
    from deepobs.plugins.catalog import Catalog, Offer


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of component that plugins offer.

    Attributes:
        name: Its name on the command line, which is that of its catalog in the registry.
        title: Heading of a list of them.
        columns: Columns of a list between name and summary, by attribute of the description.
    """

    name: str
    title: str
    columns: tuple[tuple[str, Column], ...] = ()

    @property
    def catalog(self) -> Catalog[Any]:
        """Everything that is offered of this kind."""
        catalog: Catalog[Any] = getattr(registry(), self.name)
        return catalog

    def summaries(self) -> dict[str, str]:
        """The summary of everything that is offered, by usable name, for `completing`."""
        return {name: offer.spec.summary for name, offer in by_usable_name(self.catalog).items()}


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "problems",
            "Test problems",
            (
                ("dataset", Column("DATA SET")),
                ("batch_size", Column("BATCH", is_number=True)),
                ("epochs", Column("EPOCHS", is_number=True)),
            ),
        ),
        Kind(
            "datasets",
            "Data sets",
            (
                ("train_size", Column("TRAIN", is_number=True)),
                ("test_size", Column("TEST", is_number=True)),
            ),
        ),
        Kind("optimizers", "Optimizers"),
        Kind("suites", "Suites of test problems"),
        Kind("runners", "Runners"),
        Kind("executors", "Executor backends"),
        Kind("plots", "Plots"),
        Kind("trackers", "Trackers of experiments"),
        Kind("commands", "Commands of plugins"),
    )
}


def ambiguous_names(catalog: Catalog[Any]) -> set[str]:
    """The names that more than one plugin offers."""
    counts = Counter(offer.spec.name for offer in catalog.offers())
    return {name for name, count in counts.items() if count > 1}


def by_usable_name(catalog: Catalog[Any]) -> dict[str, Offer[Any]]:
    """All offers of a catalog by the shortest name that is unambiguous."""
    return {catalog.usable_name(offer.qualified_name): offer for offer in catalog.offers()}


def described(offer: Offer[Any], *, is_ambiguous: bool) -> dict[str, object]:
    """The metadata of an offer for JSON output, without importing it."""
    return {
        **{field.name: getattr(offer.spec, field.name) for field in fields(offer.spec)},
        "distribution": offer.distribution,
        "version": offer.version,
        "qualified_name": offer.qualified_name,
        "is_ambiguous": is_ambiguous,
    }
