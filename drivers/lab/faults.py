"""Ways to break the network of a host in namespaces, and to mend it again.

All of it happens at the host's port of the lab's own switch; only ``slow`` needs more of the
kernel than bridges and veths.
"""

from __future__ import annotations

import subprocess

from drivers.errors import Unsupported
from drivers.lab.box import Box, run_tool
from drivers.lab.switch import Switch


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
        read = self.box.command(["cat", "/sys/class/net/br0/address"])
        nic = run_tool(self.box.lab, *read).strip()
        words = ["lladdr", nic, "dev", self.switch.plan.uplink, "nud", "permanent"]
        self._neigh("replace", self.address, *words)
        self.switch.box.ip("link", "set", self.host, "nomaster")

    def slow(self, delay_ms: float, mbit: float = 0.0) -> None:
        """Delay what goes to the host, and cap its rate; both by queueing disciplines (tc).

        Args:
            delay_ms: Added to a round trip, milliseconds; 0 (and no ``mbit``) for full speed.
            mbit: Cap of the rate towards the host, Mbit/s; 0 for none.

        Raises:
            Unsupported: This machine's kernel lacks the discipline (netem for a delay, tbf for a
                rate alone).
        """
        port = ["dev", self.host, "root"]
        tc = ["nsenter", "-t", str(self.switch.box.pid), "-n", "--", "tc", "qdisc"]
        subprocess.run([*tc, "del", *port], capture_output=True, check=False)
        if delay_ms > 0:
            rate = ["rate", f"{mbit}mbit"] if mbit > 0 else []
            words = ["netem", "delay", f"{delay_ms}ms", "limit", "10000", *rate]
        elif mbit > 0:
            words = ["tbf", "rate", f"{mbit}mbit", "burst", "64kb", "latency", "400ms"]
        else:
            return
        done = subprocess.run(
            [*tc, "add", *port, *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unsupported(
                f"this machine's kernel cannot slow a link with {words[0]}",
                done.stderr.strip()[-200:],
                f"load the module sch_{words[0]}, where the kernel has it",
            )

    def _forget_neighbour(self) -> None:
        where = [self.address, "dev", self.switch.plan.uplink]
        if self._neigh("show", *where).strip():
            self._neigh("del", *where)

    def _neigh(self, *words: str) -> str:
        return run_tool(self.box.lab, "ip", "neigh", *words)
