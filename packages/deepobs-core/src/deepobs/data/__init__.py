"""Data sets that live in memory, and the files they come from."""

from deepobs.data.dataset import Examples, Splits, TensorDataSet
from deepobs.data.loader import TensorLoader

__all__ = ["Examples", "Splits", "TensorDataSet", "TensorLoader"]
