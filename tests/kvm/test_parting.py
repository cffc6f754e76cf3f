"""Letting go of a host that answers nothing any more."""

from __future__ import annotations

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
        self._all_wait.wait(10)
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
