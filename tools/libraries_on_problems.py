"""Try libraries that take a model, a loss or an optimizer on problems, and write their table.

Outside of CI, since it takes what package indexes offer on the day. In an environment with
deepobs-core, deepobs-vision, deepobs-text and the packages of `PACKAGES` (or some of them):

    pip install backpack-for-pytorch curvlinops-for-pytorch pyhessian opacus laplace-torch \
        torch-lr-finder pytorch-warmup torchinfo
    python tools/libraries_on_problems.py --page docs/guides/gradient_libraries.md

The page keeps what is around the two marks between which the table stands. Every check compares
what the library computes with plain autograd where there is something to compare. It has a process
of its own, a problem of its own on four examples, and 120 seconds. What fails is tried again in
evaluation mode, and with attention that is computed from torch's differentiable operations.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import io
import os
import platform
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # before torch is imported

import torch
from forks import Failure, in_a_fork
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepobs import config
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.problems import Problem

PACKAGES = (
    *("backpack-for-pytorch", "curvlinops-for-pytorch", "pyhessian", "opacus", "laplace-torch"),
    *("torch-lr-finder", "pytorch-warmup", "torchinfo"),
)
PROBLEMS = (
    *("two_d_rosenbrock", "quadratic_deep", "deep_linear", "digits_logreg", "digits_mlp"),
    *("digits_2c2d", "cifar10_3c3d", "cifar100_allcnnc", "svhn_wrn164"),
    *("digits_resnet", "digits_vit", "fmnist_vae", "fmnist_ddpm"),
    *("tolstoi_char_rnn", "excerpt_lstm", "excerpt_gpt"),
)
BATCH_SIZE = 4
SECONDS = 120.0
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"


class Absent(Exception):  # noqa: N818 # nothing went wrong
    """A problem has nothing that a library could be given."""


class Subject(NamedTuple):
    """What a check is given.

    Attributes:
        problem: A problem that was just set up.
        batch: Inputs and, for most problems, targets.
    """

    problem: Problem
    batch: Any

    @property
    def model(self) -> nn.Module:
        """The model of the problem."""
        return self.problem.model

    @property
    def inputs(self) -> Tensor:
        """What the model takes."""
        inputs: Tensor = self.batch[0]
        return inputs

    @property
    def targets(self) -> Tensor:
        """What the loss takes beside its outputs.

        Raises:
            Absent: It takes nothing else.
        """
        if len(self.batch) != 2:
            raise Absent("no targets")
        targets: Tensor = self.batch[1]
        return targets

    @property
    def loss(self) -> nn.Module:
        """The mean loss of outputs and targets.

        Raises:
            Absent: The loss is no function of these.
        """
        if self.problem.loss_function is None:
            raise Absent("no `loss_function`")
        return self.problem.loss_function

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is trained."""
        return [each for each in self.model.parameters() if each.requires_grad]


def subject_of(name: str, *, is_training: bool) -> Subject:
    """Set a problem up."""
    config.set_fake_data(0.01)
    torch.manual_seed(0)
    problem = registry().problems.load(name)(BATCH_SIZE, device="cpu")
    problem.set_up()
    problem.model.train(is_training)
    with torch.no_grad():
        # Layers that begin at zero would hide what is wrong of those before.
        for parameter in problem.model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    return Subject(problem, next(iter(problem.dataset.train_loader)))


def agree(found: Tensor, expected: Tensor) -> None:
    """Compare a tensor of a library with that of autograd.

    What is wrong here is so by percents. In evaluation mode, untrained networks with batch
    normalization amplify rounding to thousandths.
    """
    error = (found - expected).norm() / max(float(expected.norm()), 1e-12)
    assert error < 0.01, f"not close: {error:.1%}"  # noqa: S101


def gradients(subject: Subject) -> list[Tensor]:
    """The gradient of the mean loss."""
    loss = subject.loss(subject.model(subject.inputs), subject.targets)
    return list(torch.autograd.grad(loss, subject.parameters))


def gradients_of_examples(subject: Subject) -> list[list[Tensor]]:
    """The gradient of the loss of each example."""
    found = []
    for number in range(BATCH_SIZE):
        batch = (subject.inputs[number : number + 1], subject.targets[number : number + 1])
        found.append(gradients(subject._replace(batch=batch)))
    return found


def hessian_times(subject: Subject, vectors: list[Tensor]) -> list[Tensor]:
    """The product of the Hessian of the mean loss with vectors."""
    loss = subject.loss(subject.model(subject.inputs), subject.targets)
    slopes = torch.autograd.grad(loss, subject.parameters, create_graph=True)
    along = [(slope * vector).sum() for slope, vector in zip(slopes, vectors, strict=True)]
    return list(
        torch.autograd.grad(sum(along, torch.zeros(())), subject.parameters, materialize_grads=True)
    )


def gauss_newton_diagonal(subject: Subject, tensor: int, entry: int) -> Tensor:
    """An entry of the diagonal of the Gauss-Newton matrix of the mean loss."""
    names = [name for name, each in subject.model.named_parameters() if each.requires_grad]
    state = dict(subject.model.named_parameters())
    direction = torch.zeros_like(subject.parameters[tensor])
    direction.view(-1)[entry] = 1.0

    def outputs(value: Tensor) -> Tensor:
        changed = {**state, names[tensor]: value}
        result: Tensor = torch.func.functional_call(subject.model, changed, (subject.inputs,))
        return result

    at: Tensor
    along: Tensor
    at, along = torch.func.jvp(outputs, (subject.parameters[tensor],), (direction,))  # type: ignore[misc] # has_aux
    at = at.detach().requires_grad_()
    (slope,) = torch.autograd.grad(subject.loss(at, subject.targets), at, create_graph=True)
    (product,) = torch.autograd.grad((slope * along.detach()).sum(), at)
    entry_of_diagonal: Tensor = (product * along).sum().detach()
    return entry_of_diagonal


def backpack_with(subject: Subject, extension: str) -> None:
    """A backward pass that computes more."""
    from backpack import backpack, extend, extensions

    model, loss = extend(subject.model), extend(subject.loss)
    with backpack(getattr(extensions, extension)()):
        loss(model(subject.inputs), subject.targets).backward()


def batch_grad(subject: Subject) -> None:
    """Gradients of single examples, which add up to that of the mean loss."""
    backpack_with(subject, "BatchGrad")
    for number, parameter in enumerate(subject.parameters):
        for example, each in enumerate(gradients_of_examples(subject)):
            agree(BATCH_SIZE * parameter.grad_batch[example], each[number])  # type: ignore[attr-defined]
        break


def variance(subject: Subject) -> None:
    """The variance over examples."""
    backpack_with(subject, "Variance")
    first = torch.stack([each[0] for each in gradients_of_examples(subject)])
    # Of the summands of the mean loss, which are divided by the number of examples.
    found = BATCH_SIZE**2 * subject.parameters[0].variance  # type: ignore[attr-defined]
    agree(found, first.var(dim=0, correction=0))


def diagonal_gauss_newton(subject: Subject) -> None:
    """The diagonal of the Gauss-Newton matrix."""
    backpack_with(subject, "DiagGGNExact")
    last = len(subject.parameters) - 1
    for tensor in {0, last}:
        diagonal = subject.parameters[tensor].diag_ggn_exact.view(-1)  # type: ignore[attr-defined]
        agree(diagonal[:1], gauss_newton_diagonal(subject, tensor, 0).view(1))


def kfac(subject: Subject) -> None:
    """Kronecker factors, of which there is nothing to compare but their form."""
    backpack_with(subject, "KFAC")
    for parameter in subject.parameters:
        for factor in parameter.kfac:  # type: ignore[attr-defined]
            assert factor.shape[0] == factor.shape[1]  # noqa: S101
            agree(factor, factor.T)


def diagonal_hessian(subject: Subject) -> None:
    """The diagonal of the Hessian."""
    backpack_with(subject, "DiagHessian")
    last = len(subject.parameters) - 1
    for tensor in {0, last}:
        directions = [torch.zeros_like(each) for each in subject.parameters]
        directions[tensor].view(-1)[0] = 1.0
        expected = hessian_times(subject, directions)[tensor].view(-1)[:1]
        agree(subject.parameters[tensor].diag_h.view(-1)[:1], expected)  # type: ignore[attr-defined]


def curvlinops_hessian(subject: Subject) -> None:
    """The product with a vector, against autograd."""
    from curvlinops import HessianLinearOperator

    data = [(subject.inputs, subject.targets)]
    operator = HessianLinearOperator(subject.model, subject.loss, subject.parameters, data)
    vectors = [torch.randn_like(each) for each in subject.parameters]
    for found, expected in zip(operator @ vectors, hessian_times(subject, vectors), strict=True):
        agree(found.detach(), expected)


def curvlinops_gauss_newton(subject: Subject) -> None:
    """An entry of the product with a unit vector, against autograd."""
    from curvlinops import GGNLinearOperator

    data = [(subject.inputs, subject.targets)]
    operator = GGNLinearOperator(subject.model, subject.loss, subject.parameters, data)
    vectors = [torch.zeros_like(each) for each in subject.parameters]
    vectors[-1].view(-1)[0] = 1.0
    found = (operator @ vectors)[-1].detach().view(-1)[:1]
    agree(found, gauss_newton_diagonal(subject, len(vectors) - 1, 0).view(1))


def pyhessian_eigenvalue(subject: Subject) -> None:
    """The largest eigenvalue, whose eigenvector must be one."""
    from pyhessian import hessian

    data = (subject.inputs, subject.targets)
    of_loss = hessian(subject.model, subject.loss, data=data, cuda=False)
    (value,), (vector,) = of_loss.eigenvalues(maxIter=500, tol=1e-6)
    products = hessian_times(subject, [each.detach() for each in vector])
    along = sum((one * other).sum() for one, other in zip(vector, products, strict=True))
    agree(torch.as_tensor(along).detach(), torch.tensor(value, dtype=torch.float32))


def opacus_step(subject: Subject) -> None:
    """A private step, on clipped gradients of examples."""
    from opacus import PrivacyEngine

    loss, loader = subject.loss, subject.problem.dataset.train_loader
    model, optimizer, loader = PrivacyEngine().make_private(
        module=subject.model,
        optimizer=torch.optim.SGD(subject.parameters, lr=0.1),
        data_loader=loader,
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    before = subject.parameters[-1].detach().clone()
    inputs, targets = next(iter(loader))
    loss(model(inputs), targets).backward()
    optimizer.step()
    assert not torch.equal(before, subject.parameters[-1])  # noqa: S101


def laplace_fit(subject: Subject) -> None:
    """A posterior of the last layer, and predictions with it."""
    from laplace import Laplace

    likelihood = "classification" if isinstance(subject.loss, nn.CrossEntropyLoss) else "regression"
    posterior = Laplace(
        subject.model, likelihood, subset_of_weights="last_layer", hessian_structure="kron"
    )
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(subject.inputs, subject.targets), batch_size=2
    )
    posterior.fit(loader)
    assert torch.as_tensor(posterior(subject.inputs)[0]).isfinite().all()  # noqa: S101


def flop_counter(subject: Subject) -> None:
    """The operations of a forward and a backward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(subject.problem.get_batch_loss(subject.batch, "mean"))
    weights = sum(each.numel() for each in subject.parameters if each.ndim > 1)
    assert counter.get_total_flops() >= 4 * weights, "counts less than a product per weight"  # noqa: S101


def lr_finder(subject: Subject) -> None:
    """A range test of five steps."""
    from torch_lr_finder import LRFinder

    optimizer = torch.optim.SGD(subject.parameters, lr=1e-4)
    finder = LRFinder(subject.model, optimizer, subject.loss, device="cpu")
    finder.range_test(subject.problem.dataset.train_loader, end_lr=1e-2, num_iter=5)
    assert len(finder.history["lr"]) == 5  # noqa: S101


def warmup(subject: Subject) -> None:
    """Steps with a learning rate that grows."""
    import pytorch_warmup

    optimizer = torch.optim.SGD(subject.parameters, lr=0.1)
    growing = pytorch_warmup.LinearWarmup(optimizer, warmup_period=4)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        torch.autograd.backward(subject.problem.get_batch_loss(subject.batch, "mean"))
        optimizer.step()
        with growing.dampening():
            pass
    assert rates == sorted(rates) and rates[0] < rates[-1]  # noqa: S101


def torchinfo_summary(subject: Subject) -> None:
    """The number of parameters."""
    from torchinfo import summary

    count = sum(each.numel() for each in subject.model.parameters())
    # Without a loss of outputs and targets, the model may take more than the inputs.
    given = {} if subject.problem.loss_function is None else {"input_data": (subject.inputs,)}
    found = summary(subject.model, verbose=0, **given).total_params
    assert found == count, f"counts {found} parameters of {count}"  # noqa: S101


CHECKS: dict[str, Callable[[Subject], None]] = {
    "BackPACK `BatchGrad`": batch_grad,
    "`Variance`": variance,
    "`DiagGGNExact`": diagonal_gauss_newton,
    "`KFAC`": kfac,
    "`DiagHessian`": diagonal_hessian,
    "curvlinops Hessian": curvlinops_hessian,
    "curvlinops GGN": curvlinops_gauss_newton,
    "PyHessian": pyhessian_eigenvalue,
    "Opacus": opacus_step,
    "laplace": laplace_fit,
    "flop_counter": flop_counter,
    "torch-lr-finder": lr_finder,
    "pytorch-warmup": warmup,
    "torchinfo": torchinfo_summary,
}


MODES: dict[str, tuple[bool, list[SDPBackend]]] = {
    "yes": (True, []),
    "math": (True, [SDPBackend.MATH]),
    "eval": (False, [SDPBackend.MATH]),
}
"""By what the table says: whether in training mode, and the kernels of attention."""


def checked(problem: str, mode: str, check: Callable[[Subject], None]) -> str:
    """An empty text if a library works; or what the problem lacks."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    is_training, kernels = MODES[mode]
    chosen = sdpa_kernel(kernels) if kernels else contextlib.nullcontext()
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent), chosen:
        try:
            check(subject_of(problem, is_training=is_training))
        except Absent as error:
            return str(error)
    return ""


def result_of(problem: str, check: Callable[[Subject], None]) -> str:
    """A cell of the table: a key of `MODES`, "none", or the reason why not."""
    reasons = []
    for mode in MODES:
        found = in_a_fork(checked, problem, mode, check, seconds=SECONDS)
        if found == "":
            return mode
        if not isinstance(found, Failure):
            return "none"
        reasons.append(found.reason)
    # Of the last mode, in which fewest is in the way, unless that is the mode itself.
    return str(reasons[0] if "training mode" in reasons[-1] else reasons[-1])


WORDS = {
    r".*not close.*": "**Wrong numbers**, and nothing is said.",
    r".*an extension for Module <class '.*?(\w+)'>.*": r"BackPACK: has no extension for `\1`.",
    r".*Parameter' object has no attribute.*": "BackPACK: leaves out parameters outside of layers.",
    r".*expects a backpropagation quantity.*": "BackPACK: does not follow residual connections.",
    r".*NoneType.*requires_grad.*": "Opacus: fails on `LayerNorm(bias=False)` in backward.",
    r".*Encountered BatchNorm.*": "BackPACK: refuses batch normalization in training mode.",
    r".*BatchNorm cannot support.*": "Opacus: refuses batch normalization.",
    r".*linear last layer.*": "laplace: needs a linear last layer.",
}
"""What tables say in place of long messages, by their patterns."""


def in_words(message: str) -> str:
    """A message in a line of Markdown."""
    for pattern, words in WORDS.items():
        message = re.sub(pattern, words, message, flags=re.DOTALL)
    return re.sub(r"\s+", " ", message).replace("|", "/")


def as_table(results: dict[str, dict[str, str]]) -> str:
    """The results in Markdown, with the reasons numbered below."""
    reasons: list[str] = []

    def cell(text: str) -> str:
        if text in (*MODES, "none"):
            return text
        reason = in_words(text)
        if reason not in reasons:
            reasons.append(reason)
        return str(reasons.index(reason) + 1)

    lines = [f"| | {' | '.join(CHECKS)} |", f"|---|{'---|' * len(CHECKS)}"]
    for problem, of_problem in results.items():
        cells = [cell(of_problem[name]) for name in CHECKS]
        lines.append(f"| `{problem}` | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *notes])


def versions() -> str:
    """What the results hold for."""
    found = [f"Python {platform.python_version()}", f"torch {torch.__version__.partition('+')[0]}"]
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return f"{', '.join(found)}; {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"


def main() -> None:
    """Try all and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="*", default=PROBLEMS)
    parser.add_argument("--only", default="", help="checks whose names contain this")
    parser.add_argument("--page", type=Path, help="write the table into this page")
    arguments = parser.parse_args()
    for name in [name for name in CHECKS if arguments.only not in name]:
        del CHECKS[name]
    results: dict[str, dict[str, str]] = {}
    for problem in arguments.problems:
        results[problem] = {}
        for name, check in CHECKS.items():
            results[problem][name] = result_of(problem, check)
            print(f"{problem}, {name}: {results[problem][name]}", flush=True)
    text = f"{versions()}\n\n{as_table(results)}"
    if arguments.page is None:
        print(text)
        return
    page = arguments.page.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    arguments.page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
