"""Event registrations are known one by one, so that none is left behind on a connection."""

from __future__ import annotations

from types import SimpleNamespace

from drivers.kvm.events import EventHub


class LibvirtError(Exception):
    """Stands in for libvirt.libvirtError."""


LIBVIRT = SimpleNamespace(
    libvirtError=LibvirtError,
    VIR_DOMAIN_EVENT_ID_LIFECYCLE=0,
    VIR_DOMAIN_EVENT_ID_JOB_COMPLETED=1,
    VIR_DOMAIN_EVENT_ID_TRAY_CHANGE=2,
)


async def test_a_connect_that_is_given_up_loses_no_registration() -> None:
    """Whoever gives up in the middle holds every handle so far, and no further one is made."""
    hub = EventHub("kvm1", lambda: 0.0, lambda _event: None)
    handles: list[int] = []
    asked: list[int] = []

    def register(_domain: object, number: int, _receive: object, _opaque: object) -> int:
        asked.append(number)
        assert len(handles) == len(asked) - 1  # the ones before are held already
        if len(asked) == 2:
            hub.end()
        return 40 + number

    hub.arm(LIBVIRT, SimpleNamespace(domainEventRegisterAny=register), handles)
    assert len(handles) == len(asked) == 2
