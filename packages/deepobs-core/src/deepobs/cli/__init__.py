"""The command line `deepobs`: a module for each command.

Nothing here imports torch before a command needs it, so that help and lists appear at once.
"""
