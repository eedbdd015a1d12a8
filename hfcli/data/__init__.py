"""Data: local files or a Hub data set in, checked splits out. Knows nothing about models."""
