"""`deepobs estimate`: how long a run will take, and how much memory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deepobs.console import screen
from deepobs.console.options import as_json
from deepobs.console.run_options import RUN_PARAMETERS, VALIDATION_SIZE, RunOptions
from deepobs.console.text import clean, counted, duration, memory
from deepobs.run_specifications import EVERY_EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deepobs.runs.estimate import Estimate, PeakMemory, Spread
    from deepobs.runs.mode_comparison import ModeTime
    from deepobs.runs.pack_estimate import PackEstimate


@click.command(
    "estimate",
    params=[
        *RUN_PARAMETERS,
        VALIDATION_SIZE,
        click.Option(
            ["--seconds"],
            type=float,
            default=10.0,
            show_default=True,
            help="How long to measure after the setup; a few slow steps may take longer.",
        ),
        click.Option(
            ["--compare-modes"],
            is_flag=True,
            help="Compare the speed of plain, channels-last, bf16 and compiled steps.",
        ),
        click.Option(
            ["--pack"],
            type=click.IntRange(min=2),
            help="Also measure whether so many runs are faster as one batched model, which is how "
            "`deepobs bench --executor packed` trains them; takes as long again.",
        ),
    ],
)
@as_json
def command(
    validation_size: int,
    seconds: float,
    compare_modes: bool,
    pack: int | None,
    as_json: bool,
    **shared: Any,
) -> None:
    """Measure how long training OPTIMIZER on PROBLEM will take and how much memory it needs.

    PROBLEM, OPTIMIZER and the options are those of `deepobs run`. A few steps and evaluations are
    executed and timed, as are steps of SGD for comparison; no file is written. With --fake-data,
    nothing is downloaded; the times of epochs are scaled to the real size of the data.

    With --compare-modes, steps are timed in several modes, the fastest of which is shown first.

    \b
    Examples:
      deepobs estimate quadratic_deep Adam
      deepobs estimate fmnist_2c2d SGD --fake-data 0.05 --compare-modes
      deepobs estimate fmnist_2c2d my_module:MyOptimizer --lr 0.1 --fake-data 0.05
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    from deepobs.runs import specify
    from deepobs.runs.estimate import estimate

    options = RunOptions.taken_from(shared)
    with options.configured():
        specification = specify(
            options.problem,
            options.optimizer,
            options.hyperparameters,
            **options.arguments,
            validation_size=validation_size,
        )
        # On standard error: standard output may be JSON for another program.
        screen.show_progress(f"Measuring {options.optimizer} on {options.problem} ...")
        if compare_modes:
            from deepobs.runs import mode_comparison

            times = mode_comparison.compare_modes(specification, seconds=seconds)
        else:
            estimated = estimate(specification, seconds=seconds)
        packed = None
        if pack is not None and not compare_modes:
            from deepobs.runs.pack_estimate import estimate_pack

            packed = estimate_pack(specification, pack, seconds=seconds)
    if compare_modes:
        _show_modes(times, as_json=as_json)
    elif as_json:
        of_pack = {} if packed is None else {"pack": {**asdict(packed), "ratio": packed.ratio}}
        screen.show_json({**estimated.for_json(), **of_pack})
    else:
        _show(estimated, packed)


def _show_modes(times: Sequence[ModeTime], *, as_json: bool) -> None:
    if as_json:
        screen.show_json([asdict(one) for one in times])
        return
    columns = [screen.Column(name) for name in ("MODE", "STEP", "SPEED", "COMPILATION", "NOTE")]
    rows = [
        (
            one.mode,
            "" if one.step_seconds is None else duration(one.step_seconds.median),
            "" if one.speed is None else _speed(one.speed),
            "" if one.compile_seconds is None else duration(one.compile_seconds),
            clean(one.reason),
        )
        for one in times
    ]
    screen.show_table(columns, rows)


def _speed(speed: Spread) -> str:
    return f"{speed.median:.2f} ({speed.low:.2f} to {speed.high:.2f})"


def _show(estimated: Estimate, packed: PackEstimate | None) -> None:
    specification = estimated.specification
    screen.show(clean(f"{specification.optimizer} on {specification.testproblem}"), is_heading=True)
    for line in _conditions(estimated):
        screen.show_text(line)
    screen.show()
    chosen = specification.hyperparameters.items()
    epochs = counted(specification.epochs_begun(estimated.steps_per_epoch), "epoch")
    if specification.max_steps is not None:
        in_all = specification.steps_in_all(estimated.steps_per_epoch)
        epochs = f"{counted(in_all, 'step')} in {epochs}"
    steps = counted(estimated.steps_per_epoch, "step")
    compilation, evaluations = estimated.compile_seconds, "an initial evaluation"
    if specification.evaluate_every != EVERY_EPOCH:
        planned = specification.evaluation_steps(estimated.steps_per_epoch)
        evaluations = counted(len(planned), "evaluation")
    screen.show_fields(
        {
            "Hyperparameters": ", ".join(f"{name} = {value}" for name, value in chosen) or "none",
            "Batch size": specification.batch_size,
            "Step": _in_words(estimated.step_seconds),
            "Overhead": _overhead(estimated),
            "Gradients": f"{estimated.gradient_evaluations_per_step:.3g} per step",
            "Evaluation": duration(estimated.evaluation_seconds),
            "Epoch": f"{duration(estimated.epoch_seconds)}: {steps} and an evaluation",
            "Full run": f"{duration(estimated.run_seconds)}: {epochs}, {evaluations} and "
            f"{duration(estimated.set_up_seconds)} of setup",
            **({"Compilation": duration(compilation)} if compilation else {}),
            "Peak memory": _peaks(estimated.peak_memory, specification.device),
            **({} if packed is None else {f"Pack of {packed.size}": _of_pack(packed)}),
        }
    )


def _conditions(estimated: Estimate) -> Iterator[str]:
    """What the numbers hold for, a sentence a line."""
    hardware, device = estimated.hardware, estimated.specification.device
    threads = counted(hardware["torch_threads"], "CPU thread")
    name = hardware.get("accelerator") or hardware["processor"]
    yield f"Measured over {counted(estimated.timed_steps, 'step')} on {device} ({name}), {threads}."
    if estimated.fake_data and estimated.specification.fake_data_fraction < 1:
        yield (
            "The data are synthetic and reduced: epochs are scaled to the real size, setup and "
            "memory are not."
        )
    elif estimated.fake_data:
        yield "The data are synthetic, in the real size."
    if estimated.has_diverged:
        yield "Training diverged: a run with these hyperparameters would end early."


def _of_pack(packed: PackEstimate) -> str:
    if packed.reason:
        return f"none, runs are executed alone: {packed.reason}"
    times = f"{duration(packed.seconds)} a run, {duration(packed.seconds_alone)} alone"
    advice = "it pays" if packed.ratio > 1 else "it does not pay"
    return f"{advice}: {times} (without setup), {packed.ratio:.2f} times as fast"


def _overhead(estimated: Estimate) -> str:
    if estimated.is_sgd:
        return "none, this is SGD"
    ratio = estimated.sgd_ratio
    return (
        f"{ratio.median:.2f} times a step of SGD (quartiles {ratio.low:.2f} to {ratio.high:.2f}), "
        f"which takes {duration(estimated.sgd_step_seconds.median)}"
    )


def _peaks(peak: PeakMemory, device: str) -> str:
    """The memory of the device, if it has its own, and that of the process."""
    # Optimizers are compared by what they add: the process has Python and torch in it as well.
    process = "unknown"
    if peak.process is not None:
        process = f"{memory(peak.process)} for the whole process, including Python and torch"
    if device == "cpu":
        return process
    on_device = "unknown" if peak.device is None else memory(peak.device)
    return f"{on_device} on {device}, in main memory {process}"


def _in_words(seconds: Spread) -> str:
    low, high = duration(seconds.low), duration(seconds.high)
    return f"{duration(seconds.median)} (quartiles {low} to {high})"
