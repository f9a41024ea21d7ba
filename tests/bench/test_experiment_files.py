"""Experiment files: what is read from TOML and YAML, and what is said about mistakes in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from deepobs.errors import ArgumentError
from deepobs_bench._toml_yaml import read
from deepobs_bench.experiment_files import load
from deepobs_bench.plan import plan

if TYPE_CHECKING:
    from pathlib import Path

WORKING = 'problems = ["quadratic_deep"]\n'


def _refusal(path: Path) -> str:
    with pytest.raises(ArgumentError) as refused:
        load(path)
    return str(refused.value)


def test_toml_and_yaml_of_one_content_are_read_alike(tmp_path: Path) -> None:
    toml, yaml = tmp_path / "one.toml", tmp_path / "one.yaml"
    toml.write_text(
        'problems = ["a", "b"]\nseeds = "42..44"\n'
        "[optimizers.SGD]\ngrid = { lr = [1e-3, 0.1], momentum = [0, 0.9] }\n"
        "hyperparameters = { nesterov = true, betas = [0.9, 0.999] }\n"
    )
    yaml.write_text(
        "problems: [a, b]\nseeds: 42..44\n"
        "optimizers:\n  SGD:\n    grid: {lr: [1e-3, 0.1], momentum: [0, 0.9]}\n"
        "    hyperparameters:\n      nesterov: true\n      betas: [0.9, 0.999]\n"
    )
    assert read(toml) == read(yaml)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("010", 10),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("null", None),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("1_000", "1_000"),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
    ],
)
def test_values_in_yaml_are_what_they_look_like(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "file.yml"
    path.write_text(f"key: {text}\n")
    found = read(path)["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "x = 1\nx = 2", "This is not TOML: Cannot overwrite a value"),
        ("a.toml", "x = 1\nx = 2\n", "Line 2: x = 2"),
        ("a.toml", "problems = [", "This is not TOML: "),
        ("a.toml", "x = " + "9" * 5000, "This is not TOML: "),
        ("a.toml", "x = " + "[" * 5000, "nested too deeply"),
        (
            "a.yaml",
            "a:\n  x: 1\n  x: 2",
            'duplicate key "x" (at line 3, column 3). Line 3: x: 2',
        ),
        ("a.yaml", "a: [1", "This is not YAML: "),
        ("a.yaml", "a: [1", "(at line 1, column "),
        ("a.yaml", "a: &self [*self]", "nested too deeply, or contain themselves"),
        ("a.yaml", "? [1, 2]\n: 3", "A key must be a string"),
        ("a.yaml", "a: 1\n---\nb: 2", "This is not YAML: "),
        (
            "a.yaml",
            "- quadratic_deep",
            'must be a table of keys and values, got ["quadratic_deep"]',
        ),
        ("a.yaml", "a: \x07", "This is not YAML: "),
        ("a.json", "{}", "must end in .toml, .yaml, .yml"),
        ("a.toml", b"x = '\xff'", "must be text in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    refusal = _refusal(path)
    assert refusal.startswith(f"{path}: ")
    assert message in refusal


def test_a_few_lines_of_aliases_that_stand_for_millions_of_values_are_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "experiment.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    file.write_text("\n".join(lines))
    assert _refusal(file) == f"{file}: It must hold at most 1000000 values, aliases resolved."


def test_a_missing_file_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "first.toml").touch()
    refusal = _refusal(tmp_path / "frist.toml")
    assert "There is no such file. Did you mean 'first.toml'?" in refusal
    assert "There is no directory" in _refusal(tmp_path / "nowhere" / "first.toml")
    (tmp_path / "folder.toml").mkdir()
    assert "cannot be read: Is a directory" in _refusal(tmp_path / "folder.toml")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("optimizers = []", "optimizers", 'must be a list of names such as ["SGD", "Adam"]'),
        ("optimizers = 3", "optimizers", 'must be a list of names such as ["SGD", "Adam"]'),
        ('optimizers = ["Adm"]', "optimizers", "Did you mean 'Adam'"),
        ("[optimizers.Adm]", "optimizers.Adm", "Did you mean 'Adam'"),
        ('[optimizers.a]\nclass = "x.y:Z"', "optimizers.a.class", "No module named 'x'"),
        ("[optimizers.SGD]\nclass = 3", "optimizers.SGD.class", "must be a string, got 3"),
        ("[optimizers]\nSGD = 3", "optimizers.SGD", "must be a table, got 3"),
        ("[optimizers.SGD]\ngird = {}", "optimizers.SGD.gird", "Did you mean 'grid'?"),
        ("[optimizers.SGD]\ngird = {}", "optimizers.SGD.gird", "Allowed: hyperparameters, grid,"),
        ("[optimizers.SGD.grid]\nlr = 0.1", "optimizers.SGD.grid.lr", "must be a list of values"),
        ("[optimizers.SGD.grid]\nlr = []", "optimizers.SGD.grid.lr", "must be a list of values"),
        (
            '[optimizers.SGD.grid]\nlr = "log:0:1:5"',
            "optimizers.SGD.grid.lr",
            'or "log:1e-5:1e2:36" for 36 values',
        ),
        (
            "[optimizers.SGD]\ngrid.lr = [1]\nhyperparameters.lr = 1",
            "optimizers.SGD.grid.lr",
            "is in hyperparameters, too",
        ),
        (
            '[optimizers.SGD]\nschedules = ["constant", "cosin"]\n[schedules.cosine]\n'
            'scheduler = "CosineAnnealingLR"',
            "optimizers.SGD.schedules[1]",
            "must be a schedule of this file, got 'cosin'. Did you mean 'cosine'?",
        ),
        (
            '[optimizers."mine, no decay"]\nclass = "SGD"\n[optimizers.Adam]\n'
            "[overrides.quadratic_deep.optimizers.mine]",
            "overrides.quadratic_deep.optimizers.mine",
            "Allowed: 'mine, no decay', Adam.",
        ),
        (
            WORKING + '[optimizers.SGD]\nproblems = ["quadratic_dep"]',
            "optimizers.SGD.problems[0]",
            "must be one of the problems of this file, got 'quadratic_dep'. Did you mean",
        ),
        (
            WORKING + '[optimizers.SGD]\nproblems = ["two_d_beale"]',
            "optimizers.SGD.problems[0]",
            "must be one of the problems of this file, got 'two_d_beale'. Allowed: quadratic_deep",
        ),
        (
            "[optimizers.SGD]\nproblems = []",
            "optimizers.SGD.problems",
            "must name one test problem or more, or be absent",
        ),
        (
            "problems = ['quadratic_deep', 'two_d_beale']\n"
            "[optimizers.SGD]\nproblems = ['quadratic_deep']\n"
            "[overrides.two_d_beale.optimizers.SGD]\ngrid.lr = [1]",
            "overrides.two_d_beale.optimizers.SGD",
            "is not tried there: add two_d_beale to optimizers.SGD.problems",
        ),
        ('problems = ["quadratic_dep"]', "problems[0]", "Did you mean 'quadratic_deep'?"),
        ('problems = "quadratic_deep"', "problems", 'must be a list, got "quadratic_deep"'),
        ("problems = []", "problems", "must name one test problem or more, here or in suites"),
        ('suites = ["to_d"]', "suites[0]", "Did you mean 'two_d'?"),
        ("seeds = []", "seeds", 'as in 42, [42, 43, 44] or "42..51", got []'),
        ("seeds = [-1]", "seeds", "must be integers from 0 to 4294967295"),
        ('seeds = "5..2"', "seeds", 'got "5..2"'),
        ("seeds = [1, 1]", "seeds", "must be different seeds, got [1, 1]"),
        ("seds = 1", "seds", "Did you mean 'seeds'"),
        ("defaults.epochs = 1.5", "defaults.epochs", "must be an integer of 0 or more, got 1.5"),
        ("defaults.epochs = true", "defaults.epochs", "must be an integer of 0 or more, got true"),
        (
            "defaults.batch_size = 0",
            "defaults.batch_size",
            "must be an integer of 1 or more, got 0",
        ),
        ("defaults.max_steps = 0", "defaults.max_steps", "must be an integer of 1 or more, got 0"),
        (
            "defaults.train_fraction = 0",
            "defaults.train_fraction",
            "must be a number above 0 and at most 1, got 0",
        ),
        (
            'defaults.evaluate_every = "5min"',
            "defaults.evaluate_every",
            'must be a number of epochs or steps such as "5epochs" or "500steps", got "5min"',
        ),
        ("defaults.evaluate_every = 5", "defaults.evaluate_every", 'such as "5epochs"'),
        ("defaults.weight_decay = nan", "defaults.weight_decay", "must be a number of 0 or more"),
        ('defaults.dtype = "int8"', "defaults.dtype", 'must be one of "float32", "float64",'),
        ("defaults.fake_data = 2", "defaults.fake_data", "must be true, false or a fraction"),
        ("defaults.bare_losses = 1", "defaults.bare_losses", "must be true or false, got 1"),
        ("defaults.epoch = 1", "defaults.epoch", "Did you mean 'epochs'?"),
        (
            "[overrides.two_d_beale]\nepochs = 1",
            "overrides.two_d_beale",
            "must be one of the problems of this file, got 'two_d_beale'.",
        ),
        (
            "[overrides.quadratic_deep.optimizers.Adam]\ngrid.lr = [1]",
            "overrides.quadratic_deep.optimizers.Adam",
            "must be one of the optimizers of this file, got 'Adam'.",
        ),
        (
            '[overrides.quadratic_deep.optimizers.SGD]\nclass = "Adam"',
            "overrides.quadratic_deep.optimizers.SGD.class",
            "Allowed: hyperparameters, grid, schedules, tune.",
        ),
        ("[schedules.a]", "schedules.a", "must have either a scheduler"),
        ("[schedules.a]\nepochs = [1]", "schedules.a", "as many factors as epochs"),
        ("[schedules.a]\nepochs = [2, 1]\nfactors = [1, 1]", "schedules.a", "increasing epochs"),
        (
            '[schedules.a]\nepochs = [1]\nfactors = [1]\nscheduler = "StepLR"',
            "schedules.a",
            "must have either a scheduler",
        ),
        (
            '[schedules.a]\nscheduler = "StepLR"\nevery = "batch"',
            "schedules.a.every",
            'must be one of "epoch", "step", got "batch"',
        ),
        (
            "[schedules.a]\nepochs = [-1]",
            "schedules.a.epochs[0]",
            "must be an integer of 0 or more",
        ),
        ("[budget]\nhours = 1" + 400 * "0", "budget.hours", "must be a number above 0, got 10"),
        (
            "[optimizers.SGD]\n[optimizers.'SGD + a']\nclass = 'SGD'\n"
            "[schedules.a]\nscheduler = 'StepLR'",
            'optimizers."SGD + a"',
            "is what results call the optimizer 'SGD' with the schedule 'a'",
        ),
        (
            "[schedules.constant]\nscheduler = 'ConstantLR'",
            "schedules.constant",
            "give the schedule another name",
        ),
        (
            "[optimizers.SGD]\nschedules = []",
            "optimizers.SGD.schedules",
            "must name one schedule or more, or be absent. Allowed: constant.",
        ),
        (
            "[optimizers.SGD]\ntune = { preset = 'paper', sampler_seed = 4294967296 }",
            "optimizers.SGD.tune.sampler_seed",
            "must be an integer from 0 to 4294967295, got 4294967296",
        ),
        (
            "[optimizers.SGD]\ntune = { space.lr = 'log:1e-3:1', trials = 1000000000000 }",
            "optimizers.SGD.tune.trials",
            "must be an integer from 1 to 1000000, got 1000000000000",
        ),
        ("[budget]\nhours = 0", "budget.hours", "must be a number above 0, got 0"),
        ('"odd key" = 1', '"odd key"', "Unknown key."),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_permitted(
    tmp_path: Path, text: str, path: str, message: str
) -> None:
    file = tmp_path / "experiment.toml"
    if not re.search(r"^\[?optimizers", text, flags=re.MULTILINE):
        text = f'optimizers = ["SGD"]\n{text}'
    if not re.search(r"^(problems|suites) =", text, flags=re.MULTILINE):
        text = WORKING + text
    file.write_text(text)
    lines = _refusal(file).splitlines()
    (line,) = (line for line in lines if line.startswith(f"{file}: {path}: "))
    assert message in line


def test_a_problem_of_a_package_that_is_not_there_names_the_package(
    tmp_path: Path, fresh_registry: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBS_PLUGINS", "deepobs-core")
    file = tmp_path / "experiment.toml"
    file.write_text('optimizers = ["SGD"]\nproblems = ["mnist_mlp"]\nsuites = ["small"]\n')
    problem, suite = _refusal(file).splitlines()
    assert problem.startswith(f"{file}: problems[0]: There is no test problem 'mnist_mlp'")
    assert "It comes with deepobs-vision" in problem
    assert suite.startswith(f"{file}: suites[0]: The suite 'small' of deepobs-core ")
    assert "It comes with deepobs-vision" in suite


def test_what_must_be_there_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(WORKING)
    assert _refusal(file) == f"{file}: optimizers: is missing: add it to the file"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(
        'problems = ["quadratic_dep", 3]\nseeds = "x"\nsuites = ["to_d"]\n'
        '[defaults]\nepochs = "ten"\n[optimizers.Adm]\n[optimizers.SGD]\ngird = 1\n'
    )
    paths = [line.split(": ")[1] for line in _refusal(file).splitlines()]
    assert sorted(paths) == sorted(
        [
            *("problems[0]", "problems[1]", "seeds", "suites[0]"),
            *("defaults.epochs", "optimizers.Adm", "optimizers.SGD.gird"),
        ]
    )


def test_what_a_short_file_leaves_out_has_a_default(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("problems: [quadratic_deep]\noptimizers:\n  SGD:\n  Adam:\ndefaults:\n")
    experiment = load(file)
    assert list(experiment.optimizers) == ["SGD", "Adam"]
    assert experiment.optimizers["Adam"].class_ == "Adam"
    assert experiment.seeds == (42,)


def test_seeds_are_a_number_a_list_or_a_range(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    for text, seeds in (("7", (7,)), ("[3, 1]", (3, 1)), ('"42..44"', (42, 43, 44))):
        file.write_text(f'{WORKING}optimizers = ["SGD"]\nseeds = {text}\n')
        assert load(file).seeds == seeds


def test_groups_may_leave_other_parameters_to_another_optimizer(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    sgd = '[optimizers.SGD]\nparameter_groups.others = { optimizer = "AdamW" }\n'
    file.write_text(f"{WORKING}{sgd}parameter_groups.hidden = {{}}\n")
    assert load(file).optimizers["SGD"].parameter_groups == {
        "hidden": {},
        "others": {"optimizer": "AdamW"},
    }
    file.write_text(f"{WORKING}{sgd}")
    with pytest.raises(ArgumentError, match=r"SGD: All parameters are given to other optimizers"):
        plan(load(file), file.name)


def test_a_log_spaced_grid_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(WORKING + '[optimizers.SGD.grid]\nlr = "log:1e-5:1e2:36"\n')
    values = load(file).optimizers["SGD"].grid["lr"]
    assert len(values) == 36
    assert values[:3] == (1e-5, 1.58489319246e-05, 2.51188643151e-05)
    assert values[-1] == 1e2


EVERY_KIND = """
problems = ["quadratic_dep", "quadratic_deep"]
sed = 3
seeds = "5..2"

[defaults]
epoch = 3
validation_size = -4
batch_size = 100000

[schedules.cosine]
scheduler = "CosineAnealingLR"
every = "batch"
arguments = { T_max = "num_epochs" }
[schedules.half]
scheduler = "StepLR"
arguments = { stepsize = 3, gama = 0.5 }
[schedules.late]
epochs = [3, 2]
factors = [0.5]

[optimizers.SGD]
schedules = [3, "cosin", "half"]
tune = { trial = 8, budget = "small", trials = 5, space = { lr = "lg:1e-3:10", momentm = [0, 1] } }
[optimizers.mine]
class = "torch.optim:SDG"
hyperparameters = { bet = 0.2 }
schedules = ["late", "lat"]
[optimizers.Adam]
hyperparameters = { bets = [0.9, 0.99], eps = 1e-8 }
grid = { lr = 0.1, eps = [1e-8] }
needs = ["clousre"]
parameter_groups = { haed = { lr = 0.1 }, head = { lrr = 0.1 } }
[optimizers.AdamW]
problems = ["quadratic_deep", "quadratic_dep"]
grid = { lr = [0.1, -0.1] }
[optimizers.Rprop]
hyperparameters = { etas = [2.0, 1.0] }
tun = {}

[overrides.digits_mlpp]
epochs = 2
[overrides.quadratic_deep]
optimizers.Adm.grid.lr = [0.1]
optimizers.AdamW.tune.trials = 3
[budget]
hours = -1
"""

MISTAKES = {
    "problems[0]": "There is no test problem 'quadratic_dep'. Did you mean 'quadratic_deep'?",
    "sed": "Unknown key. Did you mean 'seeds'?",
    "seeds": 'as in 42, [42, 43, 44] or "42..51", got "5..2"',
    "defaults.epoch": "Unknown key. Did you mean 'epochs'?",
    "defaults.validation_size": "must be an integer of 0 or more, got -4",
    "defaults": "batch_size must be from 1 to",
    "schedules.cosine.every": 'must be one of "epoch", "step", got "batch"',
    "schedules.cosine": "Did you mean 'CosineAnnealingLR'",
    "schedules.half": "no argument 'stepsize'. Did you mean 'step_size'? StepLR has no argument "
    "'gama'. Did you mean 'gamma'? It takes step_size, gamma",
    "schedules.late": "must have increasing epochs, and as many factors as epochs",
    "optimizers.SGD.schedules[0]": "must be a string, got 3",
    "optimizers.SGD.schedules[1]": "got 'cosin'. Did you mean 'cosine'? Allowed: constant, cosine",
    "optimizers.SGD.tune.trial": "Unknown key. Did you mean 'trials'",
    "optimizers.SGD.tune": "The budget 'small' means 25 trials",
    "optimizers.SGD.tune.space.lr": "'lg:1e-3:10' is not a space. Did you mean 'log'?",
    "optimizers.SGD.tune.space.momentm": "no hyperparameter 'momentm'. Did you mean 'momentum'?",
    "optimizers.mine.class": "torch.optim:SDG",
    "optimizers.mine.schedules[1]": "must be a schedule of this file, got 'lat'",
    "optimizers.Adam.hyperparameters.bets": "Did you mean 'betas'?",
    "optimizers.Adam.grid.lr": "must be a list of values",
    "optimizers.Adam.grid.eps": "is in hyperparameters, too",
    "optimizers.Adam.needs": "Optimizers have no need 'clousre'. Did you mean 'closure'?",
    "optimizers.Adam.parameter_groups.haed": "no parameter role 'haed'. Did you mean 'head'?",
    "optimizers.Adam.parameter_groups.head": "no hyperparameter 'lrr'",
    "optimizers.AdamW.problems[1]": "no test problem 'quadratic_dep'. Did you mean",
    "optimizers.AdamW.grid.lr[1]": "Invalid learning rate: -0.1",
    "optimizers.Rprop.tun": "Unknown key. Did you mean 'tune'?",
    "optimizers.Rprop": "Invalid eta values: 2.0, 1.0",
    "overrides.digits_mlpp": "There is no test problem 'digits_mlpp'",
    "overrides.quadratic_deep.optimizers.Adm": "Did you mean 'Adam'",
    "overrides.quadratic_deep.optimizers.AdamW.tune": "needs optimizers.AdamW.tune",
    "budget.hours": "must be a number above 0, got -1",
}


def test_mistakes_of_all_kinds_are_named_in_one_round(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(EVERY_KIND)
    found = [line.removeprefix(f"{file}: ").split(": ", 1) for line in _refusal(file).splitlines()]
    assert [place for place, _ in found] == list(dict.fromkeys(place for place, _ in found))
    assert dict(found).keys() == MISTAKES.keys()
    assert {place: MISTAKES[place] in text for place, text in found} == dict.fromkeys(
        MISTAKES, True
    )


@pytest.mark.parametrize(
    ("text", "places"),
    [
        # Which schedules, optimizers and problems there are is unknown.
        ('[optimizers.SGD]\nschedules = ["a"]\n[schedule.a]\nscheduler = "StepLR"', ["schedule"]),
        ('problem = ["quadratic_deep"]\n[optimizers.SGD]\n[overrides.quadratic_deep]', ["problem"]),
        (
            'problems = ["quadratic_dep"]\n[optimizers.SGD]\n[overrides.quadratic_deep]',
            ["problems[0]"],
        ),
        # Which problems an optimizer is tried on.
        (
            WORKING + "[optimizers.SGD]\nproblems = 3\nhyperparameters.lr = 1",
            ["optimizers.SGD.problems"],
        ),
        (
            'problems = ["quadratic_dep"]\n[optimizers.SGD]\nproblems = ["quadratic_deep"]',
            ["problems[0]"],
        ),
        # What is not known of a schedule or of hyperparameters.
        (
            WORKING
            + '[optimizers.SGD]\n[schedules.a]\nscheduler = "StepLR"\nargument.step_size = 3',
            ["schedules.a.argument"],
        ),
        (
            WORKING + "[optimizers.SGD]\n[schedules.a]\nepochs = [1, -2]\nfactors = [1, 1]",
            ["schedules.a.epochs[1]"],
        ),
        (
            WORKING + '[optimizers.SGD]\ntune.space.lr = "lg:1:2"',
            ["optimizers.SGD.tune.space.lr"],
        ),
        (
            WORKING + "[optimizers.Momentum]\ngrid.lr = 0.1",
            ["optimizers.Momentum.grid.lr"],
        ),
        # Whether a schedule can follow what is held out.
        (
            WORKING + "defaults.validation_size = -3\n[optimizers.SGD]\n[schedules.a]\n"
            'scheduler = "ReduceLROnPlateau"\narguments.metric = "valid_loss"',
            ["defaults.validation_size"],
        ),
    ],
)
def test_a_mistake_is_not_named_again_where_a_check_depends_on_it(
    tmp_path: Path, text: str, places: list[str]
) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(text)
    lines = [line.removeprefix(f"{file}: ") for line in _refusal(file).splitlines()]
    assert [line.partition(": ")[0] for line in lines] == places


def test_values_are_refused_for_themselves_beside_one_that_no_point_survives(
    tmp_path: Path,
) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(
        'problems = ["quadratic_dep"]\n[optimizers.SGD]\nhyperparameters.momentum = -1\n'
        "grid.lr = [0.1, 0.2, -3]\n"
    )
    _, fixed, tried = _refusal(file).splitlines()
    assert "optimizers.SGD: SGD does not accept momentum=-1.0, lr=0.1" in fixed
    assert "optimizers.SGD.grid.lr[2]: " in tried
