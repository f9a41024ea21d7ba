"""Pages of reference, written from the code that they are about."""
