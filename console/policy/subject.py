"""The VM and host a request is about, and whether what is known of them may be acted on."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.model.fleet import FleetSnapshot, stale_after
from drivers.model.host import Host, Link, LinkState
from drivers.model.job import Action, Request
from drivers.model.problem import Problem
from drivers.model.vm import Vm

_REACHED = (LinkState.UP, LinkState.DEGRADED)


@dataclass(frozen=True, slots=True)
class Subject:
    """A VM on its host, as one snapshot shows them."""

    snapshot: FleetSnapshot
    host: Host
    vm: Vm


def find(snapshot: FleetSnapshot, uuid: str) -> Subject | Problem:
    """The VM of that UUID with its host, or why there is none."""
    vm = snapshot.vm(uuid)
    host = snapshot.host(vm.host) if vm else None
    if vm is None or host is None:
        return Problem(
            "this VM is not known any more",
            proof=f"no host of the fleet lists UUID {uuid}",
            fix="refresh; it may have been deleted, or its host may be unreachable",
            code="gone",
        )
    return Subject(snapshot, host, vm)


def age_words(seconds: float) -> str:
    """An age for a sentence: ``4 s``, ``3 min``, ``2 h``."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def host_problem(host: Host, now: float) -> Problem | None:
    """Why the host's last reading may not be acted on; None when it is fresh."""
    age = now - host.slow_at
    told = f"last read {age_words(age)} ago" if host.slow_at else "never read"
    if host.link.state not in _REACHED:
        why = f": {host.link.problem.what}" if host.link.problem else ""
        return Problem(
            f"{host.name} is not reachable, so nothing can be planned there",
            proof=f"link {host.link.state.value}{why}; {told}{_tried(host.link, now)}",
            fix=f"novacron check {host.name}; a refresh tries it at once",
            code="unreachable",
        )
    limit = stale_after(host.spec.slow_s)
    if not host.slow_at or age > limit:
        return Problem(
            f"what is known of {host.name} is too old to act on",
            proof=f"{told}; readings are trusted for {age_words(limit)}",
            fix="refresh, and ask again once the host answers",
            code="stale",
        )
    return None


def _tried(link: Link, now: float) -> str:
    """How its circuit breaker stands: attempts in a row that failed, and when the next comes."""
    if not link.attempts:
        return ""
    times = "1 attempt" if link.attempts == 1 else f"{link.attempts} attempts in a row"
    if link.retry_at is None:
        return f"; {times} failed, and no more is made until somebody asks for it"
    return f"; {times} failed, the next comes in {age_words(link.retry_at - now)}"


def vm_problem(subject: Subject, action: Action, now: float) -> Problem | None:
    """Why the VM itself may not be acted on; a stuck monitor still allows force-off."""
    vm = subject.vm
    if action is Action.FORCE_OFF:
        return None
    if vm.monitor_stuck_s is not None:
        return Problem(
            f"the monitor of {vm.name} does not answer",
            proof=f"stuck for {age_words(vm.monitor_stuck_s)}",
            fix="wait, look at the QEMU process on the host, or force it off",
            code="stuck",
        )
    limit = stale_after(subject.host.spec.slow_s)
    if vm.slow_at and now - vm.slow_at > limit:
        return Problem(
            f"what is known of {vm.name} is too old to act on",
            proof=f"last read {age_words(now - vm.slow_at)} ago on {vm.host}",
            fix="refresh, and ask again once the host answers",
            code="stale",
        )
    return None


def request_problem(subject: Subject, request: Request, now: float) -> Problem | None:
    """Freshness of host and VM together."""
    return host_problem(subject.host, now) or vm_problem(subject, request.action, now)
