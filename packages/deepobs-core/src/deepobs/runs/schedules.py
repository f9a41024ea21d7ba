"""Learning-rate schedules: PyTorch schedulers, and the step schedule of the original DeepOBS."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, UnknownNameError, closest, sentences
from deepobs.plugins.catalog import import_target
from deepobs.records import EVERY_EPOCH, LrScheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from deepobs.records import RunSpecification

_TAKE_FUNCTIONS = {"LambdaLR", "MultiplicativeLR"}
_KEYS = ("name", "arguments", "every")
_REFUSALS = (ArithmeticError, LookupError, TypeError, ValueError)


class Schedule:
    """Sets the learning rate in the course of a run.

    Args:
        scheduler: Has the methods `step`, `state_dict` and `load_state_dict`.
        every: When it advances: after each "epoch" or each "step".
        takes_loss: Whether its `step` takes the training loss.

    Attributes:
        after_step: To be called after each step; `None` if there is nothing to do then.
    """

    def __init__(self, scheduler: Any, *, every: str = "epoch", takes_loss: bool = False) -> None:
        self._scheduler = scheduler
        self._takes_loss = takes_loss
        self.after_step: Callable[[], object] | None = scheduler.step if every == "step" else None

    def epoch_ended(self, train_loss: float) -> None:
        """Advance after an epoch.

        Args:
            train_loss: The loss on the training set after it, without the regularizer.
        """
        if self._takes_loss:
            self._scheduler.step(train_loss)
        elif self.after_step is None:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to store besides the rates in the optimizer."""
        return dict(self._scheduler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._scheduler.load_state_dict(state)


class StepFactors:
    """The step schedule of the original: from given epochs on, initial rates times a factor.

    Its rates are `initial_rate * factor`, to the bit those of the original, and between the epochs
    it leaves alone what the optimizer does to its rates.

    Args:
        optimizer: The optimizer whose learning rates it sets.
        factors: Factors by the epoch after which they apply.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factors: Mapping[int, float]) -> None:
        self._optimizer = optimizer
        self._factors = factors
        self._initial_rates = [group["lr"] for group in optimizer.param_groups]
        self._epoch = 0
        self._apply()

    def step(self) -> None:
        """Advance by an epoch."""
        self._epoch += 1
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """The epoch."""
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the epoch."""
        self._epoch = state["epoch"]

    def _apply(self) -> None:
        factor = self._factors.get(self._epoch)
        if factor is not None:
            # Not stored: loading a state gives the optimizer new groups.
            groups = self._optimizer.param_groups
            for group, initial_rate in zip(groups, self._initial_rates, strict=True):
                group["lr"] = initial_rate * factor


def build_schedule(
    specification: RunSpecification, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> Schedule:
    """Build the schedule that a run specifies.

    Args:
        specification: The run, whose learning rate changes.
        optimizer: Its optimizer.
        steps_per_epoch: Steps of a pass over the training set.

    Raises:
        ArgumentError: The optimizer does not take it.
    """
    description = specification.lr_scheduler
    if not all("lr" in group for group in optimizer.param_groups):
        raise ArgumentError(
            f"{type(optimizer).__name__} keeps no learning rate 'lr' in its parameter groups: "
            "remove the schedule."
        )
    if description is None:
        epochs, factors = specification.lr_sched_epochs or (), specification.lr_sched_factors or ()
        return Schedule(StepFactors(optimizer, dict(zip(epochs, factors, strict=True))))
    # At least 1: some schedulers divide by the length, and a run of 0 epochs is evaluated, too.
    lengths = {
        "num_epochs": max(specification.epochs_begun(steps_per_epoch), 1),
        "num_steps": max(specification.steps_in_all(steps_per_epoch), 1),
    }
    return Schedule(
        _built(description, optimizer, lengths),
        every=description.every,
        takes_loss=_takes_loss(description.name),
    )


def check_scheduler(
    given: str | Mapping[str, object] | LrScheduler, *, evaluate_every: str = EVERY_EPOCH
) -> LrScheduler:
    """Check the description of a scheduler, and try its arguments.

    Args:
        given: A name; or a mapping with the keys `name`, `arguments` and `every`, of which the last
            two are optional.
        evaluate_every: How often the run is evaluated.

    Raises:
        DeepOBSError: There is no such scheduler, or it does not take the arguments.
    """
    if isinstance(given, LrScheduler):
        given = given.model_dump()
    described: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    if described.keys() - set(_KEYS) or not isinstance(described.get("name"), str):
        raise ArgumentError(
            f"A scheduler is described by {', '.join(_KEYS)}, such as "
            "{'name': 'StepLR', 'arguments': {'step_size': 10}, 'every': 'epoch'}; "
            f"got {given!r}."
        )
    if described.get("every", "epoch") not in ("epoch", "step"):
        raise ArgumentError(
            f"A scheduler advances every 'epoch' or 'step', got {described['every']!r}."
        )
    arguments = in_json_types("Arguments of a scheduler", described.pop("arguments", None) or {})
    scheduler = LrScheduler(arguments=arguments, **described)
    if scheduler.every == "step" and _takes_loss(scheduler.name):
        raise ArgumentError(
            f"{scheduler.name} follows the training loss, which is evaluated after each epoch: "
            "let it advance every 'epoch'."
        )
    if evaluate_every != EVERY_EPOCH and _takes_loss(scheduler.name):
        raise ArgumentError(
            f"{scheduler.name} follows the training loss after each epoch, so evaluate_every must "
            f"be {EVERY_EPOCH}; got {evaluate_every}. Choose another scheduler, or evaluate after "
            "every epoch."
        )
    _try_out(scheduler.model_dump_json())
    return scheduler


# By its text: a sweep describes the same scheduler thousands of times, and dictionaries cannot be
# hashed.
@functools.lru_cache(maxsize=256)
def _try_out(description: str) -> None:
    """Build a scheduler and let it advance twice."""
    scheduler = LrScheduler.model_validate_json(description)
    # Cyclic schedulers demand a momentum, and all warn if they advance before the optimizer.
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=0.1, momentum=0.9)
    built: Any = _built(scheduler, optimizer, {"num_epochs": 10, "num_steps": 1000})
    arguments = [1.0] if _takes_loss(scheduler.name) else []
    with _refusals_explained(scheduler, optimizer):
        for _ in range(2):
            optimizer.step()
            built.step(*arguments)


def _built(
    description: LrScheduler, optimizer: torch.optim.Optimizer, lengths: Mapping[str, int]
) -> LRScheduler:
    def inserted(value: Any) -> Any:
        if isinstance(value, list):
            return [inserted(item) for item in value]
        return lengths.get(value, value) if isinstance(value, str) else value

    def build(name: str, arguments: Mapping[str, Any]) -> LRScheduler:
        values = {key: inserted(value) for key, value in arguments.items()}
        if "schedulers" in values:
            values["schedulers"] = [
                build(one["name"], one.get("arguments", {})) for one in values["schedulers"]
            ]
        return _scheduler_class(name)(optimizer=optimizer, **values)

    with _refusals_explained(description, optimizer):
        return build(description.name, description.arguments)


def scheduler_classes(description: LrScheduler) -> list[type]:
    """The classes of a scheduler, and of those that it consists of."""
    parts = description.arguments.get("schedulers", [])
    names = [description.name, *(one["name"] for one in parts)]
    return [_scheduler_class(name) for name in names]


@contextlib.contextmanager
def _refusals_explained(
    description: LrScheduler, optimizer: torch.optim.Optimizer
) -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        given = [f"{name}={value!r}" for name, value in description.arguments.items()]
        _, *known = inspect.signature(_scheduler_class(description.name)).parameters
        raise ArgumentError(
            f"{description.name} cannot be used for {type(optimizer).__name__} with "
            f"{', '.join(given) or 'no arguments'}: {str(error).rstrip('.')}. "
            f"It takes {', '.join(known)}."
        ) from error


def _takes_loss(name: str) -> bool:
    return issubclass(_scheduler_class(name), ReduceLROnPlateau)


def _scheduler_class(name: str) -> type[LRScheduler]:
    if name in _TAKE_FUNCTIONS:
        raise ArgumentError(
            f"{name} takes functions, which no file can hold. Write a subclass of LRScheduler that "
            "computes the rates, and name it as package.module:Class."
        )
    known = _names_in_torch()
    if ":" in name:
        found = import_target(name, "The scheduler")
    elif name in known:
        found = getattr(lr_scheduler, name)
    else:
        raise UnknownNameError(
            sentences(
                f"torch.optim.lr_scheduler has no scheduler {name!r}.",
                closest(name, known),
                f"It has: {', '.join(known)}.",
            )
        )
    if not (isinstance(found, type) and issubclass(found, LRScheduler)):
        raise ArgumentError(f"A scheduler must be a subclass of LRScheduler, got {found!r}.")
    return found


def _names_in_torch() -> Sequence[str]:
    return sorted(
        name
        for name, value in vars(lr_scheduler).items()
        if isinstance(value, type)
        and issubclass(value, LRScheduler)
        and value is not LRScheduler
        and not name.startswith("_")
        and name not in _TAKE_FUNCTIONS
    )
