"""A sweep asks a host once, unless something happened."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from types import SimpleNamespace
from uuid import UUID

import pytest

from drivers.kvm.places import Places
from drivers.kvm.slow import SlowReader
from drivers.kvm.sweep import Known, Order, Sweep
from drivers.model.host import HostSpec
from drivers.model.vm import VmState


class LibvirtError(Exception):
    """Stands in for libvirt.libvirtError."""


_NAMES = (
    "VIR_DOMAIN_STATS_STATE",
    "VIR_DOMAIN_STATS_CPU_TOTAL",
    "VIR_DOMAIN_STATS_BALLOON",
    "VIR_DOMAIN_STATS_BLOCK",
    "VIR_DOMAIN_STATS_INTERFACE",
    "VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT",
    "VIR_CONNECT_LIST_DOMAINS_AUTOSTART",
    "VIR_CONNECT_LIST_DOMAINS_TRANSIENT",
)
LIBVIRT = SimpleNamespace(
    libvirtError=LibvirtError, **{name: 1 << bit for bit, name in enumerate(_NAMES)}
)


class Domain:
    """One domain of a fake host that counts what it is asked over the network."""

    def __init__(self, host: Host, number: int) -> None:
        self._host = host
        self.key = UUID(int=number).bytes
        self.number = number
        self.title = ""
        self.stats: dict[str, object] = {"state.state": 1, "state.reason": 1}

    def UUID(self) -> bytes:  # noqa: N802 - libvirt's name
        return self.key

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return str(UUID(bytes=self.key))

    def ID(self) -> int:  # noqa: N802 - libvirt's name
        return self.number

    def name(self) -> str:
        return f"vm{self.number}"

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's name
        self._host.asked["xml"] += 1
        return f"<domain type='kvm'><title>{self.title}</title><vcpu>1</vcpu></domain>"

    def jobStats(self, _flags: int) -> dict[str, object]:  # noqa: N802 - libvirt's name
        self._host.asked["job"] += 1
        return {"type": 0}


class Host:
    """A libvirt connection to three running domains."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.domains = [Domain(self, number) for number in (1, 2, 3)]
        self.known = Known()

    def getAllDomainStats(  # noqa: N802 - libvirt's name
        self, _groups: int, _flags: int
    ) -> list[tuple[Domain, dict[str, object]]]:
        self.asked["stats"] += 1
        return [(domain, dict(domain.stats)) for domain in self.domains]

    def listAllDomains(self, _flags: int = 0) -> list[Domain]:  # noqa: N802 - libvirt's name
        self.asked["list"] += 1
        return []

    def sweep(self, now: float, *changed: bytes, places: Places) -> Counter[str]:
        """Sweep once; what was asked for it."""
        self.asked.clear()
        order = Order("kvm1", places, frozenset(changed), frozenset(), {}, False)
        self.known = Sweep(LIBVIRT, self, self.known, order, at=now, now=now).run()
        return Counter(self.asked)


def test_a_sweep_of_an_unchanged_host_is_one_round_trip() -> None:
    """Definitions, flags and jobs are read at first sight, and then only the figures."""
    host, places = Host(), Places()
    assert host.sweep(1.0, places=places) == {"stats": 1, "list": 2, "xml": 3, "job": 3}
    for now in (2.0, 3.0, 4.0):
        assert host.sweep(now, places=places) == {"stats": 1}
    vms = host.known.vms.values()
    assert [(vm.name, vm.state, vm.slow_at) for vm in vms] == [
        (f"vm{n}", VmState.RUNNING, 4.0) for n in (1, 2, 3)
    ]


def test_only_the_domain_that_changed_is_read_again() -> None:
    """After an event the new title is there in the next sweep, and the others are left alone."""
    host, places = Host(), Places()
    for now in (1.0, 2.0, 3.0):
        host.sweep(now, places=places)
    host.domains[1].title = "the new one"
    assert host.sweep(4.0, host.domains[1].key, places=places)["xml"] == 1
    assert [vm.title for vm in host.known.vms.values()] == ["", "the new one", ""]


def test_what_told_no_event_is_seen_within_minutes() -> None:
    """A definition changed behind everybody's back is read in one of the slow rounds."""
    host, places = Host(), Places()
    host.sweep(1.0, places=places)
    host.domains[0].title = "unannounced"
    for now in range(2, 180):
        host.sweep(float(now), places=places)
    assert next(iter(host.known.vms.values())).title == "unannounced"


def test_an_earlier_picture_stays_as_it_was() -> None:
    """VMs given out are frozen: a later sweep makes new ones and leaves those alone."""
    host, places = Host(), Places()
    for now in (1.0, 2.0, 3.0):
        host.sweep(now, places=places)
    earlier = dict(host.known.vms)
    host.domains[0].stats["state.state"] = 3
    host.sweep(4.0, places=places)
    first = str(UUID(int=1))
    assert (earlier[first].state, earlier[first].slow_at) == (VmState.RUNNING, 3.0)
    assert (host.known.vms[first].state, host.known.vms[first].slow_at) == (VmState.PAUSED, 4.0)


@pytest.mark.parametrize("asked", ["stats", "xml", "list", "job"])
def test_a_host_that_waits_for_an_answer_holds_no_other(asked: str) -> None:
    """Taking records apart is done in turn; waiting for a host is not."""
    host, other, places = Host(), Host(), Places()
    swept: list[bool] = []

    class Answers(Counter[str]):
        """In the midst of one question another host is swept, in its own thread."""

        def __setitem__(self, name: str, count: int) -> None:
            super().__setitem__(name, count)
            if name == asked and not swept:
                swept.append(False)
                thread = threading.Thread(
                    target=other.sweep, args=(1.0,), kwargs={"places": places}
                )
                thread.start()
                thread.join(60)
                swept[0] = not thread.is_alive()

    host.asked = Answers()
    host.sweep(1.0, places=places)
    assert swept == [True]


async def test_sweeps_of_one_host_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poller's older sweep cannot overwrite what a job's newer one has learnt."""
    spec = HostSpec("kvm1", "qemu+ssh://root@kvm1/system")
    slow = SlowReader(SimpleNamespace(spec=spec, lv=LIBVIRT), lambda: 1.0, Places)  # type: ignore[arg-type]
    built_on: list[Known] = []
    made = [Known(), Known()]

    async def sweep(self: SlowReader, with_cpu: bool) -> Known:
        built_on.append(self._known)
        await asyncio.sleep(0)
        return made[len(built_on) - 1]

    async def no_review(self: object) -> None:
        return

    monkeypatch.setattr(SlowReader, "_sweep", sweep)
    monkeypatch.setattr("drivers.kvm.quarantine.Quarantine.review", no_review)
    await asyncio.gather(slow.read(with_cpu=False), slow.read(with_cpu=False))
    assert built_on[1] is made[0]
    assert slow._known is made[1]
