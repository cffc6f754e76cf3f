"""VM, XML, jobs, events, storage and history screens: what a person sees and can ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from drivers.model.host import HostSpec, Link, LinkState
from drivers.model.job import Action, JobState
from drivers.model.vm import VmState
from screens import messages as ask
from screens.base import FleetScreen
from screens.dialogs.action_menu import ActionMenu
from screens.dialogs.confirm import ConfirmDialog
from screens.events import EventsScreen
from screens.history import HistoryScreen
from screens.jobs import JobsScreen
from screens.storage import StorageScreen
from screens.table import LineTable
from screens.vm import VmScreen
from screens.xml import XmlScreen
from tests.screens.conftest import until
from tests.screens.stage import (
    DB,
    HOSTILE,
    NOW,
    OFF,
    WEB,
    Stage,
    events,
    fleet,
    jobs,
    progress,
    shown_text,
    view,
    web,
)

SIZE = (80, 24)
WIDE = (160, 50)


async def shown_on(app: Stage, pilot: Pilot[None]) -> None:
    """Wait until the screen in front was handed what to show, and has drawn it."""
    front = app.front
    assert isinstance(front, FleetScreen)
    await until(pilot, lambda: front.is_mounted and front.view is app.shown)
    await pilot.pause()


async def test_vm_shows_figures_disks_nics_and_its_job() -> None:
    """Everything about a busy VM is on one 80x24 screen, the migration under way included."""
    app = Stage(VmScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        text = shown_text(app)
        for words in ("running (booted)", "on kvm1", "63% of 4 vCPU", "2.4G of 4.0G", "vda",
                      "12.0M/s", "0.42ms/1.90ms", "br0", "copying memory", "38%", "5.0G left",
                      "ETA 47s", "migration to kvm2 asked for"):  # fmt: skip
            assert words in text, words


async def test_vm_charts_join_history_and_what_is_seen_live() -> None:
    """Recorded values stand to the left of those seen since; a gap in them stays blank."""
    app = Stage(VmScreen(WEB), view(jobs=()))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: bool(app.asked(ask.HistoryRequested)))
        [asked] = app.asked(ask.HistoryRequested)
        assert isinstance(asked, ask.HistoryRequested)
        assert {query.metric for query in asked.queries} >= {"cpu", "mem_used", "rx_bps"}
        await until(pilot, lambda: "█" in shown_text(app))
        before = shown_text(app)
        for second in range(1, 60):
            vms = fleet(cpu_pct=0.0, fast_at=NOW + second)
            app.show(view(now=NOW + second, snapshot=vms, jobs=()))
        await until(pilot, lambda: shown_text(app) != before)


async def test_stuck_monitor_and_missing_readings_are_told() -> None:
    """A VM whose monitor hangs says so in words, and what cannot be read has its reason."""
    app = Stage(VmScreen(DB), view(jobs=()))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        assert "MONITOR STUCK for 42s" in shown_text(app)
        assert "Not available: vm.cpu" in shown_text(app)
        assert "0% of 8 vCPU" not in shown_text(app)
        await pilot.press("i")
        await until(pilot, lambda: "no right to read /proc of QEMU" in shown_text(app))
        assert "log in as root" in shown_text(app)


async def test_stale_values_say_their_age() -> None:
    """Once the readings are old, the screen says how old, in words."""
    app = Stage(VmScreen(WEB), view(now=NOW + 90))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        assert "STALE: last read 1m ago" in shown_text(app)


async def test_vm_that_went_away() -> None:
    """A VM that no host has any more is said to be gone; nothing breaks."""
    app = Stage(VmScreen("no-such-uuid"))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        assert "No host of this fleet has this VM any more" in shown_text(app)
        await pilot.press("a", "m", "t", "c", "y")
        assert not app.asked(ask.ActionRequested)


async def test_vm_keys_ask_and_never_act() -> None:
    """m, t, c, y, l and h ask for what they say; the menu asks for the rest."""
    app = Stage(VmScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("m", "t", "c", "y", "l", "h", "a")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu))
        await pilot.press("f")
        await pilot.pause()
        asked = [m.action for m in app.posted if isinstance(m, ask.ActionRequested)]
        assert asked == [Action.MIGRATE, Action.TIER, Action.FORCE_OFF]
        places = [(m.view, m.arg) for m in app.posted if isinstance(m, ask.ViewRequested)]
        assert places == [("events", WEB), ("history", WEB)]
        assert app.asked(ask.ConsoleRequested)
        assert app.asked(ask.XmlRequested)


async def test_a_read_only_host_takes_no_action() -> None:
    """On a protected host the keys are greyed out and post nothing."""
    app = Stage(VmScreen("4" * 8))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("m", "t")
        assert not app.asked(ask.ActionRequested)


async def test_stopping_a_job_asks_first() -> None:
    """X asks; Enter at once lets the job run; the other button stops it."""
    app = Stage(VmScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("enter")
        await pilot.pause()
        assert not app.asked(ask.JobCancelled)
        await pilot.press("X")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        [cancelled] = app.asked(ask.JobCancelled)
        assert isinstance(cancelled, ask.JobCancelled)
        assert cancelled.job_id == "j1"


async def test_xml_is_shown_searched_and_wrapped() -> None:
    """The definition appears; / finds and counts matches; w lets long lines run on."""
    app = Stage(XmlScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "<domain type='kvm' id='7'>" in shown_text(app))
        assert "y-cells/web1.qcow2'/>" in shown_text(app)
        await pilot.press("slash", *"DISK", "enter")
        await until(pilot, lambda: "/DISK: 1 of 2 matches" in shown_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "/DISK: 2 of 2 matches" in shown_text(app))
        await pilot.press("escape", "w")
        await pilot.pause()
        assert "y-cells/web1.qcow2'/>" not in shown_text(app)
        await pilot.press("p")
        await pilot.pause()
        last = app.asked(ask.XmlRequested)[-1]
        assert isinstance(last, ask.XmlRequested)
        assert last.inactive


async def test_jobs_tell_progress_problem_and_what_next() -> None:
    """A failed job shows what, proof, fix, how things stand and what can be done."""
    app = Stage(JobsScreen())
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        text = shown_text(app)
        assert "copying memory" in text
        assert "dirtied 24.0M/s" in text
        await pilot.press("j")
        await pilot.pause()
        text = shown_text(app)
        for words in ("did not power off within 90 s", "proof: state still running",
                      "fix:   force it off", "Now: db1 still runs on kvm1"):  # fmt: skip
            assert words in text, words
        await pilot.press("enter")
        await pilot.pause()
        assert "virsh -c qemu+ssh://root@kvm1/system destroy" in shown_text(app)
        await pilot.press("escape", "f")
        await pilot.pause()
        await pilot.press("r")
        await pilot.pause()
        [followup] = app.asked(ask.JobFollowup)
        assert isinstance(followup, ask.JobFollowup)
        assert (followup.job_id, followup.choice) == ("j2", "retry")


async def test_a_job_without_news_says_so() -> None:
    """Progress that stands still for long is not shown as if it were alive."""
    quiet = replace(jobs()[0], progress=progress(at=NOW - 125))
    app = Stage(JobsScreen(), view(jobs=(quiet,)))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        assert "no news for 2m05s" in shown_text(app)


async def test_only_a_running_job_can_be_stopped() -> None:
    """x does nothing on an ended job and asks on a running one."""
    app = Stage(JobsScreen())
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("G", "x")
        await pilot.pause()
        assert not isinstance(app.screen, ConfirmDialog)
        await pilot.press("g", "x")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert [m.job_id for m in app.posted if isinstance(m, ask.JobCancelled)] == ["j1"]


async def test_jobs_can_be_filtered() -> None:
    """/failed leaves the failed one."""
    app = Stage(JobsScreen())
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("slash", *"failed", "enter")
        await pilot.pause()
        table = app.screen.query_one(LineTable)
        assert [row.item.state for row in table.rows] == [JobState.FAILED]


async def test_events_filter_level_scope_and_follow() -> None:
    """Newest first; w raises the level; a new event moves the cursor only while following."""
    app = Stage(EventsScreen())
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        table = app.screen.query_one(LineTable)
        assert table.rows[0].item.event.text == "paused (user)"
        fresh = replace(events()[-1], at=NOW, text="resumed")
        app.show(view(events=(*events(), fresh)))
        assert table.cursor_item.event.text == "resumed"
        await pilot.press("f")
        app.show(view(events=(*events(), fresh, replace(fresh, at=NOW + 1, text="newest"))))
        assert table.cursor_item.event.text == "resumed"
        await pilot.press("w", "w")
        await pilot.pause()
        assert [row.item.event.host for row in table.rows] == ["kvm3"]
        assert "errors only" in shown_text(app)


async def test_events_of_one_vm() -> None:
    """Opened for a VM, only its events stand there; a shows all again; v opens the VM."""
    app = Stage(EventsScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        table = app.screen.query_one(LineTable)
        assert {row.item.event.vm for row in table.rows} == {WEB}
        assert "events of web1" in shown_text(app)
        await pilot.press("v")
        await pilot.press("a")
        await pilot.pause()
        assert len(table.rows) == len(events())
        assert app.asked(ask.VmOpened)


async def test_storage_shows_dead_and_full_pools_and_users() -> None:
    """A dead pool tells its reason, a full one says so, volumes name their VMs."""
    app = Stage(StorageScreen())
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        text = shown_text(app)
        assert "DEAD" in text
        assert "FULL" in text
        assert "db1, web1" in text
        await pilot.press("j", "j", "j")
        await pilot.pause()
        text = shown_text(app)
        assert "The pool does not answer" in text
        assert "check the NFS server nas1" in text


async def test_orphans_are_named_only_when_every_host_was_asked() -> None:
    """A volume nobody uses is an orphan if all hosts answer; else the screen does not claim it."""
    app = Stage(StorageScreen())
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        assert "ORPHAN: no" not in shown_text(app)
        assert "none (hosts are down)" in shown_text(app)
        full = fleet()
        up = tuple(replace(h, link=Link(LinkState.UP, NOW)) for h in full.hosts)
        app.show(view(snapshot=replace(full, hosts=up)))
        await pilot.pause()
        assert "ORPHAN: no VM uses it" in shown_text(app)


async def test_from_pool_to_volume_to_vm() -> None:
    """Enter goes down to the volumes and on to the VM; Esc comes back."""
    app = Stage(StorageScreen())
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("enter", "G", "enter")
        await pilot.pause()
        [opened] = app.asked(ask.VmOpened)
        assert isinstance(opened, ask.VmOpened)
        assert opened.uuid == WEB
        await pilot.press("escape")
        assert app.screen.query_one("#pools", LineTable).has_focus
        assert not app.asked(ask.WentBack)


def every_screen() -> list[FleetScreen]:
    return [VmScreen(WEB), XmlScreen(WEB), JobsScreen(), EventsScreen(), StorageScreen(),
            HistoryScreen(WEB)]  # fmt: skip


@pytest.mark.parametrize("number", range(6))
async def test_ascii_means_ascii(number: int) -> None:
    """With ASCII only, no screen draws anything else."""
    app = Stage(every_screen()[number], view(ascii=True))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.pause()
        body = "\n".join(shown_text(app).splitlines()[:-1])
        body = body.replace("▌", "").replace("▐", "")
        assert [c for c in body if not c.isascii()] == []


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("number", range(6))
async def test_hostile_names_break_nothing(number: int, name: str) -> None:
    """Markup, control, wide and right-to-left names are drawn as text on every screen."""
    host = replace(
        fleet(name=name, title=name, tags=(name,), tenant=name, description=name).hosts[0]
    )
    vms = tuple(replace(vm, host=name) for vm in host.vms)
    pools = tuple(replace(p, name=name, host=name, path=name) for p in host.pools)
    host = replace(host, spec=HostSpec(name, f"qemu+ssh://{name}/x"), vms=vms, pools=pools)
    told = tuple(replace(e, text=name, detail=name, vm_name=name) for e in events())
    work = tuple(
        replace(j, plan=replace(j.plan, title=name, vm_name=name), outcome=name, owner=name)
        for j in jobs()
    )
    shown = view(snapshot=replace(fleet(), hosts=(host,)), events=told, jobs=work)
    app = Stage(every_screen()[number], shown)
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        text = shown_text(app)
        assert all(c.isprintable() for c in text.replace("\n", ""))
        assert len(text.splitlines()) == 24
        await pilot.press("j", "enter")
        await pilot.pause()


@pytest.mark.parametrize("number", range(6))
async def test_screens_live_with_nothing_known(number: int) -> None:
    """No hosts, no jobs, no events: every screen says so and takes keys."""
    app = Stage(
        every_screen()[number], view(snapshot=replace(fleet(), hosts=()), jobs=(), events=())
    )
    async with app.run_test(size=(60, 16)) as pilot:
        await shown_on(app, pilot)
        await pilot.press("j", "G", "g", "enter", "slash", "escape")
        await pilot.pause()
        assert not app.screen.query(Input)


@pytest.mark.parametrize("state", list(VmState))
async def test_every_state_has_a_word(state: VmState) -> None:
    """No state is told by colour alone."""
    app = Stage(VmScreen(WEB), view(snapshot=fleet(state=state, job=None), jobs=()))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        assert state.value in shown_text(app)


def test_the_stopped_vm_is_in_the_small_fleet() -> None:
    """The fixtures hold a running, a stuck and a stopped VM."""
    assert [fleet().vm(uuid) is not None for uuid in (WEB, DB, OFF)] == [True, True, True]
    assert web().uuid == WEB
