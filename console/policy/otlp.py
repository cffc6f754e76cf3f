"""Traces of jobs and operations as OTLP JSON, which every trace viewer takes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drivers.model.job import Job, JobState
from drivers.model.operation import Operation, OperationState
from drivers.model.operation_trace import whole_trace
from drivers.model.trace import Span

_OK, _ERROR = 1, 2
_INTERNAL = 1


@dataclass(frozen=True, slots=True)
class _Whole:
    """A trace and the outermost span around it."""

    id: str
    title: str
    started_at: float
    ended_at: float
    error: str
    failed: bool
    facts: Mapping[str, str]
    spans: tuple[Span, ...]


def otlp(jobs: tuple[Job, ...], version: str) -> dict[str, object]:
    """An ExportTraceServiceRequest: one trace a job, its outermost span the job itself.

    Args:
        jobs: The jobs; one without times gives nothing.
        version: NovaCron's, told as ``service.version``.
    """
    return _request([w for job in jobs if (w := _of_job(job)) is not None], version)


def otlp_operation(operation: Operation, jobs: Iterable[Job], version: str) -> dict[str, object]:
    """The same for an operation: one trace, its jobs as children with their own calls below."""
    plan, spans = operation.plan, whole_trace(operation, jobs)
    ends = [s.ended_at or s.started_at for s in spans]
    facts = {
        "novacron.operation": operation.id,
        "novacron.kind": plan.kind.value,
        "novacron.host": plan.host,
        "novacron.actor": operation.actor,
        "novacron.state": operation.state.value,
        "novacron.outcome": operation.outcome,
    }
    whole = _Whole(
        operation.id,
        f"{plan.kind.value} {plan.host}",
        min((s.started_at for s in spans), default=operation.created_at),
        operation.ended_at or max([operation.created_at, *ends]),
        str(operation.problem or operation.outcome),
        operation.state is OperationState.FAILED,
        facts,
        spans,
    )
    return _request([whole], version)


def _request(wholes: list[_Whole], version: str) -> dict[str, object]:
    spans = [line for whole in wholes for line in _lines(whole)]
    resource = {
        "attributes": [_said("service.name", "novacron"), _said("service.version", version)]
    }
    scopes = [{"scope": {"name": "novacron.jobs"}, "spans": spans}]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}


def _of_job(job: Job) -> _Whole | None:
    if job.started_at is None:
        return None
    facts = {
        "novacron.job": job.id,
        "novacron.vm.uuid": job.plan.request.uuid,
        "novacron.vm.name": job.plan.vm_name,
        "novacron.host": job.plan.host,
        "novacron.state": job.state.value,
        "novacron.outcome": job.outcome,
    }
    return _Whole(
        job.id,
        job.plan.title,
        min((s.started_at for s in job.trace), default=job.started_at),
        job.ended_at if job.ended_at is not None else job.started_at,
        str(job.problem or ""),
        job.state is JobState.FAILED,
        facts,
        job.trace,
    )


def _lines(whole: _Whole) -> list[dict[str, object]]:
    trace = _digest(whole.id, 16)
    outermost = {
        "traceId": trace,
        "spanId": _digest(f"{whole.id}/0", 8),
        "name": whole.title,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanos(whole.started_at),
        "endTimeUnixNano": _nanos(whole.ended_at),
        "attributes": [_said(name, text) for name, text in whole.facts.items() if text],
        "status": _status(whole.error, whole.failed),
    }
    return [outermost, *(_span(whole, trace, span) for span in whole.spans)]


def _span(whole: _Whole, trace: str, span: Span) -> dict[str, object]:
    facts = {**span.attributes, "novacron.calls": str(span.count)}
    ended_at = span.ended_at if span.ended_at is not None else whole.ended_at
    return {
        "traceId": trace,
        "spanId": _digest(f"{whole.id}/{span.id}", 8),
        "parentSpanId": _digest(f"{whole.id}/{span.parent}", 8),
        "name": span.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanos(span.started_at),
        "endTimeUnixNano": _nanos(ended_at),
        "attributes": [_said(name, text) for name, text in facts.items()],
        "status": _status(span.error, bool(span.error)),
    }


def _status(message: str, failed: bool) -> dict[str, object]:
    return {"code": _ERROR, "message": message} if failed else {"code": _OK}


def _said(key: str, text: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": text}}


def _nanos(seconds: float) -> str:
    """64-bit numbers are strings in OTLP's JSON."""
    return str(round(seconds * 1e9))


def _digest(text: str, size: int) -> str:
    """An id of ``size`` bytes, in hexadecimal, the same at each export."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[: 2 * size]
