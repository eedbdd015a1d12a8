"""hfcli against the plain scripts a user would write, side by side on this machine.

    python -m benchmarks [--only NAME] [--repeats N] [--quick]      (or: make bench)

No part of the package, and not part of CI. `cases/` holds one file a kind of work, `plain/` the
scripts hfcli is compared to. A case is added by a file in `cases/` and nothing else.
`coverage.py` and `memory.py` measure other things and are started by themselves.
"""
