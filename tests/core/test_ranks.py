"""Runs whose batches are divided among processes, as torchrun starts them."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from deepobs.errors import ArgumentError
from deepobs.pytorch import testproblems
from deepobs.runs import specify
from deepobs.runs.ranks import Ranks
from deepobs.runs.shared_problem import set_up_shared_problem, share
from deepobs.runs.whole_batch_draws import WholeBatchDraws
from deepobs.runs.whole_batch_norm import WholeBatchNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OWN_CODE = '''
import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

from deepobs.data import EmbeddedDataSet, Splits
from deepobs.plugins import DatasetSpec, ProblemSpec
from deepobs.problems import Problem, reduced

# Not a constant, whose value would be part of the optimizer's identity.
os.environ["DIES_NOW"] = str(not Path(os.environ.get("MARKER", __file__)).exists())

if os.environ.get("LATE") == os.environ.get("RANK", "0"):
    time.sleep(3)


class Blobs(EmbeddedDataSet):
    """Four classes of points."""

    spec = DatasetSpec(
        name="blobs", target="own:Blobs", train_size=60, test_size=30, embedded=True
    )
    origin = "drawn"
    train_eval_size = 25

    @classmethod
    def load(cls, data_dir):
        random = torch.Generator().manual_seed(1)
        labels = torch.randint(4, (90,), generator=random)
        points = torch.randn(90, 6, generator=random) + labels[:, None]
        return Splits((points[:60], labels[:60]), (points[60:], labels[60:]))

    @classmethod
    def make_fake(cls, fraction):
        return cls.load(None)


class Noisy(Problem):
    """Batch normalization, dropout, and noise of its own."""

    spec = ProblemSpec(batch_size=7, epochs=3, metric="accuracy")

    def build_dataset(self):
        return Blobs(
            self.batch_size, device=self.device, drop_remainder=self.drop_remainder,
            validation_size=self.validation_size,
        )

    def build_model(self):
        # No bias before the normalization: its gradient is only rounding, which Adam amplifies.
        return nn.Sequential(
            nn.Linear(6, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(12, 4),
        )

    def batch_losses(self, batch, reduction):
        logits = self.model(batch[0] + 0.1 * torch.randn_like(batch[0]))
        losses = nn.functional.cross_entropy(logits, batch[1], reduction="none")
        return reduced(losses, reduction), logits

    def accuracy(self, outputs, batch):
        return (outputs.argmax(1) == batch[1]).float().mean()


class OfImages(Noisy):
    """The same of images, whose weights are few, so that they are compiled soon."""

    def build_model(self):
        return nn.Sequential(
            nn.Unflatten(1, (3, 2, 1)), nn.Conv2d(3, 8, (2, 1), bias=False), nn.BatchNorm2d(8),
            nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(8, 4),
        )


class Wide(Noisy):
    """Convolutions, batch normalization, and a dense layer of many weights."""

    def build_model(self):
        return nn.Sequential(
            nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16),
            nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(192, 1024), nn.ReLU(), nn.Linear(1024, 4),
        )


class DiesOnce(torch.optim.SGD):
    """One of its processes is killed in the tenth step, the first time."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        if self.steps == 10 and os.environ["DIES_NOW"] == "True":
            rank = os.environ.get("RANK", "0")
            if rank == os.environ["DIES"]:
                Path(os.environ["MARKER"]).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            elif rank == "0":
                # torchrun terminates this process before it notices.
                time.sleep(float(os.environ.get("PAUSE", "1")))
        return super().step(closure)


class Private(torch.optim.SGD):
    """Does something else in each process."""

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter += int(os.environ.get("RANK", 0))
        return super().step(closure)
'''


@pytest.fixture
def execute(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Execute `deepobs` in a number of processes, in a directory with the module `own`."""
    (tmp_path / "own.py").write_text(OWN_CODE)

    def execute(
        processes: int, *words: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deepobs", *words]
        if processes:
            command[1:2] = [
                *("-m", "torch.distributed.run", "--standalone"),
                *(f"--nproc-per-node={processes}", "-m"),
            ]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return execute


def record_in(directory: Path) -> dict[str, Any]:
    [path] = directory.rglob("random_seed__*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def assert_same_run(record: dict[str, Any], other: dict[str, Any]) -> None:
    assert record["run_id"] == other["run_id"]
    for name in ("train_losses", "test_losses", "valid_losses", "minibatch_train_losses"):
        assert record[name] == pytest.approx(other[name], rel=1e-5)
    for name in ("train_accuracies", "test_accuracies", "valid_accuracies"):
        assert record[name] == other[name]


NOISY = ["run", "own:Noisy", "Adam", "--lr", "0.01", "--epochs", "3", "--device", "cpu"]
NOISY += ["--batch-size", "7", "--validation-size", "8", "--full-evaluation"]


@pytest.mark.parametrize(
    "optimizer",
    [
        ["Adam"],
        ["LBFGS", "-o", "max_iter=2", "-o", "history_size=2"],  # more would amplify rounding
        ["Momentum", "--accumulate", "2", "--clip-norm", "0.5"],
    ],
)
def test_a_run_on_three_processes_is_the_run_on_one(
    execute: Callable[..., Any], tmp_path: Path, optimizer: list[str]
) -> None:
    words = [*NOISY[:2], *optimizer, *NOISY[3:]]
    assert execute(0, *words, "--out", "alone").returncode == 0
    together = execute(3, *words, "--out", "together")
    assert together.returncode == 0, together.stderr
    assert_same_run(record_in(tmp_path / "together"), record_in(tmp_path / "alone"))
    assert together.stdout.count("after 3 epochs") == 1
    assert record_in(tmp_path / "together")["hardware"]["processes"] == 3
    assert "processes" not in record_in(tmp_path / "alone")["hardware"]


def test_in_float64_a_run_on_two_processes_is_the_run_on_one_to_the_last_digits(
    execute: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["run", "own:Wide", "SGD", "--lr", "0.05", "--epochs", "3", "--device", "cpu"]
    words += ["--batch-size", "7", "--dtype", "float64", "--log-interval", "1"]
    assert execute(0, *words, "--out", "alone").returncode == 0
    assert execute(2, *words, "--out", "together").returncode == 0
    record, other = (record_in(tmp_path / name) for name in ("together", "alone"))
    for name in ("train_losses", "test_losses", "minibatch_train_losses"):
        assert record[name] == pytest.approx(other[name], rel=1e-12)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_and_channels_last_models_run_on_two_processes(
    execute: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["run", "own:OfImages", "SGD", "--lr", "0.05", "--epochs", "2", "--device", "cpu"]
    words += ["--batch-size", "8", "--validation-size", "8", "--channels-last", "--compile"]
    assert execute(0, *words, "--out", "alone").returncode == 0
    together = execute(2, *words, "--out", "together")
    assert together.returncode == 0, together.stderr
    assert_same_run(record_in(tmp_path / "together"), record_in(tmp_path / "alone"))
    assert record_in(tmp_path / "together")["compile_seconds"] > 0


def test_a_run_resumes_with_another_number_of_processes(
    execute: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["own:DiesOnce" if word == "Adam" else word for word in NOISY]
    words += ["--checkpoint-every", "1epoch", "--resume"]
    none = {"MARKER": str(tmp_path / "own.py"), "DIES": "0"}  # there is such a file
    assert execute(0, *words, "--out", "alone", **none).returncode == 0
    for marker, (processes, dies) in enumerate([(2, "1"), (1, "0"), (2, "0")]):
        environment = {"MARKER": str(tmp_path / f"marker{marker}"), "DIES": dies}
        killed = execute(processes, *words, "--out", "together", **environment)
        assert killed.returncode != 0
        assert len([*(tmp_path / "together").rglob(".*.checkpoint")]) == 1
        if processes > 1:
            assert killed.stderr.count("Error: Another of the 2 processes of this run") == 1
    ended = execute(2, *words, "--out", "together", **none)
    assert "continues from its checkpoint" in ended.stdout
    record = record_in(tmp_path / "together")
    assert record["resumed_at_steps"]
    assert_same_run(record, record_in(tmp_path / "alone"))


def test_an_error_is_reported_once(execute: Callable[..., Any]) -> None:
    wrong = execute(2, "run", "quadratic_dep", "SGD", "--lr", "0.01")
    assert wrong.stderr.count("Did you mean 'quadratic_deep'") == 1
    assert wrong.stderr.count("Traceback") == 1  # that of torchrun


def test_an_error_is_reported_when_another_process_makes_it_first(
    execute: Callable[..., Any],
) -> None:
    wrong = execute(2, "run", "own:Missing", "SGD", "--lr", "0.01", LATE="0")
    assert wrong.stderr.count("Error: The test problem cannot be imported") == 1


def test_a_process_that_is_terminated_during_a_run_says_so(
    execute: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["own:DiesOnce" if word == "Adam" else word for word in NOISY]
    killed = execute(2, *words, MARKER=str(tmp_path / "marker"), DIES="1", PAUSE="60")
    assert killed.stderr.count("Error: Another of the 2 processes of this run ended, or all") == 1


def test_weights_that_drift_apart_end_the_run(execute: Callable[..., Any], tmp_path: Path) -> None:
    words = ["own:Private" if word == "Adam" else word for word in NOISY]
    wrong = execute(2, *words, "--out", "together")
    assert wrong.stderr.count("The weights in the processes of this run differ after epoch 1") == 1
    assert not [*(tmp_path / "together").rglob("random_seed__*.json")]


def test_sweeps_are_not_started_by_torchrun(execute: Callable[..., Any]) -> None:
    wrong = execute(2, "list", "problems")
    assert wrong.stderr.count("deepobs list must be started without it") == 1


@pytest.fixture
def process_group() -> Iterator[None]:
    """A group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_a_loop_of_ones_own_shares_batches_among_the_process_group() -> None:
    torch.manual_seed(1)
    problem = testproblems.two_d_rosenbrock(batch_size=8, device="cpu")
    problem.set_up()
    shared = share(problem)
    assert shared.ranks == Ranks(0, 1)
    batch = next(iter(shared.dataset.train_loader))
    loss, _ = shared.get_batch_loss_and_accuracy(batch, reduction="mean")
    assert torch.equal(loss, problem.get_batch_loss_and_accuracy(batch, reduction="mean")[0])


def test_batches_are_not_shared_without_processes() -> None:
    problem = testproblems.two_d_rosenbrock(batch_size=8, device="cpu")
    problem.set_up()
    with pytest.raises(ArgumentError, match="init_process_group"):
        share(problem)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 2)])
def test_whole_batches_are_normalized_as_by_torch(
    shape: tuple[int, ...], dtype: torch.dtype, momentum: float | None
) -> None:
    layer_class = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    theirs = layer_class(3, momentum=momentum)
    ours = copy.deepcopy(theirs)
    ours.__class__ = WholeBatchNorm  # type: ignore[assignment]
    if dtype == torch.float64:
        theirs, ours = theirs.double(), ours.double()
    inputs = [torch.randn(shape).to(dtype).requires_grad_() for _ in range(3)]
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == torch.float64 else {}
    for batch in inputs:
        results = []
        for layer in (theirs, ours):
            output = layer(batch)
            gradients = torch.autograd.grad(
                (output * torch.arange(5.0).view(-1, *[1] * (len(shape) - 1))).square().sum(),
                [batch, layer.weight, layer.bias],
            )
            results.append([output, *gradients])
        for expected, found in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, **tolerance)
    for expected, found in zip(theirs.buffers(), ours.buffers(), strict=True):
        torch.testing.assert_close(found, expected, **tolerance)
    torch.testing.assert_close(ours.eval()(inputs[0]), theirs.eval()(inputs[0]), **tolerance)


@pytest.mark.parametrize(("size", "count"), [(7, 3), (2, 3), (128, 2), (1, 1)])
def test_every_row_belongs_to_one_rank(size: int, count: int) -> None:
    rows = [range(size)[Ranks(rank, count).rows(size)] for rank in range(count)]
    assert [row for part in rows for row in part] == list(range(size))


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"batch_size": 8, "accumulate": 4}])
def test_batches_of_fewer_examples_than_ranks_are_refused_at_once(options: dict[str, int]) -> None:
    specification = specify("quadratic_deep", "SGD", {"lr": 0.1}, **options)
    with pytest.raises(ArgumentError, match="A batch of 2 cannot be divided among 3 processes"):
        set_up_shared_problem(specification, Ranks(0, 3))


@pytest.mark.parametrize(
    "draw",
    [
        lambda like: torch.rand_like(like),
        lambda like: torch.randn(like.shape),
        lambda like: torch.randn(*like.shape, dtype=torch.float64),
        lambda like: torch.rand(size=like.shape),
        lambda like: torch.empty_like(like).uniform_(-1, 1),
        lambda like: F.dropout(like, 0.4),
        lambda like: F.dropout2d(like, 0.4),
        lambda like: nn.Dropout(0.2, inplace=True)(like.clone()),
    ],
)
@pytest.mark.parametrize("is_last", [False, True])
def test_draws_are_the_rows_of_draws_for_the_whole_batch(
    draw: Callable[[torch.Tensor], torch.Tensor], is_last: bool
) -> None:
    whole = torch.arange(1.0, 6 * 7 * 5 * 3 + 1).view(6, 7, 5, 3)
    if is_last:
        whole = whole.to(memory_format=torch.channels_last)
    torch.manual_seed(3)
    expected, following = draw(whole)[2:4], torch.rand(2)
    torch.manual_seed(3)
    with WholeBatchDraws(slice(2, 4), 6):
        drawn = draw(whole[2:4])
    assert torch.equal(drawn, expected)
    assert torch.equal(torch.rand(2), following)
