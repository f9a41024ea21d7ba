"""Learning-rate schedules: in a runner, in a run specification, and in a custom training loop.

Run it as `python examples/schedules.py`: it takes about ten seconds and needs deepobs-core and
deepobs-vision. Results are stored in `results/schedules`.
"""

from __future__ import annotations

import torch

from deepobs.pytorch import testproblems
from deepobs.pytorch.runners import LearningRateScheduleRunner
from deepobs.runs import run, specify

OUTPUT_DIR = "results/schedules"
NUM_EPOCHS = 6


def in_a_runner() -> float:
    """Divide the rate by ten after four epochs, in the notation of the original DeepOBS."""
    runner = LearningRateScheduleRunner(torch.optim.SGD, {"lr": {"type": float}})
    record = runner.run(
        "digits_logreg",
        lr=1.0,
        lr_sched_epochs=[4],
        lr_sched_factors=[0.1],
        num_epochs=NUM_EPOCHS,
        output_dir=OUTPUT_DIR,
    )
    return record.test_accuracies[-1]


def described() -> float:
    """Use a class of `torch.optim.lr_scheduler`; its arguments may refer to the run length."""
    cosine = {"name": "CosineAnnealingLR", "arguments": {"T_max": "num_steps"}, "every": "step"}
    specification = specify(
        "digits_logreg", "SGD", {"lr": 1.0}, lr_scheduler=cosine, num_epochs=NUM_EPOCHS
    )
    return run(specification, output_dir=OUTPUT_DIR).record.test_accuracies[-1]


def in_a_loop() -> float:
    """Use a torch scheduler in a custom loop, with one step after each optimizer step."""
    torch.manual_seed(42)
    tproblem = testproblems.digits_logreg(batch_size=64)
    tproblem.set_up()
    optimizer = torch.optim.SGD(tproblem.model.parameters(), lr=0.1)
    num_steps = NUM_EPOCHS * len(tproblem.dataset.train_loader)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2.0, total_steps=num_steps)
    for _ in range(NUM_EPOCHS):
        for batch in tproblem.dataset.train_loader:
            optimizer.zero_grad()
            loss, _ = tproblem.get_batch_loss_and_accuracy(batch, reduction="mean")
            loss.backward()
            optimizer.step()
            scheduler.step()
    with torch.no_grad():
        batches = tproblem.dataset.test_loader
        accuracies = [tproblem.get_batch_loss_and_accuracy(batch)[1].item() for batch in batches]
    return sum(accuracies) / len(accuracies)


if __name__ == "__main__":
    print(f"steps at given epochs:  test accuracy {in_a_runner():.3f}")
    print(f"CosineAnnealingLR:      test accuracy {described():.3f}")
    print(f"OneCycleLR in a loop:   test accuracy {in_a_loop():.3f}")
