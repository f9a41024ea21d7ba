"""excerpt_gpt and tolstoi_gpt: equal to torch's encoder layers, and of their source's sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepobs.plugins import registry
from deepobs.runs.stacked_models import PackingError, check_packing
from deepobs.runs.whole_batch_draws import WholeBatchDraws
from deepobs_text.transformer import TransformerNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from deepobs_text.transformer import Transformer

    SetUp = Callable[..., Transformer]

NAMES = ("excerpt_gpt", "tolstoi_gpt")


class EncoderLayers(nn.Module):
    """The same network of torch's layers, with the same weights."""

    def __init__(self, network: TransformerNetwork) -> None:
        super().__init__()
        self.embedding, self.positions = network.embedding, network.positions
        width, bias = network.embedding.embedding_dim, network.norm.bias is not None
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                block.attention.heads,
                4 * width,
                dropout=0.0,
                activation=F.gelu,
                batch_first=True,
                norm_first=True,
                bias=bias,
            )
            for block in network.blocks
        )
        for layer, block in zip(self.layers, network.blocks, strict=True):
            layer.norm1, layer.norm2 = block.attention_norm, block.perceptron_norm
            layer.linear1, layer.linear2 = block.perceptron.widening, block.perceptron.to_residual
            layer.self_attn.in_proj_weight = block.attention.query_key_value.weight
            layer.self_attn.in_proj_bias = block.attention.query_key_value.bias
            layer.self_attn.out_proj = block.attention.to_residual
        self.norm = network.norm

    def forward(self, ids_BT: Tensor) -> Tensor:
        length = ids_BT.shape[1]
        features_BTD = self.embedding(ids_BT) + self.positions(torch.arange(length))
        mask_TT = nn.Transformer.generate_square_subsequent_mask(length)
        for layer in self.layers:
            features_BTD = layer(features_BTD, src_mask=mask_TT, is_causal=True)
        return self.norm(features_BTD) @ self.embedding.weight.T


def outputs_and_gradients(network: nn.Module, ids_BT: Tensor) -> dict[Any, Tensor]:
    """The logits, and the gradient of each parameter by its identity."""
    network.zero_grad()
    logits = network(ids_BT)
    F.cross_entropy(logits[:, :-1].flatten(0, 1), ids_BT[:, 1:].flatten()).backward()
    return {"logits": logits.detach(), **{id(p): p.grad.clone() for p in network.parameters()}}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("trains", [True, False])
def test_outputs_and_gradients_are_those_of_torchs_encoder_layers(bias: bool, trains: bool) -> None:
    torch.manual_seed(0)
    network = TransformerNetwork(76, 64, features=96, heads=3, blocks=4, bias=bias)
    # Larger weights than initial ones, so that attention is not almost uniform.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    reference = EncoderLayers(network)
    ids = torch.randint(76, (3, 64))
    found = outputs_and_gradients(network.train(trains), ids)
    expected = outputs_and_gradients(reference.train(trains), ids)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        scale = expected[name].abs().max()
        assert (value - expected[name]).abs().max() <= 1e-6 * scale.clamp(min=1), name


def test_dropout_of_weights_computes_the_same_attention_where_nothing_is_dropped() -> None:
    torch.manual_seed(0)
    network = TransformerNetwork(76, 32, dropout=1e-12)
    ids = torch.randint(76, (3, 32))
    with torch.no_grad():
        torch.testing.assert_close(network.train()(ids), network.eval()(ids))


def test_the_parameters_are_as_many_as_those_of_the_source() -> None:
    # nanoGPT prints "number of parameters: 10.65M" for its 65 characters, without positions.
    options: dict[str, Any] = dict(registry().problems.offer("tolstoi_gpt").spec.options)
    context = options.pop("sequence_length")
    del options["shuffles"]
    network = TransformerNetwork(65, context, **options)
    counted = sum(p.numel() for p in network.parameters()) - network.positions.weight.numel()
    assert counted == 10646784


@pytest.mark.parametrize(("name", "count"), [("excerpt_gpt", 805504), ("tolstoi_gpt", 10752000)])
def test_sizes(name: str, count: int, set_up: SetUp) -> None:
    problem = set_up(name)
    assert sum(parameter.numel() for parameter in problem.model.parameters()) == count
    assert not [name for name, _ in problem.model.named_parameters() if name.endswith("bias")]


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_as_gpt_2_does(name: str, set_up: SetUp) -> None:
    torch.manual_seed(0)
    problem = set_up(name, batch_size=2)
    residual_scale = 0.02 / math.sqrt(2 * len(problem.model.blocks))
    for parameter_name, parameter in problem.model.named_parameters():
        if parameter.ndim == 2:
            scale = residual_scale if "to_residual" in parameter_name else 0.02
            assert parameter.std().item() == pytest.approx(scale, rel=0.05), parameter_name
        else:
            assert (parameter == 1).all(), parameter_name
    losses = problem.get_batch_loss(next(iter(problem.dataset.test_loader)))
    expected = math.log(problem.dataset.num_symbols)
    assert losses.tolist() == pytest.approx([expected] * 2, abs=0.2)


def test_matrices_decay_and_scales_do_not(set_up: SetUp) -> None:
    problem = set_up("excerpt_gpt")
    decayed, others = problem.parameter_groups()
    assert all(parameter.ndim == 2 for parameter in decayed["params"])
    assert [parameter.ndim for parameter in others["params"]] == [1] * 9
    assert others["weight_decay"] == 0.0


def test_a_fifth_is_dropped_in_training_and_nothing_in_evaluation(set_up: SetUp) -> None:
    problem = set_up("tolstoi_gpt", batch_size=1)
    layers = [layer for layer in problem.model.modules() if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in layers] == [0.2] * len(layers)
    batch = next(iter(problem.dataset.test_loader))
    with torch.no_grad():
        problem.model.eval()
        assert torch.equal(problem.get_batch_loss(batch), problem.get_batch_loss(batch))
        problem.model.train()
        assert not torch.equal(problem.get_batch_loss(batch), problem.get_batch_loss(batch))


def test_divided_batches_have_the_masks_of_whole_ones() -> None:
    torch.manual_seed(0)
    network = TransformerNetwork(76, 16, dropout=0.3).train()
    ids = torch.randint(76, (6, 16))
    torch.manual_seed(1)
    whole = network(ids)
    for rows in (slice(0, 3), slice(3, 6)):
        torch.manual_seed(1)
        with WholeBatchDraws(rows, 6):
            torch.testing.assert_close(network(ids[rows]), whole[rows])


@pytest.mark.parametrize("name", NAMES)
def test_runs_can_be_trained_as_one_batched_model(name: str, set_up: SetUp) -> None:
    check_packing(set_up(name, batch_size=2))


def test_the_recurrent_one_is_not_packed(set_up: SetUp) -> None:
    with pytest.raises(PackingError, match="carries state from batch to batch"):
        check_packing(set_up("excerpt_lstm"))
