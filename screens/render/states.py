"""States and freshness as words with a tone: never by colour alone."""

from __future__ import annotations

from drivers.model.fleet import stale_after
from drivers.model.host import Host, LinkState
from drivers.model.vm import Vm, VmState
from screens.columns import Cell
from screens.format import age, duration, percent

FRESH_S = 3.0
"""Younger than this reads ``now``: an age that ticks every second repaints for nothing."""

_ALARMING = (VmState.CRASHED, VmState.UNKNOWN)


def is_stale(at: float, interval_s: float, now: float) -> bool:
    """Whether a value read at ``at`` every ``interval_s`` seconds is too old to be trusted."""
    return now - at > stale_after(interval_s)


def age_cell(at: float, interval_s: float, now: float) -> Cell:
    """How old a value is; ``!`` behind it when it is stale."""
    if not at:
        return Cell("never", "stale")
    if is_stale(at, interval_s, now):
        return Cell(f"{age(at, now)}!", "stale")
    return Cell("now" if now - at < FRESH_S else age(at, now), "faint")


def vm_read_at(vm: Vm, host: Host) -> tuple[float, float]:
    """When the VM's live values were read and how often they are, in seconds.

    A running VM lives on the fast lane where the host has one; others on libvirt's.
    """
    if vm.state.active and vm.fast_at:
        return vm.fast_at, host.spec.fast_s
    return vm.slow_at, host.spec.slow_s


def vm_is_stale(vm: Vm, host: Host, now: float) -> bool:
    """Whether the VM's values are too old to be trusted."""
    return is_stale(*vm_read_at(vm, host), now)


def host_is_stale(host: Host, now: float) -> bool:
    """Whether neither lane of the host answered lately."""
    return is_stale(*host_read_at(host), now)


def host_read_at(host: Host) -> tuple[float, float]:
    """When the host's live values were read and how often they are, in seconds."""
    if host.fast_at:
        return host.fast_at, host.spec.fast_s
    return host.slow_at, host.spec.slow_s


def vm_state(vm: Vm) -> Cell:
    """The VM's state, a job under way or a stuck monitor before it."""
    if vm.monitor_stuck_s is not None:
        return Cell(f"!stuck {duration(vm.monitor_stuck_s)}", "bad", bold=True)
    if vm.job is not None:
        return Cell(job_words(vm), "busy")
    sign = "!" if vm.state in _ALARMING else ""
    return Cell(f"{sign}{vm.state.value}", f"vm-{vm.state.value}", bold=bool(sign))


def job_words(vm: Vm) -> str:
    """Phase and share done of the VM's running job."""
    job = vm.job
    if job is None:
        return ""
    if job.done is not None and job.total:
        return f"{job.phase} {percent(100.0 * job.done / job.total)}"
    return job.phase


_LINK_WORDS = {
    LinkState.CONNECTING: "connecting",
    LinkState.UP: "up",
    LinkState.DEGRADED: "!degraded",
    LinkState.DOWN: "!down",
    LinkState.DECISION: "!decide",
}


def host_state(host: Host) -> Cell:
    """How the console stands with the host."""
    word = _LINK_WORDS[host.link.state]
    return Cell(word, f"host-{host.link.state.value}", bold=word.startswith("!"))


def why(host: Host) -> str:
    """Why the host is not up, and when it is tried again."""
    problem = host.link.problem
    if problem is None:
        return ""
    return f"{problem.what} ({problem.proof})" if problem.proof else problem.what
