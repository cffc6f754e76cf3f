"""Carries the frames of one switch port, each later than it came: ``PORT BRIDGE DELAY_MS MBIT``.

Run inside the switch's box. The port's end (a veth) is read and written raw, a tap on the bridge
takes its place there, and every frame waits its time in between, in order.
"""

from __future__ import annotations

import array
import fcntl
import heapq
import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable

_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x0002 | 0x1000
_SIOCETHTOOL = 0x8946
_ETHTOOL_SETTERS = (0x15, 0x17, 0x1F, 0x24, 0x2C)  # checksums, segmentation, offloads
_ALL_FRAMES = 0x0003
_LARGEST_FRAME = 65_550
_LONGEST_QUEUE = 4_000  # frames; beyond it they are dropped, as a router would


class Lane:
    """One direction: frames due at a time, at most at a rate."""

    def __init__(self, delay_s: float, rate_bps: float, send: Callable[[bytes], object]) -> None:
        self.delay_s = delay_s
        self.rate_bps = rate_bps
        self.send = send
        self.waiting: list[tuple[float, int, bytes]] = []
        self._free_at = 0.0
        self._count = 0

    def take(self, frame: bytes, now: float) -> None:
        """Queue a frame."""
        if len(self.waiting) >= _LONGEST_QUEUE:
            return
        start = max(now, self._free_at)
        self._free_at = start + (len(frame) * 8 / self.rate_bps if self.rate_bps else 0.0)
        self._count += 1
        heapq.heappush(self.waiting, (self._free_at + self.delay_s, self._count, frame))

    def give(self, now: float) -> None:
        """Send the frames that are due; one that the far end refuses is lost, as on a wire."""
        while self.waiting and self.waiting[0][0] <= now:
            frame = heapq.heappop(self.waiting)[2]
            try:
                self.send(frame)
            except OSError:
                continue


def plain_frames(nic: str) -> None:
    """Have the kernel compute checksums and cut segments itself, so that raw frames are whole."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for setter in _ETHTOOL_SETTERS:
            value = array.array("B", struct.pack("II", setter, 0))
            request = struct.pack("16sP", nic.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(control, _SIOCETHTOOL, request)
            except OSError:
                continue


def open_tap(name: str, bridge: str) -> int:
    """Make a tap and plug it into the bridge; it is gone when this process ends."""
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP_NO_PI))
    subprocess.run(["ip", "link", "set", name, "master", bridge, "up"], check=True)
    return handle


def main() -> None:
    """Relay until killed; ``plain NIC`` only has that interface send whole frames."""
    if sys.argv[1] == "plain":
        plain_frames(sys.argv[2])
        return
    port, bridge, delay_ms, mbit = sys.argv[1:]
    plain_frames(port)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
    raw.bind((port, _ALL_FRAMES))
    raw.setblocking(False)
    tap = open_tap(f"slow-{port}", bridge)
    delay_s, rate = float(delay_ms) / 1000, float(mbit) * 1e6
    to_bridge = Lane(delay_s, rate, lambda frame: os.write(tap, frame))
    to_host = Lane(delay_s, rate, raw.send)
    poll = selectors.DefaultSelector()
    poll.register(raw, selectors.EVENT_READ)
    poll.register(tap, selectors.EVENT_READ)
    while True:
        due = [lane.waiting[0][0] for lane in (to_bridge, to_host) if lane.waiting]
        poll.select(max(0.0, min(due) - time.monotonic()) if due else None)
        now = time.monotonic()
        while (frame := _receive(raw)) is not None:
            to_bridge.take(frame, now)
        while (frame := _read(tap)) is not None:
            to_host.take(frame, now)
        for lane in (to_bridge, to_host):
            lane.give(time.monotonic())


def _receive(raw: socket.socket) -> bytes | None:
    """A frame that came from the host; those we sent ourselves are seen too and left out."""
    while True:
        try:
            frame, origin = raw.recvfrom(_LARGEST_FRAME)
        except BlockingIOError:
            return None
        if origin[2] != socket.PACKET_OUTGOING:
            return frame


def _read(tap: int) -> bytes | None:
    try:
        return os.read(tap, _LARGEST_FRAME)
    except BlockingIOError:
        return None


if __name__ == "__main__":
    main()
