"""The scripts in `examples` do what they say, called as users call them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd
import pytest
import torch

from deepobs.plugins.catalog import import_target

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")

Call: TypeAlias = "Callable[[str], str]"


@pytest.fixture
def call(tmp_path: Path) -> Callable[[str], str]:
    """Runs a script in an empty directory, and returns what it printed."""

    def run(name: str) -> str:
        process = subprocess.run(
            [sys.executable, EXAMPLES / name],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert (process.returncode, process.stderr) == (0, "")
        return process.stdout

    return run


def _numbers(pattern: str, text: str) -> list[float]:
    return [float(number) for number in re.findall(pattern, text)]


def _results(directory: Path) -> int:
    return len(list(directory.rglob("random_seed__*.json")))


def test_every_example_is_listed_and_short() -> None:
    for path in EXAMPLES.glob("*.*"):
        assert path.name == "README.md" or f"({path.name})" in README, path.name
        is_short = len(path.read_text(encoding="utf-8").splitlines()) <= 75
        assert path.suffix != ".py" or is_short, path.name


def test_the_plain_loop_learns(call: Call, tmp_path: Path) -> None:
    output = call("basic_usage.py")
    losses = _numbers(r"test loss (\d\.\d+)", output)
    assert len(losses) == 6
    assert losses[0] == pytest.approx(2.303, abs=0.01)  # ten classes, before training: log 10
    assert losses[-1] < 1
    assert not list(tmp_path.iterdir())


def test_an_optimizer_of_ones_own_leaves_a_result_for_each_run(call: Call, tmp_path: Path) -> None:
    output = call("custom_optimizer.py")
    before, after = _numbers(r"(?:from|to) (\d+\.\d+)", output)
    assert after < before / 3
    assert min(_numbers(r"test accuracy (\d\.\d+)", output)) > 0.85
    results = tmp_path / "results/custom_optimizer"
    assert _results(results / "digits_logreg/SignMomentum") == 2
    assert _results(results / "quadratic_deep/SignMomentum") == 1


def test_several_problems_are_in_one_table_and_one_figure(call: Call, tmp_path: Path) -> None:
    output = call("several_problems.py")
    rows = [line.split()[:2] for line in output.splitlines() if " lr = " in line]
    problems = ("digits_logreg", "quadratic_deep", "two_d_beale", "two_d_branin")
    assert rows[: 2 * len(problems)] == [[p, o] for p in problems for o in ("Adam", "SGD")]
    results = tmp_path / "results/several_problems"
    assert _results(results) == 20
    assert (results / "curves.pdf").read_bytes().startswith(b"%PDF")


def test_schedules_of_every_kind_train(call: Call, tmp_path: Path) -> None:
    accuracies = _numbers(r"test accuracy (\d\.\d+)", call("schedules.py"))
    assert len(accuracies) == 3
    assert min(accuracies) > 0.9
    names = {path.parents[1].name for path in (tmp_path / "results").rglob("*.json")}
    assert names == {"SGD"}
    assert _results(tmp_path / "results") == 2


def test_results_are_read_chosen_from_and_shown(call: Call, tmp_path: Path) -> None:
    output = call("result_analysis.py")
    assert output.startswith("12 runs of Adam, SGD")
    assert output.count("best of 3 configurations") == 2
    table = pd.read_csv(tmp_path / "results/result_analysis/table.csv")
    assert list(table["optimizer"]) == ["Adam", "SGD"]
    printed = _numbers(r"test accuracy (\d\.\d+)", output)
    assert min(printed) > 0.9
    assert (tmp_path / "results/result_analysis/sensitivity.pdf").is_file()


def test_mixed_precision_with_accumulation_learns(call: Call) -> None:
    accuracies = _numbers(r"test accuracy (\d\.\d+)", call("amp_and_accumulation.py"))
    assert len(accuracies) == 5
    assert accuracies[-1] > 0.9


def test_an_accumulated_gradient_is_that_of_one_large_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from amp_and_accumulation import accumulate  # type: ignore[import-not-found]

    from deepobs.pytorch import testproblems

    torch.manual_seed(0)
    tproblem = testproblems.digits_mlp(batch_size=64, weight_decay=0.01, device="cpu")
    tproblem.set_up()
    images, labels = next(iter(tproblem.dataset.train_loader))
    parts = list(zip(images.split(16), labels.split(16), strict=True))
    (kernel,) = (p for name, p in tproblem.model.named_parameters() if name == "3.weight")

    loss, _ = tproblem.get_batch_loss_and_accuracy((images, labels), reduction="mean")
    (loss + tproblem.get_regularization_loss()).backward()
    expected = kernel.grad.clone()
    tproblem.model.zero_grad()
    accumulate(tproblem, parts)
    # bfloat16 keeps 8 bits of each product, the regularizer all of them.
    difference = (kernel.grad - expected).norm() / expected.norm()
    assert difference < 0.01


def test_backpack_gives_gradients_of_single_examples_and_curvature(call: Call) -> None:
    pytest.importorskip("backpack")
    output = call("backpack_extensions.py")
    differences = _numbers(r"gradient by (\de[+-]\d+)", output)
    assert len(differences) == 8
    assert max(differences) < 1e-6
    assert min(_numbers(r"noise (\d+\.\d)", output)) > 1
    assert _numbers(r"Gauss-Newton matrix: (\d+\.\d+)", output)[0] > 0


def test_the_largest_eigenvalue_rises_to_the_limit_of_stability(call: Call) -> None:
    pytest.importorskip("curvlinops")
    eigenvalues = _numbers(r"eigenvalue (-?\d+\.\d+)", call("curvature_along_training.py"))
    assert len(eigenvalues) == 6
    assert eigenvalues[0] < 1
    assert 5 < max(eigenvalues) < 20  # about the limit of 10


def _individual_gradients(model: torch.nn.Module, image_shape: tuple[int, ...]) -> None:
    """Check that the gradients of single examples sum to the gradient, for every parameter."""
    backpack = pytest.importorskip("backpack")
    from backpack.extensions import BatchGrad  # type: ignore[import-not-found]

    torch.manual_seed(0)
    images, labels = torch.rand(3, *image_shape), torch.tensor([1, 0, 1])
    loss = torch.nn.functional.cross_entropy(backpack.extend(model)(images), labels)
    with backpack.backpack(BatchGrad()):
        loss.backward()
    for parameter in model.parameters():
        summed = parameter.grad_batch.sum(dim=0)
        torch.testing.assert_close(summed, parameter.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.filterwarnings("ignore:Extension saving to grad_batch")  # of containers
@pytest.mark.parametrize(
    ("model", "image_shape"),
    [
        ("dense:logreg", (1, 8, 8)),
        ("models:conv_2c2d", (1, 28, 28)),
        ("models:conv_3c3d", (3, 32, 32)),
        ("models:all_cnn_c", (3, 32, 32)),
        ("wide_resnet:wide_resnet_16_4", (3, 32, 32)),
    ],
)
def test_backpack_knows_the_layers_of_image_classifiers(
    model: str, image_shape: tuple[int, int, int]
) -> None:
    built = import_target(f"deepobs_vision.{model}", "The model")(image_shape, 2)
    _individual_gradients(built.eval() if "resnet" in model else built, image_shape)


@pytest.mark.parametrize(
    "model",
    ["models:vgg16", "models:vgg19", "wide_resnet:wide_resnet_40_4", "inception:InceptionV3"],
)
def test_large_image_classifiers_have_parameters_in_the_same_layers(model: str) -> None:
    with torch.device("meta"):
        built = import_target(f"deepobs_vision.{model}", "The model")((3, 224, 224), 10)
    kinds = {type(m) for m in built.modules() if any(True for _ in m.parameters(recurse=False))}
    assert kinds <= {torch.nn.Linear, torch.nn.Conv2d, torch.nn.BatchNorm2d}
