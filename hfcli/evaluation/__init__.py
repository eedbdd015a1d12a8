"""Evaluation: a model and data in, numbers out. Knows nothing about terminals."""
