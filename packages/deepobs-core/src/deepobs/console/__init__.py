"""Console kit: what commands of `deepobs` are built with, those of other packages too.

Nothing here imports torch, so that help, lists and shell completion appear at once.
"""
