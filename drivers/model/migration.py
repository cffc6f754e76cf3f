"""How a migration is carried out and how it comes along: tuning, verdict, levers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class MoveProfile:
    """How the live migrations of an operation are carried out.

    Attributes:
        name: In the fleet file; empty where none was chosen.
        options: As a request for a migration carries them.
    """

    name: str = ""
    options: Mapping[str, str] = field(default_factory=lambda: _USUAL)


_USUAL: Mapping[str, str] = MappingProxyType({})
AS_USUAL = MoveProfile()
"""No profile was chosen."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a live migration is carried out, beyond where it goes.

    Attributes:
        max_downtime_ms: Pause of the guest allowed for the switch; 0 leaves QEMU's own (300 ms).
        auto_converge: QEMU may slow the guest down when its memory changes too fast.
        post_copy: The switch may be made before all memory is sent, on demand.
        compression: Method, such as ``xbzrle``; empty for none.
        parallel: Connections side by side (multifd); 0 for the usual single one.
        tunnelled: Memory goes through the two daemons instead of straight between QEMUs.
        compression_level: Level of a method that has levels; 0 for its own.
        incremental: Copied disks have their backing files there already: only the top is sent.
        persist: Whether the target keeps the definition; None for what it is at the source.
        keep_source: The source keeps the definition.
        carry_on: It goes on over a guest's input or output error instead of ending.
    """

    max_downtime_ms: float = 0.0
    auto_converge: bool = False
    post_copy: bool = False
    compression: str = ""
    parallel: int = 0
    tunnelled: bool = False
    compression_level: int = 0
    incremental: bool = False
    persist: bool | None = None
    keep_source: bool = False
    carry_on: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What a migration took, once it has ended well.

    Attributes:
        ended_at: Epoch seconds.
        seconds: From its begin to its end.
        bytes: Sent in all, disks included.
        rate_bps: Mean bytes a second.
        downtime_ms: Pause of the guest, as its hypervisor measured it; None where it did not.
        dirty_bps: Bytes a second the guest rewrote at the end; None where that was not told.
        passes: Over memory; None where that was not told.
        capped_mib: MiB a second it was held to; 0 where nothing held it.
    """

    ended_at: float
    seconds: float
    bytes: int
    rate_bps: float
    downtime_ms: float | None = None
    dirty_bps: float | None = None
    passes: int | None = None
    capped_mib: int = 0


@dataclass(frozen=True, slots=True)
class MemoryCount:
    """What a migration has done with the guest's memory so far, in bytes.

    Attributes:
        sent: On the line, compressed where it compresses.
        left: Still to send, as the guest holds it.
        zeros: In pages that were all zeros, of which hardly anything is sent.
        whole: In pages counted as sent, as the guest holds them. Those that QEMU's own threads
            compress (method ``mt``) are not told, so this may be too little, never too much.
    """

    sent: int
    left: int
    zeros: int
    whole: int


PACKED = 1.05
"""Bytes of memory per byte on the line from which a migration is told to be compressed."""


class Pace(StrEnum):
    """How a migration comes along."""

    STARTING = "starting"
    CONVERGING = "converging"
    SLOW = "slow"
    NOT_CONVERGING = "not converging"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Outlook:
    """The verdict on a migration.

    Attributes:
        reason: Why, with the figures.
        changed_per_sent: Bytes the guest changes per byte of its memory sent, at worst; None when
            not measured.
        implied_downtime_ms: Pause of the guest if it were switched over now.
        eta_s: Seconds left, at best and at worst; a worst of None means maybe never, and no band
            at all that nothing can be told.
        needed_downtime_ms: Pause that QEMU must be allowed to switch over now: it counts what is
            left as if it were sent uncompressed, so with compression this is more than implied.
    """

    pace: Pace
    reason: str
    changed_per_sent: float | None = None
    implied_downtime_ms: float | None = None
    eta_s: tuple[float, float | None] | None = None
    needed_downtime_ms: float | None = None


class Lever(StrEnum):
    """One way to make a migration end, mildest first."""

    BANDWIDTH = "bandwidth"
    DOWNTIME = "downtime"
    THROTTLE = "throttle"
    POST_COPY = "post-copy"
    PAUSE = "pause"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class LeverOption:
    """One lever as it stands now.

    Attributes:
        value: What it would be set to: MiB/s for BANDWIDTH, milliseconds for DOWNTIME.
        effect: What is expected of it.
        blocked: Why it cannot be pulled; empty when it can.
    """

    lever: Lever
    value: float = 0.0
    effect: str = ""
    blocked: str = ""
