"""Per-example gradients, their variance, and curvature with BackPACK.

Run it as `python examples/backpack_extensions.py`: it takes a few seconds and needs deepobs-core,
deepobs-vision and `pip install backpack-for-pytorch`.

BackPACK supports specific layer classes: docs/guides/gradient_libraries.md says which of its
extensions work on which problems.
"""

from __future__ import annotations

import warnings

import torch
from backpack import backpack, extend
from backpack.extensions import BatchGrad, DiagGGNExact, Variance

from deepobs.pytorch import testproblems

# torch warns about every model whose inputs need no gradient; BackPACK needs none, either.
warnings.filterwarnings("ignore", message="Full backward hook is firing")


def main() -> None:
    torch.manual_seed(42)
    tproblem = testproblems.digits_2c2d(batch_size=64)
    tproblem.set_up()
    extend(tproblem.model)
    extend(tproblem.loss_function)
    batch = next(iter(tproblem.dataset.train_loader))
    first_order(tproblem, batch)
    second_order(tproblem, batch)


def first_order(tproblem, batch) -> None:
    """Per-example gradients and their variance, for each tensor of the model."""
    # The sum of the losses: for the mean, BackPACK would divide each gradient by the batch size.
    loss, _ = tproblem.get_batch_loss_and_accuracy(batch, reduction="sum")
    with backpack(BatchGrad(), Variance()):
        loss.backward()
    for name, parameter in tproblem.model.named_parameters():
        gradient = parameter.grad / len(parameter.grad_batch)
        difference = (parameter.grad_batch.mean(dim=0) - gradient).abs().max()
        noise = parameter.variance.sum().sqrt() / gradient.norm()
        print(f"{name}: mean differs from the gradient by {difference:.0e}, noise {noise:.1f}")


def second_order(tproblem, batch) -> None:
    """The diagonal of the Gauss-Newton matrix, for which the loss is an extended module, too."""
    images, labels = batch
    loss = tproblem.loss_function(tproblem.model(images), labels)
    with backpack(DiagGGNExact()):
        loss.backward()
    trace = sum(parameter.diag_ggn_exact.sum() for parameter in tproblem.model.parameters())
    print(f"trace of the Gauss-Newton matrix: {trace:.2f}")


if __name__ == "__main__":
    main()
