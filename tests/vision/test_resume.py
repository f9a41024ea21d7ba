"""Runs on images go on as if nothing had happened: dropout, augmentation, the order of the data."""

import pytest

from deepobs import config
from deepobs.runs import RunObserver, run, specify
from deepobs.runs.checkpoints import CheckpointPlan

GO_ON = CheckpointPlan(every_seconds=0.0, resume=True)


@pytest.mark.parametrize(
    ("problem", "fake_data"), [("digits_2c2d", 0), ("cifar10_3c3d", 0.005), ("mnist_vae", 0.005)]
)
def test_a_resumed_run_gives_the_numbers_of_an_undisturbed_one(
    tmp_path, monkeypatch, problem, fake_data
):
    monkeypatch.setattr("deepobs.runs.training.STEPS_BETWEEN_REPORTS", 2)

    class Interruption(RunObserver):
        def steps_taken(self, steps, metrics):
            if steps >= 4:
                raise KeyboardInterrupt

    with config.temporary(fake_data=fake_data):
        specification = specify(
            problem, "Adam", {"lr": 1e-3}, num_epochs=1, batch_size=16, train_log_interval=1
        )
    with pytest.raises(KeyboardInterrupt):
        run(specification, output_dir=tmp_path, checkpoints=GO_ON, observers=[Interruption()])
    resumed = run(specification, output_dir=tmp_path, checkpoints=GO_ON).record
    undisturbed = run(specification).record
    assert resumed.resumed_at_steps == [4]
    assert resumed.minibatch_train_losses == undisturbed.minibatch_train_losses
    assert resumed.test_losses == undisturbed.test_losses
    assert resumed.test_accuracies == undisturbed.test_accuracies
