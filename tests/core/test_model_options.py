"""Models in mixed precision, with channels last, and compiled."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from small_classifier import Classifier
from torch import nn

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.runs import run, specify
from deepobs.runs.assembly import set_up_problem
from deepobs.runs.environment import reproducible
from deepobs.runs.evaluation import evaluate


class OfImages(Classifier):
    """Sees points as images of two channels, and remembers what its model saw and returned."""

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        points, classes = batch
        outputs = self.model(points[:, :, None, None].expand(-1, -1, 2, 2))
        self.output_type = outputs.dtype
        accuracy = (outputs.argmax(dim=1) == classes).float().mean()
        return nn.functional.cross_entropy(outputs, classes, reduction=reduction), accuracy


class OfPieces(OfImages):
    """Calls the layers of its model one by one."""

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        whole, self.model = self.model, lambda images: self._by_layers(images)
        try:
            return super().get_batch_loss_and_accuracy(batch, reduction)
        finally:
            self.model = whole

    def _by_layers(self, outputs: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            outputs = layer(outputs)
        return outputs

    def set_up(self) -> None:
        super().set_up()
        self.layers = list(self.model)


class OfPoint(Classifier):
    """Has a model that holds a parameter and has no `forward`."""

    def network(self) -> nn.Module:
        model = nn.Module()
        model.point = nn.Parameter(torch.zeros(2))
        return model

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        losses = (batch[0] - self.model.point).square().sum(dim=1)
        return losses.mean() if reduction == "mean" else losses, None


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("is_training", [True, False])
def test_the_model_alone_is_evaluated_in_a_narrow_type(precision: str, is_training: bool) -> None:
    inside: list[torch.dtype] = []
    specification = specify(OfImages, "SGD", {"lr": 0.1}, precision=precision, device="cpu")
    with reproducible(specification):
        problem: Any = set_up_problem(specification)
        problem.model[-1].register_forward_hook(
            lambda _layer, _inputs, output: inside.append(output.dtype)
        )
        problem.model.train(is_training)
        batch = next(iter(problem.dataset.train_loader))
        loss, _ = problem.get_batch_loss_and_accuracy(batch, "mean")
        loss.backward()
    assert inside == [torch.bfloat16 if precision == "bf16" else torch.float16]
    assert problem.output_type == loss.dtype == torch.float32
    assert {one.dtype for one in problem.model.parameters()} == {torch.float32}
    assert {one.grad.dtype for one in problem.model.parameters()} == {torch.float32}


def test_runs_in_mixed_precision_are_recorded_as_such() -> None:
    plain, mixed = (
        run(specify(OfImages, "SGD", {"lr": 0.1}, num_epochs=3, precision=one)).record
        for one in (None, "bf16")
    )
    assert "precision" not in plain.training_params
    assert mixed.training_params["precision"] == "bf16"
    assert mixed.dtype == "float32"
    assert mixed.test_losses != plain.test_losses
    assert mixed.test_losses == pytest.approx(plain.test_losses, rel=0.05)


def test_mixed_precision_is_of_single_precision() -> None:
    config.set_dtype(torch.float64)
    with pytest.raises(ArgumentError, match="precision=bf16 evaluates a float32 model in a smal"):
        specify("quadratic_deep", "SGD", precision="bf16")


def test_kernels_and_images_have_their_channels_last() -> None:
    seen: list[bool] = []
    options = {"channels_last": True, "batch_size": 10, "num_epochs": 2, "device": "cpu"}
    specification = specify(OfImages, "SGD", {"lr": 0.1}, **options)
    with reproducible(specification):
        problem = set_up_problem(specification)
        problem.model[0].register_forward_pre_hook(
            lambda _layer, inputs: seen.append(
                inputs[0].is_contiguous(memory_format=torch.channels_last)
            )
        )
        evaluate(problem)
    assert set(seen) == {True}
    assert problem.model[0].weight.is_contiguous(memory_format=torch.channels_last)
    plain = run(specify(OfImages, "SGD", {"lr": 0.1}, **options | {"channels_last": False})).record
    assert run(specification).record.test_losses == pytest.approx(plain.test_losses, rel=1e-5)


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        ("quadratic_deep", {"channels_last": True}, "no convolution of images, so channels_last"),
        (OfPoint, {"precision": "bf16"}, "a model that is never called, so precision=bf16"),
        (OfPoint, {"compile_mode": "default"}, "never called, so compile_mode=default"),
        (OfPieces, {"precision": "bf16"}, "never calls its model as a whole, so precision=bf16"),
        (OfPieces, {"channels_last": True}, "never calls its model as a whole, so channels_last"),
    ],
)
def test_an_option_without_an_effect_is_refused(
    problem: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        run(specify(problem, "SGD", {"lr": 0.1}, **options))


class Narrow(OfImages):
    """Has a layer that torch cannot evaluate in the narrow type."""

    def network(self) -> nn.Module:
        class Refusing(nn.Module):
            def forward(self, features: torch.Tensor) -> torch.Tensor:
                if features.dtype == torch.bfloat16:
                    raise RuntimeError("not implemented for BFloat16")
                return features

        return nn.Sequential(*super().network(), Refusing())


def test_a_model_that_cannot_be_evaluated_in_a_type_is_refused_with_the_reason() -> None:
    with pytest.raises(ArgumentError, match="cannot be evaluated in bf16 on cpu: RuntimeError: no"):
        run(specify(Narrow, "SGD", {"lr": 0.1}, precision="bf16", device="cpu"))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_model_trains_alike_and_its_compilation_is_measured_apart() -> None:
    options = {"batch_size": 125, "num_epochs": 2, "device": "cpu"}
    specification = specify("quadratic_deep", "SGD", {"lr": 0.01}, **options)
    plain = run(specification).record
    compiled = run(specification.model_copy(update={"compile_mode": "default"})).record
    assert compiled.test_losses == pytest.approx(plain.test_losses, rel=1e-5)
    assert compiled.training_params["compile_mode"] == "default"
    assert plain.compile_seconds is None
    assert compiled.compile_seconds > compiled.train_seconds[0] + compiled.eval_seconds[0]
    # Another run in the same process compiles anew, and says so.
    mixed = run(
        specification.model_copy(update={"compile_mode": "default", "precision": "bf16"})
    ).record
    assert mixed.compile_seconds > 0
    assert mixed.test_losses == pytest.approx(plain.test_losses, rel=0.05)


def test_a_compiler_that_is_switched_off_is_noticed() -> None:
    import torch._dynamo as dynamo

    specification = specify("quadratic_deep", "SGD", {"lr": 0.01}, compile_mode="default")
    with (
        dynamo.config.patch(disable=True),
        pytest.raises(ArgumentError, match=r"a model that torch\.compile did not compile"),
    ):
        run(specification)
