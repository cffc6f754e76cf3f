"""Pools and volumes as rows: how full, which tier, who uses what, and what nobody uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from drivers.model.fleet import FleetSnapshot, stale_after
from drivers.model.host import Host, LinkState
from drivers.model.storage import Pool, Tier, Volume
from screens.columns import Cell, Column, Pen, Row, natural
from screens.filtering import Filter
from screens.format import UNKNOWN, age, bar, percent, plural, share, size
from screens.prose import DIM, HEAD, WARN, Para, para
from screens.render_plan import problem_text

FULL = 0.9
"""Share from which a pool counts as nearly full."""

_TIERS = (Tier.HOT, Tier.WARM, Tier.COLD, Tier.NONE)


class PoolItem(NamedTuple):
    """A pool, whether its figures can be trusted, and how many of its volumes nobody uses."""

    pool: Pool
    fresh: bool
    orphans: int


class VolumeItem(NamedTuple):
    """A volume and the VMs that name it; ``known`` is False when not all hosts could be asked."""

    volume: Volume
    users: tuple[str, ...]
    uuids: tuple[str, ...]
    known: bool


class Usage:
    """Who uses which path: from the pools themselves and from the disks of every VM.

    Made once a snapshot: an index of 10,000 VMs is too much for every tick of the clock.
    """

    def __init__(self, snapshot: FleetSnapshot) -> None:
        self.snapshot = snapshot
        self.names: Mapping[str, str] = {vm.uuid: vm.name for vm in snapshot.vms()}
        self._by_path: dict[str, dict[str, str]] = {}
        for vm in snapshot.vms():
            for disk in vm.disks:
                if disk.source:
                    self._by_path.setdefault(disk.source, {})[vm.uuid] = vm.host
        self._orphans: dict[tuple[str, str], int] = {}
        self.complete = all(host.link.state is LinkState.UP for host in snapshot.hosts)

    def of(self, volume: Volume) -> tuple[str, ...]:
        """UUIDs of VMs of the volume's own host that use it, else of VMs elsewhere that name the
        same path: it may lie on storage that hosts share."""
        named = self._by_path.get(volume.path, {})
        here = [uuid for uuid, host in named.items() if host == volume.host]
        own = tuple(dict.fromkeys((*volume.used_by, *here)))
        return own or tuple(named)

    def orphans(self, pool: Pool) -> int:
        """How many volumes of one of the snapshot's pools no VM is known to use."""
        key = (pool.host, pool.name)
        if key not in self._orphans:
            self._orphans[key] = sum(not self.of(volume) for volume in pool.volumes)
        return self._orphans[key]


def pool_rows(snapshot: FleetSnapshot, usage: Usage, now: float) -> list[Row]:
    """One row a pool: by host, then by tier, hot first."""
    rows = []
    for host in snapshot.hosts:
        for pool in sorted(host.pools, key=lambda p: (_TIERS.index(p.tier), natural(p.name))):
            item = PoolItem(pool, _fresh(pool, host, now), usage.orphans(pool))
            rows.append(Row(f"{pool.host}/{pool.name}", item))
    return rows


def _fresh(pool: Pool, host: Host, now: float) -> bool:
    up = host.link.state in (LinkState.UP, LinkState.DEGRADED)
    return up and now - pool.at <= stale_after(host.spec.pools_s)


def wanted_pools(rows: Iterable[Row], wanted: Filter, *, problems_only: bool) -> list[Row]:
    """Rows that pass the filter and, if asked, have something wrong with them."""
    kept = []
    for row in rows:
        pool = row.item.pool
        words = f"{pool.name} {pool.host} {pool.tier} {pool.kind} {pool.path} {state_of(row.item)}"
        if wanted.passes(words, (pool.tier.value,)) and (not problems_only or troubled(row.item)):
            kept.append(row)
    return kept


def fill(pool: Pool) -> float | None:
    """How full, 0 to 1; None when the pool is off, dead, or told nothing."""
    if not pool.active or not pool.capacity:
        return None
    return share(pool.capacity - pool.available, pool.capacity)


def troubled(item: PoolItem) -> bool:
    """Dead, off, stale or nearly full."""
    return state_of(item) != "ok"


def state_of(item: PoolItem) -> str:
    """One word for how the pool is."""
    if item.pool.problem is not None:
        return "DEAD"
    if not item.pool.active:
        return "off"
    if not item.fresh:
        return "stale"
    return "FULL" if (fill(item.pool) or 0.0) >= FULL else "ok"


_STATE_TONES = {"DEAD": "bad", "off": "faint", "stale": "stale", "FULL": "care", "ok": "good"}


def _state(item: PoolItem, _pen: Pen) -> Cell:
    word = state_of(item)
    return Cell(word, _STATE_TONES[word], bold=word in ("DEAD", "FULL"))


def tier_cell(tier: str) -> Cell:
    """A tier as a word in its tone."""
    return Cell(tier or UNKNOWN, f"tier-{tier}" if tier else "tier-none")


def _fill_bar(item: PoolItem, pen: Pen) -> Cell:
    part = fill(item.pool)
    if part is None:
        return Cell(UNKNOWN, "faint")
    tone = "stale" if not item.fresh else "care" if part >= FULL else "load"
    return Cell(f"{bar(part, 12, plain=pen.ascii)} {percent(100 * part):>4}", tone)


def _bytes(value: int, item: PoolItem) -> Cell:
    known = item.pool.capacity > 0 and item.pool.problem is None
    return Cell(size(value) if known else UNKNOWN, "" if item.fresh else "stale")


def _volumes(item: PoolItem, _pen: Pen) -> Cell:
    pool = item.pool
    if not pool.volumes and (pool.problem is not None or not pool.active):
        return Cell(UNKNOWN, "faint")  # nobody could look
    return Cell(str(len(pool.volumes)), "" if item.fresh else "stale")


def _age(item: PoolItem, pen: Pen) -> Cell:
    """How old the pool's figures are; ``!`` behind it when they are stale."""
    if item.fresh or not item.pool.at:
        return Cell(age(item.pool.at, pen.now), "faint" if item.fresh else "stale")
    return Cell(f"{age(item.pool.at, pen.now)}!", "stale")


def _orphans(item: PoolItem, _pen: Pen) -> Cell:
    return Cell(str(item.orphans) if item.orphans else "", "care" if item.fresh else "stale")


def pool_columns() -> tuple[Column, ...]:
    """Columns of the pool table."""
    return (
        Column("host", "HOST", 14, lambda i, _p: Cell(i.pool.host), min_width=8, letter="H"),
        Column("tier", "TIER", 5, lambda i, _p: tier_cell(i.pool.tier.value),
               lambda i: _TIERS.index(i.pool.tier), letter="T"),
        Column("name", "POOL", 18, lambda i, _p: Cell(i.pool.name), min_width=9, grow=1,
               letter="N"),
        Column("state", "STATE", 5, _state, letter="S"),
        Column("fill", "FILLED", 17, _fill_bar, lambda i: fill(i.pool), letter="F",
               descending=True),
        Column("size", "SIZE", 5, lambda i, _p: _bytes(i.pool.capacity, i),
               lambda i: i.pool.capacity, right=True, letter="B", descending=True),
        Column("free", "FREE", 5, lambda i, _p: _bytes(i.pool.available, i),
               lambda i: i.pool.available, right=True, letter="A"),
        Column("volumes", "VOLS", 4, _volumes,
               lambda i: len(i.pool.volumes), right=True, priority=4, letter="V",
               descending=True),
        Column("orphans", "UNUSED", 6, _orphans, lambda i: i.orphans, right=True, priority=3,
               letter="U", descending=True),
        Column("kind", "KIND", 7, lambda i, _p: Cell(i.pool.kind, "faint"), priority=5),
        Column("age", "AGE", 6, _age, lambda i: -i.pool.at, right=True, priority=2),
        Column("path", "PATH", 24, lambda i, _p: Cell(i.pool.path, "faint"), min_width=12, grow=2,
               priority=6),
    )  # fmt: skip


def volume_rows(pool: Pool, usage: Usage) -> list[Row]:
    """One row a volume, with the names of the VMs that use it."""
    rows = []
    for volume in sorted(pool.volumes, key=lambda v: natural(v.name)):
        uuids = usage.of(volume)
        users = tuple(usage.names.get(uuid, uuid[:8]) for uuid in uuids)
        rows.append(Row(volume.path or volume.name,
                        VolumeItem(volume, users, uuids, usage.complete)))  # fmt: skip
    return rows


def _users(item: VolumeItem, _pen: Pen) -> Cell:
    if item.users:
        return Cell(", ".join(item.users))
    if item.known:
        return Cell("ORPHAN: no VM uses it", "care", bold=True)
    return Cell("none (hosts are down)", "stale")


def volume_columns() -> tuple[Column, ...]:
    """Columns of the volume table."""
    return (
        Column("name", "VOLUME", 26, lambda i, _p: Cell(i.volume.name), min_width=16, grow=2,
               letter="N"),
        Column("users", "USED BY", 24, _users, lambda i: natural(", ".join(i.users)),
               min_width=16, grow=2, letter="U"),
        Column("size", "SIZE", 5, lambda i, _p: Cell(size(i.volume.capacity)),
               lambda i: i.volume.capacity, right=True, letter="B", descending=True),
        Column("used", "ALLOC", 5, lambda i, _p: Cell(size(i.volume.allocation)),
               lambda i: i.volume.allocation, right=True, letter="A", descending=True),
        Column("bar", "OF SIZE", 8, lambda i, p: Cell(bar(share(i.volume.allocation,
               i.volume.capacity), 8, plain=p.ascii), "load"), priority=2),
        Column("format", "FORMAT", 6, lambda i, _p: Cell(i.volume.format or UNKNOWN, "faint"),
               priority=1),
        Column("path", "PATH", 30, lambda i, _p: Cell(i.volume.path, "faint"), min_width=20,
               grow=1, priority=3),
    )  # fmt: skip


def pool_text(item: PoolItem | None, now: float) -> list[Para]:
    """The pool under the cursor in a line or, when something is wrong, in full."""
    if item is None:
        return [para("No pools are known.", DIM)]
    pool = item.pool
    if pool.problem is not None:
        told = f"{pool.name} on {pool.host}; its figures are {age(pool.at, now)} old"
        return [para(told, HEAD), *problem_text(pool.problem)]
    words = f"{pool.name} on {pool.host}: {plural(len(pool.volumes), 'volume')}"
    words += f", {pool.path}" if pool.path else ""
    words += "" if pool.active else "; the pool is off, its volumes are not known"
    lines = [para(words, HEAD)]
    if state_of(item) == "FULL":
        lines.append(para(f"Nearly full: {size(pool.available)} free.", WARN))
    if not item.fresh and pool.active:
        lines.append(para(f"Not read for {age(pool.at, now)}: these are the last known values.",
                          "$stale"))  # fmt: skip
    return lines


class TierSum(NamedTuple):
    """Bytes used and in all of one tier's live pools; ``fresh`` when each was read lately."""

    tier: str
    used: float
    whole: float
    fresh: bool


def totals(rows: Sequence[Row]) -> list[TierSum]:
    """One sum a tier, hot first; tiers without a live pool are left out."""
    sums: dict[Tier, list[float]] = {}
    old = {row.item.pool.tier for row in rows if not row.item.fresh}
    for row in rows:
        pool = row.item.pool
        if fill(pool) is not None:
            entry = sums.setdefault(pool.tier, [0.0, 0.0])
            entry[0] += pool.capacity - pool.available
            entry[1] += pool.capacity
    return [
        TierSum(tier.value or "no tier", sums[tier][0], sums[tier][1], tier not in old)
        for tier in _TIERS
        if tier in sums
    ]
