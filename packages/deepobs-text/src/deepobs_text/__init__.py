"""Text test problems for DeepOBS."""

from deepobs_text.__about__ import __version__

__all__ = ["__version__"]
