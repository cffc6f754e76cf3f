"""Operations, what people wish of them, and cordons: durable before anybody acts on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb

from drivers.model.operation import Cordon, Operation, Wish
from store.api import StoreError
from store.plain import from_plain, to_plain
from store.sample import plain

Args = Mapping[str, Any]


class Operations(Protocol):
    """The part of the store that remembers work on whole hosts; thread-safe and blocking."""

    def put(self, operation: Operation, holder: str | None) -> None:
        """Write an operation and return once it is durable.

        Args:
            holder: Who must own it as recorded; None for a new one, which is refused while another
                unfinished operation of its host is there. The look and the write are one step.

        Raises:
            StoreError: It is not durable, or somebody else holds it (code ``busy``).
        """
        ...

    def recorded(self, *, limit: int = 50, unfinished: bool = False) -> list[Operation]:
        """Operations, newest first."""
        ...

    def wish(self, wish: Wish) -> None:
        """Ask of an operation, whoever runs it; durable on return."""
        ...

    def wishes(self, operation_id: str) -> list[Wish]:
        """All that was asked of an operation, oldest first."""
        ...

    def cordon(self, cordon: Cordon) -> None:
        """Close a host to new VMs; an older cordon of it is replaced."""
        ...

    def uncordon(self, host: str) -> None:
        """Open it again; nothing happens when it is open."""
        ...

    def cordons(self) -> list[Cordon]:
        """Every cordoned host."""
        ...


class AskedOperations:
    """Asks whoever holds the file."""

    def __init__(self, ask: Callable[[str, Args], Any]) -> None:
        self._ask = ask

    def put(self, operation: Operation, holder: str | None) -> None:
        """See ``Operations.put``."""
        self._ask("put_operation", {"operation": to_plain(operation), "holder": holder})

    def recorded(self, *, limit: int = 50, unfinished: bool = False) -> list[Operation]:
        """See ``Operations.recorded``."""
        rows = self._ask("operations", {"limit": limit, "unfinished": unfinished})
        return [from_plain(Operation, row) for row in rows]

    def wish(self, wish: Wish) -> None:
        """See ``Operations.wish``."""
        self._ask("put_wish", {"wish": to_plain(wish)})

    def wishes(self, operation_id: str) -> list[Wish]:
        """See ``Operations.wishes``."""
        return [from_plain(Wish, row) for row in self._ask("wishes", {"id": operation_id})]

    def cordon(self, cordon: Cordon) -> None:
        """See ``Operations.cordon``."""
        self._ask("put_cordon", {"cordon": to_plain(cordon)})

    def uncordon(self, host: str) -> None:
        """See ``Operations.uncordon``."""
        self._ask("drop_cordon", {"host": host})

    def cordons(self) -> list[Cordon]:
        """See ``Operations.cordons``."""
        return [from_plain(Cordon, row) for row in self._ask("cordons", {})]


@dataclass(slots=True)
class OperationWrite:
    """An operation to write; ``holder`` becomes who kept it out."""

    operation: Operation
    owner: str | None
    holder: str = ""

    def apply(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Write it, unless it is not its owner's to write."""
        operation = self.operation
        self.holder = self._kept_out(cursor)
        if self.holder:
            return
        row = (
            plain(operation.id),
            operation.created_at,
            operation.ended_at,
            operation.state.value,
            operation.state.ended,
            operation.plan.kind.value,
            plain(operation.plan.host),
            plain(operation.actor),
            plain(operation.owner),
            json.dumps(to_plain(operation)),
        )
        cursor.execute("DELETE FROM rec.operation WHERE id = ?", [row[0]])
        marks = ", ".join("?" * len(row))
        cursor.execute(f"INSERT INTO rec.operation VALUES ({marks})", list(row))

    def _kept_out(self, cursor: duckdb.DuckDBPyConnection) -> str:
        """Who holds the operation or its host; empty when it may be written."""
        ident = plain(self.operation.id)
        if self.owner is None:
            found = cursor.execute(
                "SELECT kind || ' ' || id FROM rec.operation"
                " WHERE id = ? OR (host = ? AND NOT ended) ORDER BY created_at LIMIT 1",
                [ident, plain(self.operation.plan.host)],
            ).fetchone()
            return str(found[0]) if found else ""
        found = cursor.execute("SELECT owner FROM rec.operation WHERE id = ?", [ident]).fetchone()
        if found is None:
            return "nobody: it is not recorded"
        return "" if found[0] == plain(self.owner) else str(found[0]) or "nobody any more"

    def refusal(self) -> StoreError:
        """Why it was not written."""
        what = "this operation is in other hands"
        if self.owner is None:
            what = f"another operation of {self.operation.plan.host} is under way"
        return StoreError(what, self.holder, "wait for it, or cancel it first", "busy")


@dataclass(slots=True)
class PlainWrite:
    """Statements that nothing can keep out."""

    statements: tuple[tuple[str, list[object]], ...]
    holder: str = ""

    def apply(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Run them."""
        for text, values in self.statements:
            cursor.execute(text, values)

    def refusal(self) -> StoreError:
        """Never asked for: nothing keeps it out."""
        return StoreError("not written", code="busy")


Write = OperationWrite | PlainWrite


def operation_write(args: Args) -> Write:
    """The write behind ``put_operation``; ValueError when the arguments make no sense."""
    holder = args["holder"]
    operation = from_plain(Operation, args["operation"])
    return OperationWrite(operation, None if holder is None else str(holder))


def wish_write(args: Args) -> Write:
    """The write behind ``put_wish``."""
    wish = from_plain(Wish, args["wish"])
    values: list[object] = [plain(wish.operation), wish.verb.value, wish.at, plain(wish.by)]
    return PlainWrite((("INSERT INTO rec.operation_wish VALUES (?, ?, ?, ?)", values),))


def cordon_write(args: Args) -> Write:
    """The write behind ``put_cordon``."""
    cordon = from_plain(Cordon, args["cordon"])
    host = plain(cordon.host)
    values: list[object] = [host, cordon.since, plain(cordon.by), plain(cordon.reason)]
    insert = ("INSERT INTO rec.cordon VALUES (?, ?, ?, ?)", values)
    return PlainWrite((_drop(host), insert))


def uncordon_write(args: Args) -> Write:
    """The write behind ``drop_cordon``."""
    return PlainWrite((_drop(plain(str(args["host"]))),))


def _drop(host: str) -> tuple[str, list[object]]:
    return "DELETE FROM rec.cordon WHERE host = ?", [host]


WRITES: Mapping[str, Callable[[Args], Write]] = {
    "put_operation": operation_write,
    "put_wish": wish_write,
    "put_cordon": cordon_write,
    "drop_cordon": uncordon_write,
}


def read_operations(cursor: duckdb.DuckDBPyConnection, args: Args) -> list[Operation]:
    """Operations, newest first; those of another version that cannot be read are left out."""
    chosen = "WHERE NOT ended" if args["unfinished"] is True else ""
    rows = cursor.execute(
        f"SELECT body FROM rec.operation {chosen} ORDER BY created_at DESC, id DESC LIMIT ?",
        [int(args["limit"])],
    ).fetchall()
    found = []
    for (body,) in rows:
        try:
            found.append(from_plain(Operation, json.loads(body)))
        except ValueError:
            continue  # written by a version whose words this one does not know
    return found


def read_wishes(cursor: duckdb.DuckDBPyConnection, args: Args) -> list[Wish]:
    """What was asked of an operation, in the order it was written: clocks of people differ."""
    rows = cursor.execute(
        "SELECT id, wish, moment, actor FROM rec.operation_wish WHERE id = ? ORDER BY rowid",
        [plain(str(args["id"]))],
    ).fetchall()
    names = ("operation", "verb", "at", "by")
    return [from_plain(Wish, dict(zip(names, row, strict=True))) for row in rows]


def read_cordons(cursor: duckdb.DuckDBPyConnection, _args: Args) -> list[Cordon]:
    """Cordoned hosts by name."""
    rows = cursor.execute("SELECT host, since, actor, reason FROM rec.cordon ORDER BY host")
    return [Cordon(host, since, by, reason) for host, since, by, reason in rows.fetchall()]


READS: Mapping[str, Callable[[duckdb.DuckDBPyConnection, Args], object]] = {
    "operations": read_operations,
    "wishes": read_wishes,
    "cordons": read_cordons,
}
