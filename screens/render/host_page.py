"""One host in full, as lines of text in two groups that stand side by side where there is room."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from drivers.model.host import Host, HostLoad, Psi
from screens.base import View
from screens.format import (
    age,
    bar,
    clean,
    duration,
    milliseconds,
    percent,
    rate,
    share,
    size,
    sparkline,
)
from screens.render.hosts import memory_pct
from screens.render.maintenance import cordon_line
from screens.render.states import (
    age_cell,
    host_is_stale,
    host_read_at,
    host_state,
    retry,
    stale_words,
    why,
)

BAR = 20
LABEL = 11


def connection_lines(host: Host, view: View) -> list[Content]:
    """How the host is reached and how that stands; always shown in full."""
    state = host_state(host)
    link, spec = host.link, host.spec
    read = age_cell(*host_read_at(host), view.now)
    old = stale_words(host, view.now)
    head = Content.assemble(
        (f" {clean(host.name)} ", "bold"),
        (state.text, f"bold ${state.tone}"),
        f" for {age(link.since, view.now)}" if link.since else "",
        *(
            [(f"  {old}", "bold $stale")]
            if old
            else [("  figures ", "$faint"), (read.text, "$faint")]
        ),
        ("  protection ", "$faint"),
        spec.protect.value,
        ("  round trip ", "$faint"),
        milliseconds(link.rtt_ms),
    )
    lines = [head, _pair("route", link.route or spec.uri)]
    if cordoned := cordon_line(view.cordons, host.name, view.now):
        lines.append(_pair("cordon", cordoned, "$care"))
    if reason := why(host):
        lines.append(_pair("reason", reason, "$care"))
    if link.problem is not None and link.problem.fix:
        lines.append(_pair("fix", link.problem.fix))
    if again := retry(host, view.now):
        told = again.removeprefix("retry ")
        lines.append(_pair("retry", f"{told}, after {link.attempts} failed attempts"))
    return lines


def load_lines(host: Host, view: View) -> list[Content]:
    """CPU by mode, pressure, memory and swap."""
    load = host.load
    if load is None:
        return [_pair("figures", _missing(host, "load", "not read yet"), "$faint")]
    tone = "$stale" if host_is_stale(host, view.now) else ""
    plain = view.ascii
    trend = sparkline(view.trends.get(f"{host.name}/cpu", ()), 24, plain=plain, top=100.0)
    return [
        _bar("cpu", load.cpu_pct, percent(load.cpu_pct), plain, tone),
        _pair("", trend, "$load"),
        _pair("modes", _modes(load), tone),
        _pair("load", _averages(load), tone),
        _pair("pressure", _pressure(host, load), tone),
        _bar("memory", memory_pct(load), _memory(load), plain, tone),
        _bar("swap", _swap_pct(load), _swap(load), plain, tone),
        _pair("up", duration(load.uptime_s), tone),
    ]


def device_lines(host: Host, view: View) -> list[Content]:
    """Disks, NICs and filesystems, busiest first."""
    load = host.load
    if load is None:
        return []
    tone = "$stale" if host_is_stale(host, view.now) else ""
    disks = sorted(load.disks, key=lambda d: -d.busy_pct)
    nics = sorted(load.nics, key=lambda n: -(n.rx_bps + n.tx_bps))
    mounts = sorted(load.filesystems, key=lambda f: share(f.free, f.size) or 0.0)
    lines = [
        _pair(clean(d.name), f"busy {percent(d.busy_pct):>4}  {rate(d.read_bps):>8} read "
              f"{rate(d.write_bps):>8} written  {d.read_iops + d.write_iops:.0f} IOPS", tone)
        for d in disks
    ]  # fmt: skip
    for nic in nics:
        errors = nic.rx_errors + nic.tx_errors
        words = f"{rate(nic.rx_bps):>8} in {rate(nic.tx_bps):>8} out"
        words += "" if nic.up else "  down"
        lines.append(_pair(clean(nic.name), words + (f"  {errors} errors" if errors else ""), tone))
    for disk in mounts:
        free = share(disk.free, disk.size)
        used = None if free is None else 100.0 * (1.0 - free)
        words = f"{percent(used):>4} used, {size(disk.free)} free of {size(disk.size)} {disk.kind}"
        lines.append(_pair(clean(disk.mount), words, tone))
    return lines + [
        _pair(clean(away.mount), f"{away.kind}: sizes are never asked of a server", tone)
        for away in load.remote
    ]


def fact_lines(host: Host) -> list[Content]:
    """What the host is, and what cannot be read there and why."""
    lines: list[Content] = []
    facts = host.facts
    if facts is not None:
        lines = [
            _pair("system", f"{facts.hostname}, {facts.arch}, kernel {facts.kernel}"),
            _pair("cpus", f"{facts.cpus} x {facts.cpu_model or 'unknown model'}, "
                  f"{size(facts.memory)} of memory"),
            _pair("versions", f"libvirt {facts.libvirt_version}, "
                  f"{facts.hypervisor or 'QEMU'} {facts.qemu_version}"),
        ]  # fmt: skip
        if facts.clock_skew_s is not None:
            lines.append(_pair("clock", f"{facts.clock_skew_s:+.2f} s against this console"))
    for lack in host.missing:
        lines.append(_pair("missing", f"{lack.name}: {lack.reason}. {lack.fix}".strip(), "$faint"))
    return lines


def page(host: Host, view: View, width: int) -> Content:
    """All groups; from 120 cells on, load and devices stand side by side."""
    left, right = load_lines(host, view), device_lines(host, view)
    wide = width >= 120 and bool(right)
    middle = _beside(left, right, width // 2) if wide else left + right
    lines = [*connection_lines(host, view), *middle, *fact_lines(host)]
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def _beside(left: list[Content], right: list[Content], width: int) -> list[Content]:
    height = max(len(left), len(right))
    blank = Content("")
    left = left + [blank] * (height - len(left))
    right = right + [blank] * (height - len(right))
    return [
        one.truncate(width, ellipsis=True, pad=True) + two
        for one, two in zip(left, right, strict=True)
    ]


def _pair(label: str, text: str, style: str = "") -> Content:
    words = f" {clean(text)}"
    return Content.assemble(
        (f" {label:<{LABEL}.{LABEL}}", "$faint"), (words, style) if style else words
    )


def _bar(label: str, value: float | None, words: str, plain: bool, style: str) -> Content:
    if value is None:
        return _pair(label, f"- {words}".replace("- -", "-"), "$faint")
    return _pair(label, f"{bar(value / 100.0, BAR, plain=plain)} {words}", style)


def _modes(load: HostLoad) -> str:
    shares = (
        ("guest", load.guest_pct), ("user", load.user_pct), ("system", load.system_pct),
        ("iowait", load.iowait_pct), ("irq", load.irq_pct), ("steal", load.steal_pct),
    )  # fmt: skip
    return "  ".join(f"{name} {percent(value)}" for name, value in shares if value is not None)


def _averages(load: HostLoad) -> str:
    known = (load.load1, load.load5, load.load15)
    return "  ".join("-" if value is None else f"{value:.2f}" for value in known)


def _pressure(host: Host, load: HostLoad) -> str:
    pairs = (("cpu", load.psi_cpu), ("memory", load.psi_memory), ("io", load.psi_io))
    if all(psi is None for _, psi in pairs):
        return f"- {_missing(host, 'psi', 'not told by this kernel')}"
    return "  ".join(f"{name} {_psi(psi)}" for name, psi in pairs)


def _psi(psi: Psi | None) -> str:
    return "-" if psi is None else f"{percent(psi.some)}/{percent(psi.full)}"


def _memory(load: HostLoad) -> str:
    if load.memory_total is None or load.memory_available is None:
        return "-"
    used = load.memory_total - load.memory_available
    return f"{size(used)} of {size(load.memory_total)}, {size(load.memory_available)} available"


def _swap_pct(load: HostLoad) -> float | None:
    part = share(load.swap_used, load.swap_total)
    return None if part is None else 100.0 * part


def _swap(load: HostLoad) -> str:
    if load.swap_total == 0:
        return "none"
    return f"{size(load.swap_used)} of {size(load.swap_total)}"


def _missing(host: Host, name: str, otherwise: str) -> str:
    reasons: Iterable[str] = (m.reason for m in host.missing if m.name == name)
    return next(iter(reasons), otherwise)
