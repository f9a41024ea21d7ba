"""A recurrent run resumed in the middle of an epoch gives the same results."""

import pytest

from deepobs import config
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan


@pytest.mark.parametrize("optimizer", ["SGD", "LBFGS"])
def test_the_recurrent_state_is_put_back(tmp_path, optimizer, monkeypatch):
    monkeypatch.setattr("deepobs.runs.training.STEPS_BETWEEN_REPORTS", 2)
    options = {"lr": 0.05, "max_iter": 2} if optimizer == "LBFGS" else {"lr": 0.05}
    with config.temporary(fake_data=0.004):
        specification = specify(
            "tolstoi_char_rnn", optimizer, options, num_epochs=1, train_log_interval=1
        )

    class AtStep(RunObserver):
        def steps_taken(self, steps, metrics):
            if steps >= 3:
                raise KeyboardInterrupt

    plan = CheckpointPlan(every_seconds=0.0, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(specification, output_dir=tmp_path, checkpoints=plan, observers=[AtStep()])
    resumed = run(specification, output_dir=tmp_path, checkpoints=plan).record
    undisturbed = run(specification).record
    assert resumed.resumed_at_steps == [4]
    assert resumed.steps == undisturbed.steps
    assert resumed.minibatch_train_losses == undisturbed.minibatch_train_losses
    assert resumed.test_losses == undisturbed.test_losses


@pytest.mark.parametrize("optimizer", ["SGD", "LBFGS"])
def test_an_evaluation_within_an_epoch_leaves_the_recurrent_state_of_training_alone(optimizer):
    options = {"lr": 0.05, "max_iter": 2} if optimizer == "LBFGS" else {"lr": 0.05}
    with config.temporary(fake_data=0.004):
        usual, often = (
            run(
                specify(
                    "tolstoi_char_rnn",
                    optimizer,
                    options,
                    num_epochs=1,
                    train_log_interval=1,
                    evaluate_every=every,
                )
            ).record
            for every in ("1epoch", "1step")
        )
    assert often.evaluated_at_steps == list(range(usual.steps + 1))
    assert often.minibatch_train_losses == usual.minibatch_train_losses
    assert often.test_losses[-1] == usual.test_losses[-1]
