"""The largest eigenvalue of the Hessian along training, with curvlinops.

Run it as `python examples/curvature_along_training.py`: it takes up to half a minute and needs
deepobs-core, deepobs-vision and `pip install curvlinops-for-pytorch`.

Gradient descent with learning rate `lr` is stable where the largest eigenvalue is below `2 / lr`.
It is seen to rise to about that limit and to stay near it (Cohen et al., "Gradient Descent on
Neural Networks Typically Occurs at the Edge of Stability", ICLR 2021).
"""

from __future__ import annotations

import warnings

# A package that curvlinops imports calls it.
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")

import torch  # noqa: E402
from curvlinops import HessianLinearOperator  # noqa: E402
from scipy.sparse.linalg import eigsh  # noqa: E402

from deepobs.pytorch import testproblems  # noqa: E402

LR = 0.2
EPOCHS = 15


def main() -> None:
    torch.manual_seed(42)
    tproblem = testproblems.digits_mlp(batch_size=64)
    tproblem.set_up()
    examples = tproblem.dataset.train_eval_loader.dataset
    images, labels = next(iter(torch.utils.data.DataLoader(examples, batch_size=256)))
    optimizer = torch.optim.SGD(tproblem.model.parameters(), lr=LR)
    for epoch in range(EPOCHS + 1):
        if epoch % 3 == 0:
            sharpness = largest_eigenvalue(tproblem, images, labels)
            print(f"epoch {epoch}: largest eigenvalue {sharpness:.2f}, limit {2 / LR:.2f}")
        for batch in tproblem.dataset.train_loader:
            optimizer.zero_grad()
            tproblem.get_batch_loss(batch, "mean").backward()
            optimizer.step()


def largest_eigenvalue(tproblem, images, labels) -> float:
    """The largest eigenvalue of the Hessian of the mean loss, by products with vectors."""
    parameters = list(tproblem.model.parameters())
    data = [(images, labels)]
    hessian = HessianLinearOperator(tproblem.model, tproblem.loss_function, parameters, data)
    (value,) = eigsh(hessian.to_scipy(), k=1, which="LA", tol=1e-2, return_eigenvectors=False)
    return float(value)


if __name__ == "__main__":
    main()
