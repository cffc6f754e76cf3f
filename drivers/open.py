"""From a host's specification to its driver; libvirt is loaded only once a host needs it."""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.model.host import HostSpec
from drivers.model.job import Check
from drivers.protocol import HostDriver, Prompter


def open_driver(
    spec: HostSpec, prompter: Prompter, *, clock: Callable[[], float] = time.time
) -> HostDriver:
    """An unconnected driver for ``spec``; problems of the URI show at ``connect``."""
    from drivers.kvm.driver import KvmDriver  # only real hosts load it

    return KvmDriver(spec, prompter, clock=clock)


async def probe_host(spec: HostSpec, prompter: Prompter) -> tuple[Check, ...]:
    """The doctor's findings about one host, in the order in which things can fail."""
    from drivers.kvm.doctor import probe  # only real hosts load it

    return await probe(spec, prompter)
