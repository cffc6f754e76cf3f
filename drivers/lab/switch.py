"""The lab's network: a bridge in a box of its own, joined to this machine by one interface.

In a box, so that this machine's own firewall (Docker's, ufw's) never sees the traffic between
hosts, and so that ending the box removes all of it.
"""

from __future__ import annotations

import json
from pathlib import Path

from drivers.lab.box import Box, remove_link, run_tool
from drivers.lab.plan import LabPlan

_BRIDGE_MAC = "52:54:00:00:00:02"


class Switch:
    """The bridge, its port to this machine, and the ports of the hosts (named after them)."""

    def __init__(self, lab: Path, plan: LabPlan) -> None:
        self.plan = plan
        self.box = Box(lab, "switch")

    def ensure(self) -> bool:
        """Make the switch unless it is there; True when it was made anew."""
        if self.box.process is not None and self._is_whole():
            return False
        self.remove_uplink()
        self.box.start("mount -n -t sysfs sysfs /sys\nip link set lo up")
        plan, lab = self.plan, self.box.lab
        # An address of its own: without one it takes a port's, and loses it with that port.
        self.box.ip("link", "add", "br0", "address", _BRIDGE_MAC, "type", "bridge")
        self.box.ip("addr", "add", f"{plan.store_address}/24", "dev", "br0")
        self.box.ip("link", "set", "br0", "up")
        pair = ["type", "veth", "peer", "name", "uplink", "netns", str(self.box.pid)]
        run_tool(lab, "ip", "link", "add", plan.uplink, *pair)
        run_tool(lab, "ip", "addr", "add", f"{plan.subnet}.1/24", "dev", plan.uplink)
        run_tool(lab, "ip", "link", "set", plan.uplink, "up")
        self.box.ip("link", "set", "uplink", "master", "br0", "up")
        return True

    def _is_whole(self) -> bool:
        """Whether the last step of ``ensure`` was taken before it was interrupted, if it was."""
        argv = ["nsenter", "-t", str(self.box.pid), "-n", "--", "ip", "-j", "link"]
        links = {link["ifname"]: link for link in json.loads(run_tool(self.box.lab, *argv))}
        uplink = links.get("uplink", {})
        return uplink.get("master") == "br0" and "UP" in uplink.get("flags", ())

    def remove_uplink(self) -> None:
        """Remove this machine's interface, when a crash left it."""
        remove_link(self.box.lab, self.plan.uplink)

    def plug(self, host: str, box: Box) -> None:
        """Give a host's box an ``eth0`` whose other end is a port of the bridge."""
        pair = ["type", "veth", "peer", "name", "eth0", "netns", str(box.pid)]
        self.box.remove_link(host)  # of a box that ended a moment ago
        self.box.ip("link", "add", host, *pair)
        self.box.ip("link", "set", host, "master", "br0", "up")
