"""From a host's specification to its driver; libvirt is loaded only once a host needs it."""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.model.host import HostSpec
from drivers.model.job import Check
from drivers.protocol import HostDriver, Prompter
from drivers.ssh.desk import Desk


def open_driver(
    spec: HostSpec,
    prompter: Prompter,
    *,
    clock: Callable[[], float] = time.time,
    desk: Desk | None = None,
) -> HostDriver:
    """An unconnected driver for ``spec``; problems of the URI show at ``connect``.

    Args:
        spec: The host.
        prompter: Asked about host keys and secrets.
        clock: The console's clock, epoch seconds.
        desk: Shared by the drivers of one console, so that a person is asked once.
    """
    from drivers.kvm.driver import KvmDriver  # only real hosts load it

    return KvmDriver(spec, prompter, clock=clock, desk=desk)


async def probe_host(
    spec: HostSpec, prompter: Prompter, desk: Desk | None = None
) -> tuple[Check, ...]:
    """The doctor's findings about one host, in the order in which things can fail."""
    from drivers.kvm.doctor import probe  # only real hosts load it

    return await probe(spec, prompter, desk or Desk())
