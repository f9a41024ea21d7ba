"""Time of a training step of a recurrent problem, relative to two hand-written loops.

One loop calls the same model, the other an nn.LSTM of two layers with torch's dropout between them.
Both carry the state explicitly and read the same batches of the same text. The timings alternate
many times in this process, a few steps each, without evaluation. The text is synthetic, but has
full size.
"""

from __future__ import annotations

import argparse
import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepobs import config
from deepobs.plugins import registry
from deepobs.runs.estimate import Spread
from deepobs.runs.timing import time_in_turn
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from deepobs.protocols import TestProblem
    from deepobs.runs.timing import Work

LEARNING_RATE = 0.1
LIMITS = {"same modules": 1.05, "nn.LSTM": 1.1}
"""Largest ratios of the times of a run and of these loops."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problem", nargs="?", default="tolstoi_char_rnn", metavar="PROBLEM")
    parser.add_argument("--seconds", type=float, default=40, help="time to spend [default: 40]")
    arguments = parser.parse_args()
    config.set_fake_data(True)
    torch.manual_seed(42)
    problem, same = (set_up(arguments.problem) for _ in range(2))
    dropout = problem.model.dropout.p
    plain = PlainLSTM(problem.dataset.num_symbols, dropout).to(problem.device)
    loops = {
        "run": run_loop(problem),
        "same modules": hand_written_loop(same.model, problem),
        "nn.LSTM": hand_written_loop(plain, problem),
    }
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.problem}")
    rivals = list(loops.values())
    _, rounds = time_in_turn(rivals, seconds=arguments.seconds, device=problem.device)
    report({name: [taken[rival] for taken in rounds] for rival, name in enumerate(loops)})


def report(seconds: dict[str, list[float]]) -> None:
    for name, taken in seconds.items():
        print(f"{name:<13} {1000 * Spread.of(taken).median:>8.3f} ms")
    for name, limit in LIMITS.items():
        pairs = zip(seconds["run"], seconds[name], strict=True)
        ratio = Spread.of(run / other for run, other in pairs)
        print(
            f"run over {name:<13} {ratio.median:.3f}, "
            f"middle half {ratio.low:.3f} to {ratio.high:.3f}; at most {limit}"
        )


def set_up(name: str) -> TestProblem:
    problem_class = registry().problems.load(name)
    problem: TestProblem = problem_class(problem_class.spec.batch_size)
    problem.set_up()
    return problem


def run_loop(problem: TestProblem) -> Work:
    """Steps of the run loop, including loading."""
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=LEARNING_RATE)
    trainer = Trainer(problem, optimizer)
    batches = itertools.chain.from_iterable(itertools.repeat(problem.dataset.train_loader))
    problem.model.train()
    return lambda steps: trainer.take_steps(itertools.islice(batches, steps))


def hand_written_loop(model: nn.Module, problem: TestProblem) -> Work:
    """Hand-written steps on preloaded batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    loaded = itertools.cycle(list(itertools.islice(problem.dataset.train_loader, 100)))
    state = None
    model.train()

    def take(steps: int) -> None:
        nonlocal state
        for ids, next_ids in itertools.islice(loaded, steps):
            optimizer.zero_grad()
            logits, state = model(ids, state)
            state = tuple(detached(part) for part in state)
            F.cross_entropy(logits.flatten(0, 1), next_ids.t().flatten()).backward()
            optimizer.step()

    return take


def detached(state: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    if isinstance(state, Tensor):
        return state.detach()
    return tuple(part.detach() for part in state)


class PlainLSTM(nn.Module):
    """The usual model of torch for the same purpose."""

    def __init__(self, num_symbols: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, 128)
        self.lstm = nn.LSTM(128, 128, num_layers=2, dropout=dropout)
        self.output = nn.Linear(128, num_symbols)

    def forward(
        self, ids_BT: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute the logits (T, B, symbols) and the final state."""
        features, end = self.lstm(self.embedding(ids_BT.t()), state)
        return self.output(features), end


if __name__ == "__main__":
    main()
