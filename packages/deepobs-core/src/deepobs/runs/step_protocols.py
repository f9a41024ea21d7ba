"""Step protocols: what optimizers need of the training loop, declared or detected."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, closest, sentences
from deepobs.plugins.specs import NEEDS, is_need
from deepobs.runs.constructors import (
    building_needs,
    cached,
    code_of,
    constructor_of,
    signature_of,
)
from deepobs.runs.optimizers import OPTIMIZER, Groups, Needs, OptimizerChoice, find_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch

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
_BESIDES_THE_STEP = {"mode", "model", "named_parameters", "context", "hook"}
_METHODS_ARE_NAMED = "The last two name a method: context:sampled_params, hook:update_hessian:10."

_CURVATURE = re.compile(r"autograd\.grad|create_graph|hessian|curvature|\bhvp\b", re.IGNORECASE)
_HOOK = re.compile(r"update_\w*(hess|curv|fisher|precond|covar|factor)", re.IGNORECASE)
_PERIOD = re.compile(
    r"(hess|curv|fisher|precond|update|factor)\w*(freq|every|interval|period|step)\w*|k"
)
_USUAL_PERIOD = 10  # of Sophia, arXiv:2305.14342
# Longer than the periods at which optimizers look at curvature; takes some milliseconds.
_MANY_STEPS = 120


@dataclass(frozen=True, slots=True)
class Detection:
    """The step protocol of an optimizer, and how it was found.

    Attributes:
        needs: Words of `NEEDS`, sorted.
        reasons: Why they are thought to be needed, a line for each observation.
    """

    needs: Needs
    reasons: tuple[str, ...]


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
        if not is_need(word):
            raise ArgumentError(
                sentences(
                    f"Optimizers have no need {word!r}.",
                    closest(str(word), NEEDS),
                    f"They can need: {', '.join(NEEDS)}.",
                    _METHODS_ARE_NAMED if str(word).startswith(("context", "hook")) else "",
                )
            )
    heads = [word.partition(":")[0] for word in words]
    of_the_step = tuple(word for word in heads if word not in _BESIDES_THE_STEP)
    is_in_context = "context" in heads and of_the_step in [*_LOSS_STEPS, *_LOSSES_STEPS]
    is_twice = len(heads) > len(set(heads)) or {"model", "named_parameters"} <= set(heads)
    if of_the_step not in _STEPS or is_in_context or is_twice:
        of_the_step = words if is_in_context or is_twice else of_the_step
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
    """The step protocol that `detect` finds."""
    return detect(choice, hyperparameters, groups).needs


def detect(
    choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
) -> Detection:
    """Find the step protocol of an optimizer, which its plugin may declare.

    One that is not torch's takes steps on a tiny problem.

    Args:
        choice: The optimizer.
        hyperparameters: Arguments that its constructor accepts.
        groups: Hyperparameters by parameter role.

    Returns:
        The first step protocol that changes parameters, else the first that works, else none: then
        training shows the error.
    """
    if choice.needs is not None:
        return Detection(tuple(sorted(choice.needs)), ("its plugin declares it",))
    optimizer_class = choice.optimizer_class
    others = [values[OPTIMIZER] for values in groups.values() if OPTIMIZER in values]
    if choice.is_from_torch and not others:  # the signatures in torch tell everything
        detection: Detection = _detected_in_torch(optimizer_class)
        return detection
    classes = [optimizer_class, *(find_optimizer(name).optimizer_class for name in others)]
    built = building_needs(optimizer_class)
    besides = set(built)
    if any(map(_has_modes, classes)):
        besides.add("mode")
    steps = steps_by_signature(optimizer_class)
    if choice.is_from_torch:
        needs = tuple(sorted({*steps[0], *besides}))
        return Detection(needs, ("the signature of its step tells it",))
    reasons = [f"{word}: {reason}" for word, reason in built.items()]
    if not any(map(_has_modes, classes)) and any(map(_has_train_and_eval, classes)):
        reasons.append("no mode: its train and eval are something else, as they take arguments")
    from deepobs.runs.optimizer_trials import Trials

    trials = Trials(choice, hyperparameters, groups)
    found = None
    for variant in _variants(optimizer_class, besides):
        found_now = trials.step_that_works(steps, besides=variant)
        # Without any that changes parameters, the plainest that does not fail.
        if found is None or found_now.changes:
            found, chosen = found_now, variant
        if found_now.changes:
            break
    assert found is not None  # noqa: S101 # there is at least one variant
    if "mode" in chosen:
        reasons.append("mode: it has methods train() and eval()")
    elif "mode" in besides:
        reasons.append("no mode: steps fail with its train and eval")
    reasons += [
        f"{word}: its step works within the context of this method"
        for word in sorted(chosen - besides)
    ]
    reasons.append(found.reason)
    step = found.step
    with_graph = tuple(sorted({*step, "create_graph"}))
    if with_graph in steps and with_graph != step and _CURVATURE.search(code_of(optimizer_class)):
        late = trials.error_of({*step, *chosen}, _MANY_STEPS)
        if late and not trials.error_of({*with_graph, *chosen}, _MANY_STEPS):
            reasons[-1] = f"create_graph: later steps fail without it ({late})"
            step = with_graph
    hook = _hook_of(optimizer_class, hyperparameters)
    if hook and not trials.error_of({*step, *chosen, hook}, 2 * _USUAL_PERIOD):
        reasons.append(f"{hook}: it has this method, which nothing in its class calls")
        chosen = {*chosen, hook}
    return Detection(tuple(sorted({*step, *chosen})), tuple(reasons))


@cached
def _detected_in_torch(optimizer_class: Any) -> Detection:
    needs = tuple(sorted(steps_by_signature(optimizer_class)[0]))
    return Detection(needs, ("the signature of its step tells it",))


def _variants(optimizer_class: Any, besides: set[str]) -> Iterator[set[str]]:
    """What else than the kind of step may be needed, the most likely first."""
    contexts = list(_contexts_of(optimizer_class))
    # One that can be for training or not is for the passes of training.
    for name, is_for_training in contexts:
        if is_for_training:
            yield {*besides, f"context:{name}"}
    yield besides
    for name, is_for_training in contexts:
        if not is_for_training:
            yield {*besides, f"context:{name}"}
    if "mode" in besides:
        yield besides - {"mode"}


def _has_train_and_eval(optimizer_class: Any) -> bool:
    return all(callable(getattr(optimizer_class, name, None)) for name in ("train", "eval"))


def _has_modes(optimizer_class: Any) -> bool:
    return _has_train_and_eval(optimizer_class) and all(
        _takes_nothing(getattr(optimizer_class, name)) for name in ("train", "eval")
    )


def _takes_nothing(method: Any) -> bool:
    try:
        signature_of(method).bind(None)
    except (TypeError, ValueError):
        return False
    return True


def _contexts_of(optimizer_class: Any) -> Iterator[tuple[str, bool]]:
    """Methods that return context managers, and whether they have an argument for training."""
    for name, method in _own_methods(optimizer_class).items():
        annotation = str(getattr(method, "__annotations__", {}).get("return", ""))
        is_generator = inspect.isgeneratorfunction(getattr(method, "__wrapped__", None))
        if (is_generator or "ContextManager" in annotation) and _takes_nothing(method):
            yield name, bool({"train", "training"} & signature_of(method).parameters.keys())


def _hook_of(optimizer_class: Any, hyperparameters: Mapping[str, Any]) -> str:
    """A method to call every so many steps, as a word of `NEEDS`; empty for none."""
    for name, method in _own_methods(optimizer_class).items():
        is_called = f"self.{name}(" in code_of(optimizer_class)
        if _HOOK.match(name) and _takes_nothing(method) and not is_called:
            _, arguments = constructor_of(optimizer_class)
            periods = [
                hyperparameters.get(argument, arguments[argument].default)
                for argument in arguments
                if _PERIOD.fullmatch(argument)
            ]
            period = next((one for one in periods if type(one) is int and one > 0), _USUAL_PERIOD)
            return f"hook:{name}:{period}"
    return ""


def _own_methods(optimizer_class: Any) -> dict[str, Any]:
    """Public functions of a class and its bases, without those of torch."""
    found: dict[str, Any] = {}
    for one in optimizer_class.__mro__:
        if one.__module__.partition(".")[0] not in ("torch", "builtins"):
            for name, value in vars(one).items():
                if inspect.isfunction(value) and not name.startswith("_"):
                    found.setdefault(name, value)
    return found


def steps_by_signature(optimizer_class: type[torch.optim.Optimizer]) -> list[Needs]:
    """The step protocols that the arguments of a step allow, the most likely first."""
    arguments = signature_of(optimizer_class.step).parameters
    if "losses" in arguments:
        return _LOSSES_STEPS
    if "loss" in arguments:
        return [*_LOSS_STEPS, *_PLAIN_STEPS, *_CLOSURE_STEPS]
    closure = arguments.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        return _CLOSURE_STEPS
    return [*_PLAIN_STEPS, *_CLOSURE_STEPS]
