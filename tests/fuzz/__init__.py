"""Broken inputs by the hundred, each through the real command in a process of its own."""
