"""Ways to break the network of a host in namespaces, and to mend it again.

All of it happens at the host's port of the lab's own switch. This machine's kernel needs no
queueing disciplines: where it lacks netem, a small relay delays the frames.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from drivers.errors import Failed
from drivers.lab.box import Box, run_tool
from drivers.lab.processes import Process, end_all, every_pid, read_process, wait_until
from drivers.lab.switch import Switch

_RELAY = Path(__file__).with_name("relay.py")


class Cable:
    """The cable between one host's ``eth0`` and its port of the switch."""

    def __init__(self, host: str, address: str, box: Box, switch: Switch) -> None:
        self.host = host
        self.address = address
        self.box = box
        self.switch = switch

    def link_down(self) -> None:
        """Pull the cable: the host loses its carrier, others get "no route to host" in a while."""
        self.switch.box.ip("link", "set", self.host, "down")

    def link_up(self) -> None:
        """Mend whatever was done to the cable."""
        self.slow(0)
        self.switch.box.ip("link", "set", self.host, "master", "br0", "up")
        self._forget_neighbour()

    def blackhole(self) -> None:
        """Swallow every packet silently both ways: no carrier loss, no error, no answer.

        This machine is told the host's hardware address for good, or its kernel would notice
        after three seconds and answer "no route to host" itself.
        """
        nic = run_tool(*self.box.command(["cat", "/sys/class/net/br0/address"])).strip()
        words = ["lladdr", nic, "dev", self.switch.plan.uplink, "nud", "permanent"]
        run_tool("ip", "neigh", "replace", self.address, *words)
        self.switch.box.ip("link", "set", self.host, "nomaster")

    def slow(self, delay_ms: float, mbit: float = 0.0) -> None:
        """Delay every frame by half of ``delay_ms`` each way, so that a round trip takes it whole.

        Args:
            delay_ms: Added to a round trip, milliseconds; 0 (and no ``mbit``) for full speed.
            mbit: Cap of the rate each way, Mbit/s; 0 for none.

        Raises:
            Failed: The relay did not start.
        """
        end_all(self._relays)
        self.switch.box.ip("link", "set", self.host, "master", "br0")
        if delay_ms <= 0 and mbit <= 0:
            return
        self.switch.box.ip("link", "set", self.host, "nomaster")
        self._spawn(self.box, ["plain", "eth0"])
        self._spawn(self.switch.box, [self.host, "br0", str(delay_ms / 2), str(mbit)])
        tap = f"slow-{self.host}"
        if not wait_until(lambda: self._has_link(tap), 10.0):
            raise Failed(f"the relay that slows {self.host} did not start")

    def _spawn(self, box: Box, words: list[str]) -> None:
        """Run the relay's script in a box, detached from this process and its pipes."""
        argv = box.command([sys.executable, "-I", str(_RELAY), *words])
        subprocess.run(
            ["setsid", "--fork", *argv],
            env=box.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    def _has_link(self, name: str) -> bool:
        names = run_tool(*self.switch.box.command(["ls", "/sys/class/net/br0/brif"]))
        return name in names.split()

    def _relays(self) -> tuple[Process, ...]:
        wanted = (str(_RELAY).encode(), self.host.encode())
        space = str(Path(f"/proc/{self.switch.box.pid}/ns/net").readlink())
        found = []
        for pid in every_pid():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                same = str(Path(f"/proc/{pid}/ns/net").readlink()) == space
            except OSError:
                continue
            process = read_process(pid)
            if same and process is not None and all(word in words for word in wanted):
                found.append(process)
        return tuple(found)

    def _forget_neighbour(self) -> None:
        shown = run_tool("ip", "neigh", "show", self.address, "dev", self.switch.plan.uplink)
        if shown.strip():
            run_tool("ip", "neigh", "del", self.address, "dev", self.switch.plan.uplink)
