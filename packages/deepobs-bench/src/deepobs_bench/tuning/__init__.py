"""Tuning: hyperparameters selected by a protocol, and reported with other seeds."""
