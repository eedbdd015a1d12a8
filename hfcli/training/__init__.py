"""Training: a recipe in, a folder with a model out. Knows nothing about terminals."""
