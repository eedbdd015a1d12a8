"""hfcli: generate, finetune and eval with Hugging Face Transformers from the command line."""

__version__ = "0.1.0"
