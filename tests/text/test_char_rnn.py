"""tolstoi_char_rnn against the recorded outputs of the original."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from reference_rule import Reference, assert_distributed_like

from deepobs.errors import ArgumentError
from deepobs.pytorch.tf_weights import export_tf_weights, load_tf_weights
from deepobs_text.char_rnn import LSTM, Dropout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs_text.char_rnn import CharRNN

    SetUp = Callable[..., CharRNN]

NUM_SYMBOLS = 83


@pytest.fixture
def reference(shared_dir: Path) -> Reference:
    return Reference(shared_dir, "tolstoi_char_rnn")


@pytest.fixture
def problem(set_up: SetUp, reference: Reference) -> CharRNN:
    """With the weights of the record, in evaluation mode."""
    problem = set_up("tolstoi_char_rnn", batch_size=4)
    load_tf_weights(problem, reference.trainable_weights())
    problem.model.eval()
    return problem


def recorded_batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids, next_ids = (
        torch.from_numpy(np.random.RandomState(s).randint(0, NUM_SYMBOLS, (4, 50)))
        for s in (seed, seed + 1)
    )
    return ids, next_ids


def test_losses_and_gradients_are_those_of_the_original(
    problem: CharRNN, reference: Reference
) -> None:
    recorded = reference.facts["eval"]
    losses, accuracy = problem.get_batch_loss_and_accuracy(recorded_batch(7))
    losses.mean().backward()

    assert losses.tolist() == pytest.approx(recorded["losses"], rel=1e-5)
    assert float(accuracy) == pytest.approx(recorded["accuracy"], rel=1e-6)
    assert problem.get_regularization_loss() == 0
    gradients = export_tf_weights(problem, gradients=True)
    assert list(gradients) == [entry["name"] for entry in recorded["grads_clean_state"]]
    for entry in recorded["grads_clean_state"]:
        gradient = gradients[entry["name"]]
        assert np.linalg.norm(gradient.astype(np.float64)) == pytest.approx(entry["norm"], rel=1e-5)
        assert gradient.ravel()[:4] == pytest.approx(
            entry["first4"], rel=1e-3, abs=1e-4 * entry["norm"] / np.sqrt(gradient.size)
        )


def test_the_state_is_carried_to_the_second_batch_and_cleared_for_a_new_pass(
    problem: CharRNN, reference: Reference
) -> None:
    recorded = reference.facts["two_batches"]
    first, second = recorded_batch(7), recorded_batch(17)

    def losses_of(batch: tuple[torch.Tensor, torch.Tensor]) -> list[float]:
        return problem.get_batch_loss_and_accuracy(batch)[0].tolist()

    assert losses_of(first) == pytest.approx(recorded["losses_batch1"], rel=1e-5)
    losses, accuracy = problem.get_batch_loss_and_accuracy(second)
    assert losses.tolist() == pytest.approx(recorded["losses_batch2_carried_state"], rel=1e-5)
    assert float(accuracy) == pytest.approx(recorded["accuracy_batch2"], rel=1e-6)

    iter(problem.dataset.test_loader)
    assert losses_of(first) == pytest.approx(recorded["losses_batch1_after_reinit"], rel=1e-5)
    iter(problem.dataset.test_loader)
    assert losses_of(second) == pytest.approx(recorded["losses_batch2_from_zero_state"], rel=1e-5)


def test_the_state_after_a_batch_is_that_of_the_original(
    problem: CharRNN, reference: Reference
) -> None:
    with torch.no_grad():
        _, state = problem.model(recorded_batch(7)[0])
    # The original keeps the memory of a layer before its output.
    found = [tensor for output, memory in state for tensor in (memory, output)]
    for tensor, entry in zip(
        found, reference.facts["two_batches"]["state_after_batch1"], strict=True
    ):
        assert tensor.norm().item() == pytest.approx(entry["norm"], rel=1e-5)
        assert tensor.flatten()[:4].tolist() == pytest.approx(entry["first4"], rel=1e-4)


def test_logits_are_those_of_the_original(problem: CharRNN, reference: Reference) -> None:
    with torch.no_grad():
        logits_TBK, _ = problem.model(recorded_batch(7)[0])
    for position in (0, 49):
        recorded = reference.arrays[f"test_logits_t{position}_first32"]
        np.testing.assert_allclose(logits_TBK[position, :, :32], recorded, atol=1e-5)


def test_the_variables_are_those_of_the_original(problem: CharRNN, shared_dir: Path) -> None:
    path = shared_dir / "reference" / "variables.json"
    recorded = json.loads(path.read_text())["tolstoi_char_rnn"]
    weights = export_tf_weights(problem)
    assert [[name, list(array.shape)] for name, array in weights.items()] == recorded["trainable"]
    parameters = list(problem.model.parameters())
    assert sum(p.numel() for p in parameters) == recorded["num_parameters"] == 284499
    assert all(parameter.requires_grad for parameter in parameters)


def test_weights_of_the_original_come_back_as_they_went_in(
    problem: CharRNN, reference: Reference
) -> None:
    exported = export_tf_weights(problem)
    for name, array in reference.trainable_weights().items():
        np.testing.assert_array_equal(exported[name], array)


def test_weights_that_do_not_fit_change_nothing(problem: CharRNN, reference: Reference) -> None:
    weights = reference.trainable_weights()
    weights["rnnlm/softmax_b:0"] = weights["rnnlm/softmax_b:0"][:-1]
    del weights["embedding:0"]
    before = export_tf_weights(problem)
    with pytest.raises(ArgumentError, match=r"(?s)missing: embedding.*misshapen: rnnlm/softmax_b"):
        load_tf_weights(problem, weights)
    for name, array in export_tf_weights(problem).items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_start_distributed_as_in_the_original(set_up: SetUp, reference: Reference) -> None:
    torch.manual_seed(0)
    weights = export_tf_weights(set_up("tolstoi_char_rnn"))
    for entry in reference.facts["init"]:
        assert_distributed_like(weights[entry["name"]], entry)


def test_the_forget_gate_is_opened_by_a_constant_that_is_not_trained() -> None:
    layer = LSTM(8)
    assert layer.bias_hh_l0.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    assert not layer.bias_hh_l0.requires_grad
    assert "bias_hh_l0" not in dict(layer.named_parameters())
    assert "bias_hh_l0" not in layer.state_dict()
    layer.double()
    assert layer.bias_hh_l0.dtype == torch.float64
    outputs, _ = layer(torch.ones(3, 2, 8, dtype=torch.float64))
    outputs.sum().backward()
    assert layer.bias_ih_l0.grad is not None


def test_dropout_is_on_the_input_and_on_the_output_of_each_layer(set_up: SetUp) -> None:
    model = set_up("tolstoi_char_rnn").model.train()
    kept: list[float] = []
    for layer in (*model.layers, model.output):
        layer.register_forward_pre_hook(
            lambda _layer, inputs: kept.append((inputs[0] != 0).double().mean().item())
        )
    model(torch.randint(NUM_SYMBOLS, (50, 50)))
    assert kept == pytest.approx([0.8, 0.64, 0.8], abs=0.01)
    model.eval()
    kept.clear()
    model(torch.randint(NUM_SYMBOLS, (50, 50)))
    assert kept == [1.0, 1.0, 1.0]


def test_dropout_draws_a_new_mask_for_each_time_step() -> None:
    dropped = Dropout(0.5)(torch.ones(10, 3, 100))
    assert sorted(dropped.unique().tolist()) == [0.0, 2.0]
    assert len({tuple(step.flatten().tolist()) for step in dropped}) == 10


def test_dropout_keeps_the_mean_and_scales_the_gradient_alike() -> None:
    ones = torch.ones(200, 200, requires_grad=True)
    dropped = Dropout(0.36)(ones)
    dropped.sum().backward()
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(ones.grad, dropped.detach())


def test_dropout_in_half_precision_keeps_as_much() -> None:
    kept = Dropout(0.2)(torch.ones(4000, 1000, dtype=torch.bfloat16)) != 0
    # Random numbers of bfloat16 would keep 0.7984; the standard deviation is 0.0002.
    assert kept.double().mean().item() == pytest.approx(0.8, abs=0.0009)


@pytest.mark.parametrize("dropped", [0, 1])
def test_dropout_of_nothing_and_of_everything(dropped: float) -> None:
    ones = torch.ones(10, 10)
    assert torch.equal(Dropout(dropped)(ones), ones * (1 - dropped))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_of_a_sequence_is_its_mean_over_time(problem: CharRNN, reduction: str) -> None:
    batch = next(iter(problem.dataset.test_loader))
    with torch.no_grad():
        logits_TBK, _ = problem.model(batch[0])
        losses = torch.nn.functional.cross_entropy(
            logits_TBK.permute(1, 2, 0), batch[1], reduction="none"
        ).mean(dim=1)
        expected = losses if reduction == "none" else getattr(losses, reduction)()
        found, _ = problem.get_batch_loss_and_accuracy(batch, reduction)
    torch.testing.assert_close(found, expected)


def test_a_weight_decay_acts_on_matrices_alone(set_up: SetUp) -> None:
    problem = set_up("tolstoi_char_rnn", weight_decay=0.1)
    expected = 0.05 * sum(p.square().sum() for p in problem.model.parameters() if p.ndim == 2)
    torch.testing.assert_close(problem.get_regularization_loss(), expected)
    assert set_up("tolstoi_char_rnn").get_regularization_loss() == 0


def test_the_embedded_one_drops_nothing(set_up: SetUp) -> None:
    problem = set_up("excerpt_lstm")
    assert problem.model.dropout.p == problem.model.dropout_between.p == 0
    assert sum(parameter.numel() for parameter in problem.model.parameters()) == 282700
