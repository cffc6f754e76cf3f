"""What a lab has taken of this machine, written down before it is used.

The plan is the lab's journal: ``lab.json`` in its folder names the subnet, the ports and the
names of everything that ``up`` makes, so that ``down`` finds all of it even after a crash.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from drivers.errors import Busy, Failed
from drivers.lab.model import Mode

PORTS_PER_HOST = 24
"""One for sshd, the rest for migrations: each takes one, and one more when it copies disks."""

STORE_PORTS = 40
"""Ports for the exports of the network store, after those of the hosts."""

_FIRST_PORT = 20000
_LAST_PORT = 32000  # below the kernel's default range for outgoing connections


@dataclass(frozen=True, slots=True)
class LabPlan:
    """Names and numbers of one lab.

    Attributes:
        mode: How hosts are kept apart.
        token: Six hex digits of the folder's hash, part of each interface's name.
        hosts: Number of hosts.
        guests: Number of guests that ``up`` keeps defined.
        subnet: First three bytes of the hosts' subnet, ``10.97.3``; empty in user mode.
        first_port: First of the loopback ports; 0 in netns mode.
    """

    mode: Mode
    token: str
    hosts: int
    guests: int
    subnet: str = ""
    first_port: int = 0

    @property
    def host_names(self) -> tuple[str, ...]:
        """``kvm1``, ``kvm2`` and so on."""
        return tuple(f"kvm{number}" for number in range(1, self.hosts + 1))

    @property
    def uplink(self) -> str:
        """This machine's interface into the lab's subnet."""
        return f"nv{self.token}"

    @property
    def store_address(self) -> str:
        """Address of the network disk store, as hosts reach it."""
        return f"{self.subnet}.2" if self.mode is Mode.NETNS else "127.0.0.1"

    @property
    def store_port(self) -> int:
        """First port of the network disk store."""
        return 10809 if self.mode is Mode.NETNS else self.first_port + self.hosts * PORTS_PER_HOST


def token_of(folder: Path) -> str:
    """Six hex digits that stand for a folder."""
    return hashlib.sha256(str(folder).encode()).hexdigest()[:6]


def read_plan(folder: Path) -> LabPlan | None:
    """The plan in a lab's folder; None when there is none.

    Raises:
        Failed: There is one, and it cannot be read.
    """
    path = folder / "lab.json"
    try:
        values = json.loads(path.read_text())
        known = {name: values[name] for name in LabPlan.__slots__ if name in values}
        return LabPlan(**{**known, "mode": Mode(known["mode"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failed(
            f"the lab's plan {path} cannot be read",
            str(error),
            "run: novacron lab up, to make the lab anew, or: novacron lab down",
        ) from error


def write_plan(folder: Path, plan: LabPlan) -> None:
    """Write the plan so that a crash leaves the old one or the new one."""
    scratch = folder / "lab.json.new"
    with scratch.open("w") as stream:
        json.dump(asdict(plan), stream)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.rename(folder / "lab.json")


@contextlib.contextmanager
def allocation(deadline_s: float = 60.0) -> Iterator[None]:
    """Hold this machine's lock on handing out ports and subnets.

    It is an abstract socket: it leaves no file and ends with the process.

    Raises:
        Busy: Another lab holds it for longer than the deadline.
    """
    until = time.monotonic() + deadline_s
    with socket.socket(socket.AF_UNIX) as lock:
        while True:
            try:
                lock.bind("\0novacron-lab-allocation")
                break
            except OSError as error:
                if time.monotonic() > until:
                    raise Busy("another practice fleet is being started on this machine") from error
            time.sleep(0.05)
        yield


def free_subnet(token: str) -> str:
    """A 10.x.y subnet that no address or route of this machine touches.

    Raises:
        Failed: None of those tried is free.
    """
    taken = _taken_networks()
    seed = int(token, 16)
    for attempt in range(200):
        number = (seed + attempt * 7919) % (200 * 250)
        subnet = f"10.{40 + number // 250}.{1 + number % 250}"
        if not any(ipaddress.ip_network(f"{subnet}.0/24").overlaps(net) for net in taken):
            return subnet
    raise Failed("no free 10.x.y.0/24 subnet was found for the lab")


def _taken_networks() -> list[ipaddress.IPv4Network]:
    taken = []
    for argv in (["ip", "-j", "-4", "route"], ["ip", "-j", "-4", "addr"]):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        for entry in json.loads(done.stdout or "[]"):
            words = [entry.get("dst", "default")] if "dst" in entry else []
            words += [f"{a['local']}/{a['prefixlen']}" for a in entry.get("addr_info", [])]
            for word in words:
                with contextlib.suppress(ValueError):
                    taken.append(ipaddress.IPv4Network(word, strict=False))
    return taken


def free_ports(token: str, count: int) -> int:
    """First of ``count`` loopback ports that nobody listens on.

    Raises:
        Failed: No such run of ports was found.
    """
    span = _LAST_PORT - _FIRST_PORT - count
    for attempt in range(100):
        first = _FIRST_PORT + (int(token, 16) + attempt * (count + 1)) % span
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise Failed(f"no {count} free ports in a row between {_FIRST_PORT} and {_LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
