"""States and freshness as words with a tone: never by colour alone."""

from __future__ import annotations

from collections import Counter

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


def vm_lags(vm: Vm, host: Host, now: float) -> bool:
    """Whether what libvirt tells of the VM (disks, balloon, state) is too old to be trusted."""
    return is_stale(vm.slow_at, host.spec.slow_s, now)


def vm_age(vm: Vm, host: Host, now: float) -> Cell:
    """The age of the VM's live values; that of libvirt's where those alone are stale."""
    if vm.slow_at and vm_lags(vm, host, now) and not vm_is_stale(vm, host, now):
        return age_cell(vm.slow_at, host.spec.slow_s, now)
    return age_cell(*vm_read_at(vm, host), now)


def host_is_stale(host: Host, now: float) -> bool:
    """Whether the host's live values are too old to be trusted."""
    return is_stale(*host_read_at(host), now)


def host_lags(host: Host, now: float) -> bool:
    """Whether what libvirt tells of the host's VMs is too old to be trusted."""
    return is_stale(host.slow_at, host.spec.slow_s, now)


def host_age(host: Host, now: float) -> Cell:
    """The age of the host's live values; that of libvirt's where those alone are stale."""
    if host.slow_at and host_lags(host, now) and not host_is_stale(host, now):
        return age_cell(host.slow_at, host.spec.slow_s, now)
    return age_cell(*host_read_at(host), now)


def stale_words(host: Host, now: float) -> str:
    """That and since when the host's values are stale, ``STALE: ...``; empty when they are not."""
    if host_is_stale(host, now):
        at, _ = host_read_at(host)
        return f"STALE: last read {age(at, now)} ago" if at else "STALE: never read"
    if host.slow_at and host_lags(host, now):
        return f"STALE: libvirt last answered {age(host.slow_at, now)} ago"
    return ""


def host_read_at(host: Host) -> tuple[float, float]:
    """When the host's live values were read and how often they are, in seconds."""
    if host.fast_at:
        return host.fast_at, host.spec.fast_s
    return host.slow_at, host.spec.slow_s


SPLIT = "post-copy failed"
"""libvirt's reason, on both hosts, for a VM of whose memory each has a part."""


def vm_state(vm: Vm, host: Host | None, now: float) -> Cell:
    """The VM's state, a job under way or a stuck monitor before it; ``~`` marks what is stale.

    A stuck monitor alone keeps its alarm while its host answers: it is why nothing is read.
    """
    cell = _last_state(vm)
    if host is None or not vm_is_stale(vm, host, now):
        return cell
    if vm.monitor_stuck_s is not None and host.link.state is not LinkState.DOWN:
        return cell
    return Cell(f"~{cell.text.removeprefix('!')}", "stale")


def _last_state(vm: Vm) -> Cell:
    if vm.monitor_stuck_s is not None:
        return Cell(f"!stuck {age(1.0, 1.0 + vm.monitor_stuck_s)}", "bad", bold=True)
    if vm.reason == SPLIT:  # before its job, which libvirt goes on naming
        return Cell("!split", "bad", bold=True)
    if vm.job is not None:
        return Cell(job_words(vm), "busy")
    sign = "!" if vm.state in _ALARMING else ""
    return Cell(f"{sign}{vm.state.value}", f"vm-{vm.state.value}", bold=bool(sign))


def states_of(host: Host, now: float) -> Counter[VmState | None]:
    """How many of the host's VMs are in which state; None counts those not read lately.

    As ``vm_is_stale`` for each VM, with the limits worked out once: fleets have 10,000 VMs.
    """
    fast = now - stale_after(host.spec.fast_s)
    slow = now - stale_after(host.spec.slow_s)
    return Counter(
        None
        if (vm.fast_at < fast if vm.fast_at and vm.state.active else vm.slow_at < slow)
        else vm.state
        for vm in host.vms
    )


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
    """Why the host is not up."""
    return _told(host, "")


def retry(host: Host, now: float) -> str:
    """When the host is tried again: ``retry in 12s``, ``trying now``; empty when it is not."""
    due = host.link.retry_at
    if due is None:
        return ""
    return f"retry in {duration(due - now)}" if due - now >= 1.0 else "trying now"


def why_and_when(host: Host, now: float) -> str:
    """Why the host is not up, and when it is tried again.

    The proof comes last: it is long, and narrow terminals cut it off.
    """
    return _told(host, retry(host, now))


def _told(host: Host, then: str) -> str:
    problem = host.link.problem
    told = ", ".join(part for part in (problem.what.rstrip(".") if problem else "", then) if part)
    return f"{told} ({problem.proof})" if problem and problem.proof else told
