"""The hidden state of tolstoi_char_rnn, as its user sees it."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest
import torch

from deepobs.runs.evaluation import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs_text.char_rnn import CharRNN

    SetUp = Callable[..., CharRNN]


@pytest.fixture
def problem(set_up: SetUp) -> CharRNN:
    torch.manual_seed(0)
    problem = set_up("tolstoi_char_rnn", batch_size=4)
    problem.model.eval()
    return problem


def losses_of(problem: CharRNN, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    with torch.no_grad():
        return problem.get_batch_loss_and_accuracy(batch)[0]


def leave_out_dropout(problem: CharRNN) -> None:
    problem.model.dropout.p = problem.model.dropout_between.p = 0.0


def first_batches(problem: CharRNN, count: int) -> list[tuple[torch.Tensor, ...]]:
    return [batch for batch, _ in zip(problem.dataset.test_loader, range(count), strict=False)]


def at_once(problem: CharRNN, batches: list[tuple[torch.Tensor, ...]]) -> torch.Tensor:
    """The losses of each batch if all of them are read as one long sequence."""
    ids, next_ids = (torch.cat(parts, dim=1) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        logits, _ = problem.model(ids)
    losses = torch.nn.functional.cross_entropy(logits.permute(1, 2, 0), next_ids, reduction="none")
    return losses.unflatten(1, (len(batches), -1)).mean(dim=2).T


def test_the_state_is_carried_from_batch_to_batch(problem: CharRNN) -> None:
    batches = first_batches(problem, 3)
    carried = torch.stack([losses_of(problem, batch) for batch in batches])
    torch.testing.assert_close(carried, at_once(problem, batches))


def test_a_new_pass_begins_with_zeros(problem: CharRNN) -> None:
    one, other = ([losses_of(problem, b) for b in first_batches(problem, 2)] for _ in range(2))
    assert torch.equal(torch.stack(one), torch.stack(other))


def test_the_state_is_detached_between_batches(problem: CharRNN) -> None:
    problem.model.train()
    first, second = first_batches(problem, 2)
    for batch in (first, second):  # a second backward through the first graph would fail
        problem.get_batch_loss_and_accuracy(batch, "mean")[0].backward()


def test_passes_that_are_read_in_turn_do_not_disturb_each_other(problem: CharRNN) -> None:
    data = problem.dataset
    alone = [[losses_of(problem, b) for b in first_batches(problem, 3)]]
    passes = zip(
        data.test_loader, data.train_loader, data.train_eval_loader, range(3), strict=False
    )
    together = []
    for batch, *others, _ in passes:
        together.append(losses_of(problem, batch))
        for other in others:
            losses_of(problem, other)
    assert torch.equal(torch.stack(alone[0]), torch.stack(together))


@pytest.mark.parametrize("mode", ["evaluation", "training"])
def test_an_evaluation_in_the_middle_leaves_the_training_state(problem: CharRNN, mode: str) -> None:
    leave_out_dropout(problem)
    problem.model.train()

    def train(*, evaluates: bool) -> list[torch.Tensor]:
        losses = []
        for batch, _ in zip(problem.dataset.train_loader, range(4), strict=False):
            losses.append(losses_of(problem, batch))
            if evaluates:
                problem.model.train(mode == "training")
                for other, _ in zip(problem.dataset.test_loader, range(2), strict=False):
                    losses_of(problem, other)
                problem.model.train()
        return losses

    plain, disturbed = train(evaluates=False), train(evaluates=True)
    assert torch.equal(torch.stack(plain), torch.stack(disturbed))


def test_the_runners_evaluation_leaves_the_training_state(problem: CharRNN) -> None:
    problem.model.train()
    batches = iter(problem.dataset.train_loader)
    losses_of(problem, next(batches))
    second = next(batches)
    torch.manual_seed(1)
    before = losses_of(problem, second)
    evaluate(problem)
    torch.manual_seed(1)
    assert torch.equal(losses_of(problem, second), before)


def test_a_batch_that_is_evaluated_again_starts_where_it_started(problem: CharRNN) -> None:
    first, second, third = first_batches(problem, 3)
    losses_of(problem, first)
    assert torch.equal(losses_of(problem, second), losses_of(problem, second))
    torch.testing.assert_close(
        losses_of(problem, third), at_once(problem, [first, second, third])[2]
    )


def test_a_batch_from_earlier_in_the_pass_leaves_the_pass_where_it_is(problem: CharRNN) -> None:
    first, second, third, fourth = first_batches(problem, 4)
    from_zeros, *_ = (losses_of(problem, batch) for batch in (first, second, third))
    assert torch.equal(losses_of(problem, first), from_zeros)
    torch.testing.assert_close(losses_of(problem, second), at_once(problem, [second])[0])
    torch.testing.assert_close(
        losses_of(problem, fourth), at_once(problem, [first, second, third, fourth])[3]
    )


def test_batches_that_somebody_made_anew_follow_each_other(problem: CharRNN) -> None:
    batches = [tuple(batch) for batch in first_batches(problem, 3)]
    iter(problem.dataset.test_loader)
    carried = torch.stack([losses_of(problem, batch) for batch in batches])
    torch.testing.assert_close(carried, at_once(problem, batches))
    iter(problem.dataset.test_loader)  # a new pass
    assert torch.equal(losses_of(problem, batches[0]), carried[0])


def test_a_batch_of_another_size_starts_from_zeros(problem: CharRNN) -> None:
    batch = tuple(first_batches(problem, 1)[0])
    smaller = tuple(part[:2] for part in batch)
    from_zeros = losses_of(problem, batch)
    torch.testing.assert_close(losses_of(problem, smaller), from_zeros[:2])
    assert torch.equal(losses_of(problem, batch), from_zeros)


def test_training_and_evaluation_of_such_batches_are_kept_apart(problem: CharRNN) -> None:
    leave_out_dropout(problem)
    batches = [tuple(batch) for batch in first_batches(problem, 2)]
    problem.model.train()
    losses_of(problem, batches[0])
    problem.model.eval()
    evaluated = losses_of(problem, batches[0])
    problem.model.train()
    carried = losses_of(problem, batches[1])
    torch.testing.assert_close(torch.stack([evaluated, carried]), at_once(problem, batches))


def test_a_full_evaluation_is_the_mean_over_all_characters(set_up: SetUp) -> None:
    problem = set_up("tolstoi_char_rnn", drop_remainder=False)
    problem.model.eval()
    batches = list(problem.dataset.test_loader)
    assert 0 < batches[-1][0].shape[1] < 50
    ids, next_ids = (torch.cat(parts, dim=1) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        logits, _ = problem.model(ids)
    expected = torch.nn.functional.cross_entropy(logits.permute(1, 2, 0), next_ids)
    assert evaluate(problem)["test_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_weights_can_be_saved_and_loaded_in_the_middle_of_a_pass(problem: CharRNN) -> None:
    first, second = first_batches(problem, 2)
    losses_of(problem, first)
    weights = copy.deepcopy(problem.model.state_dict())
    expected = losses_of(problem, second)
    with torch.no_grad():
        problem.model.output.bias.zero_()
    problem.model.load_state_dict(weights)
    assert torch.equal(losses_of(problem, second), expected)


def test_a_problem_can_be_copied_and_pickled(problem: CharRNN) -> None:
    first, second = first_batches(problem, 2)
    from_zeros = losses_of(problem, first)
    losses_of(problem, second)
    model = pickle.loads(pickle.dumps(problem.model))  # noqa: S301 # our own
    assert torch.equal(model(first[0])[0], problem.model(first[0])[0])
    assert torch.equal(losses_of(copy.deepcopy(problem), first), from_zeros)
