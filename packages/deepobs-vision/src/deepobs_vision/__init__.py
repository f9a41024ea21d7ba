"""Image test problems for DeepOBS."""

from deepobs_vision.__about__ import __version__

__all__ = ["__version__"]
