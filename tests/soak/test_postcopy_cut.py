"""A post-copy migration whose link is really cut: what both hosts and the console make of it.

The hosts give an unanswered connection up after seconds, not after the quarter of an hour that is
usual: the only thing here that is not as in a data centre. A target whose guest waits for a page
that it had asked for before the cut has nothing to send, and never notices by itself; then what the
console advises is done.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.guests import read_counter, wait_for_count
from drivers.lab.model import GuestSpec
from drivers.lab.netns import NetnsHost
from drivers.model.job import Action, JobState
from drivers.model.migration import Lever
from drivers.model.vm import VmState
from tests.lab.e2e_cli import Cli
from tests.lab.e2e_console import PATIENCE_S, Console, running_on, still_counts, sweep
from tests.lab.test_e2e_postcopy import BROKEN, CAP, no_thread_but_its_own, shown

pytest.importorskip("libvirt")
pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(900)]

NAME = "severed"
USUAL, SOON = "15", "4"
"""How often Linux sends anew before it gives a connection up: a quarter of an hour, or seconds."""

NOBODY = "02:00:00:00:00:99"


@pytest.fixture
def hosts(mended: LabFleet) -> Iterator[tuple[NetnsHost, NetnsHost]]:
    """Source and target, which give lost connections up soon."""
    source, target = mended.host("kvm1"), mended.host("kvm2")
    assert isinstance(source, NetnsHost)
    assert isinstance(target, NetnsHost)
    for host in (source, target):
        give_up_after(host, SOON)
    yield source, target
    for host in (source, target):
        give_up_after(host, USUAL)


@pytest.fixture
def guest(
    mended: LabFleet, hosts: tuple[NetnsHost, NetnsHost], request: pytest.FixtureRequest
) -> Iterator[str]:
    """A guest of so many vCPUs on the source that writes to memory and disk; gives its UUID.

    With one it mostly waits for a page that it has asked for; the other still asks after the cut.
    """
    spec = GuestSpec(
        NAME, shared=True, write_counter=True, counter_ms=100, disk_mib=16, memory_mib=192,
        dirty_mib_s=1, dirty_span_mib=64, vcpus=request.param, nic=False,
    )  # fmt: skip
    uuid = mended.define_guest(spec, start=False)
    no_thread_but_its_own(hosts[0], NAME)
    hosts[0].virsh("start", NAME)
    wait_for_count(mended.store.image(NAME), 20, PATIENCE_S)
    yield uuid
    mended.remove_guest(NAME)
    sweep(mended, NAME)


def give_up_after(host: NetnsHost, tries: str) -> None:
    host.run(["sh", "-c", f"echo {tries} >/proc/sys/net/ipv4/tcp_retries2"])


@contextmanager
def apart(source: NetnsHost, target: NetnsHost, kind: str) -> Iterator[None]:
    """Nothing gets through: between the two hosts alone, or to the source at all."""
    ways = ((source, target), (target, source))
    if kind == "source-silent":
        source.blackhole()
    else:
        for here, there in ways:
            where = (there.address, "lladdr", NOBODY, "dev", "br0", "nud", "permanent")
            here.box.ip("neigh", "replace", *where)
    try:
        yield
    finally:
        if kind == "source-silent":
            source.link_up()
        else:
            for here, there in ways:
                here.box.ip("neigh", "del", there.address, "dev", "br0")


def end_old_connection(source: NetnsHost, target: NetnsHost) -> None:
    """What the console advises where the target's QEMU has noticed nothing."""
    inside = ["nsenter", "-t", str(target.box.pid), "-n", "--", "ss"]
    only = ["state", "established", "sport", ">=", ":49152", "dst", source.address]
    listed = subprocess.run([*inside, "-tnHp", *only], capture_output=True, text=True, check=True)
    ports = re.findall(r":(\d+)\s+\S+\s+users:\(\(\"qemu", listed.stdout)
    for port in ports:  # none where it has noticed meanwhile
        ended = ["-K", "state", "established", "sport", "=", f":{port}"]
        subprocess.run([*inside, *ended], check=True)


@pytest.mark.parametrize(
    ("guest", "kind"),
    [(2, "hosts-apart"), (2, "source-silent"), (1, "hosts-apart")],
    indirect=["guest"],
    ids=["hosts-apart", "source-silent", "one-vcpu"],
)
def test_a_link_that_was_cut_after_the_switch_is_recovered(
    mended: LabFleet, hosts: tuple[NetnsHost, NetnsHost], guest: str, tmp_path: Path, kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Told with what helps, and recovered by another console once the link is whole."""
    source, target = hosts
    image = mended.store.image(NAME)
    with Console(mended.specs(), tmp_path) as console:
        console.settled()
        options = {"bandwidth_mib": CAP, "post_copy": "yes"}
        job_id = console.submit(Action.MIGRATE, guest, target.name, **options)
        console.moving(job_id)
        source.virsh("migrate-setspeed", NAME, "1", "--postcopy")
        console.engine.pull(job_id, Lever.POST_COPY, 0.0).result(PATIENCE_S)
        console.wait("the switch is shown", lambda: shown(console, guest, "kvm1", "post-copy"))
        wait_for_count(image, read_counter(image).newest + 3, PATIENCE_S)

        with apart(source, target, kind):
            broken = console.ended(job_id)
            assert broken.state is JobState.INTERRUPTED, broken
        console.settled()
        console.wait("the source says so", lambda: shown(console, guest, "kvm1", BROKEN))
        noticed = shown(console, guest, "kvm2", BROKEN)
        with capsys.disabled():
            print(f"\n  {kind}: the target noticed by itself: {noticed}")
        if not noticed:
            end_old_connection(source, target)
            console.wait("the target says so", lambda: shown(console, guest, "kvm2", BROKEN))

        source.virsh("migrate-setspeed", NAME, "1000", "--postcopy")
        told = Cli(tmp_path, mended.specs())("jobs", "recover", job_id, "--yes", "--json")
        assert (told.status, told.last()["state"]) == (0, "done"), told
        console.vm(guest, on="kvm2", state=VmState.RUNNING)
    assert running_on(mended, guest) == ["kvm2"]
    still_counts(mended, NAME)
