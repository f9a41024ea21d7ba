"""Optimizers with one defect each."""

from __future__ import annotations

import copy
import itertools
import math
import random

import torch


class Sound(torch.optim.SGD):
    """With momentum, so that there is a state."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr=lr, momentum=0.9)


class NoOptimizer:
    """Nothing that could take a step."""


class WithoutDefaults(torch.optim.SGD):
    def __init__(self, params, lr, horizon):
        super().__init__(params, lr=lr)


class WithoutGroups:
    def __init__(self, params, lr=0.1):
        self.parameters = list(params)
        self.param_groups = None
        self.state = {}

    def step(self, closure=None):
        """Do nothing."""

    def zero_grad(self):
        """Do nothing."""


class Mistaken(Sound):
    def step(self, closure=None):
        raise KeyError("momentum_bufer")


class Exits(Sound):
    def __init__(self, params, lr=0.05):
        raise SystemExit(3)


class StandsStill(Sound):
    def step(self, closure=None):
        """Do nothing."""


class DividesByZero(Sound):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(group["lr"] * parameter.grad / (parameter.grad - parameter.grad))


class Random(Sound):
    @torch.no_grad()
    def step(self, closure=None):
        super().step()
        for parameter in self.param_groups[0]["params"]:
            parameter.add_(random.gauss(0.0, 1e-3))


class SharedState(Sound):
    steps = 0

    def step(self, closure=None):
        SharedState.steps += 1
        self.param_groups[0]["lr"] = 0.1 / SharedState.steps
        super().step()


class KeepsGradients(Sound):
    def zero_grad(self, set_to_none=True):
        """Forget it."""


class NeedsEveryGradient(Sound):
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter.grad.mul_(1.0)
        super().step()


class ForgetsTheClosure(Sound):
    def step(self, closure=None):
        return super().step()


class OneRate(Sound):
    """Remembers the learning rate of its constructor."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr=lr)
        self.rate = lr

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(self.rate * parameter.grad)


class FirstRate(Sound):
    """Uses the learning rate of the first group for all of them."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(self.param_groups[0]["lr"] * parameter.grad)
        return loss


class MatricesAlone(Sound):
    """Changes no vectors."""

    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            if parameter.ndim < 2:
                parameter.grad = None
        return super().step(closure)


class WithoutDefaultsAndState(Sound):
    def __init__(self, params, lr=0.05):
        super().__init__(params, lr)
        del self.defaults, self.state


class RateElsewhere(torch.optim.Optimizer):
    def __init__(self, params, lr=0.05):
        self.rate = lr
        super().__init__(params, {"momentum": 0.0})

    step = OneRate.step


class StateInAnAttribute(Sound):
    """Its state lies in a dictionary that `state_dict` knows nothing of."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr)
        self.averages = {}

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    average = self.averages.get(parameter, torch.zeros_like(parameter))
                    self.averages[parameter] = average = 0.9 * average + parameter.grad
                    parameter.sub_(group["lr"] * average)


class StateInAGenerator(Sound):
    """Its learning rates come from a Python generator, which no file can hold."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr)
        self.rates = (lr / (1 + step) for step in itertools.count())

    def step(self, closure=None):
        self.param_groups[0]["lr"] = next(self.rates)
        return super().step(closure)


class HalvesItsState(Sound):
    def load_state_dict(self, state_dict):
        state_dict = copy.deepcopy(state_dict)
        for of_parameter in state_dict["state"].values():
            of_parameter["momentum_buffer"] = of_parameter["momentum_buffer"] / 2
        super().load_state_dict(state_dict)


class KeepsAFunction(Sound):
    def step(self, closure=None):
        self.state["rule"] = math.sqrt
        super().step()


class ReturnsNothing(Sound):
    def step(self, closure=None):
        super().step(closure)


class SeedsEveryStep(Sound):
    def step(self, closure=None):
        torch.manual_seed(0)
        return super().step(closure)


class OfDoubles(Sound):
    def __init__(self, params, lr=0.05):
        torch.set_default_dtype(torch.float64)
        super().__init__(params, lr)


class ReadsItsParametersTwice(Sound):
    def __init__(self, params, lr=0.05):
        self.count = sum(parameter.numel() for parameter in params)
        super().__init__(params, lr)


class StopsEarly(Sound):
    """Raises where it meets a matrix of a hundred columns."""

    def step(self, closure=None):
        if any(p.shape[-1:] == (100,) for p in self.param_groups[0]["params"]):
            raise ValueError("too wide")
        super().step()
