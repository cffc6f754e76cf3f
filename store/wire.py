"""What goes over the store's socket: length-prefixed JSON, bounded, with a deadline a frame.

::

    request   {"op": "history", "args": {...}, "source": "client id"}
    reply     {"ok": value}   or   {"error": {"what", "proof", "fix", "code"}}
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import socket
import struct
import time
from array import array
from typing import Any

from drivers.model.history import HOST_METRICS, VM_METRICS
from store.sample import HostBatch, plain

REQUEST_LIMIT = 8 * 1024 * 1024
REPLY_LIMIT = 64 * 1024 * 1024
FRAME_S = 10.0
_HEAD = struct.Struct(">I")
_WORD = 4096  # a name longer than this is nobody's name


class WireError(Exception):
    """The other end does not speak this protocol, or stopped in the middle of a frame."""


def send(sock: socket.socket, value: object, limit: int) -> None:
    """Send one frame.

    Raises:
        WireError: The value is larger than ``limit`` bytes.
        OSError: The connection ended.
    """
    body = json.dumps(value, separators=(",", ":")).encode()
    if len(body) > limit:
        raise WireError(f"{len(body)} bytes are more than one frame holds")
    sock.sendall(_HEAD.pack(len(body)) + body)


def receive(sock: socket.socket, limit: int, frame_s: float = FRAME_S) -> Any:
    """Wait for one frame under the socket's own timeout; None when the other end closed.

    Once its first byte has come, the whole frame must come within ``frame_s`` seconds.

    Raises:
        WireError: Too large, cut short, too slow, or not JSON.
        TimeoutError: No frame began within the socket's timeout.
        OSError: The connection ended.
    """
    first = sock.recv(1)
    if not first:
        return None
    deadline = time.monotonic() + frame_s
    idle = sock.gettimeout()
    try:
        (size,) = _HEAD.unpack(first + _exactly(sock, _HEAD.size - 1, deadline))
        if size > limit:
            raise WireError(f"a frame of {size} bytes is refused")
        body = _exactly(sock, size, deadline)
    finally:
        sock.settimeout(idle)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("not JSON") from error


def _exactly(sock: socket.socket, size: int, deadline: float) -> bytes:
    parts = []
    while size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise WireError("a frame came too slowly")
        sock.settimeout(left)
        try:
            part = sock.recv(min(size, 1 << 20))
        except TimeoutError as error:
            raise WireError("a frame came too slowly") from error
        if not part:
            raise WireError("a frame was cut short")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def batch_to_plain(batch: HostBatch) -> list[Any]:
    """A batch as JSON values; figures as base64 of little-endian float32."""
    return [
        batch.at,
        batch.host,
        base64.b64encode(batch.load.tobytes()).decode(),
        [list(vm) for vm in batch.vms],
        base64.b64encode(batch.figures.tobytes()).decode(),
        batch.complete,
    ]


def batch_from_plain(data: object) -> HostBatch:
    """A batch from what came over the socket.

    Raises:
        ValueError: It is not a batch.
    """
    if not isinstance(data, list) or len(data) != 6 or not isinstance(data[3], list):
        raise ValueError("not a batch")
    at, host, load, vms, figures, complete = data
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < 2**32:
        raise ValueError("not a time")
    named = tuple(_vm(vm) for vm in vms)
    batch = HostBatch(
        float(at), _word(host), _floats(load), named, _floats(figures), complete is True
    )
    if len(batch.load) not in (0, len(HOST_METRICS)):
        raise ValueError("not a host's figures")
    if len(batch.figures) != len(named) * len(VM_METRICS):
        raise ValueError("not the figures of so many VMs")
    return batch


def _vm(data: object) -> tuple[str, str, str]:
    if not isinstance(data, list) or len(data) != 3:
        raise ValueError("not a VM")
    return _word(data[0]), _word(data[1]), _word(data[2])


def _word(data: object) -> str:
    if not isinstance(data, str) or len(data) > _WORD:
        raise ValueError("not a name")
    return plain(data)


def _floats(data: object) -> array[float]:
    if not isinstance(data, str):
        raise ValueError("not figures")
    figures = array("f")
    try:
        figures.frombytes(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError("not figures") from error
    return figures


def finite(value: object) -> float:
    """A finite number from what came over the socket.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a number")
    return float(value)
