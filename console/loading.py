"""Loading modules without a search for garbage: what they make lives as long as the program."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Collect nothing meanwhile, and never look at what was made again.

    Loading the console makes some 100,000 objects, and looking for garbage among them takes a
    seventh of that time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
