"""The installed command, end to end, with all packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("deepobs")


def deepobs(*words, cwd, status=0):
    result = subprocess.run([COMMAND, *words], capture_output=True, text=True, cwd=cwd)
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout if status == 0 else result.stderr


def results(directory):
    return [json.loads(path.read_text()) for path in sorted(directory.rglob("*.json"))]


def test_the_list_holds_the_problems_of_all_packages(tmp_path):
    listed = json.loads(deepobs("list", "problems", "--json", cwd=tmp_path))
    names = json.dumps(listed)
    for name in ("quadratic_deep", "mnist_vae", "cifar10_3c3d", "digits_mlp", "tolstoi_char_rnn"):
        assert f'"{name}"' in names


def test_a_run_on_embedded_data_learns_and_repeats_to_the_bit(tmp_path):
    words = ("run", "digits_mlp", "Adam", "--lr", "1e-3", "--epochs", "5")
    printed = deepobs(*words, "--out", "one", cwd=tmp_path)
    deepobs(*words, "--out", "other", cwd=tmp_path)
    (one,), (other,) = results(tmp_path / "one"), results(tmp_path / "other")
    assert one["test_accuracies"][-1] > 0.9
    assert f"{one['test_accuracies'][-1]:.6g}" in printed
    for name in ("train_losses", "test_losses", "test_accuracies", "minibatch_train_losses"):
        assert one[name] == other[name]
    assert one["versions"]["deepobs-vision"]
    assert not one["fake_data"]


def test_fake_data_are_marked_and_kept_apart(tmp_path):
    words = ("run", "fmnist_logreg", "SGD", "--lr", "0.1", "--epochs", "1", "--fake-data", "0.01")
    assert "fake" in deepobs(*words, cwd=tmp_path)
    (result,) = results(tmp_path / "results")
    assert result["fake_data"] is True
    assert "fake_data" in str(next((tmp_path / "results").rglob("*.json")).parent)


def test_missing_data_are_one_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    message = deepobs(
        *("run", "mnist_mlp", "SGD", "--lr", "0.1", "--data-dir", str(tmp_path)),
        cwd=tmp_path,
        status=2,
    )
    for part in ("'mnist'", "train-images-idx3-ubyte", str(tmp_path), "deepobs data prepare mnist"):
        assert part in message
    assert not (tmp_path / "results").exists() or not results(tmp_path / "results")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits_mpl", "SGD"], "Did you mean 'digits_mlp'"),
        (["digits_mlp", "Sdg"], "Did you mean 'SGD'"),
        (["digits_mlp", "SGD", "-o", "momentm=0.9"], "Did you mean 'momentum'"),
        (["digits_mlp", "SGD", "--epoch", "3"], "--epochs"),
        (["digits_mlp", "SGD", "--epochs", "-1"], "num_epochs must be 0 or more, got -1"),
        (["digits_mlp", "SGD", "--batch-size", "500"], "batch_size must be from 1 to 360"),
        (["digits_mlp", "SGD", "--device", "abacus"], "Available: cpu"),
        (["digits_mlp", "SGD", "--out", "/dev/null/results"], "cannot be written"),
        (["digits_mlp", "SGD", "--fake-data", "2"], "fake_data must be from 0 to 1"),
        (["digits_mlp", "SGD", "--lr-schedule", "10"], "EPOCH:FACTOR"),
        (["digits_mlp", "Muon", "--epochs", "1"], "Muon cannot train the model of digits_mlp"),
    ],
)
def test_a_mistake_is_explained_before_training(tmp_path, words, message):
    assert message in " ".join(deepobs("run", *words, cwd=tmp_path, status=2).split())
    assert not results(tmp_path)
