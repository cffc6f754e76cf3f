"""Where a domain's figures lie in its statistics record, worked out once and used every sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from drivers.kvm.domxml import DomainDef

Stats = Mapping[str, object]
Raw = tuple[object, ...]
Pick = Callable[[Stats], Raw]

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
# One for the whole domain; what a record lacks is None.
HEAD_KEYS = (
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
_MOST_DEVICES = 4096  # of one kind; a record that claims more is nonsense


@dataclass(frozen=True, slots=True)
class Layout:
    """How to pick each device's figures; None for a device that the record does not hold.

    Attributes:
        size: Keys of the record this was made from; another number means another shape.
        disks: One for each disk of the definition.
        nics: One for each NIC of the definition.
    """

    size: int
    disks: tuple[Pick | None, ...]
    nics: tuple[Pick | None, ...]


def layout_of(definition: DomainDef, stats: Stats) -> Layout:
    """The layout of one record."""
    disks = _slots(stats, "block")
    nics = _slots(stats, "net")
    return Layout(
        len(stats),
        tuple(_pick(stats, disks.get(disk.target), DISK_KEYS) for disk in definition.disks),
        tuple(
            _pick(stats, nics.get(nic.target) if nic.target else None, NIC_KEYS)
            for nic in definition.nics
        ),
    )


def head_of(stats: Stats) -> Raw:
    """The values of HEAD_KEYS."""
    return tuple(map(stats.get, HEAD_KEYS))


def _slots(stats: Stats, group: str) -> dict[object, str]:
    """Device name to the prefix of its keys, such as ``vda`` to ``block.0.``."""
    told = stats.get(f"{group}.count")
    count = min(told, _MOST_DEVICES) if type(told) is int else 0
    return {stats.get(f"{group}.{index}.name"): f"{group}.{index}." for index in range(count)}


def _pick(stats: Stats, prefix: str | None, names: Sequence[str]) -> Pick | None:
    if prefix is None:
        return None
    keys = tuple(prefix + name for name in names)
    if all(key in stats for key in keys):
        getter: Any = itemgetter(*keys)  # raises KeyError once a key is gone
        return getter  # type: ignore[no-any-return]
    return lambda record: tuple(map(record.get, keys))
