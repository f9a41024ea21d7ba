"""The public modules in the order of the reference."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Modules that belong together.

    Attributes:
        name: Name of the page with details.
        title: Heading.
        text: Description.
        modules: Names of the modules.
    """

    name: str
    title: str
    text: str
    modules: tuple[str, ...]


GROUPS = (
    Group(
        "facade",
        "Facade",
        "`deepobs.pytorch` has every registered test problem, data set and runner as an attribute: "
        "`testproblems.mnist_mlp(batch_size=128)`. [All names](reference/problems.md).",
        ("deepobs.pytorch", "deepobs.runs.runner"),
    ),
    Group(
        "config",
        "Settings",
        "Settings of the process; environment variables set their defaults.",
        ("deepobs.pytorch.config",),
    ),
    Group(
        "protocols",
        "Protocols",
        "The interfaces of test problems, data sets and runners.",
        ("deepobs.protocols",),
    ),
    Group(
        "problems",
        "Building blocks of test problems",
        "Base classes and parts of test problems.",
        (
            "deepobs.problems",
            "deepobs.problems.initializers",
            "deepobs.problems.attention",
            "deepobs_vision.classification",
            "deepobs_vision.inception",
            "deepobs_vision.vae",
            "deepobs_vision.dense",
            "deepobs_vision.layers",
            "deepobs_text.language_model",
            "deepobs_text.char_rnn",
            "deepobs_text.transformer",
            "deepobs_text.carried_state",
        ),
    ),
    Group(
        "data",
        "Building blocks of data sets",
        "Base classes and parts of data sets.",
        (
            "deepobs.data",
            "deepobs_vision.images",
            "deepobs_vision.augmentation",
            "deepobs_text.text_dataset",
            "deepobs_text.text_file",
        ),
    ),
    Group(
        "runs",
        "Runs",
        "A single run: specification, execution and record.",
        (
            "deepobs.runs",
            "deepobs.runs.direct",
            "deepobs.runs.checkpoints",
            "deepobs.runs.progress",
            "deepobs.run_specifications",
            "deepobs.records",
            "deepobs.metrics",
            "deepobs.representatives",
            "deepobs.runs.schedules",
            "deepobs.runs.trackers",
            "deepobs.runs.trackers.mlflow",
            "deepobs.runs.trackers.tensorboard",
            "deepobs.runs.trackers.trackio",
            "deepobs.runs.trackers.wandb",
            "deepobs.runs.estimate",
            "deepobs.runs.lr_range",
            "deepobs.runs.mode_comparison",
            "deepobs.runs.shared_problem",
        ),
    ),
    Group(
        "experiments",
        "Experiments and tuning",
        "Experiment files, sweeps and hyperparameter search.",
        (
            "deepobs_bench.experiment",
            "deepobs_bench.experiment_files",
            "deepobs_bench.plan",
            "deepobs_bench.sweep",
            "deepobs_bench.failures",
            "deepobs_bench.executors",
            "deepobs_bench.pools",
            "deepobs_bench.standings",
            "deepobs_bench.tuning.planned",
            "deepobs_bench.tuning.tune",
            "deepobs_bench.tuning.settings",
            "deepobs_bench.tuning.result",
        ),
    ),
    Group(
        "plugins",
        "Plugins",
        "Discovery of plugins and their components; see also the [hooks](reference/hooks.md).",
        ("deepobs.plugins",),
    ),
    Group(
        "console",
        "Console kit",
        "Building blocks of commands: output, completion, parsing, and options of runs.",
        (
            "deepobs.console.screen",
            "deepobs.console.text",
            "deepobs.console.offers",
            "deepobs.console.options",
            "deepobs.console.run_options",
        ),
    ),
    Group(
        "testing",
        "Checks of problems, data sets and optimizers",
        "The checks of [`deepobs check`](reference/command_line.md#deepobs-check), for tests.",
        ("deepobs_testing",),
    ),
    Group(
        "errors",
        "Errors",
        "The exceptions that DeepOBS raises.",
        ("deepobs.errors",),
    ),
    Group(
        "tf_weights",
        "Weights of TensorFlow DeepOBS",
        "Transfer of the original's variables into a model and back.",
        ("deepobs.pytorch.tf_weights",),
    ),
    Group(
        "analysis",
        "Analysis",
        "Results as pandas tables, statistics, figures, tables and the report.",
        (
            "deepobs_analysis",
            "deepobs_analysis.reading",
            "deepobs_analysis.tuning_records",
            "deepobs_analysis.selection",
            "deepobs_analysis.baselines",
            "deepobs_analysis.summaries",
            "deepobs_analysis.targets",
            "deepobs_analysis.winners",
            "deepobs_analysis.caveats",
            "deepobs_analysis.failing_seeds",
            "deepobs_analysis.scores",
            "deepobs_analysis.pairwise",
            "deepobs_analysis.matches",
            "deepobs_analysis.python_use",
            "deepobs_analysis.protocol_differences",
            "deepobs_analysis.measures",
            "deepobs_analysis.table_columns",
            "deepobs_analysis.table_formats",
            "deepobs_analysis.report",
            "deepobs_analysis.output",
        ),
    ),
)
