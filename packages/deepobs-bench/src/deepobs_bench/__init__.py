"""Many runs: experiment files, their plans, and how the runs are carried out."""

__version__ = "1.2.0"
