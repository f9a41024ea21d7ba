"""Models as functions of the shape of an image and the number of classes."""
