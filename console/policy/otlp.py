"""A job's trace as OTLP JSON, which every trace viewer takes. Pure."""

from __future__ import annotations

import hashlib

from drivers.model.job import Job, JobState
from drivers.model.trace import Span

_OK, _ERROR = 1, 2
_INTERNAL = 1


def otlp(jobs: tuple[Job, ...], version: str) -> dict[str, object]:
    """An ExportTraceServiceRequest: one trace a job, its outermost span the job itself.

    Args:
        jobs: The jobs; one without times gives nothing.
        version: NovaCron's, told as ``service.version``.
    """
    spans = [line for job in jobs for line in _job(job)]
    resource = {
        "attributes": [_said("service.name", "novacron"), _said("service.version", version)]
    }
    scopes = [{"scope": {"name": "novacron.jobs"}, "spans": spans}]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}


def _job(job: Job) -> list[dict[str, object]]:
    if job.started_at is None:
        return []
    trace = _digest(job.id, 16)
    root = _digest(f"{job.id}/0", 8)
    failed = job.state is JobState.FAILED
    facts = {
        "novacron.job": job.id,
        "novacron.vm.uuid": job.plan.request.uuid,
        "novacron.vm.name": job.plan.vm_name,
        "novacron.host": job.plan.host,
        "novacron.state": job.state.value,
        "novacron.outcome": job.outcome,
    }
    end = job.ended_at if job.ended_at is not None else job.started_at
    told = str(job.problem or "") if failed else ""
    whole = {
        "traceId": trace,
        "spanId": root,
        "name": job.plan.title,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanos(min((s.started_at for s in job.trace), default=job.started_at)),
        "endTimeUnixNano": _nanos(end),
        "attributes": [_said(name, text) for name, text in facts.items() if text],
        "status": _status(told, failed),
    }
    return [whole, *(_span(job.id, trace, span, end) for span in job.trace)]


def _span(job_id: str, trace: str, span: Span, end: float) -> dict[str, object]:
    facts = {**span.attributes, "novacron.calls": str(span.count)}
    return {
        "traceId": trace,
        "spanId": _digest(f"{job_id}/{span.id}", 8),
        "parentSpanId": _digest(f"{job_id}/{span.parent}", 8),
        "name": span.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanos(span.started_at),
        "endTimeUnixNano": _nanos(span.ended_at if span.ended_at is not None else end),
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
