"""Trains on real data and compares with the result files published with the paper (slow)."""

import json
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from deepobs import config
from deepobs.runs import run, specify, store

DEBIAN_DATA = Path("/usr/share/datasets")  # Debian's package dataset-fashion-mnist

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(shared_dir):
    """Result files of the paper by `problem/optimizer`: the settings that ran with ten seeds."""
    by_setting = {}
    with tarfile.open(shared_dir / "data/published-baselines-2019.tar.xz") as archive:
        for member in archive:
            if member.name.endswith(".json"):
                result = json.loads(archive.extractfile(member).read())
                by_setting.setdefault(Path(member.name).parent, []).append(result)
    ten_seeds = {path: results for path, results in by_setting.items() if len(results) == 10}
    return {f"{path.parts[-3]}/{path.parts[-2]}": results for path, results in ten_seeds.items()}


def widened(values):
    """The range of the values, with half its width added on either side."""
    half_width = (max(values) - min(values)) / 2
    return min(values) - half_width, max(values) + half_width


needs_fashion_mnist = pytest.mark.skipif(
    not (DEBIAN_DATA / "fashion-mnist").is_dir(),
    reason="Debian's package dataset-fashion-mnist is not installed",
)


@needs_fashion_mnist
def test_fmnist_2c2d_reaches_the_published_accuracy_after_one_epoch(tmp_path, published):
    results = published["fmnist_2c2d/GradientDescentOptimizer"]
    accuracies_then = [result["test_accuracies"][1] for result in results]
    assert results[0]["learning_rate"] == pytest.approx(0.15848931925)
    command = "run fmnist_2c2d SGD --lr 0.15848931925 --epochs 1 --seed 42 --seed 43 --seed 44"
    subprocess.run(
        [
            *(sys.executable, "-m", "deepobs", *command.split()),
            *("--out", tmp_path, "--data-dir", DEBIAN_DATA),
        ],
        check=True,
    )
    records = [store.read(path) for path in tmp_path.rglob("*.json")]
    accuracies = [record.test_accuracies[1] for record in records]
    print("published", sorted(accuracies_then), "reproduced", sorted(accuracies))
    low, high = widened(accuracies_then)
    assert len(accuracies) == 3
    assert all(low <= accuracy <= high for accuracy in accuracies)
    assert min(accuracies_then) <= statistics.mean(accuracies) <= max(accuracies_then)


@needs_fashion_mnist
def test_fmnist_vae_reaches_the_published_loss_after_one_epoch(published):
    results = published["fmnist_vae/AdamOptimizer"]
    config.set_data_dir(DEBIAN_DATA)
    hyperparameters = {"lr": results[0]["learning_rate"]}
    losses = run(specify("fmnist_vae", "Adam", hyperparameters, num_epochs=1)).record.test_losses
    losses_then = [result["test_losses"][1] for result in results]
    print("published", sorted(losses_then), "reproduced", losses[1])
    low, high = widened(losses_then)
    assert low <= losses[1] <= high


@pytest.mark.parametrize(
    ("optimizer", "published_name"), [("SGD", "GradientDescent"), ("Adam", "Adam")]
)
def test_tolstoi_char_rnn_follows_the_published_curves(
    published, shared_dir, optimizer, published_name
):
    results = published[f"tolstoi_char_rnn/{published_name}Optimizer"]
    config.set_data_dir(shared_dir / "data")
    hyperparameters = {"lr": results[0]["learning_rate"]}
    losses = run(
        specify("tolstoi_char_rnn", optimizer, hyperparameters, num_epochs=2)
    ).record.test_losses
    for epoch in (1, 2):
        losses_then = [result["test_losses"][epoch] for result in results]
        print("published", sorted(losses_then), "reproduced", losses[epoch])
        low, high = widened(losses_then)
        assert low <= losses[epoch] <= high, epoch


@pytest.mark.parametrize(
    ("optimizer", "published_name"),
    [("SGD", "GradientDescent"), ("Momentum", "Momentum"), ("Adam", "Adam")],
)
def test_quadratic_deep_follows_the_published_curves(published, optimizer, published_name):
    results = published[f"quadratic_deep/{published_name}Optimizer"]
    hyperparameters = {"lr": results[0]["learning_rate"]}
    if optimizer == "Momentum":
        hyperparameters["momentum"] = results[0]["hyperparams"]["momentum"]
    # The original's iterator began every epoch with the same seed, so it repeated the first order.
    curves = [
        run(
            specify(
                "quadratic_deep",
                optimizer,
                hyperparameters,
                num_epochs=100,
                random_seed=seed,
                reshuffle=False,
            )
        ).record.test_losses
        for seed in (42, 43, 44)
    ]
    assert curves[0][0] == pytest.approx(results[0]["test_losses"][0], rel=1e-6)
    for epoch in (1, 2, 5, 10, 20, 50, 100):
        published_losses = [result["test_losses"][epoch] for result in results]
        low, high = widened(published_losses)
        assert low <= statistics.mean(curve[epoch] for curve in curves) <= high, epoch
