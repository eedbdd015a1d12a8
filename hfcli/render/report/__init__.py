"""Finished runs -> report.html, report.md, report.json, PNG charts and a model card.

`finetune.write_finetune_report` and `evaluate.write_eval_report` are the doors. They read plain
dicts and files, and every optional part of those may be absent. Pages hold everything they show:
no script, no external address. Nothing here measures or scores.
"""
