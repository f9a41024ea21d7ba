"""What optimizers need of the training loop: found out, declared, and given to them."""

from typing import ClassVar

import pytest
import torch

from deepobs.errors import ArgumentError
from deepobs.plugins.specs import OptimizerSpec
from deepobs.problems import Problem
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.step_protocols import check_needs


class ClosureWithDefault(torch.optim.SGD):
    """Raises without a closure, though its signature allows to leave it out."""

    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("a closure is needed")
        with torch.enable_grad():
            loss = closure()
        super().step()
        return loss


class SharpnessAware(torch.optim.SGD):
    """Climbs along the gradients that are there, then descends by those of its closure."""

    @torch.no_grad()
    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("a closure is needed")
        parameters = self.param_groups[0]["params"]
        climbs = [0.05 * one.grad for one in parameters if one.grad is not None]
        for parameter, climb in zip(parameters, climbs, strict=False):
            parameter.add_(climb)
        with torch.enable_grad():
            closure()
        for parameter, climb in zip(parameters, climbs, strict=False):
            parameter.sub_(climb)
        super().step()


class Newton(torch.optim.Optimizer):
    """Divides by the diagonal of the Hessian, where it has a graph; else it does nothing."""

    def __init__(self, params, lr=0.5):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        (group,) = self.param_groups
        parameters = [one for one in group["params"] if one.grad.grad_fn is not None]
        if not parameters:
            return
        gradients = [parameter.grad for parameter in parameters]
        sums = sum(gradient.sum() for gradient in gradients)
        curvatures = torch.autograd.grad(sums, parameters)
        with torch.no_grad():
            for parameter, gradient, curvature in zip(
                parameters, gradients, curvatures, strict=True
            ):
                parameter.sub_(group["lr"] * gradient / (curvature.abs() + 100))


class Polyak(torch.optim.SGD):
    """Steps as long as the loss suggests, by gradients that were computed."""

    def step(self, loss):
        self.param_groups[0]["lr"] = 1e-5 * float(loss)
        super().step()


class OwnBackward(torch.optim.SGD):
    def step(self, loss):
        loss.backward()
        super().step()


class ClosureWithoutBackward(torch.optim.SGD):
    def step(self, closure):
        closure().backward()
        super().step()


class MedianOfExamples(torch.optim.SGD):
    """Follows the example with the median loss."""

    seen: ClassVar[list[torch.Size]] = []

    def step(self, losses):
        self.seen.append(losses.shape)
        losses.median().backward()
        super().step()


class Averaging(torch.optim.SGD):
    """Shows the average of its iterates in evaluation."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)
        self.modes = []
        self.iterates = []

    def train(self):
        self.modes.append("train")
        self._put(-1)

    def eval(self):
        self.modes.append("eval")
        self._put(None)

    def step(self, closure=None):
        assert self.modes[-1] == "train"
        super().step()
        self.iterates.append([one.detach().clone() for one in self.param_groups[0]["params"]])

    @torch.no_grad()
    def _put(self, which):
        if self.iterates:
            for number, parameter in enumerate(self.param_groups[0]["params"]):
                values = torch.stack([iterate[number] for iterate in self.iterates])
                parameter.copy_(values.mean(0) if which is None else values[which])


class Mistaken(torch.optim.SGD):
    def step(self, closure=None):
        raise KeyError("momentum_bufer")


class SilentAtFirst(torch.optim.SGD):
    """Does not move in its first steps, as some do that warm up."""

    def step(self, closure=None):
        self.state["count"] = self.state.get("count", 0) + 1
        if self.state["count"] > 5:
            super().step()


FOUND = {
    torch.optim.SGD: (),
    torch.optim.LBFGS: ("closure",),
    ClosureWithDefault: ("closure",),
    SharpnessAware: ("closure", "gradients"),
    Newton: ("create_graph",),
    Polyak: ("loss",),
    OwnBackward: ("backward", "loss"),
    ClosureWithoutBackward: ("backward", "closure"),
    MedianOfExamples: ("per_example_losses",),
    Averaging: ("mode",),
    SilentAtFirst: (),
    Mistaken: (),
}


@pytest.mark.parametrize("optimizer", FOUND, ids=lambda one: one.__name__)
def test_needs_are_found_out(optimizer):
    assert specify("quadratic_deep", optimizer, {"lr": 0.01}).optimizer_needs == FOUND[optimizer]


@pytest.mark.parametrize(
    ("optimizer", "a_step"),
    [
        (torch.optim.SGD, 1),
        (ClosureWithDefault, 1),
        (SharpnessAware, 2),
        (Newton, 1),
        (Polyak, 1),
        (OwnBackward, 1),
        (ClosureWithoutBackward, 1),
        (MedianOfExamples, 1),
        (Averaging, 1),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_every_kind_of_optimizer_trains_and_its_gradients_are_counted(optimizer, a_step):
    record = run(specify("quadratic_deep", optimizer, {"lr": 0.01}, num_epochs=2)).record
    assert record.steps == 14
    assert record.gradient_evaluations == 14 * a_step
    assert record.train_losses[-1] < record.train_losses[0]
    assert list(record.optimizer_needs) == list(FOUND[optimizer])


def test_needs_are_declared_in_place_of_being_found_out():
    def needs(**declared):
        return specify("quadratic_deep", ClosureWithDefault, **declared).optimizer_needs

    assert needs(needs=["gradients", "closure"]) == ("closure", "gradients")
    assert needs(needs=[]) == ("plain",)
    assert needs(needs=["plain"]) == ("plain",)


def test_needs_are_part_of_the_command_and_of_the_identity():
    found = specify("quadratic_deep", "LBFGS")
    declared = specify("quadratic_deep", "LBFGS", needs=["closure", "create_graph"])
    assert "--needs closure --needs create_graph" in reproduction_command(declared)
    assert found.run_id != declared.run_id


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (["closur"], "no need 'closur'.*Did you mean 'closure'.*They can need: plain, closure"),
        (["closure", "loss"], r"No step protocol needs closure \+ loss together"),
        (["gradients"], "No step protocol needs gradients"),
        (["plain", "create_graph"], "No step"),
    ],
)
def test_needs_that_make_no_sense_are_refused(needs, message):
    with pytest.raises(ArgumentError, match=message):
        check_needs(needs)


def test_a_plugin_declares_needs():
    spec = {"name": "Sharp", "target": "module:Class", "summary": "A line"}
    assert OptimizerSpec(**spec, needs=["closure"]).needs == ("closure",)
    with pytest.raises(ArgumentError, match=r"needs.*some of plain, closure"):
        OptimizerSpec(**spec, needs=["closur"])


def test_each_example_has_its_loss_with_the_regulariser_and_its_graph():
    MedianOfExamples.seen.clear()
    run(specify("quadratic_deep", MedianOfExamples, num_epochs=1, batch_size=100))
    assert set(MedianOfExamples.seen[-10:]) == {torch.Size([100])}


def test_an_optimizer_with_modes_trains_in_one_and_is_evaluated_in_the_other(monkeypatch):
    made, during_evaluation = [], []

    class Recorded(Averaging):
        def __init__(self, params, lr=0.01):
            super().__init__(params, lr)
            made.append(self)

    evaluate = Problem.get_regularization_loss

    def recorded(problem):
        during_evaluation.append(made[-1].modes[-1:])
        return evaluate(problem)

    specification = specify("quadratic_deep", Recorded, num_epochs=2)
    monkeypatch.setattr(Problem, "get_regularization_loss", recorded)
    run(specification, optimizer_class=Recorded)
    assert made[-1].modes == ["eval", "train", "eval", "train", "eval"]
    assert during_evaluation[-3:] == [["eval"]] * 3


def test_weights_are_averaged_in_evaluation_and_those_of_the_last_step_in_training():
    averaged = run(specify("quadratic_deep", Averaging, {"lr": 0.01}, num_epochs=2)).record
    last = run(specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=2)).record
    assert averaged.minibatch_train_losses == last.minibatch_train_losses
    assert averaged.train_losses[0] == last.train_losses[0]
    assert averaged.train_losses[1] > last.train_losses[1]


def test_an_optimizer_that_cannot_be_evaluated_before_its_first_step_is_left_alone():
    class Late(Averaging):
        def eval(self):
            for parameter in self.param_groups[0]["params"]:
                self.state[parameter]["seen"] = True
            if not self.iterates:
                raise KeyError("average")
            super().eval()

        def step(self, closure=None):
            if not self.iterates:
                assert not self.state
            super().step()

    record = run(specify("quadratic_deep", Late, num_epochs=1), optimizer_class=Late).record
    assert record.optimizer_needs == ("mode",)
    assert record.train_losses[1] < record.train_losses[0]


def test_a_mistake_in_a_step_is_shown_where_it_happens():
    with pytest.raises(KeyError, match="momentum_bufer"):
        run(specify("quadratic_deep", Mistaken, num_epochs=1))


def test_an_optimizer_that_exits_in_a_step_ends_no_more_than_its_run():
    class Exits(torch.optim.SGD):
        def step(self, closure=None):
            raise SystemExit(3)

    specification = specify("quadratic_deep", Exits, num_epochs=1)
    with pytest.raises(SystemExit):
        run(specification, optimizer_class=Exits)


def test_second_order_steps_keep_no_graph_of_the_batch_before():
    from deepobs.runs.assembly import build_optimizer, set_up_problem
    from deepobs.runs.training import Trainer

    specification = specify("quadratic_deep", Newton)
    problem = set_up_problem(specification)
    optimizer = build_optimizer(specification, problem)
    Trainer(problem, optimizer, needs=("create_graph",)).take_steps(problem.dataset.train_loader)
    assert all(parameter.grad is None for parameter in problem.model.parameters())


class SharedGradient:
    """The gradients of `first` and `second` are one, as those of the two biases of an LSTM are."""

    def __init__(self):
        self.model = torch.nn.ParameterDict(
            {"first": torch.ones(3), "second": torch.ones(3), "matrix": torch.eye(3)}
        )

    def get_batch_loss_and_accuracy(self, batch, reduction="mean"):
        total = (self.model["first"] + self.model["second"]) @ self.model["matrix"].T
        return (total + batch[0]).square().sum(), None

    def get_regularization_loss(self):
        return torch.zeros(())


class HalvesInPlace(torch.optim.SGD):
    """Looks at curvature, and scales its gradients in place."""

    def step(self, closure=None):
        parameters = self.param_groups[0]["params"]
        gradients = [one.grad for one in parameters]
        torch.autograd.grad(sum(one.sum() for one in gradients), parameters, retain_graph=True)
        with torch.no_grad():
            for gradient in gradients:
                gradient.mul_(0.5)
        super().step()


class DetachesInPlace(HalvesInPlace):
    def step(self, closure=None):
        for one in self.param_groups[0]["params"]:
            assert one.grad.grad_fn is not None
            one.grad.detach_()
        super(HalvesInPlace, self).step()


@pytest.mark.parametrize("optimizer_class", [HalvesInPlace, DetachesInPlace])
def test_gradients_with_a_graph_are_those_of_backward(optimizer_class):
    from deepobs.runs.training import Trainer

    batches = [(torch.tensor(1.0),), (torch.tensor(-2.0),)]
    problem, by_hand = SharedGradient(), SharedGradient()
    optimizer = optimizer_class(problem.model.parameters(), lr=0.01)
    Trainer(problem, optimizer, needs=("create_graph",)).take_steps(batches)
    optimizer = optimizer_class(by_hand.model.parameters(), lr=0.01)
    for batch in batches:
        optimizer.zero_grad()
        by_hand.get_batch_loss_and_accuracy(batch)[0].backward(create_graph=True)
        optimizer.step()
    optimizer.zero_grad()
    for name, parameter in by_hand.model.items():
        assert torch.equal(problem.model[name], parameter)


def test_flags_and_not_numbers_decide_whether_an_optimizer_is_tried_again():
    tried = []

    class Counted(torch.optim.SGD):
        def step(self, closure=None):
            tried.append(self.param_groups[0]["nesterov"])
            super().step()

    for lr in (0.1, 0.2, 0.3):
        specify("quadratic_deep", Counted, {"lr": lr})
    once = len(tried)
    specify("quadratic_deep", Counted, {"lr": 0.1, "momentum": 0.9, "nesterov": True})
    assert (once, len(tried)) == (2, 4)
