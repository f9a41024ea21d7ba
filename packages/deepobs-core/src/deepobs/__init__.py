"""DeepOBS for PyTorch: a benchmark suite for deep-learning optimizers."""

from deepobs.__about__ import __version__

__all__ = ["__version__"]
