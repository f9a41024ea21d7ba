"""Hints at what to do about an error in training."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING

from deepobs.errors import DeepOBSError, text_of
from deepobs.runs.optimizers import OPTIMIZER, OTHERS, Groups, find_optimizer
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    import torch

    from deepobs.run_specifications import RunSpecification

GROUPS_HINT = (
    "Where it trains matrices only, leave the other parameters to another optimizer: "
    "--group hidden --group others:optimizer=AdamW, in Python "
    "parameter_groups={'hidden': {}, 'others': {'optimizer': 'AdamW'}}."
)
_GRAPH_HINT = (
    "If its step differentiates the gradients, declare that: --needs create_graph, in Python "
    "needs=['create_graph']."
)
_OF_NO_GRAPH = "does not require grad and does not have a grad_fn"
_MATRICES_ONLY: Groups = {"hidden": {}, OTHERS: {OPTIMIZER: "AdamW"}}


def add_hint(
    error: Exception,
    specification: RunSpecification,
    optimizer: torch.optim.Optimizer,
    optimizer_class: type[torch.optim.Optimizer] | None,
) -> None:
    """Add a note to an error of a step, where something helps that trials can tell.

    Args:
        error: The error, of the optimizer or of anything else: then nothing is added.
        specification: The run.
        optimizer: Its optimizer.
        optimizer_class: The optimizer's class, if its import string does not lead to it.
    """
    needs, hyperparameters = specification.optimizer_needs, specification.hyperparameters
    is_from_torch = specification.optimizer_target.startswith("torch.optim:")
    if isinstance(error, DeepOBSError) or is_from_torch:  # these say what helps
        return
    if not _is_of_optimizer(error, optimizer):
        return
    if _OF_NO_GRAPH in text_of(error) and "create_graph" not in needs:
        error.add_note(_GRAPH_HINT)
    elif not specification.parameter_groups:
        from deepobs.runs.optimizer_trials import Trials

        with contextlib.suppress(Exception):  # the error itself matters more
            choice = find_optimizer(optimizer_class or specification.optimizer_target)
            if Trials(choice, hyperparameters, {}).error_of(set(needs)) and not Trials(
                choice, hyperparameters, _MATRICES_ONLY
            ).error_of(set(needs)):
                error.add_note(GROUPS_HINT)


def _is_of_optimizer(error: Exception, optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer raised, and not an observer, the data or the closure of its step."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    owners = [frame.f_locals.get("self") for frame in frames]
    # Innermost first: a step calls the closure, which is the trainer's.
    last = next((one for one in owners[::-1] if one is optimizer or isinstance(one, Trainer)), None)
    return last is optimizer
