"""Things that happened: libvirt events, actions, connection changes, warnings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """Where an event comes from."""

    LIFECYCLE = "lifecycle"
    JOB = "job"
    BLOCK = "block"
    DEVICE = "device"
    CONNECTION = "connection"
    ACTION = "action"
    STORE = "store"
    WARNING = "warning"


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        at: When, on the console's clock.
        kind: Where it comes from.
        host: Host name; empty for the console itself.
        vm: VM UUID; empty when it is about a host.
        vm_name: The VM's name at that time.
        text: One line, such as ``started (booted)``.
        detail: More words, such as libvirt's own text.
        change: Machine-readable verb for drivers' events: ``started``, ``stopped``, ``suspended``,
            ``resumed``, ``defined``, ``undefined``, ``shutdown``, ``crashed``, ``pmsuspended``,
            ``job-completed``, ``block-ready``, ``block-completed``, ``block-failed``,
            ``block-cancelled``, ``migration-iteration``, ``reboot``, ``io-error``, ``agent``,
            ``device-removed``, ``lost``, ``connected``; of actions: ``not-started``.
    """

    at: float
    kind: EventKind
    host: str
    text: str
    vm: str = ""
    vm_name: str = ""
    detail: str = ""
    change: str = ""
    severity: Severity = Severity.INFO


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which recorded events are asked for; the newest of them come back, newest first.

    Attributes:
        until: No event after this moment, epoch seconds; None for the newest.
        host: A host's name; empty for all.
        vm: A VM's UUID or name; empty for all.
        kind: One kind only; None for all.
        least: No event of lower severity.
        limit: At most so many.
    """

    until: float | None = None
    host: str = ""
    vm: str = ""
    kind: EventKind | None = None
    least: Severity = Severity.INFO
    limit: int = 500
