"""The pre-flight matrix on screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from drivers.model.job import Action, Check, TargetFit, Verdict
from drivers.model.matrix import Cell, Matrix, Row, worst
from drivers.model.problem import Problem
from screens.hosts import HostsScreen
from screens.messages import ActionRequested, MatrixRequested, ViewRequested
from screens.preflight import PreflightScreen
from screens.render.preflight import of_place, place_arg, room_for, window
from screens.table import LineTable
from screens.vms import VmsScreen
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.stage import DB, HOSTILE, NOW, WEB, Stage, shown_text, view

Compare = Callable[..., bool]
FINE = Check("memory", Verdict.OK, "memory fits", "needs 4 GiB, 60 GiB available now")
TIME = Check("duration", Verdict.OK, "about 9 s, standstill about 80 ms", "4 GiB memory")
WARNED = Check("autostart", Verdict.WARN, "libvirt does not carry that along", "on here",
               "afterwards: virsh autostart web1")  # fmt: skip
BAD = Check("machine", Verdict.BLOCKED, "kvm3 does not offer machine type pc-q35-9.1",
            "pc-q35-9.1 wanted; it offers pc-q35-7.2", "update QEMU on kvm3")  # fmt: skip
DARK = Check("data path", Verdict.NOT_TESTED, "whether kvm1 reaches kvm4 is not known",
             "no shell there")  # fmt: skip


def cell(target: str, *checks: Check) -> Cell:
    if not checks:
        return Cell(target, Verdict.OK, None)
    fits = all(c.verdict is not Verdict.BLOCKED for c in checks)
    return Cell(target, worst(checks), TargetFit(target, fits, "p2p", checks))


def matrix(name: str = "web1") -> Matrix:
    """Each verdict once for the first VM."""
    targets = ("kvm1", "kvm2", "kvm3", "kvm4", "kvm5")
    first = (cell("kvm1"), cell("kvm2", FINE, TIME), cell("kvm3", FINE, BAD), cell("kvm4", DARK),
             cell("kvm5", FINE, WARNED))  # fmt: skip
    second = (cell("kvm1", FINE), cell("kvm2"), *(cell(t, BAD) for t in targets[2:]))
    return Matrix(NOW - 12.0, targets, (Row(WEB, name, "kvm1", first),
                                        Row(DB, "db1", "kvm2", second)))  # fmt: skip


def staged(**changes: object) -> Stage:
    return Stage(PreflightScreen(place_arg((WEB, DB))), view(**changes))


async def answered(pilot: Pilot[Any], found: Matrix) -> None:
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, PreflightScreen)
    screen.matrix = found
    await pilot.pause()


async def test_it_asks_once_and_says_that_it_waits() -> None:
    """Until the hosts answered, a person reads what is being done."""
    app = staged()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        (asked,) = app.asked(MatrixRequested)
        assert isinstance(asked, MatrixRequested)
        assert (asked.uuids, asked.hosts) == ((WEB, DB), ())
        assert "Asking the hosts" in shown_text(app)
        await pilot.press("e")
        await pilot.pause()
        assert len(app.asked(MatrixRequested)) == 2


@pytest.mark.parametrize("plain", [False, True], ids=["signs", "ascii"])
async def test_every_verdict_is_a_sign_and_a_word(plain: bool) -> None:
    """No state by colour alone; in ASCII nothing else is drawn."""
    app = staged(ascii=plain)
    async with app.run_test(size=(120, 30)) as pilot:
        await answered(pilot, matrix())
        text = shown_text(app)
        signs = ("+ ok", "x blocked") if plain else ("✓ ok", "✗ blocked")
        for words in ("- here", "? not tested", "! warn", *signs):
            assert words in text
        assert "2 VMs x 5 hosts" in text
        assert "found 12s ago" in text
        if plain:
            keys = text.rstrip().rpartition("\n")[2]  # the App alone puts these in words
            assert text.replace(keys, "").isascii()


async def test_the_cursor_shows_reasons_with_proof_and_fix() -> None:
    """It begins beside the VM's own host; arrows go across, j and k down."""
    app = staged()
    async with app.run_test(size=(100, 40)) as pilot:
        await answered(pilot, matrix())
        assert "web1 on kvm1 to kvm2: ok" in shown_text(app)
        assert "about 9 s" in shown_text(app)
        await pilot.press("right")
        await pilot.pause()
        text = shown_text(app)
        assert "[✗ blocked]" in text
        assert "web1 on kvm1 to kvm3: BLOCKED" in text
        assert "pc-q35-9.1 wanted; it offers pc-q35-7.2" in text
        assert "fix: update QEMU on kvm3" in text
        await pilot.press("left", "j")
        await pilot.pause()
        assert "db1 is on kvm2 now." in shown_text(app)
        await pilot.press("left", "left", "left")
        await pilot.pause()
        assert "db1 on kvm2 to kvm1: ok" in shown_text(app)


async def test_enter_on_a_cell_that_fits_asks_for_its_plan() -> None:
    """The migration's own plan and preview come next; nothing is done by this key."""
    app = staged()
    async with app.run_test(size=(100, 30)) as pilot:
        await answered(pilot, matrix())
        await pilot.press("enter")
        await pilot.pause()
        (asked,) = app.asked(ActionRequested)
        assert isinstance(asked, ActionRequested)
        assert (asked.action, asked.uuids, asked.target) == (Action.MIGRATE, (WEB,), "kvm2")


@pytest.mark.parametrize("keys", [("right",), ("j",)], ids=["blocked", "here"])
async def test_enter_on_any_other_cell_says_why_not(keys: tuple[str, ...]) -> None:
    """Blocked, or there already: no plan is asked for."""
    app = staged()
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await answered(pilot, matrix())
        await pilot.press(*keys, "enter")
        await pilot.pause()
        assert app.asked(ActionRequested) == []
        assert len(app._notifications) == 1


async def test_marked_vms_are_planned_together_where_they_fit() -> None:
    """Those that fit the chosen host go into one request; the others are left out."""
    app = staged()
    async with app.run_test(size=(100, 30)) as pilot:
        await answered(pilot, matrix())
        await pilot.press("space", "space", "enter")
        await pilot.pause()
        (asked,) = app.asked(ActionRequested)
        assert isinstance(asked, ActionRequested)
        assert asked.uuids == (WEB,)


async def test_a_failed_pre_flight_says_so() -> None:
    """What happened, the proof, and what to do; not an empty matrix."""
    app = staged()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert isinstance(app.front, PreflightScreen)
        app.front.failure = Problem("That is too much", "9000 cells", "mark fewer VMs")
        await pilot.pause()
        text = shown_text(app)
        assert "That is too much" in text
        assert "mark fewer VMs" in text


@pytest.mark.parametrize("name", HOSTILE)
async def test_names_cannot_break_the_screen(name: str) -> None:
    """Whatever a VM is called, every line keeps its width."""
    app = staged()
    async with app.run_test(size=(80, 24)) as pilot:
        await answered(pilot, matrix(name))
        assert "\x1b" not in shown_text(app)
        assert "db1" in shown_text(app)


async def test_reading_takes_the_whole_screen_and_gives_it_back() -> None:
    """d and Esc, as in the jobs."""
    app = staged()
    async with app.run_test(size=(80, 24)) as pilot:
        await answered(pilot, matrix())
        table = app.screen.query_one("#matrix", LineTable)
        await pilot.press("d")
        await pilot.pause()
        assert not table.display
        await pilot.press("escape")
        await pilot.pause()
        assert table.display


@given(
    chosen=st.integers(0, 99), first=st.integers(0, 99), room=st.integers(1, 20),
    total=st.integers(1, 100),
)  # fmt: skip
def test_the_chosen_host_is_always_in_sight(chosen: int, first: int, room: int, total: int) -> None:
    """However the columns were scrolled before, and no blank columns at the end."""
    chosen = min(chosen, total - 1)
    start = window(chosen, first, room, total)
    assert start <= chosen < start + room
    assert 0 <= start <= max(0, total - room)


def test_at_eighty_columns_three_hosts_fit() -> None:
    """And one always does."""
    assert room_for(79, 15) == 3
    assert room_for(10, 15) == 1


def test_a_place_keeps_vms_and_hosts() -> None:
    """Both ways, also with no host named."""
    assert of_place(place_arg((WEB, DB), ("kvm2",))) == ((WEB, DB), ("kvm2",))
    assert of_place(place_arg((WEB,))) == ((WEB,), ())
    assert of_place("") == ((), ())


async def test_p_on_vms_opens_the_matrix_of_the_marked(
    running: Running, backend: FakeBackend
) -> None:
    """Marked VMs against every host, filled by the backend."""
    async with running(size=(120, 40)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        await pilot.press("space", "space", "p")
        await until(pilot, lambda: isinstance(app.screen, PreflightScreen))
        assert isinstance(app.screen, PreflightScreen)
        screen = app.screen
        await until(pilot, lambda: screen.matrix is not None)
        ((uuids, hosts),) = [args for verb, args in backend.asked if verb == "preflight"]
        assert len(uuids) == 2
        assert hosts == ()
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))


async def test_p_on_hosts_takes_the_vms_of_the_host_to_all_others(
    running: Running, backend: FakeBackend
) -> None:
    """Where could everything go that runs there."""
    async with running(size=(120, 40)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        assert isinstance(app.screen, HostsScreen)
        key = app.screen.table.cursor_key
        busy = next(h for h in backend.snapshot.hosts if any(v.state.active for v in h.vms))
        if key != busy.name:
            app.screen.table.move_to(busy.name)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PreflightScreen))
        await until(pilot, lambda: "preflight" in backend.verbs())
        ((uuids, hosts),) = [args for verb, args in backend.asked if verb == "preflight"]
        assert set(uuids) == {vm.uuid for vm in busy.vms if vm.state.active}
        assert set(hosts) == {h.name for h in backend.snapshot.hosts} - {busy.name}


async def test_the_command_line_opens_it(running: Running, backend: FakeBackend) -> None:
    """``:preflight VM HOST``; a host that is none is told."""
    vm = next(iter(backend.snapshot.vms()))
    async with running(size=(120, 40)) as (app, pilot):
        app.run_command(f"preflight {vm.host}/{vm.name} nowhere")
        await pilot.pause()
        assert not isinstance(app.screen, PreflightScreen)
        app.run_command(f"preflight {vm.host}/{vm.name} kvm2")
        await until(pilot, lambda: "preflight" in backend.verbs())
        assert ("preflight", ((vm.uuid,), ("kvm2",))) in backend.asked


async def test_p_without_a_running_vm_says_so() -> None:
    """Nothing opens, and a sentence tells why."""
    shown = view()
    hosts = tuple(replace(h, vms=()) for h in shown.snapshot.hosts)
    app = Stage(HostsScreen(), replace(shown, snapshot=replace(shown.snapshot, hosts=hosts)))
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.pause()
        await pilot.press("p")
        await pilot.pause()
        assert app.asked(ViewRequested) == []
        assert len(app._notifications) == 1


async def settle(pilot: Pilot[None]) -> None:
    await answered(pilot, matrix())
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
def test_looks(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Aligned, the chosen cell in brackets, its reasons below."""
    assert snap_compare(staged(), terminal_size=size, run_before=settle)


def test_looks_in_ascii_and_sixteen_colours(snap_compare: Compare) -> None:
    """The same with the terminal's own colours and ASCII alone."""
    app = staged(ascii=True)
    app.theme = "novacron-16"
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)
