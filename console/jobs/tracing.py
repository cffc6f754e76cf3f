"""The trace of one job: a span for each step and for each call its drivers make."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, cast

from drivers.errors import DriverError
from drivers.model.trace import Span
from drivers.protocol import HostDriver, MigrationSpec

_MOST = 300
"""Spans kept of one job; what follows is counted, not kept."""

_FOLDED = frozenset({"job_progress", "block_job", "read_slow", "read_pools", "find_volume"})
"""Asked again and again: one span of each within a step."""

CALLS = {
    "start": "virDomainCreate",
    "shutdown": "virDomainShutdown",
    "reboot": "virDomainReboot",
    "reset": "virDomainReset",
    "suspend": "virDomainSuspend",
    "resume": "virDomainResume",
    "destroy": "virDomainDestroy",
    "set_autostart": "virDomainSetAutostart",
    "undefine": "virDomainUndefineFlags",
    "redefine": "virDomainDefineXML",
    "repoint_disk": "virDomainDefineXML",
    "migrate": "virDomainMigrate3",
    "job_progress": "virDomainGetJobStats",
    "abort_job": "virDomainAbortJob",
    "block_copy": "virDomainBlockCopy",
    "block_job": "virDomainGetBlockJobInfo",
    "block_pivot": "virDomainBlockJobAbort (pivot)",
    "block_abort": "virDomainBlockJobAbort",
    "create_volume": "virStorageVolCreateXML",
    "clone_volume": "virStorageVolCreateXMLFrom",
    "send_volume": "virStorageVolDownload and Upload",
    "checksum": "checksum over SSH",
    "delete_volume": "virStorageVolDelete",
    "find_volume": "virStorageVolLookupByPath",
    "read_slow": "virConnectGetAllDomainStats",
    "read_pools": "virConnectListAllStoragePools",
    "xml": "virDomainGetXMLDesc",
    "capabilities": "virConnectGetCapabilities",
    "host_caps": "virConnectGetCapabilities",
    "hold_lease": "lease over SSH",
    "lease_holder": "look at the lease over SSH",
    "reach": "reach over SSH",
}
"""Driver method to the call it stands for; others are named by their method."""


class Trace:
    """The spans of one job, oldest first.

    Args:
        clock: Epoch seconds.
        before: Spans of a console before this one; what that left open ends where it was cut off.
    """

    def __init__(self, clock: Callable[[], float], before: tuple[Span, ...] = ()) -> None:
        self._clock = clock
        self._spans = [_cut_off(span) for span in before[:_MOST]]
        self._folded: dict[tuple[int, str], int] = {}
        self._left_out = sum(span.count for span in before[_MOST:])

    def rest(self) -> None:
        """Nothing is done for a while: what is done again after it is a span of its own."""
        self._folded.clear()

    @property
    def spans(self) -> tuple[Span, ...]:
        """What was done so far; the last one tells how many calls were too many to keep."""
        if not self._left_out:
            return tuple(self._spans)
        now = self._clock()
        more = f"{self._left_out} more calls, not kept one by one"
        return (*self._spans, Span(_MOST + 1, 0, more, now, now, count=self._left_out))

    def add(self, name: str, started_at: float, ended_at: float) -> None:
        """A stretch that was timed by other means."""
        busy = max(0.0, ended_at - started_at)
        number = len(self._spans) + 1
        self._spans.append(Span(number, 0, name, started_at, ended_at, busy_s=busy))

    @contextmanager
    def span(self, name: str, *, fold: bool = False, **attributes: str) -> Iterator[None]:
        """Time a stretch of work; one inside another becomes its part.

        Args:
            name: What is done.
            fold: One span stands for all calls of this name within the same parent.
            attributes: Further facts.
        """
        parent = _parent.get()
        index = self._begin(parent, name, fold, attributes)
        began = self._clock()
        token = _parent.set(index + 1)
        error = ""
        try:
            yield
        except BaseException as failure:
            what = failure.problem.what if isinstance(failure, DriverError) else ""
            error = what or type(failure).__name__
            raise
        finally:
            _parent.reset(token)
            self._end(index, began, error)

    def _begin(self, parent: int, name: str, fold: bool, attributes: dict[str, str]) -> int:
        known = self._folded.get((parent, name)) if fold else None
        if known is not None:
            old = self._spans[known]
            self._spans[known] = replace(old, count=old.count + 1)
            return known
        if len(self._spans) >= _MOST:
            self._left_out += 1
            return -1
        at = len(self._spans)
        self._spans.append(Span(at + 1, parent, name, self._clock(), attributes=attributes))
        if fold:
            self._folded[parent, name] = at
        return at

    def _end(self, index: int, began: float, error: str) -> None:
        if index < 0:
            return
        old, now = self._spans[index], self._clock()
        self._spans[index] = replace(
            old, ended_at=now, busy_s=old.busy_s + max(0.0, now - began), error=error or old.error
        )


_parent: ContextVar[int] = ContextVar("span", default=0)
_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Calls made by this task, and by tasks it begins, belong to ``trace``."""
    token, outermost = _current.set(trace), _parent.set(0)
    try:
        yield
    finally:
        _parent.reset(outermost)
        _current.reset(token)


class _Traced:
    """A driver whose calls leave spans in the trace of the job that makes them."""

    def __init__(self, driver: HostDriver) -> None:
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return self._wrapped(name, found)

    def _wrapped(
        self, method: str, call: Callable[..., Awaitable[object]]
    ) -> Callable[..., Awaitable[object]]:
        async def run(*args: Any, **kwargs: Any) -> object:
            trace = _current.get()
            plain = tuple(_bare(arg) for arg in args)
            if trace is None:
                return await call(*plain, **kwargs)
            host = self._driver.spec.name
            name = f"{host} {CALLS.get(method, method)}"
            with trace.span(name, fold=method in _FOLDED, host=host):
                return await call(*plain, **kwargs)

        return run


def traced(driver: HostDriver) -> HostDriver:
    """The same driver, its calls on record."""
    return cast(HostDriver, _Traced(driver))


def _cut_off(span: Span) -> Span:
    if span.ended_at is not None:
        return span
    return replace(span, ended_at=span.started_at + span.busy_s, error="its console ended")


def _bare(value: object) -> object:
    """A peer must be the driver itself: both ends of a move work hand in hand."""
    if isinstance(value, _Traced):
        return value._driver
    if isinstance(value, MigrationSpec) and isinstance(value.peer, _Traced):
        return replace(value, peer=value.peer._driver)
    return value
