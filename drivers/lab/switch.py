"""The lab's network: a bridge in a box of its own, joined to this machine by one interface.

In a box, so that this machine's own firewall (Docker's, ufw's) never sees the traffic between
hosts, and so that ending the box removes all of it.
"""

from __future__ import annotations

import json
from pathlib import Path

from drivers.errors import Failed
from drivers.lab.box import Box, run_tool
from drivers.lab.plan import LabPlan


class Switch:
    """The bridge, its port to this machine, and the ports of the hosts (named after them)."""

    def __init__(self, lab: Path, plan: LabPlan) -> None:
        self.plan = plan
        self.box = Box(lab, "switch")

    def ensure(self) -> bool:
        """Make the switch unless it is there; True when it was made anew."""
        if self.box.process is not None:
            return False
        self.remove_uplink()
        self.box.start("mount -n -t sysfs sysfs /sys\nip link set lo up")
        plan = self.plan
        self.box.ip("link", "add", "br0", "type", "bridge")
        self.box.ip("addr", "add", f"{plan.store_address}/24", "dev", "br0")
        self.box.ip("link", "set", "br0", "up")
        pair = ["type", "veth", "peer", "name", "uplink", "netns", str(self.box.pid)]
        run_tool("ip", "link", "add", plan.uplink, *pair)
        run_tool("ip", "addr", "add", f"{plan.subnet}.1/24", "dev", plan.uplink)
        run_tool("ip", "link", "set", plan.uplink, "up")
        self.box.ip("link", "set", "uplink", "master", "br0", "up")
        return True

    def remove_uplink(self) -> None:
        """Remove this machine's interface, when a crash left it."""
        if self._has_uplink():
            try:
                run_tool("ip", "link", "del", self.plan.uplink)
            except Failed:  # the kernel may have been quicker: it goes with the switch
                if self._has_uplink():
                    raise

    def _has_uplink(self) -> bool:
        names = [link["ifname"] for link in json.loads(run_tool("ip", "-j", "link"))]
        return self.plan.uplink in names

    def plug(self, host: str, box: Box) -> None:
        """Give a host's box an ``eth0`` whose other end is a port of the bridge."""
        pair = ["type", "veth", "peer", "name", "eth0", "netns", str(box.pid)]
        self.box.ip("link", "add", host, *pair)
        self.box.ip("link", "set", host, "master", "br0", "up")
