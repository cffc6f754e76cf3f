"""libvirt's callbacks to Event values, handed from libvirt's thread to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from drivers.kvm.text import clean
from drivers.kvm.words import lifecycle_words
from drivers.model.event import Event, EventKind, Severity

_BACKLOG = 1000  # events kept for a listener that comes a moment after the connection
_BLOCK_STATES = (
    ("block-completed", "completed"),
    ("block-failed", "failed"),
    ("block-cancelled", "cancelled"),
    ("block-ready", "ready"),
)
_BLOCK_TYPES = ("block job", "block pull", "block copy", "block commit", "active commit", "backup")
_ALARMING = frozenset({"crashed", "block-failed", "io-error"})

Told = tuple[EventKind, str, str, str]  # kind, change, text, detail


def _lifecycle(event: int, detail: int) -> Told:
    change, text = lifecycle_words(event, detail)
    return EventKind.LIFECYCLE, change, text, ""


def _reboot() -> Told:
    return EventKind.LIFECYCLE, "reboot", "rebooted", ""


def _io_error(path: str, alias: str, action: int, reason: str) -> Told:
    then = {0: "reported", 1: "paused", 2: "reported to the guest"}.get(action, "unknown")
    text = f"I/O error on {clean(alias) or 'a disk'} ({then})"
    return EventKind.DEVICE, "io-error", text, clean(f"{path or ''} {reason or ''}").strip()


def _block_job(disk: str, kind: int, status: int) -> Told:
    known = 0 <= status < len(_BLOCK_STATES)
    change, word = _BLOCK_STATES[status] if known else ("block-job", f"status {status}")
    what = _BLOCK_TYPES[kind] if 0 <= kind < len(_BLOCK_TYPES) else "block job"
    return EventKind.BLOCK, change, f"{what} of {clean(disk)} {word}", clean(disk)


def _iteration(count: int) -> Told:
    return EventKind.JOB, "migration-iteration", f"migration pass {count}", str(count)


def _job_completed(params: dict[str, object]) -> Told:
    milliseconds = params.get("time_elapsed")
    took = f" after {milliseconds / 1000:.1f} s" if isinstance(milliseconds, int) else ""
    failed = params.get("success") is False
    text = f"job {'failed' if failed else 'completed'}{took}"
    return EventKind.JOB, "job-completed", text, clean(str(params.get("errmsg") or ""))


def _agent(state: int, _reason: int) -> Told:
    text = "guest agent connected" if state == 1 else "guest agent disconnected"
    return EventKind.DEVICE, "agent", text, ""


def _removed(device: str) -> Told:
    return EventKind.DEVICE, "device-removed", f"device {clean(device)} removed", ""


def _added(device: str) -> Told:
    return EventKind.DEVICE, "device-added", f"device {clean(device)} added", ""


def _metadata(_kind: int, namespace: str | None) -> Told:
    return EventKind.DEVICE, "metadata", "metadata changed", clean(namespace)


def _threshold(device: str, path: str | None, threshold: int, _excess: int) -> Told:
    text = f"{clean(device)} wrote past {threshold} bytes"
    return EventKind.DEVICE, "block-threshold", text, clean(path)


def _watchdog(_action: int) -> Told:
    return EventKind.DEVICE, "watchdog", "watchdog fired", ""


def _tray(alias: str, reason: int) -> Told:
    word = "opened" if reason == 0 else "closed"
    return EventKind.DEVICE, "tray", f"tray of {clean(alias)} {word}", ""


# virDomainEventID without its prefix; an id that this binding or daemon lacks is skipped.
_TELLERS: dict[str, Callable[..., Told]] = {
    "LIFECYCLE": _lifecycle,
    "REBOOT": _reboot,
    "IO_ERROR_REASON": _io_error,
    "BLOCK_JOB_2": _block_job,
    "MIGRATION_ITERATION": _iteration,
    "JOB_COMPLETED": _job_completed,
    "AGENT_LIFECYCLE": _agent,
    "DEVICE_REMOVED": _removed,
    "DEVICE_ADDED": _added,
    "METADATA_CHANGE": _metadata,
    "BLOCK_THRESHOLD": _threshold,
    "WATCHDOG": _watchdog,
    "TRAY_CHANGE": _tray,
}


def tell(name: str, args: tuple[Any, ...]) -> Told:
    """What one callback says; arguments of an unexpected shape still give a line."""
    try:
        return _TELLERS[name](*args)
    except (TypeError, ValueError, KeyError):
        return EventKind.DEVICE, name.lower(), name.lower().replace("_", " "), ""


class EventHub:
    """Fans one connection's events out to its listeners.

    Args:
        host: The host's name in this fleet.
        clock: The console's clock.
        observe: Called in the event loop with each event before the listeners.
    """

    def __init__(
        self, host: str, clock: Callable[[], float], observe: Callable[[Event], None]
    ) -> None:
        self._host = host
        self._clock = clock
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._listeners: list[asyncio.Queue[Event | None]] = []
        self._backlog: deque[Event | None] = deque(maxlen=_BACKLOG)
        self._ended = False

    def arm(self, libvirt: Any, conn: Any, handles: list[int]) -> None:
        """Register every event this daemon knows, each handle appended to ``handles`` at once.

        Blocks: run in a lane. Stops at the end of this hub, for then nobody is left to listen.
        """
        known = ((name, getattr(libvirt, f"VIR_DOMAIN_EVENT_ID_{name}", None)) for name in _TELLERS)
        # One after another: registering from several threads at once has crashed the client.
        for name, number in known:
            if number is not None and not self._ended:
                with contextlib.suppress(libvirt.libvirtError):
                    receive = self._receiver(name)
                    handles.append(conn.domainEventRegisterAny(None, number, receive, None))

    def listen(self) -> AsyncIterator[Event]:
        """Events from now on (and those that nobody has heard yet), until the connection ends."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        for event in self._backlog:
            queue.put_nowait(event)
        self._backlog.clear()
        if self._ended:
            queue.put_nowait(None)
        else:
            self._listeners.append(queue)
        return self._drain(queue)

    def publish(self, event: Event) -> None:
        """Hand an event to every listener; in the event loop."""
        if self._ended:
            return
        self._observe(event)
        self._put(event)

    def end(self, reason: str = "") -> None:
        """Tell the loss, if ``reason`` is given, and end every listener."""
        if self._ended:
            return
        if reason:
            text = f"connection lost: {reason}"
            self.publish(
                Event(
                    self._clock(),
                    EventKind.CONNECTION,
                    self._host,
                    text,
                    change="lost",
                    severity=Severity.ERROR,
                )
            )
        self._put(None)
        self._ended = True

    async def _drain(self, queue: asyncio.Queue[Event | None]) -> AsyncIterator[Event]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            if queue in self._listeners:
                self._listeners.remove(queue)

    def _put(self, event: Event | None) -> None:
        if not self._listeners:
            if event is not None:
                self._backlog.append(event)
            return
        for queue in self._listeners:
            queue.put_nowait(event)

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(_conn: object, domain: Any, *rest: Any) -> None:
            kind, change, text, detail = tell(name, rest[:-1])
            severity = Severity.ERROR if change in _ALARMING else Severity.INFO
            event = Event(
                self._clock(),
                kind,
                self._host,
                text,
                vm=domain.UUIDString(),
                vm_name=clean(domain.name()),
                detail=detail,
                change=change,
                severity=severity,
            )
            with contextlib.suppress(RuntimeError):  # the loop closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self.publish, event)

        return receive
