"""The commands of deepobs-analysis, one module each."""
