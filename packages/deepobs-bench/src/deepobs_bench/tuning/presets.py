"""Published ways to tune, filled in where the user leaves something open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs_bench.tuning.spaces import parsed

if TYPE_CHECKING:
    from deepobs_bench.tuning.spaces import Dimension

_SEED = 42
_TEN_SEEDS = tuple(range(42, 52))


@dataclass(frozen=True, slots=True)
class Preset:
    """A way to tune.

    Attributes:
        reference: Where it was published, empty for that of ours.
        sampler: What suggests the trials.
        space: What is tried.
        trials: How many settings are tried, `None` for all of a grid.
        seeds: Seeds of the runs of every trial.
        report_seeds: Seeds with which the winner is run again, `None` for ten others than `seeds`.
        remarks: Where it deviates from what was published, a sentence each.
        chose_on_test: Whether the winner was chosen on the test set.
    """

    reference: str
    sampler: str
    space: dict[str, Dimension]
    trials: int | None
    seeds: tuple[int, ...]
    report_seeds: tuple[int, ...] | None
    remarks: tuple[str, ...] = ()
    chose_on_test: bool = False


def preset(name: str | None, optimizer: str) -> Preset:
    """Look up a published way to tune.

    Args:
        name: "paper" or "crowded-valley"; `None` for the defaults, which have no space.
        optimizer: Name of the optimizer to be tuned.
    """
    if name is None:
        return _OURS
    return _PAPER if name == "paper" else _crowded_valley(optimizer)


_OURS = Preset(
    reference="", sampler="random", space={}, trials=25, seeds=(_SEED,), report_seeds=None
)
_PAPER = Preset(
    reference="Schneider, Balles, Hennig: DeepOBS, ICLR 2019",
    sampler="grid",
    space={"lr": parsed("log:1e-5:1e2:36")},
    trials=None,
    seeds=(_SEED,),
    report_seeds=_TEN_SEEDS,
    chose_on_test=True,
)

_CROWDED_VALLEY_LR = {"lr": parsed("log:1e-4:1")}
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
the file names of the published runs span; a momentum and the like, see `_crowded_valley`."""


def _crowded_valley(optimizer: str) -> Preset:
    others = _CROWDED_VALLEY.get(optimizer)
    remarks = []
    if others is None:
        remarks.append(
            f"{optimizer} has no space in this preset: its learning rate is tried in that of all "
            "others."
        )
    elif _NEAR_ONE in others.values():
        (name,) = others
        remarks.append(
            f"1 - {name} is drawn log-uniformly from 1e-4 to 1, where the published runs of 2020 "
            f"drew {name} itself so."
        )
    return Preset(
        reference="Schmidt, Schneider, Hennig: Descending through a Crowded Valley, ICML 2021",
        sampler="random",
        space=_CROWDED_VALLEY_LR | (others or {}),
        trials=25,
        seeds=(_SEED,),
        report_seeds=_TEN_SEEDS,
        remarks=tuple(remarks),
    )
