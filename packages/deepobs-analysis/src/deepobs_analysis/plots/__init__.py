"""Figures of results, a module for each family."""
