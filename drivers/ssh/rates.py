"""Two readings of counters to rates and shares. Pure.

A counter that went back (a reset, a wrap, another process) gives no figure for that interval,
never a spike and never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.model.host import Filesystem, HostDisk, HostLoad, HostNic
from drivers.model.problem import Missing
from drivers.model.vm import VmFast
from drivers.ssh.proc_host import DiskCount, HostCount, NicCount
from drivers.ssh.proc_vm import Qemu, VmCount

# Shorter intervals say more about the clock's resolution than about the host.
_SHORTEST_S = 0.05
_PAGE = 4096


def rate(new: float, old: float, seconds: float) -> float | None:
    """Growth a second; None when the counter went back or the interval is too short."""
    if seconds < _SHORTEST_S or new < old:
        return None
    return (new - old) / seconds


def host_load(
    new: HostCount,
    old: HostCount | None,
    filesystems: tuple[Filesystem, ...] = (),
    down: frozenset[str] = frozenset(),
    remote: tuple[Filesystem, ...] = (),
) -> HostLoad:
    """A host's load over the interval between two readings.

    Args:
        new: This reading.
        old: The one before, None at first.
        filesystems: As read last.
        down: Network devices without a carrier.
        remote: Filesystems that a server holds, as read last.
    """
    shares = cpu_shares(new.cpu, old.cpu if old else ())
    memory = new.memory
    swap = memory.get("SwapTotal")
    seconds = new.at_s - old.at_s if old else 0.0
    load = new.load or (None, None, None)
    return HostLoad(
        **shares,
        load1=load[0],
        load5=load[1],
        load15=load[2],
        psi_cpu=new.psi.get("cpu"),
        psi_memory=new.psi.get("memory"),
        psi_io=new.psi.get("io"),
        memory_total=memory.get("MemTotal"),
        memory_available=memory.get("MemAvailable"),
        swap_total=swap,
        swap_used=swap - memory.get("SwapFree", swap) if swap is not None else None,
        disks=_disks(new.disks, old.disks if old else {}, seconds),
        nics=_nics(new.nics, old.nics if old else {}, seconds, down),
        filesystems=filesystems,
        uptime_s=new.uptime_s,
        remote=remote,
    )


def cpu_shares(new: Sequence[int], old: Sequence[int]) -> dict[str, float | None]:
    """Percent of all CPUs by mode, named as HostLoad's fields.

    user holds guest time in /proc/stat, so that is taken out; iowait and idle may step back a
    little on a real kernel and then count as nothing.
    """
    names = ("cpu", "user", "system", "iowait", "irq", "steal", "guest")
    nothing: dict[str, float | None] = {f"{name}_pct": None for name in names}
    if len(new) < 10 or len(old) < 10:
        return nothing
    grown = [b - a for a, b in zip(old, new, strict=True)]
    user, nice, system, idle, iowait, irq, soft, steal, guest, guest_nice = grown
    if min(user, nice, system, irq, soft, steal, guest, guest_nice) < 0:
        return nothing
    idle, iowait = max(idle, 0), max(iowait, 0)
    total = user + nice + system + idle + iowait + irq + soft + steal
    if total <= 0:
        return nothing
    guests = guest + guest_nice
    parts = {
        "cpu": total - idle - iowait,
        "user": max(user + nice - guests, 0),
        "system": system,
        "iowait": iowait,
        "irq": irq + soft,
        "steal": steal,
        "guest": guests,
    }
    return {f"{name}_pct": 100.0 * part / total for name, part in parts.items()}


def _disks(
    new: Mapping[str, DiskCount], old: Mapping[str, DiskCount], seconds: float
) -> tuple[HostDisk, ...]:
    found: list[HostDisk] = []
    for name, now in new.items():
        was = old.get(name)
        if was is None:
            continue
        reads = rate(now.read_bytes, was.read_bytes, seconds)
        writes = rate(now.write_bytes, was.write_bytes, seconds)
        read_ios = rate(now.reads, was.reads, seconds)
        write_ios = rate(now.writes, was.writes, seconds)
        busy = rate(now.busy_ms, was.busy_ms, seconds)
        known = [f for f in (reads, writes, read_ios, write_ios, busy) if f is not None]
        if len(known) == 5:
            figures = (known[0], known[1], known[2], known[3])
            found.append(HostDisk(name, *figures, busy_pct=min(known[4] / 10.0, 100.0)))
    return tuple(found)


def _nics(
    new: Mapping[str, NicCount],
    old: Mapping[str, NicCount],
    seconds: float,
    down: frozenset[str],
) -> tuple[HostNic, ...]:
    found: list[HostNic] = []
    for name, now in new.items():
        was = old.get(name)
        if name == "lo" or was is None:
            continue
        rx = rate(now.rx_bytes, was.rx_bytes, seconds)
        tx = rate(now.tx_bytes, was.tx_bytes, seconds)
        if rx is not None and tx is not None:
            found.append(HostNic(name, rx, tx, now.rx_errors, now.tx_errors, name not in down))
    return tuple(found)


def vm_fast(
    uuid: str,
    at: float,
    process: Qemu,
    new: VmCount,
    old: VmCount | None,
    *,
    seconds: float,
    vcpus: int,
    taps: Sequence[str],
    nics: tuple[Mapping[str, NicCount], Mapping[str, NicCount]],
    page: int | None = None,
    booted_at: float | None = None,
    hz: int = 100,
    io_counted: bool = True,
) -> VmFast:
    """Figures of one domain over the interval between two readings.

    Args:
        uuid: The domain.
        at: This reading's time on the console's clock.
        process: Its QEMU process.
        new: This reading.
        old: The one before, if any; another process's is ignored.
        seconds: The interval on the host's clock.
        vcpus: vCPUs allotted, which are 100 percent together.
        taps: Host-side names of its network devices.
        nics: All network counters (this reading's, the one before's).
        page: Page size; None where the host does not tell (then 4 KiB).
        booted_at: When the host booted, on the console's clock.
        hz: Ticks a second.
        io_counted: Whether the kernel keeps /proc/PID/io at all.
    """
    old = old if old is not None and (old.pid, old.started) == (new.pid, new.started) else None
    share = _Shares(new, old, seconds, max(vcpus, len(process.vcpu_threads), 1))
    # The wait of a vCPU thread is what a guest under KVM is told as steal.
    steal = share.delay if process.accel.upper() == "KVM" else None
    return VmFast(
        uuid,
        at,
        cpu_pct=share.cpu,
        steal_pct=steal,
        delay_pct=share.delay,
        rss=new.rss_pages * (page or _PAGE),
        read_bps=_grown(new.read_bytes, old.read_bytes if old else None, seconds),
        write_bps=_grown(new.write_bytes, old.write_bytes if old else None, seconds),
        nics=_taps(taps, *nics, seconds),
        started_at=booted_at + new.started / hz if booted_at is not None else None,
        missing=_vm_missing(new, process, taps, nics[0], io_counted=io_counted),
    )


class _Shares:
    """Percent of the allotted vCPUs run and waited; None where it cannot be told."""

    def __init__(self, new: VmCount, old: VmCount | None, seconds: float, vcpus: int) -> None:
        self.cpu = self._share(new.cpu_s, old.cpu_s if old else None, seconds, vcpus)
        self.delay = self._share(new.delay_s, old.delay_s if old else None, seconds, vcpus)
        if old is not None and old.cpu_all != new.cpu_all:
            self.cpu = None  # the two readings counted different threads

    @staticmethod
    def _share(new: float | None, old: float | None, seconds: float, vcpus: int) -> float | None:
        grown = _grown(new, old, seconds)
        return min(100.0 * grown / vcpus, 100.0) if grown is not None else None


def _grown(new: float | None, old: float | None, seconds: float) -> float | None:
    return rate(new, old, seconds) if new is not None and old is not None else None


def _taps(
    taps: Sequence[str],
    new: Mapping[str, NicCount],
    old: Mapping[str, NicCount],
    seconds: float,
) -> tuple[tuple[str, float, float, float, float], ...]:
    """What the host sends into a tap is what the guest receives."""
    found: list[tuple[str, float, float, float, float]] = []
    for name in taps:
        now, was = new.get(name), old.get(name)
        if now is None or was is None:
            continue
        figures = (
            rate(now.tx_bytes, was.tx_bytes, seconds),
            rate(now.rx_bytes, was.rx_bytes, seconds),
            rate(now.tx_packets, was.tx_packets, seconds),
            rate(now.rx_packets, was.rx_packets, seconds),
        )
        known = [figure for figure in figures if figure is not None]
        if len(known) == 4:
            found.append((name, known[0], known[1], known[2], known[3]))
    return tuple(found)


def _vm_missing(
    new: VmCount,
    process: Qemu,
    taps: Sequence[str],
    nics: Mapping[str, NicCount],
    *,
    io_counted: bool,
) -> tuple[Missing, ...]:
    found: list[Missing] = []
    if new.read_bytes is None and not io_counted:
        found.append(Missing("vm.io", "the kernel there keeps no I/O account (/proc/PID/io)"))
    elif new.read_bytes is None:
        found.append(
            Missing(
                "vm.io",
                f"no right to read /proc/{new.pid}/io",
                "log in as root, or as the user QEMU runs as",
            )
        )
    if new.cpu_s is None:
        found.append(Missing("vm.cpu", f"the vCPU threads of process {new.pid} cannot be read"))
    if new.delay_s is None:
        reason = "its vCPU threads carry no names" if new.cpu_all else "the kernel keeps no account"
        found.append(Missing("vm.delay", f"{reason} (/proc/PID/task/TID/schedstat)"))
    elif process.accel.upper() != "KVM":
        found.append(
            Missing("vm.steal", "an emulated guest is told of none: its wait is the delay")
        )
    found.extend(
        Missing(f"vm.nic.{tap}", f"{tap} is not in the host's /proc/net/dev")
        for tap in taps
        if tap not in nics
    )
    return tuple(found)
