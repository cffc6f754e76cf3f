"""VMs whose monitor hangs stay left out of the sweep until it is known that they answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from drivers.errors import TimedOut
from drivers.kvm.quarantine import Quarantine
from drivers.kvm.session import Session

UUID = "11111111-2222-3333-4444-555555555555"


class LibvirtError(Exception):
    """Stands in for libvirt.libvirtError."""


class Monitor:
    """A host with one VM, stuck in a command; ``mute`` stops libvirt from telling about it."""

    def __init__(self) -> None:
        self.mute = False
        domain = SimpleNamespace(UUIDString=lambda: UUID, controlInfo=lambda: (2, 0, 9000))
        conn = SimpleNamespace(listAllDomains=lambda _flags: [domain])
        lv = SimpleNamespace(libvirtError=LibvirtError, VIR_CONNECT_LIST_DOMAINS_ACTIVE=1)
        self.session = cast(Session, SimpleNamespace(lv=lv, diag=conn, call=self._call))

    async def _call(self, ask: Any, what: str) -> Any:
        if self.mute:
            raise TimedOut(what, "no answer in 10 s")
        return ask()


async def test_no_answer_frees_nobody() -> None:
    """While libvirt does not tell, a stuck VM stays out: the others go on being read."""
    monitor = Monitor()
    quarantine = Quarantine(monitor.session)
    assert await quarantine.add_occupied(1.0)
    monitor.mute = True
    await quarantine.review()
    assert quarantine.members == {UUID}
    assert not await quarantine.add_occupied(1.0)
