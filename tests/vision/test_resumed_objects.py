"""What optimizers hold comes back to the bit in a resumed run, or a warning comes before."""

from __future__ import annotations

import array
import collections
import datetime
import enum
import functools
import itertools
import logging
import random
import types
import weakref
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from interruptions import (
    AT_EVERY_REPORT,
    InterruptionError,
    Interrupts,
    interrupt,
    numbers,
    resume,
)

from deepobs.errors import CheckpointWarning
from deepobs.runs import run, specify, training

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification


@pytest.fixture(autouse=True)
def frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs can be interrupted every four steps."""
    monkeypatch.setattr(training, "STEPS_BETWEEN_REPORTS", 4)


class Scaled(torch.optim.SGD):
    """Gradient descent whose steps are scaled by something that it remembers."""

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        super().__init__(params, lr=lr)
        self.begin()

    def begin(self) -> None:
        """Set up what is remembered."""

    def scale_of(self, parameter: torch.Tensor) -> Any:
        """The factor for the gradient of a parameter."""
        raise NotImplementedError

    def step(self, closure: Any = None) -> Any:
        """Take a step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad.mul_(self.scale_of(parameter))
        return super().step(closure)


def slowing(count: float) -> float:
    return 1 / (1 + 0.05 * float(count))


class Dictionary(Scaled):
    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.box = getattr(self, "box", {"inner": {"n": 0}})
        self.box["inner"]["n"] += 1
        return slowing(self.box["inner"]["n"])


class KeyedByParameter(Scaled):
    def begin(self) -> None:
        self.seen: dict[Any, Any] = {}

    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.seen[parameter] = self.seen.get(parameter, 0) + 1
        average = self.seen.setdefault((parameter, "average"), torch.zeros_like(parameter))
        average.lerp_(parameter.grad, 0.5)
        return slowing(self.seen[parameter] + average.norm())


class KeyedByIdentity(Scaled):
    def begin(self) -> None:
        self.window: Any = collections.defaultdict(lambda: collections.deque(maxlen=3))
        self.pointers: dict[int, int] = {}
        parameters = self.param_groups[0]["params"]
        self.known = {id(one) for one in parameters} | {one.data_ptr() for one in parameters}

    def scale_of(self, parameter: torch.Tensor) -> Any:
        assert {id(parameter), parameter.data_ptr()} <= self.known
        self.window[id(parameter)].append(float(parameter.grad.norm()))
        pointer = parameter.data_ptr()
        self.pointers[pointer] = self.pointers.get(pointer, 0) + 1
        return slowing(sum(self.window[id(parameter)]) + self.pointers[pointer])


class TupleKeys(Scaled):
    def scale_of(self, parameter: torch.Tensor) -> Any:
        state: Any = self.state
        state["count", 1] = state.get(("count", 1), 0) + 1
        return slowing(state["count", 1])


class InTheGroup(Scaled):
    def scale_of(self, parameter: torch.Tensor) -> Any:
        memory = self.param_groups[0].setdefault("memory", {"n": 0, "when": (1, [2])})
        memory["n"] += 1
        memory["when"][1].append(memory["n"] % 3)
        return slowing(sum(memory["when"][1]))


class OnTheParameter(Scaled):
    def scale_of(self, parameter: torch.Tensor) -> Any:
        holder: Any = parameter
        holder.average = getattr(holder, "average", torch.zeros_like(holder)).lerp(holder.grad, 0.3)
        return slowing(holder.average.norm())


class DequesArraysAndSets(Scaled):
    def begin(self) -> None:
        self.recent: Any = collections.deque(maxlen=4)
        self.table = np.zeros((2, 3), dtype=np.float32)
        self.bytes = array.array("d", [0.0])
        self.known: set[Any] = set()

    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.recent.append(np.float64(len(self.recent)))
        self.table[1, len(self.recent) % 3] += 1
        self.bytes[0] += 0.25
        self.known.add(len(self.recent))
        self.known.add(parameter)
        self.ordered = getattr(self, "ordered", collections.OrderedDict())
        self.ordered[len(self.known)] = Fraction(1, 3)
        self.ordered.move_to_end(next(iter(self.ordered)))
        self.counter = getattr(self, "counter", collections.Counter()) + collections.Counter("ab")
        total = sum(self.recent) + self.table.sum() + self.bytes[0] + self.counter["a"]
        return slowing(total + len(self.known) + sum(self.ordered.values()))


class Generators(Scaled):
    def begin(self) -> None:
        self.python = random.Random(1)  # noqa: S311
        self.numpy = np.random.default_rng(1)
        self.legacy = np.random.RandomState(1)
        self.torch = torch.Generator().manual_seed(1)
        self.draw = self.python.random

    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.late = getattr(self, "late", None) or np.random.default_rng(2)
        noise = self.draw() + self.numpy.random() + self.legacy.rand() + self.late.random()
        return slowing(noise + float(torch.rand((), generator=self.torch)))


class Mood(enum.Enum):
    CALM = 1
    WILD = 2


class Pair(NamedTuple):
    number: int
    tensor: torch.Tensor


@dataclass
class Helper:
    """An object of the optimizer's own module."""

    count: int = 0
    values: list[float] = field(default_factory=list)
    mood: Mood = Mood.CALM
    pair: Pair = field(default_factory=lambda: Pair(0, torch.zeros(())))
    owner: Any = None


class Slotted:
    """Keeps a number in a slot."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Helpers(Scaled):
    def begin(self) -> None:
        self.helper = Helper(owner=self)
        self.slotted = Slotted()

    def scale_of(self, parameter: torch.Tensor) -> Any:
        late = self.state[parameter].setdefault("helper", Helper())
        for helper in (self.helper, late):
            helper.count += 1
            helper.mood = Mood.WILD if helper.count % 2 else Mood.CALM
            helper.pair = Pair(helper.count, helper.pair.tensor + 0.1)
        self.slotted.number += 1
        assert self.helper.owner is self
        total = late.count + self.slotted.number + self.helper.pair.tensor
        return slowing(total + self.helper.mood.value)


class Modules(Scaled):
    def begin(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
        self.inner = torch.optim.Adam(self.network.parameters(), lr=0.1)

    def scale_of(self, parameter: torch.Tensor) -> Any:
        with torch.enable_grad():
            found = self.network(parameter.grad.norm().reshape(1, 1).repeat(3, 1))
            found.square().mean().backward()
        self.inner.step()
        self.inner.zero_grad()
        return slowing(found.mean().abs())


class Enclosed(Scaled):
    def begin(self) -> None:
        count = 0

        def following() -> int:
            nonlocal count
            count += 1
            return count

        self.following = following
        self.partial = functools.partial(lambda box: box.append(1) or len(box), [])
        self.numbers = itertools.count()
        self.cycle = itertools.cycle([1, 2, 3])

    def scale_of(self, parameter: torch.Tensor) -> Any:
        total = self.following() + self.partial() + next(self.numbers) + next(self.cycle)
        return slowing(total)


class Views(Scaled):
    """Keeps views of one buffer and of the parameters."""

    def scale_of(self, parameter: torch.Tensor) -> Any:
        state = self.state[parameter]
        if not state:
            state["flat"] = parameter.detach().view(-1)
            state["buffer"] = torch.zeros(4)
            state["half"] = state["buffer"][2:]
        state["half"] += 0.5
        return slowing(state["buffer"].sum() + state["flat"].norm())


class ViewsOfParameters(Scaled):
    """Keeps views of the parameters that know them as their bases."""

    def scale_of(self, parameter: torch.Tensor) -> Any:
        state = self.state[parameter]
        if not state:
            with torch.no_grad():
                state["flat"] = parameter.view(-1)
        return slowing(state["flat"].detach().norm())


class Sliced(Scaled):
    """Holds a slice of one number, whose stride is that of the slice."""

    def scale_of(self, parameter: torch.Tensor) -> Any:
        state = self.state[parameter]
        if not state:
            state["slice"] = torch.zeros(11, dtype=torch.bfloat16)[::11]
        state["slice"] += 1
        return slowing(state["slice"])


class Shared(Scaled):
    """Two names for one list, of which a helper keeps a third."""

    def begin(self) -> None:
        self.one: list[int] = []
        self.other = self.one
        self.weak = weakref.ref(self)
        self.space = types.SimpleNamespace(one=self.one)

    def scale_of(self, parameter: torch.Tensor) -> Any:
        assert self.weak() is self
        self.one.append(1)
        self.other.append(1)
        return slowing(len(self.space.one))


class Frozen(Scaled):
    """Freezes its last parameter after a while."""

    n = 0

    def step(self, closure: Any = None) -> Any:
        self.n += 1
        if self.n == 5:
            self.param_groups[0]["params"][-1].requires_grad_(requires_grad=False)
        return torch.optim.SGD.step(self, closure)


class Accumulates(Scaled):
    """Adds up gradients over the steps."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass

    def scale_of(self, parameter: torch.Tensor) -> Any:
        return 0.9


class Grows(torch.optim.SGD):
    """Moves its last parameter into a group of its own after a few steps."""

    n = 0

    def step(self, closure: Any = None) -> Any:
        self.n += 1
        if self.n == 3:
            self.add_param_group({"params": [self.param_groups[0]["params"].pop()], "lr": 0.005})
        return super().step(closure)


class Duck:
    """Has nothing but the methods that training calls."""

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        self.inner = torch.optim.SGD(params, lr=lr, momentum=0.9)
        self.param_groups = self.inner.param_groups

    def zero_grad(self) -> None:
        self.inner.zero_grad()

    def step(self) -> None:
        self.inner.step()


class NoStateDict(torch.optim.Adam):
    """Is not saved by its own method."""

    def state_dict(self) -> Any:
        raise NotImplementedError("saved in another way")


class Dated(Scaled):
    def begin(self) -> None:
        self.day = datetime.date(2020, 1, 1)

    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.day += datetime.timedelta(days=1)
        self.dtype, self.number, self.raw = torch.float32, complex(self.day.day, 1), bytes(3)
        return slowing(self.number.real + len(self.raw))


class Annotated(torch.Tensor):
    """A tensor with an attribute."""


class Subclasses(Scaled):
    def scale_of(self, parameter: torch.Tensor) -> Any:
        state = self.state[parameter]
        if not state:
            state["own"] = torch.zeros(()).as_subclass(Annotated)
            state["own"].count = 0
        state["own"].add_(0.5)
        state["own"].count += 1
        return slowing(float(state["own"]) + state["own"].count)


class KeptByTheClass(Scaled):
    steps: list[int] = []  # noqa: RUF012
    count = 0

    def scale_of(self, parameter: torch.Tensor) -> Any:
        global taken
        taken += 1
        self.steps.append(1)
        type(self).count += 1
        return slowing(taken + len(self.steps) + self.count)


taken = 0


KINDS = [
    *(Dictionary, KeyedByParameter, KeyedByIdentity, TupleKeys, InTheGroup, OnTheParameter),
    *(DequesArraysAndSets, Generators, Helpers, Modules, Enclosed, Views, Shared, Frozen),
    *(ViewsOfParameters, Sliced, Accumulates, Grows, Duck, NoStateDict, Dated, Subclasses),
]


def short_run(optimizer: Any, **arguments: Any) -> RunSpecification:
    values = {"num_epochs": 2, "batch_size": 100} | arguments
    return specify("digits_logreg", optimizer, {"lr": 0.01}, **values)


@pytest.mark.parametrize("optimizer", KINDS)
def test_what_an_optimizer_holds_comes_back_to_the_bit(optimizer: Any, tmp_path: Path) -> None:
    specification = short_run(optimizer)
    undisturbed = run(specification).record
    interrupt(specification, tmp_path, Interrupts(step=8))
    resumed = resume(specification, tmp_path)
    assert resumed.resumed_at_steps == [8]
    assert numbers(resumed) == numbers(undisturbed)


@pytest.mark.parametrize(
    "schedule",
    [
        {"lr_scheduler": {"name": "StepLR", "arguments": {"step_size": 1}}},
        {"lr_scheduler": "ReduceLROnPlateau"},
        {"lr_scheduler": {"name": "ExponentialLR", "arguments": {"gamma": 0.9}, "every": "step"}},
    ],
    ids=["steps", "plateau", "every_step"],
)
def test_schedules_and_groups_added_in_training_go_on(
    schedule: dict[str, Any], tmp_path: Path
) -> None:
    specification = short_run(Grows, num_epochs=3, **schedule)
    undisturbed = run(specification).record
    interrupt(specification, tmp_path, Interrupts(step=14))
    resumed = resume(specification, tmp_path)
    assert resumed.resumed_at_steps == [14]
    assert numbers(resumed) == numbers(undisturbed)


def test_attributes_of_classes_and_global_variables_go_on(tmp_path: Path) -> None:
    def as_in_a_new_process() -> None:
        global taken
        taken, KeptByTheClass.count, KeptByTheClass.steps = 0, 0, []

    specification = short_run(KeptByTheClass)
    as_in_a_new_process()
    undisturbed = run(specification).record
    as_in_a_new_process()
    counts: list[int] = []

    class Counts(Interrupts):
        def steps_taken(self, steps: int, metrics: Any) -> None:
            counts.append(KeptByTheClass.count)
            super().steps_taken(steps, metrics)

    interrupt(specification, tmp_path, Counts(step=8))
    assert counts == [4 * 2, 8 * 2]  # the trial of the checkpoint left them alone
    as_in_a_new_process()
    assert numbers(resume(specification, tmp_path)) == numbers(undisturbed)


class PythonGenerator(Scaled):
    def begin(self) -> None:
        self.rates = (slowing(n) for n in itertools.count())

    def scale_of(self, parameter: torch.Tensor) -> Any:
        return next(self.rates)


class NewFunction(Scaled):
    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.box = getattr(self, "box", {"function": lambda: 0.5})
        return self.box["function"]()


def halved() -> float:
    return 0.5


class FunctionOfTheModule(Scaled):
    """Could be found by its name, which a file must not choose."""

    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.function = getattr(self, "function", halved)
        return self.function()


class WithGraph(Scaled):
    def scale_of(self, parameter: torch.Tensor) -> Any:
        with torch.enable_grad():
            self.kept = getattr(self, "kept", torch.ones((), requires_grad=True)) * 0.9
        return self.kept.detach()


@pytest.mark.parametrize(
    ("optimizer", "named"),
    [
        (PythonGenerator, "optimizer.rates, a generator"),
        (NewFunction, r"optimizer.box\['function'\], the function NewFunction"),
        (FunctionOfTheModule, "optimizer.function, the function halved"),
        (WithGraph, "optimizer.kept, a tensor with its graph"),
    ],
)
def test_what_cannot_come_back_is_named_before_and_the_run_starts_over(
    optimizer: Any, named: str, tmp_path: Path
) -> None:
    specification = short_run(optimizer)
    undisturbed = run(specification).record
    message = f"cannot be resumed .* but would start from the beginning: .*{named}"
    with pytest.warns(CheckpointWarning, match=message) as warned, pytest.raises(InterruptionError):
        run(
            specification,
            output_dir=tmp_path,
            observers=[Interrupts(step=14)],
            checkpoints=AT_EVERY_REPORT,
        )
    assert len(warned) == 1
    assert not list(tmp_path.rglob(".*.checkpoint"))
    with pytest.warns(CheckpointWarning, match="cannot be resumed"):
        resumed = resume(specification, tmp_path)
    assert resumed.resumed_at_steps is None
    assert numbers(resumed) == numbers(undisturbed)


class FailsWhenResumed(Scaled):
    """Expects what it prepares in its first step."""

    def begin(self) -> None:
        self.count = 0
        self.log: Any = logging.Logger("own")  # is taken to hold nothing

    def scale_of(self, parameter: torch.Tensor) -> Any:
        self.count += 1
        if self.count == 1:
            self.log.is_prepared = True
        if not hasattr(self.log, "is_prepared"):
            raise RuntimeError("not prepared")
        return 1.0


def test_an_error_right_after_a_resumption_starts_the_run_over_once(tmp_path: Path) -> None:
    specification = short_run(FailsWhenResumed)
    undisturbed = run(specification).record
    interrupt(specification, tmp_path, Interrupts(step=8))
    with pytest.warns(CheckpointWarning, match="The first steps fail: RuntimeError: not prepared"):
        resumed = resume(specification, tmp_path)
    assert resumed.resumed_at_steps is None
    assert numbers(resumed) == numbers(undisturbed)
