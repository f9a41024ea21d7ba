"""`deepobs run`: train one optimizer on one test problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deepobs.console.repeated_commands import answer_to, keep, key_of, with_state
from deepobs.console.run_options import (
    RESULT_PARAMETERS,
    RUN_PARAMETERS,
    SCHEDULE_PARAMETERS,
    VALIDATION_SIZE,
    ResultOptions,
    RunOptions,
    schedule_from,
)
from deepobs.console.screen import show
from deepobs.resources import importing_torch, torchrun_rank
from deepobs.run_specifications import DEFAULT_SEED

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    "run",
    params=[
        *RUN_PARAMETERS,
        VALIDATION_SIZE,
        click.Option(
            ["--seed", "seeds"],
            type=int,
            multiple=True,
            help="Random seed [default: 42]. May be repeated: a run for each.",
        ),
        *SCHEDULE_PARAMETERS,
        click.Option(
            ["--exclude-regularizer"],
            is_flag=True,
            help="Report losses without the regularizer.",
        ),
        click.Option(
            ["--no-reshuffle"],
            is_flag=True,
            help="Keep the order of the first epoch in every epoch, like the runs of the paper.",
        ),
        click.Option(
            ["--log-interval"],
            type=int,
            default=10,
            show_default=True,
            help="Steps between recorded minibatch losses.",
        ),
        *RESULT_PARAMETERS,
        click.Option(
            ["--overwrite"], is_flag=True, help="Rerun even if the result already exists."
        ),
    ],
)
def command(
    validation_size: int,
    seeds: tuple[int, ...],
    exclude_regularizer: bool,
    no_reshuffle: bool,
    log_interval: int,
    overwrite: bool,
    **shared: Any,
) -> None:
    """Train OPTIMIZER on the test problem PROBLEM and write a result file.

    PROBLEM is a name from `deepobs list problems`, OPTIMIZER one from `deepobs list optimizers` or
    any class of torch.optim. Either can be a class of your own as package.module:Class, installed
    or in the current directory. Finished runs are skipped,
    so the command can be repeated after an interruption or with more seeds.

    \b
    Examples:
      deepobs run quadratic_deep SGD --lr 0.01
      deepobs run digits_mlp Adam -o betas="(0.8, 0.99)" --seed 1 --seed 2
      deepobs run fmnist_2c2d Momentum --lr 0.1 --epochs 20 --lr-schedule 10:0.1
      deepobs run digits_mlp SGD --lr-scheduler StepLR \\
          --lr-scheduler-option step_size=5
      deepobs run tolstoi_char_rnn SGD --lr 1.5 --checkpoint-every 10min --resume
      deepobs run my_problem:MyProblem my_optimizer:MyOptimizer --lr 0.1
      deepobs run digits_mlp Muon --group hidden --group others:optimizer=AdamW
      torchrun --nproc-per-node 4 -m deepobs run imagenet_vgg16 Momentum --lr 0.01
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    parameters = click.get_current_context().params
    key = key_of({name: value for name, value in parameters.items() if name != "overwrite"})
    # Of several processes, those on other machines may know less: they must agree.
    is_alone = torchrun_rank() is None
    answer = answer_to(key) if is_alone and not overwrite else None
    if answer is not None:
        for summary, path in answer:
            _show_result(summary, path, is_new=False)
        return
    options, results = RunOptions.taken_from(shared), ResultOptions.taken_from(shared)
    with importing_torch():
        from deepobs.runs import run, specify
        from deepobs.runs.progress import live_progress, summary_of

        schedule = schedule_from(shared)
        with options.configured():
            # All seeds are specified first: a mistake is reported before anything is trained.
            specifications = [
                specify(
                    options.problem,
                    options.optimizer,
                    options.hyperparameters,
                    **options.arguments,
                    random_seed=seed,
                    validation_size=validation_size,
                    **schedule,
                    bare_losses=exclude_regularizer,
                    reshuffle=not no_reshuffle,
                    train_log_interval=log_interval,
                )
                for seed in seeds or (DEFAULT_SEED,)
            ]
    checkpoints, found = results.checkpoints, []
    with options.configured():
        for specification in specifications:
            if checkpoints is not None and checkpoints.resume:
                from deepobs.runs.checkpoints import place_in_checkpoint

                if place := place_in_checkpoint(results.output_dir, specification):
                    show(f"The run continues from its checkpoint, {place}.")
            try:
                with live_progress() as progress:
                    result = run(
                        specification,
                        output_dir=results.output_dir,
                        overwrite=overwrite,
                        observers=[*progress, *results.observers],
                        checkpoints=checkpoints,
                    )
            except KeyboardInterrupt:
                from deepobs.runs.checkpoints import checkpoint_path

                if checkpoint_path(results.output_dir, specification).exists():
                    has_resume = checkpoints is not None and checkpoints.resume
                    repeat = f"repeat the command{'' if has_resume else ' with --resume'}"
                    raise KeyboardInterrupt(
                        f"There is a checkpoint: {repeat} to continue this run."
                    ) from None
                raise
            summary = summary_of(result.record)
            found.append((summary, result.path))
            _show_result(summary, result.path, is_new=result.is_new)
        paths = [path for _, path in found if path is not None]
        if checkpoints is None and is_alone and len(paths) == len(found):
            keep(key, specifications, map(with_state, paths), [[s, str(path)] for s, path in found])


def _show_result(summary: str, path: Path | str | None, *, is_new: bool) -> None:
    if not is_new:
        show("Result already exists; use --overwrite to rerun.")
    show(summary)
    show(f"  {path}")
