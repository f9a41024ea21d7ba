"""What docs/MIGRATION_GUIDE.md claims, and no other test shows."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deepobs.cli.main import main
from deepobs.plugins import registry
from deepobs.pytorch import config, testproblems
from deepobs.runs import run, specify
from deepobs_analysis import load, select

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.problems import Problem

PAGE = (Path(__file__).resolve().parents[2] / "docs/MIGRATION_GUIDE.md").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("## Names") : PAGE.index("## Troubleshooting")]


def _names(text: str) -> list[str]:
    return text.split()


TESTPROBLEMS = _names("""
    quadratic_deep two_d_beale two_d_branin two_d_rosenbrock mnist_logreg mnist_mlp mnist_2c2d
    mnist_vae fmnist_logreg fmnist_mlp fmnist_2c2d fmnist_vae cifar10_3c3d cifar10_vgg16
    cifar10_vgg19 cifar100_3c3d cifar100_allcnnc cifar100_vgg16 cifar100_vgg19 cifar100_wrn404
    svhn_3c3d svhn_wrn164 imagenet_vgg16 imagenet_vgg19 imagenet_inception_v3 tolstoi_char_rnn
""")
DATASETS = _names("mnist fmnist cifar10 cifar100 svhn imagenet tolstoi quadratic two_d")
OTHERS = _names("""
    TestProblem set_up dataset train_init_op train_eval_init_op test_init_op losses regularizer
    accuracy DataSet batch phase StandardRunner make_run_name float2str make_lr_schedule
    get_data_dir set_data_dir get_baseline_dir set_baseline_dir get_float_dtype set_float_dtype
    Analyzer TestProblemAnalyzer OptimizerAnalyzer SettingAnalyzer AggregateRun get_best_run
    plot_performance plot_lr_sensitivity plot_table get_bm_table get_best_setting_final
    get_best_setting_best get_setting_most_runs beautify_plot_performance beautify_lr_sensitivity
    beautify_plot_table texify_plot_performance texify_lr_sensitivity texify_plot_table rescale_ax
    deepobs_prepare_data deepobs_get_baselines deepobs_plot_results deepobs_estimate_runtime
""")
"""The public names of DeepOBS 1.1."""

OF_1_2 = _names("""
    l2_reg net data loss_function valid_init_op get_batch_loss_and_accuracy_func
    regularization_groups get_regularization_groups LearningRateScheduleRunner PTRunner TFRunner
    run_exists skip_if_exists get_default_device get_num_workers get_is_deterministic
    get_testproblem_default_setting get_small_test_set get_large_test_set get_framework
    plot_optimizer_performance plot_testset_performances plot_hyperparameter_sensitivity
    plot_hyperparameter_sensitivity_2d plot_final_metric_vs_tuning_rank plot_results_table
    get_performance_dictionary check_output estimate_runtime GridSearch RandomSearch GP tune
    tune_on_testset generate_commands_script generate_commands_script_for_testset rerun_setting
    generate_tuning_summary write_tuning_summary log_uniform
""")


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))


@pytest.mark.parametrize("name", [*TESTPROBLEMS, *DATASETS, *OTHERS, *OF_1_2])
def test_every_public_name_of_the_old_packages_is_in_the_table(name: str) -> None:
    assert name in _words(TABLE)


def test_problems_and_data_sets_have_the_names_they_had() -> None:
    assert set(registry().problems.names()) >= set(TESTPROBLEMS)
    assert set(registry().datasets.names()) >= set(DATASETS)


def _here(prefix: str) -> list[str]:
    """Code that begins like this, of the right columns of the table."""
    rights = " ".join(line.rpartition(" | ")[2] for line in TABLE.splitlines())
    return sorted({code for code in re.findall(r"`([^`]+)`", rights) if code.startswith(prefix)})


@pytest.mark.parametrize("name", [*_here("deepobs."), *_here("deepobs_analysis")])
def test_every_name_of_ours_in_the_table_is_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("line", _here("deepobs "))
def test_every_command_in_the_table_is_there(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, *rest = line.split()[1:]
    assert main([command, "--help"]) == 0
    options = capsys.readouterr().out
    assert all(option in options for option in rest if option.startswith("--"))
    if command == "plot":
        assert rest[0] in registry().plots.names()


def _of_1_1(directory: Path, seed: int, losses: list[float]) -> Path:
    """A result as version 1.1 names and writes it: SGD on quadratic_deep, learning rate 0.01."""
    folder = "quadratic_deep/GradientDescentOptimizer/num_epochs__2__batch_size__128__lr__1.e-02"
    content = {
        "train_losses": losses,
        "test_losses": losses,
        "minibatch_train_losses": [3.0, 2.0],
        "optimizer": "GradientDescentOptimizer",
        "testproblem": "quadratic_deep",
        "weight_decay": None,
        "batch_size": 128,
        "num_epochs": 2,
        "learning_rate": 0.01,
        "lr_sched_epochs": None,
        "lr_sched_factors": None,
        "random_seed": seed,
        "train_log_interval": 10,
        "hyperparams": {},
    }
    path = directory / folder / f"random_seed__{seed}__2019-02-13-14-42-56.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_results_of_1_1_and_new_ones_are_of_one_optimizer_in_settings_of_their_own(
    tmp_path: Path,
) -> None:
    _of_1_1(tmp_path, 42, [350.0, 150.0, 110.0])
    _of_1_1(tmp_path, 43, [350.0, 160.0, 112.0])
    run(
        specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=2, random_seed=44),
        output_dir=tmp_path,
    )
    results = load(tmp_path)
    assert sorted(results.runs["format"]) == ["1.1", "1.1", "own"]
    (chosen,) = select(results)
    assert (chosen.optimizer, chosen.hyperparameters) == ("SGD", {"lr": 0.01})
    assert chosen.configurations == 2
    assert list(chosen.final()) == [110.0, 112.0]  # most seeds


def test_a_new_result_lies_in_the_folders_of_1_1_and_has_the_keys_of_1_2(tmp_path: Path) -> None:
    old = _of_1_1(tmp_path / "old", 42, [350.0, 150.0, 110.0])
    specification = specify("quadratic_deep", "SGD", {"lr": 0.01}, num_epochs=2)
    run(specification, output_dir=tmp_path / "new")
    (new,) = (tmp_path / "new").rglob("*.json")
    assert new.parent.relative_to(tmp_path / "new/quadratic_deep/SGD") == Path(old.parent.name)
    content = json.loads(new.read_text())
    kept = {"train_losses", "test_losses", "minibatch_train_losses", "testproblem", "weight_decay"}
    kept |= {"batch_size", "num_epochs", "random_seed"}
    assert content.keys() >= kept | {"optimizer_name", "optimizer_hyperparams", "training_params"}
    assert content["optimizer_name"] == "SGD"
    assert content["optimizer_hyperparams"]["lr"] == 0.01
    assert content["training_params"]["train_log_interval"] == 10
    assert "test_accuracies" not in content  # there are none on this problem


def test_of_plain_sgd_the_regulariser_and_the_decay_of_the_optimizer_are_the_same(
    set_up: Callable[..., Problem],
) -> None:
    def trained(*, by_the_optimizer: bool) -> list[torch.Tensor]:
        torch.manual_seed(1)
        problem = set_up("cifar10_3c3d", batch_size=8, weight_decay=0.1)
        decay = 0.1 if by_the_optimizer else 0.0
        optimizer = torch.optim.SGD(problem.parameter_groups(), lr=0.01, weight_decay=decay)
        for _, batch in zip(range(3), problem.dataset.train_loader, strict=False):
            optimizer.zero_grad()
            loss, _ = problem.get_batch_loss_and_accuracy(batch, reduction="mean")
            (loss if by_the_optimizer else loss + problem.get_regularization_loss()).backward()
            optimizer.step()
        return [parameter.detach() for parameter in problem.model.parameters()]

    for one, other in zip(
        trained(by_the_optimizer=True), trained(by_the_optimizer=False), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_a_factor_is_used_where_the_original_ignores_it_or_refused(
    set_up: Callable[..., Problem],
) -> None:
    assert set_up("mnist_mlp").get_regularization_loss().item() == 0
    assert set_up("mnist_mlp", weight_decay=0.5).get_regularization_loss().item() > 1
    with pytest.raises(ValueError, match="has no regularizer"):
        set_up("quadratic_deep", weight_decay=0.5)


def test_defaults_of_the_benchmark_are_those_of_the_old_table() -> None:
    def default(name: str) -> tuple[Any, Any]:
        setting = config.get_testproblem_default_setting(name)
        return setting["batch_size"], setting["num_epochs"]

    assert default("mnist_vae") == (64, 50)
    assert default("cifar100_allcnnc") == (256, 350)
    assert default("tolstoi_char_rnn") == (50, 200)


def test_a_problem_set_up_again_starts_anew() -> None:
    torch.manual_seed(3)
    problem = testproblems.digits_mlp(batch_size=64)
    problem.set_up()
    first = [parameter.clone() for parameter in problem.model.parameters()]
    problem.set_up()
    second = list(problem.model.parameters())
    assert not all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
