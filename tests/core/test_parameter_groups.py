"""Roles of parameters, groups by role, and several optimizers of one model."""

import copy

import pytest
import torch
from torch import nn

from deepobs.errors import ArgumentError
from deepobs.problems.roles import parameter_roles, parameters_by_role
from deepobs.runs import reproduction_command, run, specify
from deepobs.runs.construction import construct
from deepobs.runs.optimizers import check_groups, grouped


class Grouped(torch.optim.SGD):
    """Wants to be told for each group whether it holds hidden matrices, as Muon does."""

    def __init__(self, params, lr=0.1):
        groups = list(params)
        assert all("use_muon" in group for group in groups)
        super().__init__(groups, lr=lr)


def language_model():
    model = nn.Module()
    model.embedding = nn.Embedding(7, 4)
    model.convolution = nn.Conv1d(4, 4, 3)
    model.hidden = nn.Linear(4, 4)
    model.norm = nn.LayerNorm(4)
    model.output = nn.Linear(4, 7)
    return model


def test_the_role_of_a_parameter_is_told_from_its_layer_and_its_shape():
    assert parameter_roles(language_model()) == {
        "embedding.weight": "embedding",
        "convolution.weight": "convolution",
        "convolution.bias": "vector",
        "hidden.weight": "hidden",
        "hidden.bias": "vector",
        "norm.weight": "vector",
        "norm.bias": "vector",
        "output.weight": "head",
        "output.bias": "vector",
    }


def test_an_embedding_that_serves_as_the_head_is_an_embedding():
    model = language_model()
    model.output.weight = model.embedding.weight
    roles = parameter_roles(model)
    assert roles["embedding.weight"] == "embedding"
    assert roles["hidden.weight"] == "hidden"
    assert "head" not in roles.values()


def test_a_parameter_that_is_not_trained_has_no_role():
    model = language_model()
    model.hidden.weight.requires_grad_(False)
    assert "hidden.weight" not in parameter_roles(model)


def test_convolutions_are_hidden_unless_they_are_named():
    model = language_model()
    by_role = parameters_by_role(model)

    def sizes(groups):
        return [(settings, len(ones)) for settings, ones in grouped(by_role, groups)]

    assert sizes({"hidden": {"a": 1}}) == [({"a": 1}, 2), ({}, 7)]
    named = {"hidden": {"a": 1}, "convolution": {"b": 1}, "others": {"c": 1}}
    assert sizes(named) == [({"a": 1}, 1), ({"b": 1}, 1), ({"c": 1}, 7)]


def test_a_group_without_parameters_is_left_out():
    specification = specify(
        "two_d_beale", "SGD", parameter_groups={"hidden": {"lr": 0.5}, "vector": {"lr": 0.25}}
    )
    from deepobs.runs.assembly import build_optimizer, set_up_problem

    groups = build_optimizer(specification, set_up_problem(specification)).param_groups
    assert [group["lr"] for group in groups] == [0.25]


def test_groups_have_their_own_hyperparameters():
    model = language_model()
    optimizer = construct(
        torch.optim.SGD, model, {"lr": 0.1}, groups={"head": {"lr": 0.01}}, needs=()
    )
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.1]
    assert optimizer.param_groups[0]["params"] == [model.output.weight]


def test_groups_change_the_numbers_the_identity_and_the_command():
    plain = specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=1)
    groups = {"vector": {"lr": 0.001}, "hidden": {"momentum": 1.0}}
    grouped = specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=1, parameter_groups=groups)
    assert grouped.run_id != plain.run_id
    assert "--group hidden:momentum=1.0 --group vector:lr=0.001" in reproduction_command(grouped)
    assert run(grouped).record.parameter_groups == {
        "hidden": {"momentum": 1.0},
        "vector": {"lr": 0.001},
    }
    slow = run(specify("quadratic_deep", "SGD", {"lr": 0.001}, num_epochs=1)).record
    assert run(grouped).record.train_losses == slow.train_losses


def test_groups_that_an_optimizer_cannot_do_without_are_given_to_it():
    specification = specify("quadratic_deep", Grouped, num_epochs=1)
    assert specification.parameter_groups == {
        "hidden": {"use_muon": True},
        "others": {"use_muon": False},
    }
    assert run(specification).record.steps == 7


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"hiden": {}}, "no parameter role 'hiden'.*Did you mean 'hidden'.*Roles are: embedding"),
        ({"hidden": 3}, "needs hyperparameters by name, got 3"),
        ({"hidden": {"lr": float("nan")}}, "finite numbers"),
        ({"others": {"optimizer": "AdamW"}}, "All parameters are given to other optimizers"),
    ],
)
def test_groups_that_make_no_sense_are_refused(groups, message):
    with pytest.raises(ArgumentError, match=message):
        check_groups(groups)


@pytest.mark.parametrize(
    ("optimizer", "groups", "message"),
    [
        (
            "SGD",
            {"head": {"lrr": 1}},
            "no hyperparameter 'lrr' for parameter groups.*Did you mean 'lr'",
        ),
        ("SGD", {"head": {"lr": -1}}, "SGD does not accept.*for head parameters.*-1"),
        ("Muon", {"hidden": {}, "others": {"optimizer": "AdamW", "lr": -1}}, "AdamW does not"),
        ("LBFGS", {"hidden": {}, "others": {"optimizer": "SGD"}}, "both must take plain steps"),
        ("SGD", {"hidden": {}, "others": {"optimizer": "SDG"}}, "no optimizer 'SDG'"),
    ],
)
def test_a_setting_that_an_optimizer_does_not_accept_is_refused(optimizer, groups, message):
    with pytest.raises((ArgumentError, LookupError), match=message):
        specify("quadratic_deep", optimizer, parameter_groups=groups)


class TestSeveralOptimizers:
    def build(self):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        groups = {"hidden": {}, "others": {"optimizer": "AdamW", "lr": 0.5}}
        optimizer = construct(torch.optim.Muon, model, {"lr": 0.1}, groups=groups, needs=())
        return model, optimizer

    def steps(self, model, optimizer, number):
        for _ in range(number):
            optimizer.zero_grad()
            model(torch.arange(6.0).view(2, 3)).square().sum().backward()
            optimizer.step()
        return [parameter.detach().clone() for parameter in model.parameters()]

    def test_each_trains_its_parameters(self):
        model, optimizer = self.build()
        before = [parameter.detach().clone() for parameter in model.parameters()]
        ends = self.steps(model, optimizer, 3)
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
        assert not any(torch.equal(*pair) for pair in zip(before, ends, strict=True))

    def test_a_schedule_sets_the_learning_rate_of_each(self):
        _, optimizer = self.build()
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        optimizer.step()
        scheduler.step()
        assert [part.param_groups[0]["lr"] for part in optimizer.parts] == [0.05, 0.25]

    def test_their_states_are_kept_together(self):
        model, optimizer = self.build()
        self.steps(model, optimizer, 2)
        weights, state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        other_model, other = self.build()
        other_model.load_state_dict(weights)
        other.load_state_dict(state)
        assert other.param_groups[1] is other.parts[1].param_groups[0]
        expected, found = self.steps(model, optimizer, 2), self.steps(other_model, other, 2)
        assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))


def test_an_optimizer_that_wraps_another_is_given_its_name():
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, params, base_optimizer, rho=0.05, **further):
            super().__init__(params, {"rho": rho})
            self.base = base_optimizer(self.param_groups, **further)

        def step(self, closure=None):
            self.base.step()

    class Around:
        def __init__(self, optimizer, rho=0.05):
            self.step, self.zero_grad = optimizer.step, optimizer.zero_grad

        def step(self):
            raise NotImplementedError

        zero_grad = step

    plain = run(specify("quadratic_deep", "Momentum", {"lr": 0.001}, num_epochs=1)).record
    for wrapper, argument in ((Wrapper, "base_optimizer"), (Around, "optimizer")):
        hyperparameters = {argument: "Momentum", "lr": 0.001, "rho": 1.0}
        specification = specify("quadratic_deep", wrapper, hyperparameters, num_epochs=1)
        wrapped = run(specification, optimizer_class=wrapper).record
        assert wrapped.train_losses == plain.train_losses
        with pytest.raises(ArgumentError, match=f"name that, such as {argument}=SGD"):
            specify("quadratic_deep", wrapper)


def test_an_optimizer_of_the_whole_model_is_given_the_model():
    class OfModel(torch.optim.SGD):
        def __init__(self, model, lr=0.001):
            super().__init__([one for _, one in model.named_parameters()], lr=lr)

    specification = specify("quadratic_deep", OfModel, num_epochs=1)
    assert specification.optimizer_needs == ("model",)
    plain = run(specify("quadratic_deep", "SGD", {"lr": 0.001}, num_epochs=1)).record
    assert run(specification, optimizer_class=OfModel).record.train_losses == plain.train_losses
    with pytest.raises(ArgumentError, match="takes no parameter groups"):
        specify("quadratic_deep", OfModel, parameter_groups={"head": {"lr": 1}})


def test_who_trains_matrices_only_is_told_how_to_train_the_rest():
    with pytest.raises(ArgumentError, match=r"2D parameters.*--group others:optimizer=AdamW"):
        run(specify("two_d_beale", "Muon", num_epochs=1))
    groups = {"hidden": {}, "others": {"optimizer": "AdamW"}}
    record = run(specify("two_d_beale", "Muon", num_epochs=1, parameter_groups=groups)).record
    assert record.parameter_groups["others"] == {"optimizer": "AdamW", "lr": 0.001}
