"""Hosts, guests and links that fail while a person looks: on real daemons, in a real terminal."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.lab.model import GuestSpec
from drivers.lab.processes import children
from tests.lab.console_pty import ALL_UP, ENTER, ESCAPE, SHIFT_TAB, TAB, Desk, Terminal

pytestmark = [pytest.mark.lab, pytest.mark.timeout(280)]

STALE = re.compile(r"\b\d+[smh]!")
"""An age that is marked as too old."""

PROMPT_S = 0.25
"""A key's first answer within so many seconds is prompt, however the control fared."""

BLOCKED_S = 2.0
"""One key that waited so long was held up, unless the control's slowest was nearly as slow."""


@pytest.fixture
def desk(mended: LabFleet, tmp_path: Path) -> Iterator[Desk]:
    """A person who watches the practice fleet, whose faults are mended afterwards."""
    with Desk(tmp_path, mended.specs()) as found:
        yield found


def goes_on(console: Terminal, host: str, *, beside: str) -> None:
    """Wait until ``beside`` is stale while ``host`` is as fresh as ever."""

    def apart() -> bool:
        old = [line for line in console.lines if f" {beside} " in line]
        return bool(console.line(f" {host} ", " now")) and any(map(STALE.search, old))

    console.wait(apart, f"{host} fresh beside a stale {beside}")


def test_a_dead_libvirtd_is_one_hosts_trouble(desk: Desk, mended: LabFleet) -> None:
    """The host is down and says that libvirt is not there; the others go on; it comes back."""
    console = desk.open()
    host = mended.host("kvm2")
    host.libvirtd_kill()
    console.sees("hosts 2/3 up 1 down")
    console.sees("CRIT", "kvm2", "libvirt")
    goes_on(console, "kvm1", beside="kvm2")
    goes_on(console, "kvm3", beside="kvm2")
    console.press("3")
    console.wait(lambda: STALE.search(console.line(" db1 ", "kvm2")), "db1 marked stale")
    host.libvirtd_start()
    console.sees(ALL_UP)
    console.sees(" db1 ", "running", " now")


def test_a_stopped_qemu_is_one_guests_trouble(
    desk: Desk, mended: LabFleet, fresh_guest: Callable[..., GuestSpec]
) -> None:
    """Only that VM is stuck, for so many seconds; another VM of its host is still followed."""
    stuck = fresh_guest(on="kvm1").name
    host = mended.host("kvm1")
    console = desk.open()
    console.press("3")
    console.sees(f" {stuck} ", "running")
    host.qemu_stop(stuck)
    try:
        console.sees(f" {stuck} ", "!stuck ")
        host.virsh("suspend", "web1")
        console.sees(" web1 ", "paused", " now")
        host.virsh("resume", "web1")
        console.sees(" web1 ", "running", " now")
        assert sum("stuck" in line for line in console.lines) == 1
        console.sees(" cache1 ", "running", " now")
        console.press("1")
        console.sees("CRIT", stuck, "monitor stuck", "kvm1")
        console.sees("hosts 2/3 up 1 not ready")
    finally:
        host.qemu_continue(stuck)
    console.sees(ALL_UP)
    console.press("3")
    console.sees(f" {stuck} ", "running", " now")


@pytest.fixture
def control(mended: LabFleet, tmp_path: Path) -> Iterator[Terminal]:
    """A second console, of the hosts that stay whole: what keys cost on this machine right now."""
    home = tmp_path / "control"
    home.mkdir()
    specs = [spec for spec in mended.specs() if spec.name != "kvm2"]
    with Desk(home, specs) as desk:
        console = desk.terminal("open", columns=132, rows=40)
        console.sees("hosts 2/2 up")
        yield console


@pytest.mark.parametrize("fault", ["cut", "black-holed"])
def test_keys_are_answered_while_a_link_fails(
    desk: Desk, mended: LabFleet, control: Terminal, fault: str
) -> None:
    """Every key repaints as soon as in a console without the fault, from the fault until after it.

    The host goes down, stale, and comes back.
    """
    console = desk.open()
    host = mended.host("kvm2")
    fail = host.link_down if fault == "cut" else host.blackhole
    fail()
    took: list[float] = []
    usual: list[float] = []

    def typing() -> bool:
        for key, heading in (("2", "Hosts"), ("3", "VMs"), ("1", "Fleet")):
            for terminal, times in ((console, took), (control, usual)):
                times.append(terminal.answer_s(key))
                terminal.sees(f"  {heading}  ")
        return "1 down" in console.line("hosts 2/3 up") and len(took) >= 60

    console.wait(typing, f"kvm2 down after its link was {fault}", 150.0)
    show(f"keys while a link is {fault}", took)
    show("keys of the control meanwhile", usual)
    assert p95(took) <= max(PROMPT_S, 2 * p95(usual))
    assert max(took) <= max(BLOCKED_S, 3 * max(usual))
    console.sees("CRIT", "kvm2", "unreachable: ")
    console.press("2")
    console.sees(" kvm2 ", "!down")
    goes_on(console, "kvm1", beside="kvm2")
    console.press("3")
    console.wait(lambda: STALE.search(console.line(" db1 ", "kvm2")), "db1 marked stale")
    console.sees(" web1 ", "running", " now")
    host.link_up()
    console.sees(ALL_UP)
    console.sees(" db1 ", "running", " now")


def p95(took: list[float]) -> float:
    """The time that one key in twenty exceeds."""
    return statistics.quantiles(took, n=20)[18]


def show(what: str, took: list[float]) -> None:
    """Print figures as the benchmarks do; ``pytest -rP`` shows them."""
    p50, slow, most = (1000 * x for x in (statistics.median(took), p95(took), max(took)))
    print(f"{what}: {len(took)} keys, p50 {p50:.0f} ms, p95 {slow:.0f} ms, max {most:.0f} ms")


def test_a_silent_link_is_told_before_it_is_down(desk: Desk, mended: LabFleet) -> None:
    """A host that swallows every packet is said to be silent, for more seconds each time."""
    console = desk.open()
    mended.host("kvm2").blackhole()
    told: set[int] = set()

    def silent_then_down() -> bool:
        told.update(int(n) for n in re.findall(r"No answer for (\d+) s", console.text))
        return "1 down" in console.line("hosts 2/3 up")

    console.wait(silent_then_down, "kvm2 silent, then down")
    assert len(told & set(range(3, 8))) >= 2, told


def test_leaving_does_not_wait_for_a_silent_host(desk: Desk, mended: LabFleet) -> None:
    """Quit ends at once though a host swallows every packet; the terminal is as it was."""
    console = desk.open()
    mended.host("kvm2").blackhole()
    console.press("q")
    assert console.ended(40) == 0
    assert console.modes() == console.before


def test_every_host_failing_at_once_points_at_the_network(desk: Desk, mended: LabFleet) -> None:
    """The header says to suspect what is local (by load); then all come back by themselves."""
    console = desk.open()
    for host in mended.hosts:
        host.link_down()
    console.sees("all hosts down: ")
    for host in mended.hosts:
        host.link_up()
    console.sees(ALL_UP)


@pytest.fixture
def other_key(mended: LabFleet) -> Iterator[LabHost]:
    """A host whose own key is put back afterwards, for the other hosts know it by that."""
    host = mended.host("kvm3")
    files = [host.host_key, Path(f"{host.host_key}.pub")]
    kept = {path: (path.read_bytes(), path.stat().st_mode) for path in files}
    yield host
    host.sshd_kill()
    for path, (data, mode) in kept.items():
        path.write_bytes(data)
        path.chmod(mode)
    host.sshd_start()


def test_a_changed_host_key_needs_a_decision(
    mended: LabFleet, other_key: LabHost, tmp_path: Path
) -> None:
    """Both fingerprints are shown; refused, nothing more goes to the host; accepted, it is up."""
    known = tmp_path / "known_hosts"
    shutil.copy(mended.known_hosts, known)
    config = mended.ssh_config.read_text()
    config = config.replace(str(mended.known_hosts), str(known))
    ask = tmp_path / "ssh_config"
    ask.write_text(config.replace("StrictHostKeyChecking yes", "StrictHostKeyChecking ask"))
    with Desk(tmp_path, mended.specs(), ssh_config=ask) as desk:
        console = desk.open()
        old = fingerprint(other_key)
        sessions = children(other_key.sshd_pid or 0)
        other_key.rotate_host_key()
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        console.sees("CHANGED host key: kvm3")
        console.sees("Offered now", fingerprint(other_key))
        console.sees("On record", old)
        console.press(ESCAPE)
        console.sees("CRIT", "kvm3", "decision")
        logins = session_count(other_key)
        goes_on(console, "kvm1", beside="kvm3")
        assert session_count(other_key) == logins == 0
        console.press("2")
        console.sees("▌ kvm3", "!decide")
        console.press("e")
        console.sees("Type kvm3 to be able to accept")
        changes_buttons(console, TAB)  # from the default button, Refuse, to the field
        changes_buttons(console, "kvm3")
        console.sees("Type kvm3 to be able to accept:  kvm3")
        changes_buttons(console, SHIFT_TAB)
        console.press(ENTER)
        console.loses("CHANGED host key")
        console.sees(ALL_UP)
    assert known.read_text() != mended.known_hosts.read_text()


def changes_buttons(console: Terminal, keys: str) -> None:
    """Type and wait until the buttons are drawn anew: another is in focus, or can be pressed."""
    before = console.looks("Refuse", "Remember")
    console.press(keys)
    console.wait(lambda: console.looks("Refuse", "Remember") != before, f"{keys!r} to show")


def fingerprint(host: LabHost) -> str:
    """SHA256 fingerprint of the key that the host's sshd shows."""
    argv = ["ssh-keygen", "-lf", str(host.host_key)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1]


def session_count(host: LabHost) -> int:
    """Connections that the host's sshd has."""
    return len(children(host.sshd_pid or 0))
