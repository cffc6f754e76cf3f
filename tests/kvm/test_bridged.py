"""Connections where no socket can be forwarded: each is a session, and sshd allows ten of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drivers.errors import Refused
from drivers.kvm.session import Session
from drivers.model.host import HostSpec
from drivers.ssh import link
from drivers.ssh.desk import Desk
from tests.kvm.conftest import Nobody


class Bridge:
    """An SSH link; ``forwards``: sockets may be forwarded over it."""

    forwards = False
    bridge_words = ""
    route = "kvm1"

    def __init__(self, *_args: object) -> None:
        return None

    async def connect(self) -> None:
        return None

    async def run(self, *_args: object, **_more: object) -> Any:
        raise Refused("no command may be run here")

    async def forward(self, path: str) -> str:
        if not self.forwards:
            raise Refused("no socket may be forwarded", path)
        return "/run/forwarded"

    async def bridge(self) -> str:
        return "/run/bridged"


@pytest.mark.parametrize(("forwards", "most"), [(False, 4), (True, 9)])
async def test_long_operations_leave_room_for_other_sessions(
    monkeypatch: pytest.MonkeyPatch, forwards: bool, most: int
) -> None:
    """Nine of them: over a bridge four at a time, and the others in their turn."""
    monkeypatch.setattr(link, "SshLink", Bridge)
    monkeypatch.setattr(Bridge, "forwards", forwards)
    session = Session(HostSpec("kvm1", "qemu+ssh://kvm1/system"), Nobody(), print, Desk())

    async def dial(_address: str) -> object:
        return session.conn

    monkeypatch.setattr(session, "_dial", dial)
    await session._open_remote()
    held, go = 0, asyncio.Event()

    async def long_operation() -> None:
        nonlocal held
        async with session.extra():
            held += 1
            await go.wait()

    tasks = [asyncio.create_task(long_operation()) for _ in range(9)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert held == most
    go.set()
    await asyncio.gather(*tasks)
    assert held == 9


async def test_operations_of_two_hosts_in_both_directions_all_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many each way as either host has room for, begun at once."""
    monkeypatch.setattr(link, "SshLink", Bridge)
    one, other = (
        Session(HostSpec(name, f"qemu+ssh://{name}/system"), Nobody(), print, Desk())
        for name in ("kvm1", "kvm2")
    )

    async def dial(_address: str) -> object:
        await asyncio.sleep(0)
        return one.conn

    for session in (one, other):
        monkeypatch.setattr(session, "_dial", dial)
        await session._open_remote()
    done = 0

    async def move(source: Session, peer: Session) -> None:
        nonlocal done
        async with source.extra_with(peer, lambda: False):
            await asyncio.sleep(0)
            done += 1

    async with asyncio.timeout(60):
        ways = (one, other), (other, one)
        await asyncio.gather(*(move(*ends) for ends in ways for _ in range(4)))
    assert done == 8
