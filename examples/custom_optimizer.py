"""A custom optimizer, benchmarked with a runner that writes a result file for each run.

Run it as `python examples/custom_optimizer.py`: it takes about ten seconds and needs deepobs-core
and deepobs-vision. Results are stored in `results/custom_optimizer`; finished runs are skipped the
next time. The equivalent command, in the directory of this file, is

    deepobs run digits_logreg custom_optimizer:SignMomentum --lr 0.01 -o momentum=0.9 --epochs 5
"""

from __future__ import annotations

import torch

from deepobs.pytorch.runners import StandardRunner

OUTPUT_DIR = "results/custom_optimizer"


class SignMomentum(torch.optim.Optimizer):
    """Steps of equal size along the sign of a running mean of the gradient.

    Args:
        params: Parameters, or groups of them.
        lr: Step size in every coordinate.
        momentum: Decay factor of the running mean, from 0 to 1.
    """

    def __init__(self, params, lr: float, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                state["mean"].lerp_(parameter.grad, 1 - group["momentum"])
                parameter.sub_(state["mean"].sign(), alpha=group["lr"])


def main() -> None:
    runner = StandardRunner(
        SignMomentum, {"lr": {"type": float}, "momentum": {"type": float, "default": 0.9}}
    )
    quadratic = runner.run("quadratic_deep", lr=0.01, num_epochs=10, output_dir=OUTPUT_DIR)
    print(f"quadratic_deep: test loss from {quadratic.test_losses[0]:.1f}", end=" ")
    print(f"to {quadratic.test_losses[-1]:.1f}")
    for momentum in (0.0, 0.9):
        digits = runner.run(
            "digits_logreg", lr=0.01, momentum=momentum, num_epochs=5, output_dir=OUTPUT_DIR
        )
        print(f"digits_logreg, momentum {momentum}: test accuracy {digits.test_accuracies[-1]:.3f}")


if __name__ == "__main__":
    main()
