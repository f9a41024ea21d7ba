"""The largest eigenvalue of the Hessian along training, with curvlinops.

Run it as `python examples/curvature_along_training.py`: it takes some ten seconds and needs
deepobs-core, deepobs-vision, SciPy and `pip install curvlinops-for-pytorch`.

Gradient descent with learning rate `lr` is stable where the largest eigenvalue is below `2 / lr`.
On whole batches it is seen to rise to that limit and to stay there (Cohen et al., "Gradient Descent
on Neural Networks Typically Occurs at the Edge of Stability", ICLR 2021).
"""

from __future__ import annotations

import torch
from curvlinops import HessianLinearOperator
from scipy.sparse.linalg import eigsh

from deepobs.pytorch import testproblems

LR = 0.5
EPOCHS = 60


def main() -> None:
    torch.manual_seed(42)
    # One batch with all training examples: the loss and its Hessian are those of the whole set.
    tproblem = testproblems.digits_mlp(batch_size=1437)
    tproblem.set_up()
    optimizer = torch.optim.SGD(tproblem.model.parameters(), lr=LR)
    for epoch in range(EPOCHS + 1):
        for images, labels in tproblem.dataset.train_loader:
            if epoch % 10 == 0:
                sharpness = largest_eigenvalue(tproblem, images, labels)
                print(f"epoch {epoch}: largest eigenvalue {sharpness:.2f}, limit {2 / LR:.2f}")
            optimizer.zero_grad()
            tproblem.loss_function(tproblem.model(images), labels).backward()
            optimizer.step()


def largest_eigenvalue(tproblem, images, labels) -> float:
    """The largest eigenvalue of the Hessian of the mean loss, by products with vectors."""
    parameters = dict(tproblem.model.named_parameters())
    hessian = HessianLinearOperator(
        tproblem.model, tproblem.loss_function, parameters, [(images, labels)]
    )
    (value,) = eigsh(hessian.to_scipy(), k=1, which="LA", tol=1e-2, return_eigenvectors=False)
    return float(value)


if __name__ == "__main__":
    main()
