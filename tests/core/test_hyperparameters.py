"""Values of hyperparameters, from the user to the constructor and into files and commands."""

import ast
import json
import math
import shlex
from typing import NamedTuple

import pytest
import torch
from torch.optim.optimizer import required

from deepobs.cli.main import main
from deepobs.errors import ArgumentError
from deepobs.literals import read_literal, written_literal
from deepobs.records import RunRecord
from deepobs.run_specifications import RunSpecification
from deepobs.runs import run, specify
from deepobs.runs.assembly import build_optimizer, set_up_problem


class Band(NamedTuple):
    low: float
    high: float


class Received(torch.optim.SGD):
    """Keeps what it was built with."""

    def __init__(
        self,
        params,
        lr=0.1,
        betas=(0.9, 0.99),
        rates=[0.1],  # noqa: B006 # as others write it
        pairs=((0.9, 0.99), (0.8, 0.88)),
        band=Band(0.0, 1.0),  # noqa: B008
        window: "tuple[int, ...] | None" = None,
        sizes: list[int] | None = None,
        clip=math.inf,
        mode="fast",
    ):
        self.received = {
            "params": params,
            "betas": betas,
            "rates": rates,
            "pairs": pairs,
            "band": band,
            "window": window,
            "sizes": sizes,
            "clip": clip,
            "mode": mode,
        }
        super().__init__(params, lr=lr)


class NormalizedList(torch.optim.SGD):
    """Reads its parameters twice, so it wants a list."""

    def __init__(self, params, lr=0.1):
        if not isinstance(params, list):
            raise TypeError("params must be a list")
        super().__init__(params, lr=lr)


def received(**hyperparameters):
    specification = specify("quadratic_deep", Received, hyperparameters)
    again = RunSpecification.model_validate_json(specification.model_dump_json())
    assert again.run_id == specification.run_id
    return build_optimizer(again, set_up_problem(again), Received).received


def test_tuples_stay_tuples_where_the_constructor_has_them():
    values = received(
        betas=(0.8, 0.9),
        rates=(0.5, 0.6),
        pairs=((1.0, 2.0), (3.0, 4.0)),
        band=Band(0.2, 0.3),
        window=(3, 4),
        sizes=(5, 6),
    )
    assert values["betas"] == (0.8, 0.9)
    assert values["rates"] == [0.5, 0.6]
    assert values["pairs"] == ((1.0, 2.0), (3.0, 4.0))
    assert values["band"].high == 0.3
    assert values["window"] == (3, 4)
    assert values["sizes"] == [5, 6]


def test_tuples_of_groups_stay_tuples():
    groups = {"vector": {"betas": (0.5, 0.6)}}
    specification = specify("quadratic_deep", "Adam", parameter_groups=groups)
    optimizer = build_optimizer(specification, set_up_problem(specification))
    assert [group["betas"] for group in optimizer.param_groups] == [(0.5, 0.6)]


def test_parameters_are_a_list_and_no_other_groups_are_tried():
    assert isinstance(received()["params"], list)
    assert specify("quadratic_deep", NormalizedList).parameter_groups == {}


@pytest.mark.parametrize(
    "change",
    [
        {"hyperparameters": {"lr": 0.1, "betas": [0.0, 0.9]}},
        {"weight_decay": 0.0},
        {"parameter_groups": {"vector": {"eps": 0.0}}},
        {"lr_sched_epochs": [1], "lr_sched_factors": [0.0]},
        {"lr_scheduler": {"name": "CosineAnnealingLR", "arguments": {"T_max": 3, "eta_min": 0.0}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_minus_zero_is_zero(change):
    def specified(**arguments):
        return specify("quadratic_deep", "Adam", **arguments)

    negated = ast.literal_eval(repr(change).replace("0.0", "-0.0"))
    assert "-0.0" in repr(negated)
    assert specified(**negated).run_id == specified(**change).run_id
    assert "-0.0" not in specified(**negated).command


def test_infinite_values_reach_the_constructor_the_file_and_the_command(tmp_path):
    assert received(clip=-math.inf, window=[1, math.inf])["clip"] == -math.inf
    given = {"clip": -math.inf, "rates": [math.inf, 0.5]}
    specification = specify("quadratic_deep", Received, given, num_epochs=0)
    result = run(specification, optimizer_class=Received, output_dir=tmp_path / "once")
    text = result.path.read_text()
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert strict["optimizer_hyperparams"]["clip"] == "-Infinity"
    read = RunRecord.model_validate_json(text)
    assert read.optimizer_hyperparams == {"lr": 0.1, **given}
    assert run(specification, output_dir=tmp_path / "once").is_new is False
    assert "-o clip=-inf -o 'rates=[inf, 0.5]'" in specification.command


def test_an_infinite_default_is_no_other_configuration():
    given = specify("quadratic_deep", Received, {"clip": math.inf})
    assert given.run_id == specify("quadratic_deep", Received).run_id


@pytest.mark.parametrize(
    "given", [{"lr": math.inf}, {"clip": math.nan}, {"rates": [math.nan]}], ids=str
)
def test_what_no_run_can_have_is_refused(given):
    with pytest.raises(ArgumentError, match="finite numbers"):
        specify("quadratic_deep", Received, given)


def test_no_message_prints_a_tensor():
    with pytest.raises(ArgumentError) as caught:
        specify("quadratic_deep", Received, {"clip": torch.zeros(3), "mode": "x"})
    assert "{'clip': <tensor>, 'mode': 'x'}" in str(caught.value)


TEXTS = ["1", "None", "1e-3", "True", "true", "inf", "(1, 2)", "'a'", '"', " 2", "b'x'", "{[]: 1}"]
TEXTS += ["", "fast", "1_0", "a=b", "num_epochs", "-inf", "[inf", "Ellipsis", "..."]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_read_like_literals_stay_texts(text):
    assert read_literal(written_literal(text)) == text
    for value in (text, [text, 1.5], {"key": text}):
        assert read_literal(written_literal(value)) == value


@pytest.mark.parametrize("text", ["1", "None", "1e-3", "inf", "slow"])
def test_the_command_gives_the_same_run(text, tmp_path, monkeypatch):
    module = "import torch\nclass Text(torch.optim.SGD):\n    def __init__(self, params, lr=1, "
    module += "mode='fast'):\n        super().__init__(params, lr=lr)\n"
    (tmp_path / "of_text.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    given = {"lr": 1, "mode": text}
    specification = specify("quadratic_deep", "of_text:Text", given, num_epochs=0)
    main([*shlex.split(specification.command)[1:], "--out", str(tmp_path / "out")])
    (path,) = (tmp_path / "out").rglob("*.json")
    record = RunRecord.model_validate_json(path.read_text())
    assert record.optimizer_hyperparams == given
    assert record.run_id == specification.run_id


class OldRequired(torch.optim.SGD):
    """Has torch's old sentinel for a required argument, as packages for old versions do."""

    def __init__(self, params, lr=required, momentum=0.0):
        super().__init__(params, lr=lr, momentum=momentum)


def test_a_rate_that_is_required_by_torchs_sentinel_is_asked_for():
    with pytest.raises(ArgumentError, match=r"has no default learning rate: give one \(lr\)"):
        specify("quadratic_deep", OldRequired)
    assert specify("quadratic_deep", OldRequired, {"lr": 0.1}).hyperparameters == {"lr": 0.1}


def test_whatever_a_constructor_of_torch_raises_is_a_refusal():
    with pytest.raises(ArgumentError, match=r"Adam does not accept .*KeyError: 0"):
        specify("quadratic_deep", "Adam", {"betas": {"first": 0.9}})
