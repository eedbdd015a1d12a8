"""The only room, with `fast`, that touches private names or attributes of other libraries.

One file a library. Each function has a public way for versions where the private one is gone;
`tests/unit/test_foreign_names.py` sees that no other room needs one.
"""
