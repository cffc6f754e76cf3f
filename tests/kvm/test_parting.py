"""Letting go of a host that answers nothing any more."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

from drivers.kvm.session import Session
from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.host import HostSpec
from drivers.ssh.desk import Desk


class Nobody:
    """Answers no question."""

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        return KeyDecision.REFUSE

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        return None


class Mute:
    """A connection whose every call returns only once all of them wait."""

    def __init__(self, all_wait: threading.Barrier) -> None:
        self._all_wait = all_wait
        self.met = False

    def close(self) -> None:
        self._all_wait.wait(60)
        self.met = True

    def unregisterCloseCallback(self) -> None:  # noqa: N802 - libvirt's name
        return None

    def domainEventDeregisterAny(self, handle: int) -> None:  # noqa: N802 - libvirt's name
        return None


async def test_connections_are_let_go_side_by_side_and_the_link_after_them() -> None:
    """A mute host is waited for once, not once a connection; then its SSH link is dropped."""
    session = Session(HostSpec("kvm1", "test:///default"), Nobody(), lambda _reason: None, Desk())
    both = threading.Barrier(2)
    first, second = Mute(both), Mute(both)
    dropped: list[bool] = []

    async def drop() -> None:
        dropped.append(first.met and second.met)

    known = cast(Any, session)
    known.lv = SimpleNamespace(libvirtError=RuntimeError)
    known.conn, known.diag = first, second
    known.ssh = SimpleNamespace(close=drop)
    await session.close((1, 2))
    assert dropped == [True]


async def test_a_connection_in_use_is_not_closed_under_its_call() -> None:
    """libvirt would free it: the link is dropped, which ends the call, and only then it closes."""
    session = Session(HostSpec("kvm1", "test:///default"), Nobody(), lambda _reason: None, Desk())
    order: list[str] = []
    begun, carrier_gone = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        carrier_gone.wait(60)
        order.append("call ended")

    async def drop() -> None:
        order.append("link dropped")
        carrier_gone.set()

    known = cast(Any, session)
    known.lv = SimpleNamespace(libvirtError=RuntimeError)
    known.conn = SimpleNamespace(close=lambda: order.append("closed"))
    known.ssh = SimpleNamespace(close=drop)
    waiting = asyncio.create_task(session.call(hang, "no answer"))
    await asyncio.to_thread(begun.wait, 30)
    waiting.cancel()
    await session.close()
    assert order == ["link dropped", "call ended", "closed"]


async def test_a_connection_whose_call_hangs_is_left_alone_until_it_returns() -> None:
    """Better an idle connection than a crash; nothing of it stays behind for good."""
    session = Session(HostSpec("kvm1", "test:///default"), Nobody(), lambda _reason: None, Desk())
    order: list[str] = []
    begun, over, closed = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        over.wait(60)
        order.append("call ended")

    def close() -> None:
        order.append("closed")
        closed.set()

    known = cast(Any, session)
    known.lv = SimpleNamespace(libvirtError=RuntimeError)
    known.conn = SimpleNamespace(close=close)
    waiting = asyncio.create_task(session.call(hang, "no answer"))
    await asyncio.to_thread(begun.wait, 30)
    waiting.cancel()
    await session.close()
    assert order == []
    over.set()
    assert await asyncio.to_thread(closed.wait, 60)
    assert order == ["call ended", "closed"]
