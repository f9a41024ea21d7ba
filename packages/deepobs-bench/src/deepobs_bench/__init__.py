"""Many runs: experiment files, plans, sweeps, executor backends and tuning."""

__version__ = "1.2.0"
