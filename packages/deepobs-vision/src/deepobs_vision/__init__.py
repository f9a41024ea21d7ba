"""Image test problems for DeepOBS."""

__version__ = "1.2.0"
