"""Figures of results: a module for each, and what they share."""
