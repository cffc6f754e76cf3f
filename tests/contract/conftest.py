"""The drivers that must keep the same promises."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from drivers.lab.fleet import LabFleet
from drivers.lab.model import GuestSpec
from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.host import HostSpec, Protect
from drivers.model.vm import VmState
from drivers.protocol import HostDriver
from drivers.sim.fleet import SimFleet


class Nobody:
    """A prompter where nobody sits."""

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        return KeyDecision.REFUSE

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        return None


@dataclass(frozen=True)
class Case:
    """One kind of driver under the contract.

    Attributes:
        make: An unconnected driver for a variation of ``spec``.
        find: UUID of a running VM that a test may stop.
        lose: Makes the host go away for a while; None where it cannot.
    """

    kind: str
    spec: HostSpec
    make: Callable[[HostSpec], HostDriver]
    find: Callable[[HostDriver], Awaitable[str]]
    lose: Callable[[], AbstractContextManager[None]] | None = None

    def driver(self, protect: Protect = Protect.RW) -> HostDriver:
        return self.make(replace(self.spec, protect=protect))


async def _first_running(driver: HostDriver) -> str:
    reading = await driver.read_slow()
    return next(vm.uuid for vm in reading.vms if vm.state is VmState.RUNNING)


async def _restarted(driver: HostDriver) -> str:
    """The only VM of ``test:///default``, started again where an earlier test stopped it."""
    (vm,) = (await driver.read_slow()).vms
    if vm.state is VmState.PAUSED:
        await driver.resume(vm.uuid)
    elif not vm.state.active:
        await driver.start(vm.uuid)
    return vm.uuid


@pytest.fixture(scope="session")
def contract_lab(lab: LabFleet) -> Iterator[Case]:
    """One host of the practice fleet with a guest of its own."""
    pytest.importorskip("libvirt")
    from drivers.kvm.driver import KvmDriver

    host = lab.hosts[0]
    lab.define_guest(GuestSpec("contract"), on=host.name)

    async def find(driver: HostDriver) -> str:
        vms = (await driver.read_slow()).vms
        vm = next(vm for vm in vms if vm.name == "contract")
        if vm.state is VmState.PAUSED:
            await driver.resume(vm.uuid)
        elif not vm.state.active:
            await driver.start(vm.uuid)
        return vm.uuid

    @contextmanager
    def lose() -> Iterator[None]:
        host.libvirtd_kill()
        try:
            yield
        finally:
            host.libvirtd_start()

    yield Case("lab", host.spec(), lambda s: KvmDriver(s, Nobody()), find, lose)
    lab.remove_guest("contract")


@pytest.fixture(params=["sim", "test", pytest.param("lab", marks=pytest.mark.lab)])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "lab":
        lab: Case = request.getfixturevalue("contract_lab")
        return lab
    if request.param == "sim":
        fleet = SimFleet(1, 20, clock=time.time, pace=0.05)
        spec = fleet.specs()[0]

        @contextmanager
        def lose() -> Iterator[None]:
            fleet.fail(spec.name)
            try:
                yield
            finally:
                fleet.recover(spec.name)

        return Case("sim", spec, fleet.driver, _first_running, lose)
    pytest.importorskip("libvirt")
    from drivers.kvm.driver import KvmDriver

    spec = HostSpec("test", "test:///default")
    return Case("test", spec, lambda s: KvmDriver(s, Nobody()), _restarted)


@pytest_asyncio.fixture
async def driver(case: Case) -> AsyncIterator[HostDriver]:
    """A connected driver that may do anything."""
    made = case.driver()
    await made.connect()
    yield made
    await made.close()
