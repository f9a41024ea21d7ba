"""Plans: the runs that an experiment file asks for, and what is refused before any of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.runs import specify
from deepobs_bench.experiment_files import load
from deepobs_bench.plan import only, plan
from deepobs_bench.tuning.spaces import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs_bench.plan import Plan

HEADER = 'problems = ["quadratic_deep"]\ndefaults.epochs = 2\n'


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Plans the text of a file."""
    monkeypatch.chdir(tmp_path)

    def call(text: str, name: str = "experiment.toml", **settings: object) -> Plan:
        path = Path(name)
        path.write_text(text)
        return plan(load(path), name, **settings)

    return call


def _ids(plan: Plan) -> set[str]:
    return {specification.run_id for specification in plan.specifications}


def test_a_plan_is_the_product_of_its_lists(planned) -> None:
    runs = planned(
        'problems = ["two_d_beale"]\nsuites = ["two_d"]\nseeds = "1..3"\ndefaults.epochs = 2\n'
        "[optimizers.SGD]\ngrid = { lr = [0.1, 0.01], momentum = [0.0, 0.9] }\n[optimizers.Adam]\n"
    ).runs
    assert len(runs) == 3 * (4 + 1) * 3
    assert {run.specification.testproblem for run in runs} == {
        "two_d_beale",
        "two_d_branin",
        "two_d_rosenbrock",
    }
    assert {run.specification.random_seed for run in runs} == {1, 2, 3}
    assert len({run.specification.run_id for run in runs}) == len(runs)


def test_the_order_of_keys_and_the_format_make_no_difference(planned) -> None:
    toml = planned(
        HEADER + "seeds = [1, 2]\n[optimizers.SGD]\nhyperparameters.nesterov = false\n"
        "grid = { lr = [1e-3, 0.1], momentum = [0, 0.9] }\n"
    )
    reordered = planned(
        "seeds = [2, 1]\n[optimizers.SGD.grid]\nmomentum = [0.9, 0]\nlr = [0.1, 1e-3]\n"
        "[optimizers.SGD.hyperparameters]\nnesterov = false\n"
        "[defaults]\nepochs = 2\n[budget]\nhours = 1\n".replace(
            "seeds", 'problems = ["quadratic_deep"]\nseeds', 1
        )
    )
    yaml = planned(
        "optimizers:\n  SGD:\n    hyperparameters: {nesterov: false}\n"
        "    grid:\n      lr: [1e-3, 0.1]\n      momentum: [0, 0.9]\n"
        "problems: [quadratic_deep]\nseeds: 1..2\ndefaults: {epochs: 2}\n",
        "experiment.yaml",
    )
    assert len(_ids(toml)) == 8
    assert _ids(toml) == _ids(reordered) == _ids(yaml)


def test_runs_carry_what_the_experiment_calls_their_optimizer(planned) -> None:
    text = (
        HEADER + '[optimizers.SGD]\nhyperparameters.lr = 0.1\n[optimizers."two steps"]\n'
        'class = "SGD"\ngrid.lr = [0.1, 0.2]\nschedules = ["constant", "late"]\n'
        "[schedules.late]\nepochs = [1]\nfactors = [0.1]\n"
    )
    runs = planned(text).runs
    labels = [run.specification.label for run in runs]
    assert labels == ["SGD + late", *["two steps"] * 2, *["two steps + late"] * 2]
    renamed = planned(text.replace("two steps", "another name")).runs
    assert [a.specification.run_id for a in runs] == [b.specification.run_id for b in renamed]


def test_what_is_said_for_a_problem_wins(planned) -> None:
    runs = planned(
        'suites = ["two_d"]\n[defaults]\nepochs = 2\nbatch_size = 32\n'
        "[optimizers.SGD]\nhyperparameters.momentum = 0.9\ngrid.lr = [0.1, 0.01]\n"
        "[overrides.two_d_beale]\nepochs = 7\n"
        "[overrides.two_d_beale.optimizers.SGD]\nhyperparameters.lr = 0.5\n"
        "grid.momentum = [0, 0.3]\n"
    ).runs
    by_problem = {
        name: [run.specification for run in runs if run.specification.testproblem == name]
        for name in ("two_d_beale", "two_d_branin")
    }
    assert {run.num_epochs for run in by_problem["two_d_beale"]} == {7}
    assert {run.num_epochs for run in by_problem["two_d_branin"]} == {2}
    assert {run.batch_size for run in by_problem["two_d_beale"]} == {32}
    assert [run.hyperparameters for run in by_problem["two_d_beale"]] == [
        {"momentum": 0.0, "lr": 0.5},
        {"momentum": 0.3, "lr": 0.5},
    ]
    assert [run.hyperparameters for run in by_problem["two_d_branin"]] == [
        {"momentum": 0.9, "lr": 0.1},
        {"momentum": 0.9, "lr": 0.01},
    ]


def test_options_have_the_names_of_the_command_line(planned) -> None:
    (run,) = planned(
        'problems = ["quadratic_deep"]\noptimizers = ["SGD"]\n[defaults]\nepochs = 3\n'
        "batch_size = 50\nvalidation_size = 100\nfull_evaluation = true\nbare_losses = true\n"
        'same_order = true\nlog_interval = 5\ndtype = "float64"\nfake_data = true\n'
        'max_steps = 7\ntrain_fraction = 0.5\nevaluate_every = "5steps"\n'
        "bn_recalibration = 9\n"
        "accumulate = 2\nclip_norm = 1\nlog_gradient_norm = true\n"
        'compile = "max-autotune"\nchannels_last = true\n'
    ).runs
    specification = run.specification
    assert (specification.num_epochs, specification.batch_size) == (3, 50)
    assert (specification.max_steps, specification.train_fraction) == (7, 0.5)
    assert specification.evaluate_every == "5steps"
    assert specification.bn_recalibration == 9
    assert specification.step_options == {
        "accumulate": 2,
        "clip_norm": 1.0,
        "compile_mode": "max-autotune",
        "channels_last": True,
    }
    assert specification.log_gradient_norm
    assert (specification.validation_size, specification.train_log_interval) == (100, 5)
    assert specification.full_evaluation
    assert specification.bare_losses
    assert not specification.reshuffle
    assert (specification.dtype, specification.fake_data_fraction) == ("float64", 1.0)


def test_precision_is_an_option_of_files(planned) -> None:
    (run,) = planned(HEADER + 'defaults.precision = "bf16"\noptimizers = ["SGD"]\n').runs
    assert run.specification.precision == "bf16"


def test_fake_data_of_the_command_line_win_over_the_file(planned) -> None:
    text = HEADER + 'defaults.fake_data = 0.5\noptimizers = ["SGD"]\n'
    (run,) = planned(text, fake_data=0.1).runs
    assert run.specification.fake_data_fraction == 0.1


def test_every_schedule_of_the_file_is_tried_unless_an_optimizer_names_some(planned) -> None:
    runs = planned(
        HEADER + "[optimizers.SGD]\n[optimizers.Adam]\nschedules = ['constant', 'steps']\n"
        "[schedules.steps]\nepochs = [1]\nfactors = [0.1]\n"
        "[schedules.cosine]\nscheduler = 'CosineAnnealingLR'\narguments.T_max = 'num_epochs'\n"
    ).runs
    assert [(run.optimizer, run.schedule) for run in runs] == [
        ("SGD", "steps"),
        ("SGD", "cosine"),
        ("Adam", "constant"),
        ("Adam", "steps"),
    ]
    assert runs[0].specification.lr_sched_epochs == (1,)
    assert runs[1].specification.lr_scheduler.name == "CosineAnnealingLR"
    assert runs[2].specification.lr_scheduler is None


def test_an_optimizer_may_be_tried_on_some_of_the_problems_alone(planned) -> None:
    runs = planned(
        'problems = ["quadratic_deep", "deepobs-core:two_d_beale"]\ndefaults.epochs = 2\n'
        '[optimizers.SGD]\nproblems = ["two_d_beale"]\nhyperparameters.lr = 0.1\n'
        "[optimizers.Adam]\n"
    ).runs
    assert [(run.specification.testproblem, run.optimizer) for run in runs] == [
        ("quadratic_deep", "Adam"),
        ("two_d_beale", "SGD"),
        ("two_d_beale", "Adam"),
    ]


def test_two_names_may_stand_for_one_optimizer_and_share_a_run(planned) -> None:
    both = planned(
        HEADER + "[optimizers.plain]\nclass = 'SGD'\n[optimizers.heavy]\nclass = 'SGD'\n"
        "grid.momentum = [0.0, 0.9]\nhyperparameters.lr = 0.1\n"
        "[overrides.quadratic_deep.optimizers.plain]\nhyperparameters = {lr = 0.1, momentum = 0}\n"
    )
    assert [run.optimizer for run in both.runs] == ["plain", "heavy", "heavy"]
    assert len(both.specifications) == 2


def test_lists_are_hyperparameters_too(planned) -> None:
    runs = planned(
        HEADER + "[optimizers.Adam]\nhyperparameters.betas = [0.8, 0.99]\ngrid.lr = [0.1, 0.01]\n"
        "[optimizers.other]\nclass = 'Adam'\ngrid.betas = [[0.9, 0.99], [0.8, 0.99]]\n"
    ).runs
    assert [run.specification.hyperparameters["betas"] for run in runs] == [
        [0.8, 0.99],
        [0.8, 0.99],
        [0.9, 0.99],
        [0.8, 0.99],
    ]


def test_tuned_optimizers_are_planned_as_searches(planned) -> None:
    made = planned(
        HEADER + "[optimizers.SGD.tune]\nspace = { lr = 'log:1e-4:1:5' }\nsampler = 'grid'\n"
        "report_seeds = '50..52'\n[optimizers.Adam]\n"
    )
    assert [run.optimizer for run in made.runs] == ["Adam"]
    (tuning,) = made.tunings
    assert (tuning.problem, tuning.optimizer, tuning.num_runs) == ("quadratic_deep", "SGD", 5 + 3)
    assert tuning.options["num_epochs"] == 2


def test_a_problem_has_a_search_space_of_its_own_merged_over_the_general_one(planned) -> None:
    made = planned(
        'problems = ["quadratic_deep", "two_d_beale"]\n'
        "[optimizers.SGD]\nhyperparameters.dampening = 0.1\n"
        "[optimizers.SGD.tune]\nbudget = 'small'\n"
        "space = { lr = 'log:1e-4:1', momentum = [0.5, 0.9] }\nselect_on = 'test'\n"
        "[overrides.two_d_beale.optimizers.SGD.tune]\ntrials = 7\n"
        "space = { lr = 'log:1e-7:1e-3', dampening = 'uniform:0:1' }\n"
    )
    general, special = (tuning.settings for tuning in made.tunings)
    assert special.space["lr"] == parsed("log:1e-7:1e-3")
    assert special.space["momentum"] == general.space["momentum"]
    assert list(special.space) == ["lr", "momentum", "dampening"]
    assert list(general.space) == ["lr", "momentum"]
    assert (special.trials, special.budget, special.select_on) == (7, None, "test")
    assert (general.trials, general.budget) == (None, "small")
    assert [tuning.hyperparameters for tuning in made.tunings] == [{"dampening": 0.1}, {}]


def test_a_problem_changes_the_space_of_a_preset_and_can_fix_a_part_of_it(planned) -> None:
    text = "[optimizers.Adam.tune]\npreset = 'crowded-valley'\nselect_on = 'test'\n"
    made = planned(
        'problems = ["quadratic_deep", "two_d_beale"]\n'
        + text
        + "[overrides.quadratic_deep.optimizers.Adam.tune]\nspace.lr = 'log:1e-6:1e-2'\n"
        "[overrides.two_d_beale.optimizers.Adam]\nhyperparameters.betas = [0.9, 0.99]\n"
    )
    changed, fixed = (tuning.settings.space for tuning in made.tunings)
    assert list(changed) == ["lr", "betas[0]", "betas[1]"]
    assert changed["lr"] == parsed("log:1e-6:1e-2")
    assert list(fixed) == ["lr"]


def test_what_an_outer_optimizer_does_not_know_is_for_the_one_inside(
    planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outer_optimizer.py").write_text(
        "import torch\n\n\nclass Outer(torch.optim.Optimizer):\n"
        "    def __init__(self, optimizer, k=5):\n"
        "        super().__init__(optimizer.param_groups, {})\n"
        "        self.optimizer = optimizer\n\n"
        "    def step(self, closure=None):\n        self.optimizer.step()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    class_ = "class = 'outer_optimizer:Outer'\n"
    (run,) = planned(
        HEADER + f"[optimizers.a]\n{class_}hyperparameters = {{ optimizer = 'SGD', lr = 0.5 }}\n"
    ).runs
    assert run.specification.hyperparameters == {"optimizer": "SGD", "lr": 0.5}
    with pytest.raises(ArgumentError, match="Outer has no such hyperparameter"):
        planned(HEADER + f"[optimizers.a]\n{class_}hyperparameters = {{ lr = 0.5 }}\n")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[optimizers.SGD]\ngrid.lr = [0.1, -1, 0.2]", "optimizers.SGD.grid.lr[1]", "lr=-1.0"),
        (
            "[optimizers.SGD]\ngrid = { lr = [0.1, -1], momentum = [0.9, 0] }",
            "optimizers.SGD.grid.lr[1]",
            "Invalid learning rate: -1.0",
        ),
        ("[optimizers.SGD]\nhyperparameters.lr = -1", "optimizers.SGD", "lr=-1.0"),
        (
            "[optimizers.SGD]\ngrid = { momentum = [0.0, 0.9], nesterov = [true, false] }",
            "optimizers.SGD",
            "Nesterov momentum requires a momentum",
        ),
        (
            "[optimizers.SGD]\nhyperparameters.momntum = 1",
            "optimizers.SGD.hyperparameters.momntum",
            "Did you mean 'momentum'?",
        ),
        (
            "[optimizers.SGD]\ngrid.momntum = [1]",
            "optimizers.SGD.grid.momntum",
            "SGD has no such hyperparameter.",
        ),
        (
            "[optimizers.SGD]\nhyperparameters.params = [1]",
            "optimizers.SGD.hyperparameters.params",
            "SGD has no such hyperparameter.",
        ),
        (
            "[optimizers.SGD]\nhyperparameters.lr = [0.1, 0.2]",
            "optimizers.SGD.hyperparameters.lr",
            "must be one value, got [0.1, 0.2]: several to try belong in grid",
        ),
        (
            "[optimizers.Adam]\ngrid.betas = [0.9, 0.99]",
            "optimizers.Adam.grid.betas[0]",
            "must be a list such as [0.9, 0.999], got 0.9",
        ),
        (
            "[optimizers.SGD]\n[overrides.quadratic_deep.optimizers.SGD]\ngrid.lr = [1, -2]",
            "overrides.quadratic_deep.optimizers.SGD.grid.lr[1]",
            "lr=-2.0",
        ),
        ("[optimizers.SGD]\nneeds = ['closur']", "optimizers.SGD.needs", "'closur'"),
        (
            "optimizers = ['SGD']\nschedules.a.scheduler = 'CosinAnnealingLR'",
            "schedules.a",
            "Did you mean 'CosineAnnealingLR'",
        ),
        (
            "optimizers = ['SGD']\n[schedules.a]\nscheduler = 'StepLR'\narguments.stepsize = 3",
            "schedules.a",
            "It takes step_size, gamma",
        ),
        (
            "[optimizers.SGD]\ngrid.lr = [1]\ntune.preset = 'paper'",
            "optimizers.SGD.grid",
            "is given beside tune",
        ),
        (
            "[optimizers.SGD]\ntune = { sampler = 'grid', space.lr = 'log:1e-3:1', trials = 3 }",
            "optimizers.SGD.tune",
            "number of points",
        ),
        (
            "[optimizers.SGD.grid]\nlr = 'log:1e-5:1:2000'\nmomentum = 'uniform:0:0.9:2000'",
            "optimizers.SGD.grid",
            "must have at most 1000000 points, got 4000000",
        ),
        (
            "seeds = '1..100000'\n[optimizers.SGD.grid]\nlr = 'log:1e-5:1:11'",
            "optimizers.SGD.grid",
            "must have at most 1000000 runs on a problem, got 1100000: 11 points",
        ),
        (
            "[optimizers.SGD]\nhyperparameters.lr = 1" + 400 * "0",
            "optimizers.SGD",
            "Hyperparameters must be finite numbers",
        ),
        ("[optimizers.Adam]\nhyperparameters.betas = [0.9]", "optimizers.Adam", "IndexError"),
        (
            "[optimizers.SGD]\ntune = { space.lrr = 'log:1e-3:1', trials = 3 }",
            "optimizers.SGD.tune.space.lrr",
            "Did you mean 'lr'?",
        ),
        (
            "[optimizers.Adam]\ntune = { space.'betas[2]' = 'log:1e-3:1', trials = 3 }",
            'optimizers.Adam.tune.space."betas[2]"',
            "betas[2] is not an element of the hyperparameter 'betas'",
        ),
        (
            "[optimizers.SGD]\nhyperparameters.lr = 1\ntune.preset = 'paper'",
            "optimizers.SGD.tune",
            "lr is both given and tuned",
        ),
        (
            "[optimizers.SGD]\ntune.preset = 'paper'\n"
            "[overrides.quadratic_deep.optimizers.SGD]\ngrid.lr = [1]",
            "overrides.quadratic_deep.optimizers.SGD.grid",
            "is given beside tune",
        ),
        (
            "[optimizers.SGD]\n[overrides.quadratic_deep.optimizers.SGD.tune]\nspace.lr = [1]",
            "overrides.quadratic_deep.optimizers.SGD.tune",
            "needs optimizers.SGD.tune, which is absent",
        ),
        (
            "[optimizers.SGD]\ntune = { space.lr = [1, 2], sampler = 'grid' }\n"
            "[overrides.quadratic_deep.optimizers.SGD.tune]\nspace.lrr = [1]",
            "overrides.quadratic_deep.optimizers.SGD.tune.space.lrr",
            "Did you mean 'lr'?",
        ),
        (
            "[optimizers.SGD]\ntune = { space.lr = [1, 2], sampler = 'grid' }\n"
            "[overrides.quadratic_deep.optimizers.SGD.tune]\nspace.lr = 'log:1e-3:1'",
            "overrides.quadratic_deep.optimizers.SGD.tune",
            "number of points",
        ),
        (
            "[optimizers.SGD]\ntune = { space.lr = [1, 2], sampler = 'grid' }\n"
            "[overrides.quadratic_deep.optimizers.SGD.tune]\nbudget = 'one-shot'",
            "overrides.quadratic_deep.optimizers.SGD.tune",
            "remove the space",
        ),
        (
            "[optimizers.SGD]\ntune = { space.batch_size = 'log:1:64:3', sampler = 'grid' }",
            "optimizers.SGD.tune",
            "batch_size must be an integer, 1 or more, in the whole of its space",
        ),
        (
            "[optimizers.SGD]\ntune = { space.batch_size = [32, 'x'], sampler = 'grid' }",
            "optimizers.SGD.tune",
            "got [32, 'x']",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    planned, text: str, path: str, message: str
) -> None:
    with pytest.raises(ArgumentError) as refused:
        planned(HEADER + text)
    first = str(refused.value).splitlines()[0]
    assert first.startswith(f"experiment.toml: {path}: ")
    assert message in first


def test_each_wrong_value_is_named_once(planned) -> None:
    with pytest.raises(ArgumentError) as refused:
        planned(
            'suites = ["two_d"]\n[optimizers.SGD.grid]\nlr = [0.1, -1]\nmomentum = [-2, 0, 0.9]\n'
        )
    lines = str(refused.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "optimizers.SGD.grid.momentum[0]",
        "optimizers.SGD.grid.lr[1]",
    ]


def test_an_unknown_device_is_refused(planned) -> None:
    with pytest.raises(ArgumentError, match="'banana'"):
        planned(HEADER + 'optimizers = ["SGD"]', device="banana")


CHOOSABLE = (
    'suites = ["two_d"]\nseeds = "1..12"\n[optimizers.heavy]\nclass = "SGD"\n[optimizers.Adam]\n'
    "[schedules.steps]\nepochs = [1]\nfactors = [0.1]\n"
)


@pytest.mark.parametrize(
    ("patterns", "count"),
    [
        ([], 72),
        (["problem=two_d_b*"], 48),
        (["problem=two_d_beale", "problem=two_d_rosenbrock"], 48),
        (["optimizer=heavy"], 36),
        (["optimizer=SGD", "seed=1"], 3),
        (["seed=1*"], 24),
        (["schedule=steps", "problem=*beale", "seed=[23]"], 4),
    ],
)
def test_only_keeps_what_its_patterns_match(planned, patterns: list[str], count: int) -> None:
    assert len(only(patterns, planned(CHOOSABLE)).runs) == count


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["two_d_beale"], "'two_d_beale' does not select runs. Allowed: problem=PATTERN,"),
        (["sed=1"], "Did you mean 'seed'?"),
        (["optimizer=Adm"], "No run of the experiment has optimizer=Adm. Did you mean 'Adam'?"),
        (["seed=1", "seed=99"], "No run of the experiment has seed=99."),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(
    planned, patterns: list[str], message: str
) -> None:
    with pytest.raises(ArgumentError) as refused:
        only(patterns, planned(CHOOSABLE))
    assert message in str(refused.value)


@pytest.fixture
def recommending() -> Iterator[str]:
    """A problem that recommends a schedule."""
    known = registry().problems
    spec = dataclasses.replace(
        known.offer("quadratic_deep").spec,
        name="recommending",
        recommended_lr_scheduler={"name": "cosine", "arguments": {"warmup": 0.1}},
    )
    known.register(spec)
    yield spec.name
    del known._offers[spec.name]


RECOMMENDED = (
    "defaults.epochs = 2\n[optimizers.SGD]\nhyperparameters.lr = 0.1\n"
    '[schedules.usual]\nscheduler = "recommended"\n'
)


def test_what_each_problem_recommends_is_the_schedule_written_out(planned, recommending) -> None:
    (run,) = planned(f'problems = ["{recommending}"]\n' + RECOMMENDED).runs
    written = specify(
        *(recommending, "SGD", {"lr": 0.1}),
        num_epochs=2,
        lr_scheduler={"name": "cosine", "arguments": {"warmup": 0.1}},
    )
    assert run.schedule == "usual"
    assert run.specification.run_id == written.run_id


def test_a_problem_that_recommends_no_schedule_is_named_in_the_plan(planned, recommending) -> None:
    with pytest.raises(ArgumentError, match="quadratic_deep recommends no learning-rate schedule"):
        planned(f'problems = ["quadratic_deep", "{recommending}"]\n' + RECOMMENDED)


def test_what_a_problem_recommends_can_be_tuned(planned, recommending) -> None:
    text = (
        f'problems = ["{recommending}"]\n{RECOMMENDED}[optimizers.SGD.tune]\ntrials = 3\n'
        'space = { "schedule:end_factor" = "uniform:0:0.5" }\n'
    )
    (tuning,) = planned(text).tunings
    assert not tuning.obstacle
    scheduler = tuning.examples[0].lr_scheduler
    assert scheduler is not None
    assert scheduler.arguments == {"warmup": 0.1, "end_factor": 0.25}
