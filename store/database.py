"""The DuckDB file: private, bounded, salvaged when its log is damaged, closed always."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from store.api import StoreError
from store.migrate import migrate, refuse_newer
from store.settings import StoreSettings

_DAMAGED = ("WAL", "checksum", "replay", "Deserialization", "deserialize")
_CLOSE_S = 5.0
_BLOCK = "32768"  # of a new file, bytes: packed columns fill these; a tenth of DuckDB's own is lost


class Database:
    """One open file. Readers take cursors of their own; ``close`` interrupts and waits for them."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, warning: str = ""
    ) -> None:
        self.path = path
        self.warning = warning
        self._root = connection
        self._idle = threading.Condition()
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self._closed = False

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of the calling thread's own, for as long as the block runs.

        Raises:
            StoreError: The file is closed, or is being reopened.
        """
        with self._idle:
            if self._closed:
                raise StoreError(
                    "history is being reopened", fix="try again in a moment", code="reopening"
                )
            cursor = self._root.cursor()
            self._cursors.add(cursor)
        try:
            yield cursor
        finally:
            with suppress(duckdb.Error):
                cursor.close()
            with self._idle:
                self._cursors.discard(cursor)
                self._idle.notify_all()

    def close(self) -> None:
        """Interrupt what still runs, then let go of the file."""
        with self._idle:
            self._closed = True
            for cursor in self._cursors:
                with suppress(duckdb.Error):
                    cursor.interrupt()
            self._idle.wait_for(lambda: not self._cursors, timeout=_CLOSE_S)
        with suppress(duckdb.Error):
            self._root.close()


def open_database(path: Path, settings: StoreSettings) -> Database:
    """Open or make the file; its folder becomes private to the user.

    A write-ahead log that cannot be replayed is set aside and the rest opens with a warning.

    Raises:
        StoreError: Another program holds the file, a newer version wrote it, or it cannot be
            read.
    """
    prepare_folder(path, settings)
    if not path.exists():
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
    connection, warning = _open_salvaging(path, settings)
    try:
        migrate(connection, path, settings.clock())
        connection.execute("SET GLOBAL TimeZone = 'UTC'")  # as the views
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except (duckdb.Error, StoreError) as error:
        connection.close()
        if isinstance(error, StoreError):
            raise
        raise explain(error, path) from error
    return Database(connection, path, warning)


def prepare_folder(path: Path, settings: StoreSettings) -> None:
    """Make the file's folder, private: names and loads of VMs are nobody else's business."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"cannot make the folder of the history file, {folder}", str(error), code="folder"
        ) from error
    if not settings.group and folder.stat().st_uid == os.geteuid():
        with suppress(OSError):
            if folder.stat().st_mode & 0o077 and _ours(folder, path):
                folder.chmod(0o700)


def _ours(folder: Path, path: Path) -> bool:
    """True when nothing but the store lives there, so that tightening it harms nobody."""
    return all(entry.name.startswith(path.name) for entry in folder.iterdir())


def _open_salvaging(path: Path, settings: StoreSettings) -> tuple[duckdb.DuckDBPyConnection, str]:
    if path.exists():
        _look_first(path, settings)
    try:
        return _connect(path, settings), ""
    except duckdb.Error as error:
        log = path.with_name(path.name + ".wal")
        damaged = log.exists() and any(word in str(error) for word in _DAMAGED)
        if not damaged:
            raise explain(error, path) from error
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(settings.clock()))
        aside = _free_name(log.with_name(f"{log.name}.damaged-{stamp}"))
        log.rename(aside)
        warning = f"a damaged write-ahead log was set aside as {aside.name}; the rest is intact"
        try:
            return _connect(path, settings), warning
        except duckdb.Error as again:
            raise explain(again, path) from again


def _look_first(path: Path, settings: StoreSettings) -> None:
    """Refuse a newer version's file before anything could write to it."""
    try:
        connection = _connect(path, settings, read_only=True)
    except duckdb.Error:
        return  # the writing open that follows says what is wrong
    try:
        refuse_newer(connection, path)
    finally:
        connection.close()


def _free_name(path: Path) -> Path:
    candidate, number = path, 1
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate


def _connect(
    path: Path, settings: StoreSettings, *, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    # The mask is the process's: other threads that make files in these milliseconds make them
    # private too, which is the safe side.
    mask = os.umask(0o077)
    try:
        return duckdb.connect(
            str(path),
            read_only=read_only,
            config={
                "default_block_size": _BLOCK,
                "memory_limit": settings.memory_limit,
                "threads": settings.threads,
                "temp_directory": str(path) + ".tmp",
                "max_temp_directory_size": f"{settings.temp_bytes}B",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
            },
        )
    finally:
        os.umask(mask)


def explain(error: BaseException, path: Path) -> StoreError:
    """A StoreError that says in one sentence what DuckDB said in many."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    if "lock" in text and "Conflicting" in text:
        return StoreError(
            f"another program holds {path}", first, "close it; recording resumes then", "locked"
        )
    if "No space left" in text or "File too large" in text or "ENOSPC" in text:
        return StoreError("the disk is full", first, f"free space for {path}", "disk-full")
    if "newer" in text and "version" in text:
        return StoreError(
            f"{path} was written by a newer DuckDB", first, "update NovaCron", "newer-database"
        )
    if 'catalog or schema "rec"' in text:
        fix = "give it another name: path under [history] in the fleet file"
        return StoreError(f"the history file cannot be called {path.name}", first, fix, "name")
    return StoreError(f"cannot use the history file {path}", first, code="unusable")


def is_fatal(error: duckdb.Error) -> bool:
    """True when the file must be closed and opened anew before anything else is written.

    A commit that met a full disk is one: DuckDB goes on by itself, but into the same wall.
    """
    text = str(error)
    return (
        explain(error, Path()).problem.code == "disk-full"
        or isinstance(error, duckdb.FatalException | duckdb.InternalException)
        or "invalidated" in text
        or isinstance(error, duckdb.IOException)
    )
