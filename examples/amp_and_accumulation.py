"""Mixed precision and gradient accumulation in a custom training loop.

Four batches of 16 make one step of 64. Parameters stay in float32; the model computes in bfloat16
where autocast considers that safe. The L2 regularizer of the problem belongs to a step and not to a
batch. Run it as `python examples/amp_and_accumulation.py`: it takes a few seconds, uses a GPU if
one is available, and needs deepobs-core and deepobs-vision.
"""

from __future__ import annotations

import itertools

import torch

from deepobs.pytorch import testproblems

PARTS, PART_SIZE = 4, 16


def main() -> None:
    torch.manual_seed(42)
    tproblem = testproblems.digits_logreg(batch_size=PART_SIZE, weight_decay=1e-3)
    tproblem.set_up()
    optimizer = torch.optim.SGD(tproblem.model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(1, 6):
        tproblem.model.train()
        batches = iter(tproblem.dataset.train_loader)
        # An incomplete group of batches at the end of a pass is dropped.
        while len(parts := list(itertools.islice(batches, PARTS))) == PARTS:
            optimizer.zero_grad()
            accumulate(tproblem, parts)
            optimizer.step()
        print(f"after epoch {epoch}: test accuracy {test_accuracy(tproblem):.3f}")


def accumulate(tproblem, parts) -> None:
    """Accumulate in `grad` the gradient of the mean loss of all parts plus the regularizer."""
    for part in parts:
        with torch.autocast(tproblem.device.type, dtype=torch.bfloat16):
            losses, _ = tproblem.get_batch_loss_and_accuracy(part)
        # Divide by all examples of the step, so that the gradients add up to that of the mean.
        (losses.float().sum() / (len(parts) * len(losses))).backward()
    # Once per step and in full precision; in every part it would count `len(parts)` times.
    tproblem.get_regularization_loss().backward()


@torch.no_grad()
def test_accuracy(tproblem) -> float:
    """The accuracy on the test set, evaluated in full precision."""
    tproblem.model.eval()
    batches = tproblem.dataset.test_loader
    accuracies = [tproblem.get_batch_loss_and_accuracy(batch)[1] for batch in batches]
    return torch.stack(accuracies).mean().item()


if __name__ == "__main__":
    main()
