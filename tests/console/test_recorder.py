"""What is sampled into the store, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import pytest

from console.recorder import Recorder, sample_interval
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.vm import JobProgress
from store.api import Store
from store.book import Book
from store.sample import pack
from tests.store.fleet import T0, make_host, make_vm, uuid


@dataclass
class Samples:
    """A store that keeps what it is given; its clock is the second of the run."""

    hosts: tuple[Host, ...]
    second: int = 0
    taken: list[tuple[float, tuple[Host, ...]]] = field(default_factory=list)

    def put_hosts(self, at: float, hosts: Iterable[Host]) -> None:
        self.taken.append((at, tuple(hosts)))

    def run(self, seconds: int, configured: float | None = None) -> None:
        """A tick each second over a fleet that stays as it is."""
        recorder = Recorder(
            cast(Store, self),
            lambda: FleetSnapshot(T0, 1, self.hosts),
            clock=lambda: T0 + self.second,
            interval_s=configured,
        )
        for self.second in range(seconds):
            recorder.sample(1000.0 + self.second)

    def seconds_of(self, number: int) -> list[float]:
        """When a VM was sampled."""
        return [
            at - T0
            for at, hosts in self.taken
            if any(vm.uuid == uuid(number) for host in hosts for vm in host.vms)
        ]


def fleet(vms: int, *busy: int) -> Samples:
    """Two hosts; all VMs are on the first, and ``busy`` ones migrate."""
    job = JobProgress("copying memory", T0, T0)
    made = [make_vm(n, "kvm1", T0, job=job if n in busy else None) for n in range(vms)]
    return Samples((make_host("kvm1", T0, tuple(made)), make_host("kvm2", T0)))


@pytest.mark.parametrize(
    ("vms", "configured", "seconds"),
    [(0, None, 5.0), (1000, None, 5.0), (1001, None, 15.0), (10_000, None, 15.0),
     (10_000, 2.0, 2.0), (1, 60.0, 60.0)],
)  # fmt: skip
def test_the_interval_follows_the_size_of_the_fleet(
    vms: int, configured: float | None, seconds: float
) -> None:
    """Five seconds up to a thousand VMs and fifteen beyond, unless one is configured."""
    assert sample_interval(vms, configured) == seconds


@pytest.mark.parametrize(("vms", "every"), [(1000, 5), (1001, 15)])
def test_all_hosts_are_sampled_at_the_interval(vms: int, every: int) -> None:
    """Nothing is under way: between the samples the store is left alone."""
    store = fleet(vms)
    store.run(31)
    assert [at - T0 for at, _ in store.taken] == list(range(0, 31, every))
    assert all(len(hosts) == 2 for _, hosts in store.taken)


def test_a_configured_interval_is_kept() -> None:
    """Whatever the size of the fleet."""
    store = fleet(3)
    store.run(21, configured=10.0)
    assert [at - T0 for at, _ in store.taken] == [0.0, 10.0, 20.0]


def test_a_vm_with_a_job_is_sampled_each_second_and_its_neighbours_are_not() -> None:
    """Its host comes along, the other host and the other VMs wait for their turn."""
    store = fleet(40, 7)
    store.run(11)
    assert store.seconds_of(7) == [float(n) for n in range(11)]
    assert store.seconds_of(8) == [0.0, 5.0, 10.0]
    between = [hosts for at, hosts in store.taken if (at - T0) % 5]
    assert {tuple(host.name for host in hosts) for hosts in between} == {("kvm1",)}
    assert {len(hosts[0].vms) for hosts in between} == {1}


def test_what_a_finer_sample_leaves_out_is_not_gone() -> None:
    """It is recorded as part of its host's VMs: nobody is missed because of it."""
    store = fleet(3, 1)
    store.run(2)
    book = Book()
    for at, hosts in store.taken:
        for host in hosts:
            batch = pack(at, host)
            assert batch is not None
            assert batch.complete == (at == T0)
            book.accept(batch)
    book.settle(T0 + 3600.0)
    assert len(book.vms_seen()) == 3
