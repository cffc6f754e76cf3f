"""Where a domain's figures lie in its statistics record, worked out once and used every sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from drivers.kvm.domxml import DomainDef

Stats = Mapping[str, object]
Raw = tuple[object, ...]
Where = slice | tuple[int, ...] | None

DISK_KEYS = (
    "name",
    "rd.bytes",
    "wr.bytes",
    "rd.reqs",
    "wr.reqs",
    "rd.times",
    "wr.times",
    "capacity",
    "allocation",
)
NIC_KEYS = (
    "name",
    "rx.bytes",
    "tx.bytes",
    "rx.pkts",
    "tx.pkts",
    "rx.errs",
    "tx.errs",
    "rx.drop",
    "tx.drop",
)
_HEAD_KEYS = (
    "state.state",
    "state.reason",
    "block.count",
    "net.count",
    "balloon.current",
    "balloon.maximum",
    "balloon.available",
    "balloon.usable",
    "balloon.unused",
)
_CPU_KEYS = ("cpu.time", "balloon.rss")
MOST_DEVICES = 4096  # of one kind; a record that claims more is nonsense


@dataclass(frozen=True, slots=True)
class Layout:
    """How to take every wanted figure of a record in one go, and which is whose.

    Attributes:
        size: Keys of the record this was made from; another number means another shape.
        with_cpu: CPU and RSS are among the wanted ones.
        pick: All wanted figures of a record; KeyError once it lacks one.
        head: How many of them belong to the domain as a whole.
        disks: For each disk of the definition, where its figures are; None: not in the record.
        nics: Likewise for each NIC.
    """

    size: int
    with_cpu: bool
    pick: Callable[[Stats], Raw]
    head: int
    disks: tuple[Where, ...]
    nics: tuple[Where, ...]


def layout_of(definition: DomainDef, stats: Stats, *, with_cpu: bool) -> Layout:
    """The layout of one record."""
    wanted = (*_HEAD_KEYS, *_CPU_KEYS) if with_cpu else _HEAD_KEYS
    keys = [key for key in wanted if key in stats]
    head = len(keys)
    slots = _slots(stats, "block")
    disks = [_place(stats, slots.get(disk.target), DISK_KEYS, keys) for disk in definition.disks]
    slots = _slots(stats, "net")
    nics = [
        _place(stats, slots.get(nic.target) if nic.target else None, NIC_KEYS, keys)
        for nic in definition.nics
    ]
    return Layout(len(stats), with_cpu, _picker(keys), head, tuple(disks), tuple(nics))


def figures(raw: Raw, where: Where) -> Raw | None:
    """One device's figures in the order of its keys, None for a figure that is not told."""
    if where is None:
        return None
    if isinstance(where, slice):
        return raw[where]
    return tuple([raw[index] if index >= 0 else None for index in where])


def _picker(keys: Sequence[str]) -> Callable[[Stats], Raw]:
    if len(keys) > 1:
        several: Any = itemgetter(*keys)
        return several  # type: ignore[no-any-return]
    return lambda stats: tuple([stats[key] for key in keys])


def _slots(stats: Stats, group: str) -> dict[object, str]:
    """Device name to the prefix of its keys, such as ``vda`` to ``block.0.``."""
    told = stats.get(f"{group}.count")
    count = min(told, MOST_DEVICES) if type(told) is int else 0
    return {stats.get(f"{group}.{index}.name"): f"{group}.{index}." for index in range(count)}


def _place(stats: Stats, prefix: str | None, names: Sequence[str], keys: list[str]) -> Where:
    """Where a device's figures will be, once its keys are appended to ``keys``."""
    if prefix is None:
        return None
    first = len(keys)
    present = [prefix + name in stats for name in names]
    keys += [prefix + name for name, there in zip(names, present, strict=True) if there]
    if all(present):
        return slice(first, len(keys))
    at = iter(range(first, len(keys)))
    return tuple([next(at) if there else -1 for there in present])
