"""A custom training loop on a test problem, without a runner.

Run it as `python examples/basic_usage.py`: it takes a few seconds and needs deepobs-core and
deepobs-vision. The data, 1797 digits of 8x8 pixels, come with scikit-learn. To train on another
problem, change its name; `deepobs list problems` shows all names.
"""

from __future__ import annotations

import torch

from deepobs.pytorch import testproblems

NUM_EPOCHS = 5


def main() -> None:
    torch.manual_seed(42)  # the initial weights and the order of the data
    tproblem = testproblems.digits_mlp(batch_size=64)
    tproblem.set_up()
    optimizer = torch.optim.SGD(tproblem.model.parameters(), lr=0.05, momentum=0.9)
    report(tproblem, epoch=0)
    for epoch in range(1, NUM_EPOCHS + 1):
        train(tproblem, optimizer)
        report(tproblem, epoch)


def train(tproblem, optimizer) -> None:
    """Train for one pass over the training set, in a new order each time."""
    tproblem.model.train()
    for batch in tproblem.dataset.train_loader:
        optimizer.zero_grad()
        losses, _ = tproblem.get_batch_loss_and_accuracy(batch)  # one loss per example
        objective = losses.mean() + tproblem.get_regularization_loss()
        objective.backward()
        optimizer.step()


@torch.no_grad()
def report(tproblem, epoch: int) -> None:
    """Print the mean of loss and accuracy over the batches of the test set."""
    tproblem.model.eval()
    loader = tproblem.dataset.test_loader
    results = [tproblem.get_batch_loss_and_accuracy(batch, reduction="mean") for batch in loader]
    loss = sum(loss.item() for loss, _ in results) / len(results)
    accuracy = sum(accuracy.item() for _, accuracy in results) / len(results)
    print(f"after epoch {epoch}: test loss {loss:.3f}, test accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
