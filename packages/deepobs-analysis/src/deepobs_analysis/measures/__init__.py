"""What optimizers are compared by: pure functions of arrays, with the source of every formula."""

from __future__ import annotations

from deepobs_analysis.measures.aggregates import (
    interquartile_mean,
    mean_score,
    performance_difference,
    probability_of_improvement,
    standardized_difference,
)
from deepobs_analysis.measures.bootstrap import Interval, stratified_bootstrap
from deepobs_analysis.measures.normalization import normalized
from deepobs_analysis.measures.overhead import relative_step_time
from deepobs_analysis.measures.performance import (
    MeanAndDeviation,
    Quartiles,
    best,
    final,
    mean_and_deviation,
    quartiles,
)
from deepobs_analysis.measures.profiles import (
    Speedup,
    benchmark_score,
    geometric_mean_speedup,
    performance_profile,
    performance_ratios,
)
from deepobs_analysis.measures.ranks import RankDistribution, rank_distribution, ranks
from deepobs_analysis.measures.sensitivity import (
    decades_within,
    gain_from_tuning_each_problem,
    share_within,
)
from deepobs_analysis.measures.speed import (
    MeanTime,
    epochs_to_target,
    gradient_evaluations_to_target,
    mean_time,
    seconds_to_target,
    steps_to_target,
)
from deepobs_analysis.measures.stability import Spread, relative_spread, share_diverged, spread
from deepobs_analysis.measures.targets import target_performance
from deepobs_analysis.measures.tunability import expected_best_curve, expected_best_of

__all__ = [
    "Interval",
    "MeanAndDeviation",
    "MeanTime",
    "Quartiles",
    "RankDistribution",
    "Speedup",
    "Spread",
    "benchmark_score",
    "best",
    "decades_within",
    "epochs_to_target",
    "expected_best_curve",
    "expected_best_of",
    "final",
    "gain_from_tuning_each_problem",
    "geometric_mean_speedup",
    "gradient_evaluations_to_target",
    "interquartile_mean",
    "mean_and_deviation",
    "mean_score",
    "mean_time",
    "normalized",
    "performance_difference",
    "performance_profile",
    "performance_ratios",
    "probability_of_improvement",
    "quartiles",
    "rank_distribution",
    "ranks",
    "relative_spread",
    "relative_step_time",
    "seconds_to_target",
    "share_diverged",
    "share_within",
    "spread",
    "standardized_difference",
    "steps_to_target",
    "stratified_bootstrap",
    "target_performance",
]
