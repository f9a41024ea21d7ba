"""Checking an optimizer on a tiny problem before a run: hyperparameters and step protocol."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepobs import rng
from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.plugins.specs import NEEDS
from deepobs.runs.optimizers import (
    BASE,
    OPTIMIZER,
    OTHERS,
    REFUSALS,
    Groups,
    OptimizerChoice,
    arguments_of,
    check_groups,
    construct,
    find_optimizer,
    first_argument_of,
    reason_of,
    signature_of,
    unknown_hyperparameters,
)
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from deepobs.protocols import Batch

Needs: TypeAlias = tuple[str, ...]

MUON_GROUPS: Groups = {"hidden": {"use_muon": True}, OTHERS: {"use_muon": False}}
"""Groups that optimizers require which are Muon for hidden matrices and another for the rest."""

_PLAIN_STEPS: list[Needs] = [(), ("create_graph",)]
_CLOSURE_STEPS: list[Needs] = [
    ("closure",),
    ("closure", "gradients"),
    ("backward", "closure"),
    ("closure", "create_graph"),
    ("closure", "create_graph", "gradients"),
]
_LOSS_STEPS: list[Needs] = [("loss",), ("backward", "loss"), ("create_graph", "loss")]
_LOSSES_STEPS: list[Needs] = [("per_example_losses",)]
_STEPS = [*_PLAIN_STEPS, ("plain",), *_CLOSURE_STEPS, *_LOSS_STEPS, *_LOSSES_STEPS]
_BESIDES_THE_STEP = {"mode", "model"}
_TRIAL_STEPS = 2

_inferred: dict[tuple[type, str], Needs] = {}
_step_works: set[tuple[type, str]] = set()
_points: list[nn.ParameterList] = []


@dataclass(frozen=True, slots=True)
class ResolvedOptimizer:
    """An optimizer with all that a run specifies about it.

    Attributes:
        choice: The optimizer.
        hyperparameters: Its complete hyperparameters, as result files hold them.
        groups: Further hyperparameters by parameter role.
        needs: Its step protocol, words of `NEEDS`, sorted.
    """

    choice: OptimizerChoice
    hyperparameters: dict[str, Any]
    groups: Groups
    needs: Needs


def resolve_optimizer(
    optimizer: str | type[torch.optim.Optimizer],
    hyperparameters: Mapping[str, object] | None = None,
    *,
    groups: Mapping[str, Mapping[str, object]] | None = None,
    needs: Iterable[str] | None = None,
) -> ResolvedOptimizer:
    """Find an optimizer, check its hyperparameters and complete them.

    Args:
        optimizer: What `find_optimizer` takes.
        hyperparameters: Arguments of its constructor by name.
        groups: Further hyperparameters by parameter role; `None` for those that it requires.
        needs: Its step protocol, words of `NEEDS`; `None` to infer it.

    Raises:
        DeepOBSError: A name is unknown, or a value is not accepted.
    """
    choice = find_optimizer(optimizer)
    given_groups = None if groups is None else check_groups(groups)
    given = in_json_types("Hyperparameters", hyperparameters or {})
    chosen, all_groups = complete_hyperparameters(choice, given, given_groups)
    found = infer_needs(choice, chosen, all_groups) if needs is None else check_needs(needs)
    if all_groups:
        check_joint(found, all_groups)
    return ResolvedOptimizer(choice, in_json_types("Hyperparameters", chosen), all_groups, found)


def complete_hyperparameters(
    choice: OptimizerChoice, given: Mapping[str, object], groups: Groups | None = None
) -> tuple[dict[str, Any], Groups]:
    """Complete hyperparameters and try them on a few numbers.

    Args:
        choice: The optimizer.
        given: Its hyperparameters by name.
        groups: Further hyperparameters by parameter role; `None` for those that it requires.

    Returns:
        The hyperparameters, with the defaults that differ from the class and the learning rate if
        it has one; and the groups.

    Raises:
        ArgumentError: A name is unknown, a required one is missing, or a value is not accepted.
    """
    chosen = _completed(choice, given)
    checked = {role: _completed_group(choice, values) for role, values in (groups or {}).items()}
    try:
        _try_out(choice, chosen, checked)
    except Exception as error:
        hint = _hint_at_a_base(choice, chosen)
        if not isinstance(error, REFUSALS) and not hint:
            raise  # a bug in the constructor, which its traceback shows
        if groups is None and not choice.is_from_torch:
            with contextlib.suppress(Exception):
                _try_out(choice, chosen, MUON_GROUPS)
                return chosen, MUON_GROUPS
        described = [f"{name}={value!r}" for name, value in chosen.items()]
        described += [f"{values!r} for {role} parameters" for role, values in checked.items()]
        raise ArgumentError(
            sentences(
                f"{choice.name} does not accept {', '.join(described) or 'its defaults'}: "
                f"{reason_of(error)}.",
                hint,
            )
        ) from error
    return chosen, checked


def _completed(choice: OptimizerChoice, given: Mapping[str, object]) -> dict[str, Any]:
    arguments = arguments_of(choice.optimizer_class)
    for name in unknown_hyperparameters(choice.optimizer_class, given):
        raise ArgumentError(
            sentences(
                f"{choice.name} has no hyperparameter {name!r}.",
                closest(name, arguments),
                f"It has: {', '.join(arguments)}.",
            )
        )
    chosen = _with_floats({**choice.defaults, **given}, arguments)
    learning_rate = arguments.get("lr")
    if learning_rate is not None and "lr" not in chosen:
        if learning_rate.default is inspect.Parameter.empty:
            raise ArgumentError(f"{choice.name} has no default learning rate: give one (lr).")
        chosen["lr"] = learning_rate.default
    return chosen


def _completed_group(choice: OptimizerChoice, values: Mapping[str, Any]) -> dict[str, Any]:
    if OPTIMIZER in values:
        own = {name: value for name, value in values.items() if name != OPTIMIZER}
        other = find_optimizer(values[OPTIMIZER])
        return {OPTIMIZER: values[OPTIMIZER], **complete_hyperparameters(other, own, {})[0]}
    arguments = arguments_of(choice.optimizer_class)
    # torch stores any key of a group, even a misspelled one that nothing reads. Some optimizers
    # read keys that their constructors do not take, such as `use_muon`: their code names them.
    for name in unknown_hyperparameters(choice.optimizer_class, values):
        if repr(name) not in _code_of(choice):
            raise ArgumentError(
                sentences(
                    f"{choice.name} has no hyperparameter {name!r} for parameter groups.",
                    closest(name, arguments),
                    f"It has: {', '.join(arguments)}.",
                )
            )
    return _with_floats(values, arguments)


def _code_of(choice: OptimizerChoice) -> str:
    try:
        return inspect.getsource(choice.optimizer_class).replace('"', "'")
    except (OSError, TypeError):
        return ""


def _hint_at_a_base(choice: OptimizerChoice, chosen: Mapping[str, Any]) -> str:
    first = first_argument_of(choice.optimizer_class)
    argument = first if first in ("base", "optimizer") else BASE
    if argument in chosen or argument not in {first, *arguments_of(choice.optimizer_class)}:
        return ""
    return f"It wraps another optimizer: name that, such as {argument}=SGD."


def _with_floats(
    values: Mapping[str, Any], arguments: Mapping[str, inspect.Parameter]
) -> dict[str, Any]:
    """Convert integers for arguments that take floats, so that 1 and 1.0 are one configuration."""

    def converted(value: Any, argument: inspect.Parameter) -> Any:
        default = argument.default
        if isinstance(value, list) and isinstance(default, (tuple, list)):
            takes_floats = all(isinstance(one, float) for one in default)
            return [float(one) if type(one) is int and takes_floats else one for one in value]
        # torch writes `momentum: float = 0`, where only the annotation tells.
        takes_floats = isinstance(default, float) or "float" in str(argument.annotation)
        return float(value) if type(value) is int and takes_floats else value

    return {
        name: converted(value, arguments[name]) if name in arguments else value
        for name, value in values.items()
    }


def _try_out(choice: OptimizerChoice, chosen: Mapping[str, Any], groups: Groups) -> None:
    """Build the optimizer and, if it is torch's, take a step: some values are refused only then."""
    optimizer_class = choice.optimizer_class
    needs = {"model"} & {first_argument_of(optimizer_class)}
    # Torch's own optimizers draw no random numbers, and restoring the RNGs would take most of the
    # time.
    with contextlib.nullcontext() if choice.is_from_torch else rng.preserved():
        model = _network() if needs or groups else _point()
        optimizer = construct(optimizer_class, model, chosen, groups=groups, needs=needs)
        for values in groups.values():
            # Constructors validate their arguments, but rarely the values in groups.
            if OPTIMIZER not in values and values.keys() <= arguments_of(optimizer_class).keys():
                construct(optimizer_class, _point(), {**chosen, **values}, groups={}, needs=())
        # A step that fails in a user's own optimizer is a bug to be seen in the run, not a value
        # that is refused.
        key = optimizer_class, str(_flags_of(dict(chosen)))
        if choice.is_from_torch and not groups and key not in _step_works:
            if not _requires_closure(optimizer_class):
                optimizer.step()
            _step_works.add(key)


def check_needs(given: Iterable[str]) -> Needs:
    """Check a declared step protocol.

    Args:
        given: Words of `NEEDS`; "plain", or none, for nothing.

    Returns:
        The words, sorted, each once.

    Raises:
        ArgumentError: A word is unknown, or the words contradict each other.
    """
    words = tuple(sorted({given} if isinstance(given, str) else set(given))) or ("plain",)
    for word in words:
        if word not in NEEDS:
            raise ArgumentError(
                sentences(
                    f"Optimizers have no need {word!r}.",
                    closest(str(word), NEEDS),
                    f"They can need: {', '.join(NEEDS)}.",
                )
            )
    of_the_step = tuple(word for word in words if word not in _BESIDES_THE_STEP)
    if of_the_step not in _STEPS:
        known = "; ".join(" + ".join(step) for step in _STEPS if step)
        raise ArgumentError(
            f"No step protocol needs {' + '.join(of_the_step)} together. Step protocols: {known}."
        )
    return words


def check_joint(needs: Needs, groups: Groups) -> None:
    """Refuse groups with another optimizer beside one whose step takes more than a call.

    Raises:
        ArgumentError: There is such a group.
    """
    others = [values[OPTIMIZER] for values in groups.values() if OPTIMIZER in values]
    if others and set(needs) - {"plain", "mode", "create_graph"}:
        raise ArgumentError(
            f"{others[0]} cannot train a group of parameters beside an optimizer that needs "
            f"{' + '.join(needs)}: both must take plain steps."
        )


def infer_needs(
    choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
) -> Needs:
    """Infer the step protocol when the optimizer does not declare one.

    An optimizer that is not torch's takes steps on a tiny problem, once per process and combination
    of flags: numbers among the hyperparameters do not count.

    Args:
        choice: The optimizer.
        hyperparameters: Arguments that its constructor accepts.
        groups: Hyperparameters by parameter role.

    Returns:
        Words of `NEEDS`, sorted: those of the first step protocol that changes parameters, else of
        the first that works, else none: then training shows the error.
    """
    if choice.needs is not None:
        return tuple(sorted(choice.needs))
    key = (choice.optimizer_class, json.dumps(_flags_of([hyperparameters, groups]), sort_keys=True))
    if key not in _inferred:
        _inferred[key] = _inferred_needs(choice, hyperparameters, groups)
    return _inferred[key]


def _inferred_needs(
    choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
) -> Needs:
    optimizer_class = choice.optimizer_class
    others = [values[OPTIMIZER] for values in groups.values() if OPTIMIZER in values]
    classes = [optimizer_class, *(find_optimizer(name).optimizer_class for name in others)]
    besides = {"model"} & {first_argument_of(optimizer_class)}
    if any(callable(getattr(one, "eval", None)) and hasattr(one, "train") for one in classes):
        besides.add("mode")
    steps = _steps_by_signature(optimizer_class)
    if choice.is_from_torch:  # the signatures in torch tell everything
        return tuple(sorted({*steps[0], *besides}))
    for_trial = _for_trial(choice, hyperparameters, groups)

    def trial(step: Needs) -> list[float] | None:
        return _result_of_trial(optimizer_class, {*step, *besides}, for_trial, groups)

    return tuple(sorted({*_first_that_works(steps, trial), *besides}))


def _first_that_works(steps: list[Needs], trial: Callable[[Needs], list[float] | None]) -> Needs:
    """The first that changes parameters, else the first that does not fail, else the first."""
    start = _result_of_trial(torch.optim.SGD, set(), {"lr": 0.0}, {})
    working = []
    for step in steps:
        end = trial(step)
        if end is not None:
            working.append(step)
        if end not in (None, start):
            # An optimizer that reads gradients before it calls its closure works without them, too,
            # but ends elsewhere.
            with_gradients = tuple(sorted({*step, "gradients"}))
            is_known = with_gradients in _CLOSURE_STEPS
            return with_gradients if is_known and trial(with_gradients) not in (None, end) else step
    return [*working, *steps][0]


def _steps_by_signature(optimizer_class: type[torch.optim.Optimizer]) -> list[Needs]:
    """The step protocols that the arguments of a step allow, the most likely first."""
    arguments = signature_of(optimizer_class.step).parameters
    if "losses" in arguments:
        return _LOSSES_STEPS
    if "loss" in arguments:
        return [*_LOSS_STEPS, *_PLAIN_STEPS, *_CLOSURE_STEPS]
    if _requires_closure(optimizer_class):
        return _CLOSURE_STEPS
    return [*_PLAIN_STEPS, *_CLOSURE_STEPS]


def _for_trial(
    choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
) -> Mapping[str, Any]:
    """Numbers at their defaults, if the flags allow it: a learning rate of 0 would show nothing."""
    arguments = arguments_of(choice.optimizer_class)
    chosen = {
        name: value
        for name, value in hyperparameters.items()
        if _flags_of(value) == value
        or name not in arguments
        or arguments[name].default is inspect.Parameter.empty
    }
    needs = {"model"} & {first_argument_of(choice.optimizer_class)}
    end = _result_of_trial(choice.optimizer_class, needs, chosen, groups, steps=0)
    return hyperparameters if end is None else chosen


def _result_of_trial(
    optimizer_class: type[torch.optim.Optimizer],
    needs: set[str],
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    steps: int = _TRIAL_STEPS,
) -> list[float] | None:
    """The parameters after some steps on a tiny problem; `None` if they fail."""
    with warnings.catch_warnings(), rng.preserved():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        problem = TinyProblem()
        try:
            optimizer = construct(
                optimizer_class, problem.model, hyperparameters, groups=groups, needs=needs
            )
            trainer = Trainer(problem, optimizer, needs=needs)  # type: ignore[arg-type] # no data
            with trainer.training():
                trainer.take_steps([problem.batch] * steps)
            # An optimizer that asked for no gradient did not call the closure that it was given.
            is_used = trainer.gradient_evaluations >= min(steps, 1)
            return problem.numbers() if is_used else None
        except (Exception, SystemExit):  # third-party code raises anything; training will show it
            return None


def _requires_closure(optimizer_class: type[torch.optim.Optimizer]) -> bool:
    closure = signature_of(optimizer_class.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _flags_of(value: Any) -> Any:
    """Hyperparameters without their numbers: what decides how an optimizer works."""
    if isinstance(value, dict):
        return {name: _flags_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_flags_of(item) for item in value]
    return value if isinstance(value, (str, bool)) else None


class TinyProblem:
    """Eight words to sort into two classes, by a network with parameters of all roles.

    Attributes:
        model: The network.
        batch: All of the data.
    """

    def __init__(self) -> None:
        with torch.device("cpu"):  # whatever torch.set_default_device chose
            self.model = nn.Sequential(
                nn.Embedding(8, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)
            )
            self.batch: Batch = (torch.arange(8), torch.arange(8) % 2)

    def get_batch_loss_and_accuracy(
        self, batch: Batch, reduction: str = "none"
    ) -> tuple[Tensor, None]:
        """The cross-entropy; there is no accuracy."""
        words_B, classes_B = batch
        return F.cross_entropy(self.model(words_B), classes_B, reduction=reduction), None

    def get_regularization_loss(self) -> Tensor:
        """None."""
        return torch.zeros((), device="cpu")

    def numbers(self) -> list[float]:
        """All parameters, for comparison."""
        return torch.cat([one.detach().flatten() for one in self.model.parameters()]).tolist()


@functools.cache
def _network() -> nn.Module:
    """A network for constructors, which do not change it."""
    return TinyProblem().model


def _point() -> nn.ParameterList:
    """One number with a gradient, of two dimensions, since some optimizers take only matrices."""
    # One for all trials, back at 1: building a module takes longer than a trial.
    if not _points:
        number = nn.Parameter(torch.ones(1, 1, device="cpu"))
        number.grad = torch.ones_like(number)
        _points.append(nn.ParameterList([number]))
    _points[0][0].data.fill_(1.0)
    return _points[0]
