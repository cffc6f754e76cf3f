"""Who is who: UUIDs and names to small numbers, where each VM is, and who records each host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import duckdb

from store.sample import HostBatch

_FORGET_S = 30.0  # a claim not renewed for so long gives way to any other host's
_BACK_S = 3600.0  # a sample so much older than the last tells of a clock set back
_GONE_S = 10.0  # a VM in nobody's list for so long is written down as gone: migrations need less
_RANK = {"running": 3, "blocked": 3, "paused": 2, "stopping": 2, "suspended": 2, "unknown": 0}


@dataclass(slots=True)
class _Where:
    number: int
    name: str
    host: str
    state: str
    at: float


@dataclass(slots=True)
class _Lease:
    source: str
    until: float
    last: float


class Leases:
    """One source at a time records a host; it lapses when the source falls silent."""

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._held: dict[str, _Lease] = {}

    def grant(self, host: str, source: str, at: float) -> bool:
        """True when ``source`` may record ``host`` for a sample taken ``at``."""
        held = self._held.get(host)
        if held is not None and held.source != source and held.last - _BACK_S < at <= held.until:
            return False
        gap = max(0.0, at - held.last) if held is not None and held.source == source else 0.0
        keep = max(self._least_s, 3 * min(gap, 120.0))
        self._held[host] = _Lease(source, at + keep, at)
        return True


@dataclass(slots=True)
class Book:
    """Ids and placements as the file has them, plus the rows that wait to be written."""

    hosts: dict[str, int] = field(default_factory=dict)
    _last_id: int = 0
    _where: dict[str, _Where] = field(default_factory=dict)
    _heard: dict[str, float] = field(default_factory=dict)
    _listed: dict[str, frozenset[str]] = field(default_factory=dict)
    _missing: dict[str, tuple[str, float]] = field(default_factory=dict)
    _new_vms: list[tuple[int, str, str, int]] = field(default_factory=list)
    _renamed: dict[str, str] = field(default_factory=dict)
    _new_hosts: list[tuple[int, str, int]] = field(default_factory=list)
    _moves: list[tuple[float, int, int, str]] = field(default_factory=list)

    def load(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Read everything anew from the file, forgetting what was not written."""
        vms = cursor.execute("SELECT uuid, id, name FROM rec.vm").fetchall()
        self._last_id = max((number for _, number, _ in vms), default=0)
        self._where = {uuid: _Where(number, name, "", "", 0.0) for uuid, number, name in vms}
        self.hosts = dict(cursor.execute("SELECT name, id FROM rec.host").fetchall())
        newest = cursor.execute(
            "SELECT v.uuid, arg_max(h.name, p.moment), arg_max(p.state, p.moment), max(p.moment)"
            " FROM rec.placement AS p JOIN rec.vm AS v ON v.id = p.vm"
            " JOIN rec.host AS h ON h.id = p.host GROUP BY v.uuid"
        ).fetchall()
        for uuid, host, state, at in newest:
            where = self._where[uuid]
            where.host, where.state, where.at = host, state, at
        self._heard.clear()
        self._missing.clear()
        # What vanished while nobody recorded is missing from its host's first list.
        there = sorted((host, uuid) for uuid, host, state, _ in newest if state != "gone")
        self._listed = {
            host: frozenset(uuid for _, uuid in rows)
            for host, rows in groupby(there, key=itemgetter(0))
        }
        self._drop_pending()

    def vms_seen(self) -> list[tuple[int, int]]:
        """(number, newest time) of each VM that a host listed, epoch seconds."""
        return [(w.number, int(w.at)) for w in self._where.values() if w.state not in ("", "gone")]

    def hosts_seen(self) -> list[tuple[int, int]]:
        """(number, newest time) of each host that told of anything since ``load``."""
        return [(self.hosts[h], int(at)) for h, at in self._heard.items() if h in self.hosts]

    def forget(self, uuids: Iterable[str], hosts: Iterable[str]) -> None:
        """Drop what is not in the file any more; who comes back is new."""
        for uuid in uuids:
            self._where.pop(uuid, None)
            self._missing.pop(uuid, None)
        for host in hosts:
            self.hosts.pop(host, None)

    def host_id(self, name: str, at: float) -> int:
        """Number of a host, new ones included."""
        number = self.hosts.get(name)
        if number is None:
            number = max(self.hosts.values(), default=0) + 1
            self.hosts[name] = number
            self._new_hosts.append((number, name, int(at)))
        return number

    def accept(self, batch: HostBatch) -> list[int]:
        """Number of each VM of a batch; 0 where another host has the better claim to it.

        While a VM migrates both hosts tell of it: the one where it runs is believed.
        """
        self._heard[batch.host] = batch.at
        present = frozenset(uuid for uuid, _, _ in batch.vms)
        if batch.complete:
            for uuid in self._listed.get(batch.host, frozenset()) - present:
                where = self._where.get(uuid)
                if where is not None and where.host == batch.host:
                    self._missing[uuid] = (batch.host, batch.at)
            self._listed[batch.host] = present
        host, at, known = batch.host, batch.at, self._where
        numbers = []
        for uuid, name, state in batch.vms:
            where = known.get(uuid)
            if where is not None and where.host == host and where.state == state:
                where.at = at
                if where.name == name and not self._missing:
                    numbers.append(where.number)
                    continue
            numbers.append(self._place(batch, uuid, name, state))
        return numbers

    def settle(self, at: float) -> None:
        """Write down as gone what no host has listed for a while."""
        for uuid, (host, since) in list(self._missing.items()):
            if not since - _BACK_S < at < since + _GONE_S:
                del self._missing[uuid]
                where = self._where[uuid]
                where.state, where.at = "gone", since
                self._moves.append((since, where.number, self.host_id(host, since), "gone"))

    def write(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Insert the new rows, within the caller's transaction."""
        if self._new_hosts:
            cursor.executemany("INSERT INTO rec.host VALUES (?, ?, ?)", self._new_hosts)
        if self._new_vms:
            insert(cursor, "rec.vm", self._new_vms)
        for uuid, name in self._renamed.items():
            cursor.execute("UPDATE rec.vm SET name = ? WHERE uuid = ?", [name, uuid])
        if self._moves:
            insert(cursor, "rec.placement", self._moves)

    def written(self) -> None:
        """The rows are durable."""
        self._drop_pending()

    def _place(self, batch: HostBatch, uuid: str, name: str, state: str) -> int:
        where = self._where.get(uuid)
        if where is None:
            self._last_id += 1
            where = self._where[uuid] = _Where(self._last_id, name, "", "", 0.0)
            self._new_vms.append((where.number, uuid, name, int(batch.at)))
        elif where.host not in ("", batch.host) and uuid not in self._missing:
            better = _RANK.get(state, 1) > _RANK.get(where.state, 1)
            if not better and -_BACK_S < batch.at - where.at < _FORGET_S:
                return 0
        if where.name != name:
            where.name = self._renamed[uuid] = name
        if (where.host, where.state) != (batch.host, state):
            host = self.host_id(batch.host, batch.at)
            self._moves.append((batch.at, where.number, host, state))
        where.host, where.state, where.at = batch.host, state, batch.at
        self._missing.pop(uuid, None)
        return where.number

    def _drop_pending(self) -> None:
        self._new_vms.clear()
        self._renamed.clear()
        self._new_hosts.clear()
        self._moves.clear()


def insert(
    cursor: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Append rows to a table, within the caller's transaction."""
    with cursor.appender(table) as appender:
        appender.append_rows(list(rows))
