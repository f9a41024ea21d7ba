"""The package that `deepobs new-plugin` writes: names, templates, and the files made of them."""
