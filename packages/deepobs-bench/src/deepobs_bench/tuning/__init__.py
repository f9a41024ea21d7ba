"""Tuning: hyperparameters selected by a protocol, and reported with other seeds."""

from deepobs_bench.tuning.result import TuningResult
from deepobs_bench.tuning.settings import TuningSettings
from deepobs_bench.tuning.tune import tune

__all__ = ["TuningResult", "TuningSettings", "tune"]
