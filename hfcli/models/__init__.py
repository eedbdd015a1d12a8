"""Models: a name in, weights and tokenizer out. Knows nothing about data."""
