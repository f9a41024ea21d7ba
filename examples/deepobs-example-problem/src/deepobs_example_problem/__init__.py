"""A test problem for DeepOBS: classification of interleaved spirals."""
