"""When Python looks for garbage in circles of references.

Imports and loading make hundreds of thousands of objects that live on; looking through them costs a
tenth of the start, and a second of the import of torch.
"""

from __future__ import annotations

import gc

AT_START = 5_000_000
LATER = 100_000


def put_off() -> None:
    """Not before `seek`, as far as a start is concerned."""
    gc.set_threshold(AT_START, 50, 50)


def seek() -> None:
    """From here on as usual, where it was put off; what is there already counts as old."""
    if gc.get_threshold()[0] == AT_START:
        gc.freeze()
        gc.unfreeze()
        gc.set_threshold(LATER, 50, 50)
