"""What a host is: read at connection, and now and then what changes meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from drivers.errors import DriverError
from drivers.kvm.session import Session, together
from drivers.kvm.text import clean, parse_xml
from drivers.model.host import HostFacts
from drivers.model.storage import Network

_REMOTE = ("sh", "-c", "date +%s.%N; uname -r")


def version_words(number: int) -> str:
    """libvirt's packed version number in words: 9000000 is ``9.0.0``."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


async def read_facts(session: Session, clock: Callable[[], float]) -> HostFacts:
    """Everything of HostFacts; what a host does not tell stays empty."""
    what = f"{session.spec.name} could not be described"
    told, (kernel, skew) = await together(
        session.call(lambda: _ask(session), what), _kernel(session, clock)
    )
    return HostFacts(kernel=kernel, clock_skew_s=skew, **told)


async def read_changes(session: Session, clock: Callable[[], float], known: HostFacts) -> HostFacts:
    """``known`` with networks and clock read again.

    Raises:
        DriverError: libvirt did not answer.
    """
    what = f"the networks of {session.spec.name} could not be read"
    networks, (kernel, ahead) = await together(
        session.call(lambda: tuple(_networks(session)), what), _kernel(session, clock)
    )
    return replace(known, networks=networks, kernel=kernel or known.kernel, clock_skew_s=ahead)


async def _kernel(session: Session, clock: Callable[[], float]) -> tuple[str, float | None]:
    """Kernel release, and seconds the host's clock is ahead of this one."""
    if session.local:
        return (os.uname().release, 0.0) if session.uri.driver == "qemu" else ("", None)
    if session.ssh is None:
        return "", None
    began = clock()
    try:
        done = await session.ssh.run(_REMOTE, timeout=session.spec.deadline_s)
    except DriverError:
        return "", None
    now, _, kernel = done.stdout.decode(errors="replace").strip().partition("\n")
    try:
        return clean(kernel), skew(float(now), began, clock())
    except ValueError:  # BusyBox date knows no %N
        return clean(kernel), None


def skew(there: float, began: float, ended: float) -> float:
    """Seconds a clock that showed ``there`` between ``began`` and ``ended`` is surely ahead.

    Within the window it may well be right: then 0.0, for a slow answer proves nothing.
    """
    return there - min(max(there, began), ended)


def _ask(session: Session) -> dict[str, Any]:
    conn = session.diag  # on the first connection callbacks are registered at the same time
    told: dict[str, Any] = {}

    calls: dict[str, Callable[[], object]] = {
        "info": conn.getInfo,
        "capabilities": conn.getCapabilities,
        "kind": conn.getType,
        "hostname": conn.getHostname,
        "libvirt": conn.getLibVersion,
        "hypervisor": conn.getVersion,
        "networks": lambda: tuple(_networks(session)),
    }
    lv = session.lv
    for name, call in calls.items():
        with contextlib.suppress(lv.libvirtError):
            told[name] = call()
    arch, mebibytes, cpus, *_ = told.get("info") or conn.getInfo()  # its error is the answer
    capabilities = parse_xml(told.get("capabilities", ""))
    model = None if capabilities is None else capabilities.findtext("host/cpu/model")
    kind = told.get("kind", "")
    return {
        "hostname": clean(told.get("hostname")),
        "arch": clean(arch),
        "cpus": cpus,
        "cpu_model": clean(model),
        "memory": mebibytes << 20,
        "libvirt_version": version_words(told.get("libvirt", 0)),
        "qemu_version": version_words(told.get("hypervisor", 0)) if kind == "QEMU" else "",
        "hypervisor": clean(kind),
        "networks": told.get("networks", ()),
    }


def _networks(session: Session) -> list[Network]:
    try:
        found = session.diag.listAllNetworks()
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
