"""What an operation did, call by call, with times: spans as OpenTelemetry knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of work.

    Attributes:
        id: Number within the trace, from 1 in order of beginning.
        parent: The span it is part of; 0 for the outermost.
        name: What was done, such as ``migrate`` or ``kvm1 virDomainSuspend``.
        started_at: Epoch seconds.
        ended_at: Epoch seconds; None while it runs.
        error: What went wrong; empty when nothing did.
        count: Calls folded into this span: a figure that is asked for again and again is one span.
        busy_s: Seconds spent in those calls together.
        attributes: Further facts, such as the host.
    """

    id: int
    parent: int
    name: str
    started_at: float
    ended_at: float | None = None
    error: str = ""
    count: int = 1
    busy_s: float = 0.0
    attributes: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
