"""Recipes: what a YAML file may say, and how file and overrides become one validated object."""
