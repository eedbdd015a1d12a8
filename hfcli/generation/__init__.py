"""Generation: a model and a prompt in, text out. Knows nothing about terminals."""
