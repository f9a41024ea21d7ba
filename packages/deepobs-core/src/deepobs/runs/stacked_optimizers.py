"""Steps of several optimizers on stacked parameters, each with hyperparameters of its own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from deepobs.runs.stacked_models import PackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from deepobs.runs.stacked_models import StackedModels

    Values = dict[str, Any]
    """Hyperparameters, each a number for all or float64 tensors of shape (copies,)."""
    Rule = Callable[[Tensor, Tensor, Values, dict[str, Any]], None]
    """Changes a stack by its gradient, hyperparameters and state."""


class Steps(Protocol):
    """Steps on stacked models."""

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Take a step with the gradients of the stacks."""

    def load_hyperparameters(self) -> None:
        """Notice that a schedule has changed the optimizers."""

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all but some copies, after the models did."""


def steps_of(stacked: StackedModels, optimizers: Sequence[Optimizer]) -> Steps:
    """Choose how to step stacked models.

    Args:
        stacked: The models.
        optimizers: An optimizer of each of the copies.
    """
    if {type(one) for one in optimizers} <= _RULES.keys():
        steps = StackedSteps(stacked, optimizers)
        if steps.is_possible:
            return steps
    return SeparateSteps(stacked, optimizers)


class SeparateSteps:
    """Each optimizer steps its own copy."""

    def __init__(self, stacked: StackedModels, optimizers: Sequence[Optimizer]) -> None:
        self._members = [
            (optimizer, [model.get_parameter(name) for name in stacked.parameters])
            for optimizer, model in zip(optimizers, stacked.models, strict=True)
        ]
        self._has_stepped = False

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Take a step with the gradients of the stacks."""
        before = None if self._has_stepped else states_of_rngs()
        for row, (optimizer, parameters) in enumerate(self._members):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = None if gradient is None else gradient[row]
            optimizer.step()
        if not self._has_stepped and before != states_of_rngs():
            raise PackingError("its optimizer draws random numbers")
        self._has_stepped = True

    def load_hyperparameters(self) -> None:
        """Nothing: the optimizers read them."""

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all but some copies, after the models did."""
        self._members = [self._members[row] for row in rows]


def states_of_rngs() -> tuple[object, ...]:
    """The states of the global RNGs of the CPU, to compare."""
    name, keys, *rest = np.random.get_state(legacy=True)
    of_torch = torch.get_rng_state().numpy().tobytes()
    return random.getstate(), (name, np.asarray(keys).tobytes(), *rest), of_torch


class StackedSteps:
    """All optimizers step at once, as those of torch which treat every number alike can.

    Args:
        stacked: The models.
        optimizers: An optimizer of each of the copies, all of one class. They only hold the
            hyperparameters, and never step.

    Attributes:
        is_possible: Whether the optimizers differ in numbers alone.
    """

    def __init__(self, stacked: StackedModels, optimizers: Sequence[Optimizer]) -> None:
        self._stacked = stacked
        self._rule = _RULES[type(optimizers[0])]
        self._groups: dict[str, list[dict[str, Any]]] = {}
        self.is_possible = len({type(one) for one in optimizers}) == 1
        groups = [_groups_by_parameter(one) for one in optimizers]
        for name in stacked.parameters:
            found = [
                by_parameter.get(id(model.get_parameter(name)))
                for by_parameter, model in zip(groups, stacked.models, strict=True)
            ]
            own = [group for group in found if group is not None]
            if own and (len(own) < len(found) or not _differ_in_numbers_alone(own)):
                self.is_possible = False
            if own:
                self._groups[name] = own
        self._states: dict[str, dict[str, Any]] = {name: {"step": 0} for name in self._groups}
        for one in optimizers:
            # Schedulers of torch warn where the optimizer that they change takes no step.
            vars(one)["_opt_called"] = True
        if self.is_possible:
            self.load_hyperparameters()

    def load_hyperparameters(self) -> None:
        """Notice that a schedule has changed the optimizers."""
        self._values = {name: _stacked_values(groups) for name, groups in self._groups.items()}

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Take a step with the gradients of the stacks."""
        for (name, stack), gradient in zip(
            self._stacked.parameters.items(), gradients, strict=True
        ):
            values = self._values.get(name)
            if gradient is None or values is None:
                continue
            state = self._states[name]
            state["step"] += 1
            if values["maximize"]:
                gradient = -gradient
            self._rule(stack, gradient, values, state)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all but some copies, after the models did."""
        for name, groups in self._groups.items():
            self._groups[name] = [groups[row] for row in rows]
            state = self._states[name]
            for key, value in state.items():
                if isinstance(value, torch.Tensor):
                    state[key] = value[list(rows)]
        self.load_hyperparameters()


def _groups_by_parameter(optimizer: Optimizer) -> dict[int, dict[str, Any]]:
    return {id(one): group for group in optimizer.param_groups for one in group["params"]}


_UNSUPPORTED = ("capturable", "differentiable")


def _differ_in_numbers_alone(groups: Sequence[Mapping[str, Any]]) -> bool:
    first = groups[0]
    if any(first.get(name) for name in _UNSUPPORTED):
        return False
    for group in groups:
        if group.keys() != first.keys():
            return False
        for name, value in group.items():
            values = value if isinstance(value, tuple) else (value,)
            if any(isinstance(one, torch.Tensor) for one in values) and name != "params":
                return False
            if (value is None or isinstance(value, bool)) and value is not first[name]:
                return False
    return True


def _stacked_values(groups: Sequence[Mapping[str, Any]]) -> Values:
    values = {
        name: _stacked_value([group[name] for group in groups])
        for name in groups[0]
        if name not in ("params", "betas")
    }
    if "betas" in groups[0]:
        for number in (0, 1):
            values[f"beta{number + 1}"] = _stacked_value([g["betas"][number] for g in groups])
    return values


def _stacked_value(values: Sequence[Any]) -> Any:
    # A number where it is the same for all: torch is faster with it, and rounds as it does alone.
    if all(value == values[0] for value in values):
        return values[0]
    return torch.tensor(values, dtype=torch.float64)


def _shaped(value: Any, like: Tensor) -> Any:
    """A number as it is; numbers of all copies so that they multiply the stack `like`."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(device=like.device, dtype=like.dtype).view(-1, *[1] * (like.ndim - 1))


def _plus(target: Tensor, other: Tensor, factor: Any) -> Tensor:
    """`target + factor * other`."""
    if isinstance(factor, torch.Tensor):
        return torch.addcmul(target, other, _shaped(factor, target))
    return target.add(other, alpha=factor)


def _add_to(target: Tensor, other: Tensor, factor: Any) -> None:
    if isinstance(factor, torch.Tensor):
        target.addcmul_(other, _shaped(factor, target))
    else:
        target.add_(other, alpha=factor)


def _add_square(target: Tensor, other: Tensor, factor: Any) -> None:
    if isinstance(factor, torch.Tensor):
        target.addcmul_(other * _shaped(factor, target), other)
    else:
        target.addcmul_(other, other, value=factor)


def _add_quotient(target: Tensor, above: Tensor, below: Tensor, factor: Any) -> None:
    if isinstance(factor, torch.Tensor):
        target.addcdiv_(above * _shaped(factor, target), below)
    else:
        target.addcdiv_(above, below, value=factor)


def _is_used(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or value != 0


def _decayed(stack: Tensor, gradient: Tensor, values: Values) -> Tensor:
    if not _is_used(values["weight_decay"]):
        return gradient
    return _plus(gradient, stack, values["weight_decay"])


def _sgd(stack: Tensor, gradient: Tensor, values: Values, state: dict[str, Any]) -> None:
    gradient = _decayed(stack, gradient, values)
    momentum, dampening = values["momentum"], values["dampening"]
    if _is_used(momentum):
        buffer = state.get("momentum_buffer")
        if buffer is None:
            buffer = state["momentum_buffer"] = gradient.clone()
        else:
            rest = 1 - dampening
            if isinstance(momentum, torch.Tensor):  # without momentum, nothing is dampened
                rest = torch.where(momentum == 0, 1.0, torch.as_tensor(rest, dtype=torch.float64))
            buffer.mul_(_shaped(momentum, stack))
            _add_to(buffer, gradient, rest)
        gradient = _plus(gradient, buffer, momentum) if values["nesterov"] else buffer
    _add_to(stack, gradient, -values["lr"])


def _adam(stack: Tensor, gradient: Tensor, values: Values, state: dict[str, Any]) -> None:
    rate, decay, step = values["lr"], values["weight_decay"], state["step"]
    beta1, beta2 = values["beta1"], values["beta2"]
    if step == 1:
        state["mean"], state["square"] = torch.zeros_like(stack), torch.zeros_like(stack)
        if values["amsgrad"]:
            state["max_square"] = torch.zeros_like(stack)
    if not values["decoupled_weight_decay"]:
        gradient = _decayed(stack, gradient, values)
    elif _is_used(decay):
        stack.mul_(_shaped(1 - rate * decay, stack))
    mean, square = state["mean"], state["square"]
    mean.lerp_(gradient, _shaped(1 - beta1, stack))
    square.mul_(_shaped(beta2, stack))
    _add_square(square, gradient, 1 - beta2)
    if values["amsgrad"]:
        square = torch.maximum(state["max_square"], square, out=state["max_square"])
    root = (1 - beta2**step) ** 0.5
    denominator = (square.sqrt() / _shaped(root, stack)).add_(_shaped(values["eps"], stack))
    _add_quotient(stack, mean, denominator, -rate / (1 - beta1**step))


def _rmsprop(stack: Tensor, gradient: Tensor, values: Values, state: dict[str, Any]) -> None:
    gradient = _decayed(stack, gradient, values)
    alpha, momentum, rate = values["alpha"], values["momentum"], values["lr"]
    if state["step"] == 1:
        names = ("square", "mean", "momentum_buffer")
        state.update((name, torch.zeros_like(stack)) for name in names)
    square = state["square"].mul_(_shaped(alpha, stack))
    _add_square(square, gradient, 1 - alpha)
    if values["centered"]:
        mean = state["mean"].lerp_(gradient, _shaped(1 - alpha, stack))
        root = square.addcmul(mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    root.add_(_shaped(values["eps"], stack))
    if _is_used(momentum):
        buffer = state["momentum_buffer"].mul_(_shaped(momentum, stack)).addcdiv_(gradient, root)
        _add_to(stack, buffer, -rate)
    else:
        _add_quotient(stack, gradient, root, -rate)


def _adagrad(stack: Tensor, gradient: Tensor, values: Values, state: dict[str, Any]) -> None:
    if state["step"] == 1:
        initial = _shaped(values["initial_accumulator_value"], stack)
        state["square"] = torch.zeros_like(stack) + initial
    gradient = _decayed(stack, gradient, values)
    square = state["square"].addcmul_(gradient, gradient)
    root = square.sqrt().add_(_shaped(values["eps"], stack))
    _add_quotient(
        stack, gradient, root, -values["lr"] / (1 + (state["step"] - 1) * values["lr_decay"])
    )


_RULES: dict[type[Optimizer], Rule] = {
    torch.optim.SGD: _sgd,
    torch.optim.Adam: _adam,
    torch.optim.AdamW: _adam,
    torch.optim.RMSprop: _rmsprop,
    torch.optim.Adagrad: _adagrad,
}
"""The optimizers whose steps of a number depend on that number alone, by their exact classes."""
