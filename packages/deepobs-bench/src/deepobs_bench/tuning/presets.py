"""Presets: published protocols of tuning, which fill in what the settings leave open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepobs.run_specifications import DEFAULT_SEED
from deepobs_bench.tuning.spaces import parsed

if TYPE_CHECKING:
    from deepobs_bench.tuning.spaces import Dimension

_TEN_SEEDS = tuple(range(42, 52))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A published protocol."""

    reference: str = ""
    sampler: str = "random"
    space: dict[str, Dimension] = field(default_factory=dict)
    trials: int | None = 25
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    report_seeds: tuple[int, ...] | None = None
    remarks: tuple[str, ...] = ()
    chose_on_test: bool = False


def preset(name: str | None, optimizer: str) -> Preset:
    """Look up a published protocol; `None` stands for the defaults, which have no space."""
    if name is None:
        return Preset()
    return _PAPER if name == "paper" else _crowded_valley(optimizer)


_PAPER = Preset(
    reference="Schneider, Balles, Hennig: DeepOBS, ICLR 2019",
    sampler="grid",
    space={"lr": parsed("log:1e-5:1e2:36")},
    trials=None,
    report_seeds=_TEN_SEEDS,
    chose_on_test=True,
)

_BETAS = {"betas[0]": parsed("log:0.5:0.999"), "betas[1]": parsed("log:0.8:0.999")}
_NEAR_ONE = parsed("one-minus-log:1e-4:1")
_CROWDED_VALLEY: dict[str, dict[str, Dimension]] = {
    "SGD": {},
    "Momentum": {"momentum": _NEAR_ONE},
    "Nesterov": {"momentum": _NEAR_ONE},
    "Adagrad": {},
    "Adadelta": {"rho": _NEAR_ONE},
    "RMSprop": {"alpha": _NEAR_ONE},
    "Adam": _BETAS,
    "NAdam": _BETAS,
    "RAdam": _BETAS,
}
"""What is tried besides the learning rate. The ranges of learning rates and betas are those that
the file names of the published runs span; for a momentum and the like, see `_crowded_valley`."""


def _crowded_valley(optimizer: str) -> Preset:
    others = _CROWDED_VALLEY.get(optimizer)
    remarks = []
    if others is None:
        remarks.append(
            f"{optimizer} has no space in this preset: its learning rate is tried in the space "
            "of all others."
        )
    elif _NEAR_ONE in others.values():
        (name,) = others
        remarks.append(
            f"1 - {name} is drawn log-uniformly from 1e-4 to 1, where the published runs of 2020 "
            f"drew {name} itself so."
        )
    return Preset(
        reference="Schmidt, Schneider, Hennig: Descending through a Crowded Valley, ICML 2021",
        space={"lr": parsed("log:1e-4:1")} | (others or {}),
        report_seeds=_TEN_SEEDS,
        remarks=tuple(remarks),
    )
