import pytest
import torch

from deepobs.errors import ArgumentError, ComponentLoadError, UnknownNameError
from deepobs.plugins import registry
from deepobs.runs.optimizer_checks import complete_hyperparameters, resolve_optimizer
from deepobs.runs.optimizers import find_optimizer


def checked_hyperparameters(choice, given):
    return complete_hyperparameters(choice, given)[0]


def needs(optimizer, **hyperparameters):
    *_, protocol = resolve_optimizer(optimizer, hyperparameters)
    return protocol


class HalvingRate(torch.optim.SGD):
    """A custom optimizer outside of any package."""


class AnyArguments(torch.optim.SGD):
    def __init__(self, params, lr=0.1, **further):
        super().__init__(params, lr=lr)


def test_every_optimizer_of_torch_is_found_by_its_name():
    names = [
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and name not in ("Optimizer", "SparseAdam")
    ]
    assert len(names) >= 13
    for name in names:
        assert find_optimizer(name).optimizer_class is getattr(torch.optim, name)


def test_every_registered_optimizer_takes_its_defaults():
    for name in registry().optimizers.names():
        choice = find_optimizer(name)
        hyperparameters = checked_hyperparameters(choice, {})
        assert hyperparameters.items() >= choice.defaults.items()
        assert "lr" in hyperparameters


def test_momentum_is_sgd_with_momentum():
    choice = find_optimizer("Momentum")
    assert choice.optimizer_class is torch.optim.SGD
    assert checked_hyperparameters(choice, {"lr": 0.1}) == {"lr": 0.1, "momentum": 0.9}
    assert checked_hyperparameters(choice, {"lr": 0.1, "momentum": 0.5})["momentum"] == 0.5


def test_a_class_is_found_by_its_module_or_given_itself():
    assert find_optimizer("torch.optim:Adam").optimizer_class is torch.optim.Adam
    assert find_optimizer(HalvingRate).name == "HalvingRate"
    assert needs(torch.optim.LBFGS) == ("closure",)


def test_targets_do_not_depend_on_how_torch_names_its_modules():
    assert find_optimizer(torch.optim.Adam).target == "torch.optim:Adam"


def test_an_unknown_optimizer_is_answered_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match=r"no optimizer 'Adm'.*Did you mean 'Adam'"):
        find_optimizer("Adm")


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("no_such_module:Class", ComponentLoadError),
        ("torch.optim:NoSuchClass", ComponentLoadError),
        ("torch.nn:Linear", ArgumentError),
        ("torch.optim:SparseAdam", ArgumentError),
        ("SparseAdam", ArgumentError),
    ],
)
def test_what_is_no_usable_optimizer_is_refused(target, error):
    with pytest.raises(error, match=target.rpartition(":")[2]):
        find_optimizer(target)


def test_an_unknown_hyperparameter_is_answered_with_the_nearest_names():
    with pytest.raises(ArgumentError, match=r"no hyperparameter 'momentm'.*'momentum'.*It has: lr"):
        checked_hyperparameters(find_optimizer("SGD"), {"momentm": 0.9})


def test_a_value_that_the_optimizer_refuses_is_named():
    with pytest.raises(ArgumentError, match=r"SGD does not accept lr=-1.*Invalid learning rate"):
        checked_hyperparameters(find_optimizer("SGD"), {"lr": -1})
    with pytest.raises(ArgumentError, match="betas"):
        checked_hyperparameters(find_optimizer("Adam"), {"betas": "high"})
    with pytest.raises(ArgumentError, match=r"fused=True, foreach=True.*together\.$"):
        checked_hyperparameters(find_optimizer("SGD"), {"lr": 1, "fused": True, "foreach": True})


def test_an_optimizer_with_open_arguments_takes_any_hyperparameter():
    choice = find_optimizer(AnyArguments)
    assert checked_hyperparameters(choice, {"colour": 1}) == {"colour": 1, "lr": 0.1}


def test_one_and_one_point_nought_are_the_same_setting():
    choice = find_optimizer("Adam")
    as_integer, as_float = (checked_hyperparameters(choice, {"lr": lr}) for lr in (1, 1.0))
    assert repr(as_integer) == repr(as_float)


def test_a_value_that_only_a_step_refuses_is_named_before_any_run():
    with pytest.raises(ArgumentError, match=r"capturable=True"):
        checked_hyperparameters(find_optimizer("Adam"), {"lr": 0.1, "capturable": True})


def test_the_trial_step_leaves_the_random_state_as_it_was():
    class Noisy(torch.optim.SGD):
        def step(self, closure=None):
            torch.rand(3)
            return super().step(closure)

    before = torch.get_rng_state()
    checked_hyperparameters(find_optimizer(Noisy), {"lr": 0.1})
    assert torch.equal(torch.get_rng_state(), before)


def test_an_optimizer_whose_step_requires_a_closure_is_recognised():
    class TwoEvaluations(torch.optim.SGD):
        def step(self, closure):
            closure()
            return super().step(closure)

    assert needs(TwoEvaluations) == ("closure",)
    assert needs(torch.optim.SGD) == ()


def test_integers_in_a_list_of_floats_are_the_same_setting():
    adam = find_optimizer("Adam")
    whole, _ = complete_hyperparameters(adam, {"betas": [0, 0.99]})
    assert whole["betas"] == [0.0, 0.99]
    assert type(whole["betas"][0]) is float


BASE_OF_ITS_OWN = """
import torch

class Base(torch.optim.SGD):
    FACTOR = 1

class Derived(Base):
    pass
"""


def test_a_change_of_a_base_class_of_the_same_package_is_a_change_of_the_code(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    for name, code in (
        ("base_as_it_was", BASE_OF_ITS_OWN),
        ("base_with_a_comment", BASE_OF_ITS_OWN.replace("1", "1  # a comment")),
        ("base_that_changed", BASE_OF_ITS_OWN.replace("1", "2")),
    ):
        (tmp_path / f"{name}.py").write_text(code)
    before = find_optimizer("base_as_it_was:Derived").source
    assert before == find_optimizer("base_with_a_comment:Derived").source
    assert before not in ("", find_optimizer("base_that_changed:Derived").source)
