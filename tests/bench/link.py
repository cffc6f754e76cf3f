"""A link of a known rate between practice hosts in namespaces, and what is asked of their virsh."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from drivers.errors import DriverError, Unsupported
from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.lab.model import Mode
from tests.bench.hosts import practice
from tests.bench.part import end_tidily, scratch
from tests.bench.table import Table
from tests.kvm.daemon import available

_NIC = "eth0"
_BUFFER = ("burst", "256kb", "latency", "50ms")
MIB = 1 << 20


@contextmanager
def limited(lab: LabFleet, mbit: float) -> Iterator[None]:
    """Each host sends and receives at most so many Mbit/s meanwhile.

    Raises:
        Unsupported: This machine's kernel has no token bucket (tbf).
    """
    try:
        for host in lab.hosts:
            host.slow(0, mbit)
            _queue(host, "replace", "tbf", "rate", f"{mbit:g}mbit", *_BUFFER)
        yield
    finally:
        for host in lab.hosts:
            host.slow(0)
            _queue(host, "del")


def _queue(host: LabHost, verb: str, *words: str) -> None:
    """What the host itself sends; the switch's port holds what comes to it."""
    argv = ["tc", "qdisc", verb, "dev", _NIC, "root", *words]
    done = host.run(argv, check=False)
    if done.returncode and verb != "del":
        raise Unsupported(f"{host.name} cannot be given a slow link", done.stderr.strip())


def sent(host: LabHost) -> int:
    """Bytes that a host has sent so far."""
    return int(host.run(["cat", f"/sys/class/net/{_NIC}/statistics/tx_bytes"]).stdout)


def migrate_words(name: str, target: LabHost) -> list[str]:
    """``virsh migrate --live`` as a person at the source would type it, keeping the definition."""
    words = ["migrate", "--live", "--persistent", "--undefinesource", name]
    return [*words, target.peer_uri, target.migrate_uri]


def begin_virsh(host: LabHost, *words: str) -> subprocess.Popen[str]:
    """A virsh on a host that is not waited for; its stderr is a pipe."""
    argv = host.command(["virsh", "-q", "-c", host.direct_uri, *words])
    return subprocess.Popen(
        argv,
        env=host.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def bring_home(lab: LabFleet, home: LabHost) -> None:
    """Migrate every guest of the other hosts to one, each host's one by one."""

    def empty(host: LabHost) -> None:
        for name in host.domains().values():
            host.virsh(*migrate_words(name, home), timeout=120.0)

    with ThreadPoolExecutor() as pool:
        list(pool.map(empty, [host for host in lab.hosts if host is not home]))


def whereabouts(lab: LabFleet, uuids: Iterable[str]) -> dict[str, list[str]]:
    """UUID to the hosts that know a guest, by their own libvirt; ``!`` marks one not running."""
    known = {host.name: (host.domains(), host.domains(running=True)) for host in lab.hosts}
    return {
        uuid: [
            name if uuid in running else f"!{name}"
            for name, (there, running) in known.items()
            if uuid in there
        ]
        for uuid in uuids
    }


def astray(lab: LabFleet, wanted: Mapping[str, str]) -> str:
    """What is wrong where guests (UUID to host) do not run on just that host; empty when all do."""
    found = whereabouts(lab, wanted)
    wrong = [
        f"{u} is on {found[u] or 'no host'}" for u, host in wanted.items() if found[u] != [host]
    ]
    return "; ".join(wrong)


def job_figures(host: LabHost, name: str, *words: str) -> dict[str, float]:
    """``virsh domjobinfo``: bytes, milliseconds and counts by libvirt's own labels."""
    scale = {"B": 1.0, "KiB": 1024.0, "MiB": MIB, "GiB": 1024.0 * MIB}
    told = host.virsh("domjobinfo", name, *words, check=False)
    found = {}
    for line in told.splitlines():
        match = re.match(r"(.+?):\s+([\d.]+)\s*(\S*)", line)
        if match:
            label, value, unit = match.groups()
            found[label] = float(value) * scale.get(unit.removesuffix("/s"), 1.0)
    return found


def print_rows(name: str, hosts: int, rows: Callable[[Table, LabFleet, Path], None]) -> None:
    """Print what is measured on so many hosts with links of their own, or why it cannot be."""
    table = Table()
    reason = available() or ("" if os.geteuid() == 0 else "network namespaces need root")
    if reason:
        table.skip(name, reason)
        return
    end_tidily()
    try:
        with scratch() as folder, practice(hosts) as lab:
            if lab.mode is not Mode.NETNS:
                table.skip(name, "the practice hosts have no links of their own here")
                return
            rows(table, lab, folder)
    except (DriverError, OSError) as error:
        table.skip(name, error)
