"""Errors in steps: whose they are, and what helps."""

import re

import pytest
import torch
from two_layers import TwoLayers

from deepobs.cli.main import main
from deepobs.errors import message_of, without_tensors
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.optimizers import reason_of

MODULE = """
import torch

class NoBetas(torch.optim.Adam):  # its step, which it inherits, fails in PyTorch
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            del group["betas"]

class SpoilsTheGraph(torch.optim.SGD):  # the backward pass of its second step fails
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none)
        self.count = getattr(self, "count", 0) + 1
        if self.count > 3:
            for parameter in self.param_groups[0]["params"]:
                parameter.requires_grad_(False)

class MatricesOnly(torch.optim.SGD):
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            assert parameter.ndim == 2
        super().step()

class PrintsTensors(torch.optim.SGD):
    def step(self, closure=None):
        raise ValueError(f"cannot use {self.param_groups[0]['params'][0]} of these")
"""


@pytest.fixture
def answer(tmp_path, monkeypatch, capsys):
    """Runs an optimizer of the module, and returns the code and what is written to stderr."""
    (tmp_path / "of_errors.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)

    def execute(name, problem="quadratic_deep"):
        code = main(["run", problem, f"of_errors:{name}", "--lr", "0.001", "--epochs", "1"])
        return code, capsys.readouterr().err

    return execute


@pytest.mark.parametrize("name", ["NoBetas", "SpoilsTheGraph"])
def test_an_error_in_pytorch_names_the_class_without_a_traceback_of_ours(answer, name):
    code, shown = answer(name)
    assert code != 0
    text = " ".join(shown.split())
    assert "Traceback" not in text
    assert f"failed in PyTorch, on behalf of of_errors:{name}: " in text
    assert text.endswith("No result was written.")


def test_groups_are_suggested_where_a_step_refuses_vectors(answer):
    _, shown = answer("MatricesOnly", "two_layers:TwoLayers")
    text = " ".join(shown.split())
    assert "deepobs/runs" not in text
    assert "failed: AssertionError. No result was written. Where it trains matrices only" in text
    assert "--group hidden --group others:optimizer=AdamW" in text


def test_python_shows_the_hint_as_a_note():
    class Refuses(torch.optim.SGD):
        def step(self, closure=None):
            if any(one.ndim < 2 for one in self.param_groups[0]["params"]):
                raise RuntimeError("only matrices")
            super().step()

    class LooksVeryLate(torch.optim.SGD):
        count = 0

        def step(self, closure=None):
            self.count += 1
            if self.count > 6:
                (one, *_) = self.param_groups[0]["params"]
                torch.autograd.backward(one.grad.sum())
            super().step()

    with pytest.raises(RuntimeError, match="only matrices") as caught:
        run(specify(TwoLayers, Refuses), optimizer_class=Refuses)
    assert "--group hidden" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="grad_fn") as caught:
        run(specify(TwoLayers, LooksVeryLate, needs=[]), optimizer_class=LooksVeryLate)
    assert "--needs create_graph" in caught.value.__notes__[0]


class RaisesAtReports(RunObserver):
    def steps_taken(self, steps, metrics):
        raise RuntimeError("of the observer: only matrices")


class FailsInTraining(TwoLayers):
    def set_up(self):
        super().set_up()
        self.fails = False

    def batch_losses(self, batch, reduction):
        if self.fails and self.model.training:
            raise RuntimeError("of the problem: only matrices")
        self.fails = not self.model.training  # the evaluation before training
        return super().batch_losses(batch, reduction)


@pytest.mark.parametrize(
    ("problem", "observers", "whose"),
    [(TwoLayers, [RaisesAtReports()], "observer"), (FailsInTraining, [], "problem")],
)
def test_errors_of_others_than_the_optimizer_start_no_trials(problem, observers, whose):
    class Counts(torch.optim.SGD):
        """Counts how often it is built, as trials do: a new class, since these are remembered."""

        built = 0

        def __init__(self, params, lr=0.1):
            super().__init__(params, lr=lr)
            Counts.built += 1

        def step(self, closure=None):
            closure()
            super().step()

    specification = specify(problem, Counts, num_epochs=1)
    Counts.built = 0
    with pytest.raises(RuntimeError, match=f"of the {whose}") as caught:
        run(specification, optimizer_class=Counts, observers=observers)
    assert Counts.built == 1
    assert not getattr(caught.value, "__notes__", [])


def test_no_message_ends_in_nothing_or_prints_a_tensor(answer):
    assert message_of(AssertionError()) == "AssertionError"
    assert reason_of(ValueError("")) == "ValueError"
    assert reason_of(AssertionError(" ")) == "AssertionError"
    _, shown = answer("PrintsTensors")
    assert re.search(r"ValueError: cannot use <tensor> of these\.\s+No result", shown)


@pytest.mark.parametrize(
    "value",
    [torch.eye(3), torch.nn.Parameter(torch.ones(2, requires_grad=True)), torch.zeros(0, 3)],
    ids=lambda value: str(tuple(value.shape)),
)
def test_what_is_printed_of_tensors_is_left_out(value):
    assert without_tensors(f"got {value!r}, (not) ok") == "got <tensor>, (not) ok"
