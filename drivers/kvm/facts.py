"""What a host is: read once at connection."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from drivers.errors import DriverError
from drivers.kvm.session import Session
from drivers.kvm.text import clean, parse_xml
from drivers.model.host import HostFacts
from drivers.model.storage import Network

_REMOTE = ("sh", "-c", "uname -r; date +%s.%N")


def version_words(number: int) -> str:
    """libvirt's packed version number in words: 9000000 is ``9.0.0``."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


async def read_facts(session: Session, clock: Callable[[], float]) -> HostFacts:
    """Everything of HostFacts; what a host does not tell stays empty."""
    what = f"{session.spec.name} could not be described"
    told = await session.call(lambda: _ask(session), what)
    kernel, skew = await _kernel(session, clock)
    return HostFacts(kernel=kernel, clock_skew_s=skew, **told)


async def _kernel(session: Session, clock: Callable[[], float]) -> tuple[str, float | None]:
    """Kernel release, and seconds the host's clock is ahead of this one."""
    if session.local:
        return (os.uname().release, 0.0) if session.uri.driver == "qemu" else ("", None)
    if session.ssh is None:
        return "", None
    began, start = clock(), time.monotonic()
    try:
        done = await session.ssh.run(_REMOTE, timeout=session.spec.deadline_s)
        kernel, _, now = done.stdout.decode(errors="replace").strip().partition("\n")
        half = (time.monotonic() - start) / 2
        return clean(kernel), float(now) - (began + half)
    except (DriverError, ValueError):  # BusyBox date knows no %N
        return "", None


def _ask(session: Session) -> dict[str, Any]:
    conn = session.conn
    arch, mebibytes, cpus, *_ = conn.getInfo()
    capabilities = parse_xml(conn.getCapabilities())
    model = None if capabilities is None else capabilities.findtext("host/cpu/model")
    kind = conn.getType()
    return {
        "hostname": clean(conn.getHostname()),
        "arch": clean(arch),
        "cpus": cpus,
        "cpu_model": clean(model),
        "memory": mebibytes << 20,
        "libvirt_version": version_words(conn.getLibVersion()),
        "qemu_version": version_words(conn.getVersion()) if kind == "QEMU" else "",
        "hypervisor": clean(kind),
        "networks": tuple(_networks(session)),
    }


def _networks(session: Session) -> list[Network]:
    try:
        found = session.conn.listAllNetworks()
    except session.lv.libvirtError:  # no network driver there
        return []
    networks: list[Network] = []
    for handle in found:
        try:
            root = parse_xml(handle.XMLDesc(0))
        except session.lv.libvirtError:  # removed between the two calls
            continue
        bridge = None if root is None else root.find("bridge")
        forward = None if root is None else root.find("forward")
        networks.append(
            Network(
                clean(handle.name()),
                session.spec.name,
                "" if bridge is None else clean(bridge.get("name")),
                bool(handle.isActive()),
                "" if forward is None else clean(forward.get("mode") or "nat"),
            )
        )
    return networks
