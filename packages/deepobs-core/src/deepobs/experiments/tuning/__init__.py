"""Tuning: good hyperparameters, honestly chosen and reported."""

from deepobs.experiments.tuning.settings import TuningSettings

__all__ = ["TuningSettings"]
