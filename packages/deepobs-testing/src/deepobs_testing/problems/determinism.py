"""Whether a seed decides about everything, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_testing.generators import OTHER_SEED, SEED
from deepobs_testing.numbers import same, same_numbers
from deepobs_testing.problems.losses import need_losses
from deepobs_testing.problems.start import same_batches, tensors_of
from deepobs_testing.problems.training import BATCHES, first_batches, trajectory
from deepobs_testing.verdicts import require, skip

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs_testing.problems.subject import Subject

_LOOKS_DRAWN = 8
"""A tensor of more different values than this was not filled with a constant."""


def the_same_seed_gives_the_same_weights_and_batches(subject: Subject) -> None:
    """Building it twice in one process gives the same tensors."""
    problem, again = subject.at_start(), subject.again_at_start()
    weights, others = tensors_of(problem.model), tensors_of(again.model)
    different = [
        name
        for name in weights.keys() | others.keys()
        if name not in weights or name not in others or not same(weights[name], others[name])
    ]
    require(
        not different,
        f"Set up twice with the seed {SEED}, the models differ in {', '.join(sorted(different))}.",
        "Draw initial weights with torch's global generator, in an order that is always the same.",
    )
    batches = first_batches(subject.at_start()), first_batches(subject.again_at_start())
    for number, pair in enumerate(zip(*batches, strict=True), start=1):
        require(
            same_batches(*pair),
            f"Set up twice with the seed {SEED}, training batch {number} differs.",
            "Seed the order of the data from torch's global generator; "
            "deepobs.data.TensorLoader and deepobs.data.BaseDataSet.generator do that.",
        )


def the_same_seed_gives_the_same_training(subject: Subject) -> None:
    """Steps of SGD from the same seed have the same losses, to the bit on a CPU."""
    need_losses(subject)
    first, second = subject.trajectory, trajectory(subject.again_at_start())
    subject.again_was_trained()
    require(
        same_numbers(first, second),
        f"{BATCHES} steps of SGD have the losses {first}, and {second} after another set_up with "
        f"the seed {SEED}.",
        "Something random does not follow torch.manual_seed, or set_up leaves a trace in the "
        "class or the process.",
    )


def another_seed_gives_other_weights(subject: Subject) -> None:
    """Weights that look drawn differ from seed to seed."""
    weights, others = tensors_of(subject.at_start().model), tensors_of(subject.other.model)
    differ = any(not same(weights[name], others[name]) for name in weights if name in others)
    drawn = [n for n, t in subject.problem.model.named_parameters() if _looks_drawn(t)]
    if not (differ or drawn):
        skip("Its initial weights are the same for every seed and look like constants")
    require(
        differ,
        f"The seeds {SEED} and {OTHER_SEED} give the same weights, although those of "
        f"{', '.join(drawn[:1])} look random.",
        "Draw them with torch's global generator and do not call torch.manual_seed yourself: runs "
        "with several seeds would all be the same.",
    )


def set_up_leaves_the_seed_to_the_caller(subject: Subject) -> None:
    """What is drawn after `set_up` depends on the seed before it."""
    subject.problem, subject.other  # noqa: B018 # whose set_up leaves the numbers
    first, second = (subject.numbers_after_set_up[seed] for seed in (SEED, OTHER_SEED))
    for name, seeded in {
        "torch.rand": "torch.manual_seed",
        "numpy.random.random": "numpy.random.seed",
        "random.random": "random.seed",
    }.items():
        require(
            first[name] != second[name],
            f"After set_up, {name} gives {first[name]:.6f} whether {seeded} was called with {SEED} "
            f"or {OTHER_SEED} before.",
            f"Do not call {seeded} in a problem: it makes all that follows the same for every "
            "seed. Give what must be fixed a generator of its own.",
        )


def _looks_drawn(tensor: Tensor) -> bool:
    return len(set(tensor.detach().flatten()[:1000].tolist())) > _LOOKS_DRAWN
