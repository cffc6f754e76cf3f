"""The fast lane of a host: /proc over SSH, or of this machine where libvirt is local."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from drivers.errors import DriverError, Unsupported
from drivers.kvm.session import Session
from drivers.model.vm import Vm
from drivers.protocol import FastReading

if TYPE_CHECKING:
    from drivers.ssh.fast import DomainRef, FastLane

_FRESH_S = 30.0


class Swift:
    """Owns the FastLane of one connection and says whether it works."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._lane: FastLane | None = None
        self._answered = float("-inf")

    @property
    def works(self) -> bool:
        """True when the lane told of VMs lately: then CPU and RSS come from it."""
        return time.monotonic() - self._answered < _FRESH_S

    async def read(self, vms: Iterable[Vm]) -> FastReading:
        """One tick.

        Raises:
            Unsupported: This connection gives no access to the host's /proc.
        """
        if self._lane is None:
            self._lane = self._open()
        try:
            reading = await self._lane.read([_ref(vm) for vm in vms if vm.state.active])
        except DriverError:
            await self.close()
            raise
        # A login that may not see QEMU's processes gives the host's figures alone.
        if not reading.vms or any(vm.rss is not None for vm in reading.vms.values()):
            self._answered = time.monotonic()
        return reading

    async def close(self) -> None:
        """End the reader; the next ``read`` starts another."""
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.close()

    def _open(self) -> FastLane:
        from drivers.ssh.fast import FastLane  # asyncssh only where it is needed
        from drivers.ssh.wire import spawn_local

        session = self._session
        if session.local:
            if session.uri.driver == "test":
                raise Unsupported("a test driver has no host to measure", session.spec.uri)
            return FastLane(spawn_local, clock=self._clock, deadline_s=session.spec.deadline_s)
        if session.ssh is None:
            problem = session.ssh_problem
            proof = str(problem) if problem is not None else "the stock client carries libvirt only"
            raise Unsupported(
                "the host's own figures cannot be read without the built-in SSH connection",
                proof,
                'use transport = "auto" for this host',
            )
        spawn = session.ssh.spawn_reader
        return FastLane(spawn, clock=self._clock, deadline_s=session.spec.deadline_s)


def _ref(vm: Vm) -> DomainRef:
    from drivers.ssh.fast import DomainRef

    taps = tuple(nic.target for nic in vm.nics if nic.target)
    return DomainRef(vm.uuid, vm.domain_id, taps, vm.vcpus)
