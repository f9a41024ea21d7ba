"""A test problem for DeepOBS: telling interleaved spirals apart."""
