"""A serial console whose reader is away keeps the newest output, and says what it left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from drivers.kvm.console import SerialConsole
from drivers.kvm.session import Session


async def test_a_guest_that_prints_for_ever_fills_no_memory() -> None:
    """Of 6 MiB unread, the newest 4 MiB are shown after a line that tells of the rest."""
    console = SerialConsole(cast(Session, SimpleNamespace()), "web1")
    cast(Any, console)._stream = object()
    for number in range(96):
        console._take(bytes([number]) * 65536)
    console._take(b"")
    shown = []
    while data := await console.read():
        shown.append(data)
    assert b"2097152 bytes" in shown[0]
    assert sum(map(len, shown[1:])) == 4 << 20
    assert (shown[1][0], shown[-1][0]) == (32, 95)
