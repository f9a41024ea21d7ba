"""The checks of optimizers."""
