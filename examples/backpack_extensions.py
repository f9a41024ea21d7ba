"""More than the gradient, with BackPACK: gradients of single examples, their variance, curvature.

Run it as `python examples/backpack_extensions.py`: it takes a few seconds and needs deepobs-core,
deepobs-vision and `pip install backpack-for-pytorch`.

BackPACK knows layers by their class. First-order extensions (BatchGrad, Variance, ...) work on all
image classifiers, on wide ResNets and Inception in evaluation mode; second-order ones (DiagGGN,
KFAC, ...) on the logreg and mlp problems. examples/README.md says why, and what to do elsewhere.
"""

from __future__ import annotations

import warnings

import torch
from backpack import backpack, extend
from backpack.extensions import BatchGrad, DiagGGNExact, Variance
from torch import nn

from deepobs.pytorch import testproblems

# torch says so of every model whose inputs have no gradient; BackPACK does not need it.
warnings.filterwarnings("ignore", message="Full backward hook is firing")


def main() -> None:
    torch.manual_seed(42)
    tproblem = testproblems.digits_mlp(batch_size=64)
    tproblem.set_up()
    extend(tproblem.model)
    batch = next(iter(tproblem.dataset.train_loader))
    first_order(tproblem, batch)
    second_order(tproblem, batch)


def first_order(tproblem, batch) -> None:
    """Gradients of single examples, and how much they differ, in each tensor of the model."""
    # Of the sum of losses: of their mean, BackPACK divides each gradient by the number of examples.
    loss, _ = tproblem.get_batch_loss_and_accuracy(batch, reduction="sum")
    with backpack(BatchGrad(), Variance()):
        loss.backward()
    for name, parameter in tproblem.model.named_parameters():
        gradient = parameter.grad / len(parameter.grad_batch)
        difference = (parameter.grad_batch.mean(dim=0) - gradient).abs().max()
        noise = parameter.variance.sum().sqrt() / gradient.norm()
        print(f"{name}: mean differs from the gradient by {difference:.0e}, noise {noise:.1f}")


def second_order(tproblem, batch) -> None:
    """The diagonal of the Gauss-Newton matrix: BackPACK must see the loss as a module, too."""
    images, labels = batch
    loss = extend(nn.CrossEntropyLoss())(tproblem.model(images), labels)
    with backpack(DiagGGNExact()):
        loss.backward()
    trace = sum(parameter.diag_ggn_exact.sum() for parameter in tproblem.model.parameters())
    print(f"trace of the Gauss-Newton matrix: {trace:.2f}")


if __name__ == "__main__":
    main()
