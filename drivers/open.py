"""From a host's specification to its driver; libvirt is loaded only once a host needs it."""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.model.host import HostSpec
from drivers.protocol import HostDriver, Prompter


def open_driver(
    spec: HostSpec, prompter: Prompter, *, clock: Callable[[], float] = time.time
) -> HostDriver:
    """An unconnected driver for ``spec``; problems of the URI show at ``connect``."""
    from drivers.kvm.driver import KvmDriver  # only real hosts load it

    return KvmDriver(spec, prompter, clock=clock)
