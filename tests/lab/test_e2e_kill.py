"""Consoles that end in mid-job, all by keys: killed, hung up or quit; the next one settles it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.model import GuestSpec
from drivers.lab.processes import wait_until
from tests.lab.console_pty import ALL_UP, ENTER, TAB, Desk, Terminal
from tests.lab.e2e_console import (
    PATIENCE_S,
    defined_on,
    running_on,
    still_counts,
    sweep,
    volumes,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

JOBS = "5"
DISK_MIB = 384
"""At the limit of 1 MiB a second the copy of its full half takes longer than any test."""


@pytest.fixture
def desk(lab: LabFleet, tmp_path: Path) -> Iterator[Desk]:
    """A person at a terminal with the practice fleet."""
    with Desk(tmp_path, lab.specs()) as found:
        yield found


@pytest.fixture
def writer(lab: LabFleet) -> Iterator[Callable[..., str]]:
    """Boots a guest on kvm1 that counts on its disk, half of which is full; gives its UUID."""
    names: list[str] = []

    def make(name: str, **values: object) -> str:
        names.append(name)
        usual = {"write_counter": True, "counter_ms": 50, "disk_mib": DISK_MIB}
        spec = GuestSpec(name, **{**usual, **values})  # type: ignore[arg-type]
        uuid = lab.define_guest(spec, on="kvm1", start=False)
        if not spec.shared:
            fill(lab.host("kvm1").disk_file(name))
        lab.host("kvm1").virsh("start", name)
        wait_for_count(lab.host("kvm1").disk_file(name), 3, PATIENCE_S)
        return uuid

    yield make
    for name in names:
        lab.remove_guest(name)
        sweep(lab, name)


def fill(image: Path) -> None:
    """Give the half that the counter does not use a content that is not free to copy."""
    with image.open("r+b") as stream:
        size = stream.seek(0, 2)
        stream.seek(size // 2)
        stream.write(random.Random(7).randbytes(size // 2))


def filled(lab: LabFleet, name: str) -> bool:
    """Whether that half still holds every byte."""
    with lab.where(name).disk_file(name).open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(size // 2)
        return stream.read() == random.Random(7).randbytes(size // 2)


# What a person does.


def shows(console: Terminal, key: str, *words: str) -> None:
    """Type and wait until the line that holds ``words`` is drawn anew: the focus has come."""
    before = console.looks(*words)
    console.press(key)
    console.wait(lambda: console.looks(*words) != before, f"{key!r} to show")


def run_preview(console: Terminal, title: str) -> None:
    """See the preview of that title, and run it by its second button."""
    console.sees(f"─ {title} ─")
    console.sees("Cancel")
    shows(console, TAB, "Cancel")
    console.press(ENTER)
    console.loses("Esc cancels")


def begin_move(console: Terminal, name: str) -> None:
    """``t``, the warm pool, the limit, and run; the copy is then on the screen."""
    console.pick("3", "VMs", name)
    console.press("t")
    limit(console, f"Move a disk of {name}: where to?", "warm", "cold")
    console.press(ENTER)
    run_preview(console, f"Move vda of {name} to warm")
    console.press(JOBS)
    console.sees("running", f"Move vda of {name} to warm")
    console.sees("copying", "so far")


def limit(console: Terminal, title: str, *targets: str) -> None:
    """With the first target under the cursor go on to the limit: 1 MiB a second."""
    console.sees(title)

    def drawn() -> bool:
        colours = [console.looks(f" {name} ", "fits") for name in targets]
        return all(colours) and len({cells[-3].bg for cells in colours}) > 1

    console.wait(drawn, "a target under the cursor")
    shows(console, TAB, "Limit, MiB/s")
    console.press("1")
    console.wait(lambda: console.line("Limit, MiB/s").rstrip("│ ▌▐").endswith("1"), "the limit")


def begin_migration(console: Terminal, name: str, driver: str) -> str:
    """``m``, the first host, the limit, who drives it by presses of that button; returns where."""
    console.pick("3", "VMs", name)
    console.press("m")
    limit(console, f"Migrate {name}: where to?", "kvm2", "kvm3")
    shows(console, TAB, "Driven by: ")
    console.press(*[ENTER] * (1 + ("the hosts (p2p)", "this console").index(driver)))
    console.sees(f"Driven by: {driver}")
    shows(console, TAB, "Copied disks: ")
    for _button in ("Cancel", "Options", "Preview"):
        shows(console, TAB, "Cancel", "Options", "Preview")
    console.press(ENTER)
    title = console.sees(f"─ Migrate {name} from kvm1 to ")
    target = title.partition(f"Migrate {name} from kvm1 to ")[2].split()[0]
    run_preview(console, f"Migrate {name} from kvm1 to {target}")
    console.press(JOBS)
    console.sees("running", f"Migrate {name}")
    console.sees("so far")
    console.sees(" of ", " left")
    return target


def follow_up(console: Terminal, key: str, title: str, step: str) -> None:
    """``f`` on the only job, the choice by its letter, and the preview with that step."""
    console.press("f")
    console.sees("what next?")
    console.press(key)
    console.sees(f"─ {title} ─")
    console.sees(step)
    run_preview(console, title)


def next_console(desk: Desk, title: str, truth: str) -> Terminal:
    """Start the next console and go to Jobs; it shows what was under way, and how that stands."""
    console = desk.open()
    console.press(JOBS)
    console.sees("interrupted", title)
    console.sees("It was interrupted at: ", truth)
    return console


def settled(console: Terminal, title: str) -> None:
    """Wait until that job is done, the interrupted one says so and nothing is offered."""
    console.sees("done", title)
    console.sees("interrupted", "settled by ")
    console.loses(" f: ")
    console.press("q")
    assert console.ended() == 0


# What the hosts say.


def copying(lab: LabFleet, name: str) -> None:
    """Wait until libvirt copies the disk."""
    host = lab.host("kvm1")
    assert wait_until(lambda: "<mirror" in host.virsh("dumpxml", name), PATIENCE_S, 0.1)


def back_home(lab: LabFleet, name: str, uuid: str) -> None:
    """Wait until libvirt has ended the migration that no console drives any more."""
    host = lab.host("kvm1")

    def ended() -> bool:
        none = "None" in host.virsh("domjobinfo", name, check=False)
        return none and running_on(lab, uuid) == defined_on(lab, uuid) == ["kvm1"]

    assert wait_until(ended, PATIENCE_S, 0.2), host.virsh("domjobinfo", name, check=False)


def unlimited(lab: LabFleet, name: str) -> None:
    """Lift the limit of the copy that runs."""
    lab.host("kvm1").virsh("blockjob", name, "vda", "--bandwidth", "0")


def one_disk(lab: LabFleet, name: str, place: str) -> None:
    """Live and stored definition name one image, there is no other, and no byte is missing."""
    host = lab.where(name)
    assert volumes(lab, name) == [place]
    assert host.virsh("domblklist", name) == host.virsh("domblklist", name, "--inactive")
    assert "<mirror" not in host.virsh("dumpxml", name)
    assert filled(lab, name)
    still_counts(lab, name)


def test_a_tier_move_whose_console_is_killed_is_finished(
    lab: LabFleet, desk: Desk, writer: Callable[..., str]
) -> None:
    """kill -9 in mid-copy; the next console follows the copy that still runs, and pivots."""
    uuid = writer("kill-tier")
    first = desk.open()
    begin_move(first, "kill-tier")
    copying(lab, "kill-tier")
    first.kill()
    second = next_console(desk, "Move vda of kill-tier", "The copy still runs; ")
    unlimited(lab, "kill-tier")
    title = "Finish: Move vda of kill-tier to warm"
    follow_up(second, "i", title, "follow the copy that still runs")
    settled(second, title)
    assert running_on(lab, uuid) == ["kvm1"]
    one_disk(lab, "kill-tier", "kvm1:warm/kill-tier.raw")


def test_a_tier_move_whose_terminal_is_lost_is_undone(
    lab: LabFleet, desk: Desk, writer: Callable[..., str]
) -> None:
    """SIGHUP in mid-copy ends the console, not the copy; the next one ends it and tidies up."""
    uuid = writer("hup-tier")
    first = desk.open()
    begin_move(first, "hup-tier")
    copying(lab, "hup-tier")
    first.hang_up()
    first.ended()
    copying(lab, "hup-tier")
    second = next_console(desk, "Move vda of hup-tier", "The copy still runs; ")
    title = "Undo: Move vda of hup-tier to warm"
    follow_up(second, "u", title, "end the copy, so that hup-tier stays on")
    settled(second, title)
    assert running_on(lab, uuid) == ["kvm1"]
    one_disk(lab, "hup-tier", "kvm1:hot/hup-tier.raw")


def test_a_tier_move_left_by_a_quit_is_taken_up(
    lab: LabFleet, desk: Desk, writer: Callable[..., str]
) -> None:
    """``q`` says what becomes of the job, and so it does: the next console takes it up."""
    uuid = writer("quit-tier")
    first = desk.open()
    begin_move(first, "quit-tier")
    copying(lab, "quit-tier")
    leave(first, "copies of disks go on in the hosts")
    copying(lab, "quit-tier")
    second = next_console(desk, "Move vda of quit-tier", "The copy still runs; ")
    unlimited(lab, "quit-tier")
    title = "Finish: Move vda of quit-tier to warm"
    follow_up(second, "i", title, "follow the copy that still runs")
    settled(second, title)
    assert running_on(lab, uuid) == ["kvm1"]
    one_disk(lab, "quit-tier", "kvm1:warm/quit-tier.raw")


def leave(console: Terminal, promise: str) -> None:
    """``q`` with a job under way asks first."""
    console.press("q")
    console.sees("Leave with 1 job running?")
    console.sees(promise)
    console.sees("Stay", "Leave")
    shows(console, TAB, "Stay", "Leave")
    console.press(ENTER)
    assert console.ended() == 0
    assert console.modes() == console.before


def test_a_managed_migration_whose_console_is_killed_is_undone(
    lab: LabFleet, desk: Desk, writer: Callable[..., str]
) -> None:
    """kill -9: libvirt aborts it; the next console deletes the partial copy, the guest goes on."""
    uuid = writer("kill-man", dirty_mib_s=3)
    first = desk.open()
    target = begin_migration(first, "kill-man", "this console")
    assert volumes(lab, "kill-man") == ["kvm1:hot/kill-man.raw", f"{target}:hot/kill-man.raw"]
    first.kill()
    back_home(lab, "kill-man", uuid)
    second = next_console(desk, "Migrate kill-man", "The migration has ended")
    title = f"Undo: Migrate kill-man from kvm1 to {target}"
    follow_up(second, "u", title, "end the migration, so that kill-man is on kvm1 alone")
    settled(second, title)
    assert running_on(lab, uuid) == defined_on(lab, uuid) == ["kvm1"]
    one_disk(lab, "kill-man", "kvm1:hot/kill-man.raw")


def test_a_managed_migration_left_by_a_quit_is_ended_and_tried_again(
    lab: LabFleet, desk: Desk, writer: Callable[..., str]
) -> None:
    """``q`` aborts what cannot live without the console; the next one offers it again."""
    uuid = writer("quit-man", shared=True, dirty_mib_s=3)
    first = desk.open()
    target = begin_migration(first, "quit-man", "this console")
    leave(first, "manages is ended; the VM stays where it is")
    back_home(lab, "quit-man", uuid)
    second = next_console(desk, "Migrate quit-man", "The migration has ended")
    title = f"Migrate quit-man from kvm1 to {target}"
    follow_up(second, "r", title, "managed by this console")
    second.sees("running", "Migrate quit-man", "%")
    lab.host("kvm1").virsh("migrate-setspeed", "quit-man", "1000")
    second.sees("done", "Migrate quit-man")
    assert running_on(lab, uuid) == defined_on(lab, uuid) == [target]
    still_counts(lab, "quit-man")


def test_a_peer_to_peer_migration_goes_on_without_the_console(
    lab: LabFleet, desk: Desk, writer: Callable[..., str]
) -> None:
    """``q`` leaves it to the hosts, as the dialog says; the next console finds it done."""
    uuid = writer("quit-p2p", shared=True, dirty_mib_s=3)
    first = desk.open()
    target = begin_migration(first, "quit-p2p", "the hosts (p2p)")
    leave(first, "Peer-to-peer migrations and copies of disks go on")
    assert "Memory" in lab.host("kvm1").virsh("domjobinfo", "quit-p2p")
    lab.host("kvm1").virsh("migrate-setspeed", "quit-p2p", "1000")
    assert wait_until(lambda: defined_on(lab, uuid) == [target], PATIENCE_S, 0.2)
    second = desk.open()
    second.press(JOBS)
    second.sees("done", "Migrate quit-p2p")
    second.sees("It was finished although its console ended")
    second.sees(ALL_UP)
    still_counts(lab, "quit-p2p")


def test_a_migration_whose_terminal_is_lost_is_followed_to_its_end(
    lab: LabFleet, desk: Desk, writer: Callable[..., str]
) -> None:
    """SIGHUP, as from a broken SSH session, ends the console; the hosts go on, the next one looks.

    It opens while memory still travels, finds the migration, and follows it by ``f``.
    """
    uuid = writer("hup-p2p", shared=True, dirty_mib_s=3)
    first = desk.open()
    target = begin_migration(first, "hup-p2p", "the hosts (p2p)")
    first.hang_up()
    first.ended()
    assert "Memory" in lab.host("kvm1").virsh("domjobinfo", "hup-p2p")
    second = next_console(desk, "Migrate hup-p2p", "The migration still runs; ")
    title = f"Finish: Migrate hup-p2p from kvm1 to {target}"
    follow_up(second, "i", title, "follow the migration that still runs")
    lab.host("kvm1").virsh("migrate-setspeed", "hup-p2p", "1000")
    settled(second, title)
    assert running_on(lab, uuid) == defined_on(lab, uuid) == [target]
    still_counts(lab, "hup-p2p")
