"""What optimizers are called.

DeepOBS 1.1 wrote the names of TensorFlow's classes: `GradientDescentOptimizer` is SGD today, and of
all others the ending "Optimizer" is dropped, so that published runs and one's own share a name.

A schedule of the learning rate makes a competitor of its own: "SGD + CosineAnnealingLR". Where two
classes share a name within some results, their names say which one it is: "Adam (my_module:Adam)".
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deepobs_analysis.run import Run

_ENDING = "Optimizer"
_TODAY = {"GradientDescent": "SGD"}


def name_today(name: str) -> str:
    """What an optimizer of DeepOBS 1.1 or 1.2 is called today.

    Args:
        name: Its class in TensorFlow, such as "AdamOptimizer", or in torch.
    """
    short = name.removesuffix(_ENDING) or name
    return _TODAY.get(short, short)


def displayed_names(runs: Sequence[Run]) -> list[str]:
    """The names of the optimizers of some runs: different for different competitors.

    Args:
        runs: All runs of the results.
    """
    ambiguous = _ambiguous((run.optimizer, run.target) for run in runs)
    return [_displayed(run, is_ambiguous=run.optimizer in ambiguous) for run in runs]


def _displayed(run: Run, *, is_ambiguous: bool) -> str:
    name = f"{run.optimizer} ({run.target})" if is_ambiguous and run.target else run.optimizer
    return f"{name} + {run.schedule_name}" if run.schedule_name else name


def _ambiguous(named: Iterable[tuple[str, str]]) -> set[str]:
    """Names that stand for more than one class. Files of old formats do not say which."""
    targets = defaultdict(set)
    for name, target in set(named):
        if target:
            targets[name].add(target)
    return {name for name, classes in targets.items() if len(classes) > 1}
