"""Runs that are killed, or find the disk full, and go on: `make kill`."""
