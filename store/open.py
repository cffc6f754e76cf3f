"""Where history is opened."""

from __future__ import annotations

import traceback
from pathlib import Path

from store.api import Store, StoreError
from store.settings import StoreSettings
from store.shared import SharedStore


def open_store(
    path: Path, *, settings: StoreSettings | None = None, want_writer: bool = True
) -> Store:
    """The store at ``path``, as its writer if nobody else is, else through the writer's socket.

    Always ``close`` it. Roles change by themselves when the writer ends.

    Args:
        path: The DuckDB file, such as ``~/.local/share/novacron/history.duckdb``.
        settings: Limits, retention and rhythm.
        want_writer: False never records here: questions go to the writer, or to the file itself
            while nobody writes.

    Raises:
        StoreError: A newer NovaCron wrote the file, or it cannot be used at all.
    """
    store = SharedStore(path, settings or StoreSettings(), want_writer)
    try:
        store.start()
    except StoreError as error:
        _let_go(error)
        raise
    return store


def _let_go(error: BaseException | None) -> None:
    """Drop what the error's frames hold: DuckDB complains at exit of each object still in hand."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
