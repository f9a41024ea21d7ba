"""How optimizers of all kinds are built and stepped, detected by trials, and told why."""

from __future__ import annotations

import contextlib
import json

import pytest
import torch
from two_layers import TwoLayers

from deepobs.cli.main import main
from deepobs.errors import ArgumentError
from deepobs.plugins.specs import OptimizerSpec
from deepobs.runs import run, specify
from deepobs.runs.optimizer_checks import resolve_optimizer
from deepobs.runs.step_protocols import check_needs, detect

pytestmark = pytest.mark.filterwarnings("ignore::deepobs.errors.TrainingWarning")


class Plain(torch.optim.Optimizer):
    """Gradient descent, the numbers of which all others here have."""

    def __init__(self, params, lr=0.001):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=group["lr"])


class Named(Plain):
    def __init__(self, named_parameters, lr=0.001):
        super().__init__([one for name, one in named_parameters if "weight" in name], lr)


class NamedByType(Plain):
    def __init__(self, parts: list[tuple[str, torch.nn.Parameter]], lr=0.001):
        super().__init__([one for _, one in parts], lr)


class MaybeNamed(Plain):
    """Takes parameters, and pairs of names and parameters, too."""

    def __init__(self, params: list[torch.nn.Parameter | tuple[str, torch.nn.Parameter]], lr=0.001):
        super().__init__(params, lr)


class NamedWithoutSaying(Plain):
    def __init__(self, params, lr=0.001):
        super().__init__([one for _, one in params], lr)


class OfModule(Plain):
    def __init__(self, trained: torch.nn.Module, lr=0.001):
        super().__init__(trained.parameters(), lr)


class BesideTheModel(Plain):
    def __init__(self, params, model, lr=0.001):
        assert isinstance(model, torch.nn.Module)
        super().__init__(params, lr)


class HasTrain(Plain):
    """Has methods called train and eval that are for something else."""

    def train(self, loader):
        raise RuntimeError("trains a whole epoch")

    def eval(self, loader):
        return 0.0


class Measures(Plain):
    """Its train and eval could be modes, but return something else."""

    def train(self):
        return 1.5

    def eval(self):
        return 2.5


class CannotSwitch(Plain):
    def train(self):
        raise RuntimeError("not now")

    def eval(self):
        raise RuntimeError("not now")


class Switches(Plain):
    """Has modes, and no state."""

    def __init__(self, params, lr=0.001):
        super().__init__(params, lr)
        del self.state

    def train(self):
        return self

    def eval(self):
        return self


class Sampled(Plain):
    """Computes its step from what it saw within its context."""

    seen = None

    @contextlib.contextmanager
    def sampled_params(self, train: bool = False):
        self.seen = None
        yield
        if train:
            self.seen = [one.grad for one in self.param_groups[0]["params"]]

    def step(self, closure=None):
        if self.seen is None:
            raise RuntimeError("sample first")
        super().step()
        self.seen = None


class Within(Plain):
    """Has a context of which nothing is said, without which it does not work."""

    is_within = was_within = False

    @contextlib.contextmanager
    def perturbed(self):
        self.is_within = self.was_within = True
        yield self
        self.is_within = False

    def step(self, closure):
        closure()
        if not self.was_within or self.is_within:
            raise RuntimeError("not perturbed")
        super().step()


class LineSearch(Plain):
    """Asks the closure for the value alone."""

    def step(self, closure):
        with torch.enable_grad():
            loss = closure(backward=False)
            loss.backward()
        super().step()
        return loss


class Backtracks(Plain):
    """Asks for values without gradients in a search along its gradients."""

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            loss = closure()
        for keyword in ({"compute_grad": False}, {"no_grad": True}, {"value_only": True}):
            assert closure(**keyword).grad_fn is None
        assert closure(False) == loss
        super().step()
        return loss


class Late(Plain):
    """Looks at curvature from its tenth step on."""

    number = 0

    def step(self, closure=None):
        self.number += 1
        parameters = self.param_groups[0]["params"]
        if self.number >= 10:
            torch.autograd.grad(
                sum(one.grad.sum() for one in parameters if one.grad is not None),
                parameters,
                allow_unused=True,
            )
        super().step()


class Periodic(Plain):
    """Wants its curvature to be updated now and then."""

    def __init__(self, params, lr=0.001, hessian_period=5):
        super().__init__(params, lr)
        self.calls = []
        self.number = 0

    def step(self, closure=None):
        self.number += 1
        super().step()

    def update_hessian(self):
        assert self.param_groups[0]["params"][0].grad is not None
        self.calls.append(self.number)


class Half(Plain):
    """Does not have what it should inherit."""

    def __init__(self, params, lr=0.001):
        super().__init__(params, lr)
        del self.defaults, self.state


class Duck:
    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    def zero_grad(self):
        self.optimizer.zero_grad()

    def step(self):
        self.optimizer.step()


KINDS = {
    Plain: ((), "a plain step changes parameters"),
    NamedByType: (("named_parameters",), "the first argument of its constructor is parts"),
    MaybeNamed: ((), "a plain step changes parameters"),
    NamedWithoutSaying: (("named_parameters",), "refuses a list of parameters"),
    OfModule: (("model",), "the first argument of its constructor is trained"),
    BesideTheModel: ((), ""),
    HasTrain: ((), "no mode: its train and eval are something else, as they take arguments"),
    Measures: ((), "no mode: steps fail with its train and eval"),
    CannotSwitch: ((), "no mode: steps fail with its train and eval"),
    Switches: (("mode",), "it has methods train"),
    Sampled: (("context:sampled_params",), "its step works within the context of this method"),
    Within: (("closure", "context:perturbed"), "context:perturbed"),
    LineSearch: (("closure",), "a step with closure changes parameters"),
    Backtracks: (("closure",), "a step with closure changes parameters"),
    Late: (("create_graph",), "later steps fail without it"),
    Periodic: (("hook:update_hessian:5",), "nothing in its class calls"),
    Half: ((), ""),
}


def losses(optimizer, hyperparameters=None, **arguments):
    specification = specify(TwoLayers, optimizer, hyperparameters, num_epochs=2, **arguments)
    record = run(specification).record
    assert record.gradient_evaluations == record.steps
    return record.minibatch_train_losses + record.test_losses


@pytest.mark.parametrize("optimizer", KINDS, ids=lambda one: one.__name__)
def test_every_kind_is_detected_and_trains_as_by_hand(optimizer):
    needs, reason = KINDS[optimizer]
    choice, chosen, _, groups, found = resolve_optimizer(optimizer)
    assert found == needs
    assert reason in "; ".join(detect(choice, chosen, groups).reasons)
    assert losses(optimizer) == losses(Plain)


def test_named_parameters_are_those_that_the_class_chooses():
    assert specify(TwoLayers, Named).optimizer_needs == ("named_parameters",)
    assert losses(Named) != losses(Plain)


def test_a_class_that_can_do_without_names_takes_parameter_groups():
    groups = {"others": {"lr": 0.01}}
    with_groups = losses(MaybeNamed, parameter_groups=groups)
    assert with_groups == losses(Plain, parameter_groups=groups)
    assert with_groups != losses(Plain)


def test_what_has_only_the_methods_of_an_optimizer_trains():
    given = {"optimizer": "SGD", "lr": 0.001}
    assert losses(Duck, given) == losses("SGD", {"lr": 0.001})


class Rule(torch.optim.Optimizer):
    """Takes the class of another optimizer, by a name of its own."""

    def __init__(self, params, wrapped_rule=torch.optim.SGD, lr=0.001):
        self.inner = wrapped_rule(params, lr=lr)
        super().__init__(self.inner.param_groups, {"lr": lr})

    def step(self):
        self.inner.step()


class ByType(Rule):
    def __init__(self, params, rule: type[torch.optim.Optimizer] | None = None, lr=0.001):
        assert rule is not None
        super().__init__(params, rule, lr)


class OfInstance(Rule):
    def __init__(self, params, base: torch.optim.Optimizer, lr=0.001):
        super().__init__(params, lambda *_, **__: base, lr)


@pytest.mark.parametrize(
    ("wrapper", "argument"), [(Rule, "wrapped_rule"), (ByType, "rule"), (OfInstance, "base")]
)
def test_another_optimizer_is_named_under_any_argument(wrapper, argument):
    plain = losses("Momentum", {"lr": 0.001})
    given = {argument: "Momentum", "lr": 0.001}
    if wrapper is OfInstance:
        given = {argument: "Momentum", "momentum": 0.9, "lr": 0.001}
        plain = losses("SGD", {"momentum": 0.9, "lr": 0.001})
    assert losses(wrapper, given) == plain
    assert losses(wrapper, {argument: "SGD", "momentum": 0.9, "lr": 0.001}) == plain


def test_an_optimizer_that_is_not_named_is_asked_for():
    with pytest.raises(ArgumentError, match="name that, such as rule=SGD"):
        specify(TwoLayers, ByType)


def test_a_hook_is_called_every_so_many_steps_also_after_a_resumption():
    from deepobs.runs.assembly import build_optimizer, set_up_problem
    from deepobs.runs.training import Trainer

    specification = specify(TwoLayers, Periodic, {"hessian_period": 3})
    problem = set_up_problem(specification)
    optimizer = build_optimizer(specification, problem)
    batches = [next(iter(problem.dataset.train_loader))] * 7
    trainer = Trainer(problem, optimizer, needs=specification.optimizer_needs)
    trainer.take_steps(batches)
    resumed = Trainer(problem, optimizer, needs=specification.optimizer_needs)
    resumed.load_state_dict(trainer.state_dict())
    resumed.take_steps(batches)
    assert optimizer.calls == [3, 6, 9, 12]


@pytest.mark.parametrize(
    ("optimizer", "needs", "found"),
    [
        (Late, ["plain"], ("plain",)),
        (Sampled, ["context:sampled_params", "create_graph"], None),
        (Periodic, ["hook:update_hessian:2"], None),
        (Switches, ["plain"], ("plain",)),
    ],
)
def test_what_is_detected_can_be_overridden(optimizer, needs, found):
    specification = specify(TwoLayers, optimizer, needs=needs)
    assert specification.optimizer_needs == (found or tuple(needs))
    assert all(f"--needs {word}" in specification.command for word in specification.optimizer_needs)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (["context"], "no need 'context'.*context:sampled_params, hook:update_hessian:10"),
        (["hook:update"], "no need 'hook:update'"),
        (["hook:update:0"], "no need"),
        (["context:a", "loss"], r"needs context:a \+ loss together"),
        (["context:a", "context:b"], "together"),
        (["model", "named_parameters"], "together"),
    ],
)
def test_needs_that_name_no_method_or_contradict_are_refused(needs, message):
    with pytest.raises(ArgumentError, match=message):
        check_needs(needs)


def test_a_method_that_is_missing_is_named():
    with pytest.raises(ArgumentError, match="Plain has no method sampled_params"):
        run(specify(TwoLayers, Plain, needs=["context:sampled_params"]))


def test_a_plugin_declares_a_context():
    spec = {"name": "Sampled", "target": "module:Class", "summary": "A line"}
    assert OptimizerSpec(**spec, needs=["context:sampled_params"]).needs
    with pytest.raises(ArgumentError, match="needs"):
        OptimizerSpec(**spec, needs=["context"])


def test_info_says_what_was_found_and_why(tmp_path, monkeypatch, capsys):
    (tmp_path / "searching.py").write_text(
        "import torch\n"
        "class Search(torch.optim.SGD):\n"
        "    def train(self, loader): pass\n"
        "    def eval(self, loader): pass\n"
        "    def step(self, closure):\n"
        "        closure().backward()\n"
        "        super().step()\n"
    )
    monkeypatch.chdir(tmp_path)
    main(["info", "searching:Search", "--json"])
    (facts,) = json.loads(capsys.readouterr().out)
    assert [word.partition(":")[0] for word in facts["needs"]] == ["backward", "closure"]
    assert facts["detected"][0].startswith("no mode")
    assert "backward + closure changes parameters" in facts["detected"][1]
    assert "a second time" in facts["detected"][1]
