from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from deepobs.errors import ArgumentError, CorruptDataError, MissingDataError
from deepobs.plugins import registry
from deepobs.problems.tf_variables import (
    TFVariable,
    in_scope,
    of_flattened,
    tf_variables,
    transposed,
)
from deepobs.pytorch.tf_weights import export_tf_weights, load_tf_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class Residual(nn.Module):
    """A block whose names are those of a wide residual network's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, (3, 1), bias=False)
        self.normalization = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, (1, 5), bias=False)
        self.scale = nn.Parameter(torch.rand(2, 3))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.units = nn.ModuleList(in_scope(f"unit_{number}", Residual(4)) for number in range(2))
        self.head = nn.Sequential(nn.ConvTranspose2d(4, 6, (2, 5)), nn.ReLU(), nn.Linear(6, 7))
        self.last = in_scope("output", nn.Sequential(in_scope("inner", nn.Linear(7, 2))))


def network_problem() -> SimpleNamespace:
    """What `load_tf_weights` needs of a test problem."""
    return SimpleNamespace(model=Network())


def every_tensor(model: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


NAMES_AND_SHAPES = {
    "conv2d/kernel:0": (3, 3, 3, 4),
    "conv2d/bias:0": (4,),
    "unit_0/scale:0": (2, 3),
    "unit_0/conv2d/kernel:0": (3, 1, 4, 4),
    "unit_0/batch_normalization/gamma:0": (4,),
    "unit_0/batch_normalization/beta:0": (4,),
    "unit_0/batch_normalization/moving_mean:0": (4,),
    "unit_0/batch_normalization/moving_variance:0": (4,),
    "unit_0/conv2d_1/kernel:0": (1, 5, 4, 4),
    "unit_1/scale:0": (2, 3),
    "unit_1/conv2d/kernel:0": (3, 1, 4, 4),
    "unit_1/batch_normalization/gamma:0": (4,),
    "unit_1/batch_normalization/beta:0": (4,),
    "unit_1/batch_normalization/moving_mean:0": (4,),
    "unit_1/batch_normalization/moving_variance:0": (4,),
    "unit_1/conv2d_1/kernel:0": (1, 5, 4, 4),
    "conv2d_transpose/kernel:0": (2, 5, 6, 4),
    "conv2d_transpose/bias:0": (6,),
    "dense/kernel:0": (6, 7),
    "dense/bias:0": (7,),
    "output/inner/dense/kernel:0": (7, 2),
    "output/inner/dense/bias:0": (2,),
}


def rising_weights() -> dict[str, NDArray[np.float32]]:
    """Weights no two of which are equal."""
    weights, start = {}, 0
    for name, shape in NAMES_AND_SHAPES.items():
        size = int(np.prod(shape))
        weights[name] = np.arange(start, start + size, dtype=np.float32).reshape(shape)
        start += size
    return weights


def test_layers_count_for_each_kind_and_scope_in_the_order_of_definition() -> None:
    variables = tf_variables(Network())
    assert {variable.name: variable.shape for variable in variables} == NAMES_AND_SHAPES
    assert [variable.name for variable in variables] == list(NAMES_AND_SHAPES)


@pytest.mark.parametrize(
    "name", ["quadratic_deep", "two_d_rosenbrock", "two_d_beale", "two_d_branin"]
)
def test_the_synthetic_problems_have_the_variables_of_the_original(
    name: str, shared_dir: Path
) -> None:
    problem = registry().problems.load(name)(batch_size=8, device="cpu")
    problem.set_up()
    recorded = json.loads((shared_dir / "reference" / "variables.json").read_text())[name]
    shapes = [[name, list(array.shape)] for name, array in export_tf_weights(problem).items()]
    assert shapes == recorded["trainable"]


def test_kernels_are_moved_to_the_axes_of_tensorflow() -> None:
    problem = network_problem()
    weights = export_tf_weights(problem)
    convolution = problem.model.stem.weight[2, 1, 0, 2].item()
    transposed_convolution = problem.model.head[0].weight[3, 5, 1, 4].item()
    dense = problem.model.head[2].weight[6, 4].item()
    assert weights["conv2d/kernel:0"][0, 2, 1, 2] == convolution
    assert weights["conv2d_transpose/kernel:0"][1, 4, 5, 3] == transposed_convolution
    assert weights["dense/kernel:0"][4, 6] == dense


def test_a_dense_layer_sees_flattened_images_as_in_tensorflow() -> None:
    images, layer = torch.rand(5, 3, 2, 4), of_flattened(3, nn.Linear(24, 7))
    problem = SimpleNamespace(model=nn.Sequential(nn.Flatten(), layer))
    kernel = np.random.default_rng(0).random((24, 7), dtype=np.float32)
    load_tf_weights(problem, {"dense/kernel": kernel, "dense/bias": np.zeros(7)})
    images_BHWC = images.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(
        problem.model(images).detach(), images_BHWC.reshape(5, 24) @ kernel, rtol=1e-5
    )
    np.testing.assert_array_equal(export_tf_weights(problem)["dense/kernel:0"], kernel)


def test_what_was_loaded_is_exported_again() -> None:
    problem, weights = network_problem(), rising_weights()
    load_tf_weights(problem, weights)
    exported = export_tf_weights(problem)
    assert list(exported) == list(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(exported[name], array)
    mean = "unit_1/batch_normalization/moving_mean:0"
    assert problem.model.units[1].normalization.running_mean.tolist() == weights[mean].tolist()


def test_names_may_lack_the_number_of_the_output() -> None:
    problem, weights = network_problem(), rising_weights()
    load_tf_weights(problem, {name.removesuffix(":0"): weights[name] for name in weights})
    assert problem.model.stem.bias.tolist() == weights["conv2d/bias:0"].tolist()


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_weights_are_read_from_an_archive(kind: type, tmp_path: Path) -> None:
    problem, path, weights = network_problem(), tmp_path / "weights.npz", rising_weights()
    np.savez(path, **weights)
    load_tf_weights(problem, kind(path))
    np.testing.assert_array_equal(
        export_tf_weights(problem)["output/inner/dense/kernel:0"],
        weights["output/inner/dense/kernel:0"],
    )


def test_one_error_lists_everything_that_does_not_fit_and_nothing_changes() -> None:
    problem, weights = network_problem(), rising_weights()
    before = every_tensor(problem.model)
    del weights["unit_0/batch_normalization/moving_mean:0"]
    weights["dense_9/kernel:0"] = np.zeros((1, 2), np.float32)
    weights["dense/kernel:0"] = weights["dense/kernel:0"].T
    weights["dense/bias:0"] = np.array(list("weights"))
    weights["conv2d/bias"] = weights["conv2d/bias:0"]

    with pytest.raises(ArgumentError) as caught:
        load_tf_weights(problem, weights)

    message = str(caught.value)
    assert "missing: unit_0/batch_normalization/moving_mean of shape (4,)" in message
    assert "unexpected: dense_9/kernel of shape (1, 2)" in message
    assert "misshapen: dense/kernel must be numbers of shape (6, 7), got float32" in message
    assert "misshapen: dense/bias must be numbers of shape (7,), got <U1" in message
    assert "given with and without ':0': conv2d/bias" in message
    assert message.count("\n  ") == 5
    for tensor, old in zip(every_tensor(problem.model), before, strict=True):
        assert torch.equal(tensor, old)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no file .*nothing\.npz"):
        load_tf_weights(network_problem(), tmp_path / "nothing.npz")


@pytest.mark.parametrize("content", ["text", "single array", "cut off", "pickled objects"])
def test_a_file_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    if content == "pickled objects":
        np.savez(path, kernel=np.array([{}], dtype=object))
    else:
        np.savez(path, **rising_weights())
    if content == "text":
        path.write_text("not an archive")
    elif content == "single array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif content == "cut off":
        path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(CorruptDataError, match=r"weights\.npz: .* an \.npz file of numeric arrays"):
        load_tf_weights(network_problem(), path)


def test_arrays_of_any_precision_and_byte_order_are_taken() -> None:
    problem, weights = network_problem(), rising_weights()
    weights["dense/bias:0"] = weights["dense/bias:0"].astype(">f8")
    weights["conv2d/bias:0"] = weights["conv2d/bias:0"].astype(np.int16)
    weights["conv2d/kernel:0"].setflags(write=False)
    load_tf_weights(problem, weights)
    for name in ("dense/bias:0", "conv2d/bias:0", "conv2d/kernel:0"):
        np.testing.assert_array_equal(export_tf_weights(problem)[name], weights[name])


def test_double_precision_is_kept() -> None:
    problem = network_problem()
    problem.model.double()
    weights = {name: array + np.float64(1e-9) for name, array in rising_weights().items()}
    load_tf_weights(problem, weights)
    exported = export_tf_weights(problem)["dense/bias:0"]
    assert exported.dtype == np.float64
    np.testing.assert_array_equal(exported, weights["dense/bias:0"])


def test_a_model_in_a_type_that_numpy_lacks_is_exported_as_float32() -> None:
    problem = network_problem()
    problem.model.bfloat16()
    load_tf_weights(problem, {name: array % 256 for name, array in rising_weights().items()})
    exported = export_tf_weights(problem)["dense/kernel:0"]
    assert exported.dtype == np.float32
    np.testing.assert_array_equal(exported, rising_weights()["dense/kernel:0"] % 256)


def test_exported_arrays_share_no_memory_with_the_model() -> None:
    problem = network_problem()
    before = every_tensor(problem.model)
    for array in export_tf_weights(problem).values():
        array += 1
    for tensor, old in zip(every_tensor(problem.model), before, strict=True):
        assert torch.equal(tensor, old)


def test_gradients_are_exported_in_the_layout_of_the_weights() -> None:
    problem = network_problem()
    trainable = [v for v in tf_variables(problem.model) if v.is_trainable]
    # The gradient of half the sum of squares is the weight itself.
    (0.5 * sum(v.tensors[0].square().sum() for v in trainable)).backward()
    weights, gradients = export_tf_weights(problem), export_tf_weights(problem, gradients=True)
    assert list(gradients) == [name for name in NAMES_AND_SHAPES if "moving" not in name]
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, weights[name], rtol=1e-6)


def test_a_gradient_that_is_not_there_is_named() -> None:
    problem = network_problem()
    problem.model.stem.weight.sum().backward()
    with pytest.raises(ArgumentError, match=r"conv2d/bias:0 has no gradient\. Call backward"):
        export_tf_weights(problem, gradients=True)


def test_a_problem_that_was_not_set_up_is_refused() -> None:
    problem = registry().problems.load("quadratic_deep")(batch_size=8, device="cpu")
    with pytest.raises(ArgumentError, match=r"Call its set_up\(\) first"):
        export_tf_weights(problem)


class Recurrent(nn.Module):
    """Names its own variables: one kernel of the original is two tensors here."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(2, 3, bias=False)

    def tf_variables(self) -> Sequence[TFVariable]:
        kernel = TFVariable(
            "cell/kernel:0",
            (self.cell.weight_ih, self.cell.weight_hh),
            join=lambda inputs, hidden: torch.cat((inputs, hidden), dim=1).T,
            split=lambda kernel: kernel.T.split((2, 3), dim=1),
        )
        return [kernel]


@pytest.mark.parametrize("owner", ["model", "problem"])
def test_a_model_or_a_problem_may_name_its_own_variables(owner: str) -> None:
    model = Recurrent()
    problem = SimpleNamespace(model=model)
    if owner == "problem":
        problem = SimpleNamespace(model=model.cell, tf_variables=model.tf_variables)
    kernel = np.arange(15, dtype=np.float32).reshape(5, 3)
    load_tf_weights(problem, {"cell/kernel": kernel})
    np.testing.assert_array_equal(model.cell.weight_hh.detach().numpy(), kernel[2:].T)
    np.testing.assert_array_equal(export_tf_weights(problem)["cell/kernel:0"], kernel)


def test_axes_go_back_to_where_they_came_from() -> None:
    tensor = torch.rand(2, 3, 4, 5)
    variable = transposed("kernel:0", tensor, (3, 0, 2, 1))
    assert variable.shape == (5, 2, 4, 3)
    assert torch.equal(*variable.split(variable.join(tensor)), tensor)
