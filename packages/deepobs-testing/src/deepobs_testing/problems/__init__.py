"""The checks of test problems."""
