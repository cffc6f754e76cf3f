"""A small fleet that never changes, and an App that shows one screen and keeps what it asks."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from textual.app import App
from textual.message import Message
from textual.screen import Screen

from drivers.model.event import Event, EventKind, Severity
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HistoryQuery, Series
from drivers.model.host import Host, HostLoad, HostSpec, Link, LinkState, Protect
from drivers.model.job import (
    Action,
    Check,
    Confirm,
    Job,
    JobState,
    Plan,
    Request,
    Step,
    StepRun,
    TargetFit,
    Verdict,
)
from drivers.model.problem import Missing, Problem
from drivers.model.storage import Pool, Tier, Volume
from drivers.model.vm import JobProgress, Vm, VmDisk, VmNic, VmState
from screens import messages
from screens.base import FleetScreen, View
from themes import DEFAULT_THEME, THEMES

NOW = 1_790_000_000.0
GIB = 1024**3
MIB = 1024**2
HOSTILE = (
    "[bold red]web[/]",
    "[@click=app.quit]x[/]",
    "a\x1b[2Jb\x07c",
    "\u202eevil\u202c",
    "日本語の仮想マシン" * 6,
    "مرحبا بالعالم",
    "e\u0301\u0301\u0301" * 30,
    "x" * 500,
    "new\nline\ttab",
    "$text-error {curly} %s \\",
)

WEB = "11111111-1111-4111-8111-111111111111"
DB = "22222222-2222-4222-8222-222222222222"
OFF = "33333333-3333-4333-8333-333333333333"

XML = """<domain type='kvm' id='7'>
  <!-- made by
       hand -->
  <name>web1</name>
  <uuid>11111111-1111-4111-8111-111111111111</uuid>
  <memory unit='KiB'>4194304</memory>
  <description>a &lt;b&gt; c = 'd'</description>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/pools/hot/a-rather-long-path-that-does-not-fit-into-eighty-cells/web1.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


def web(**changes: object) -> Vm:
    """A busy VM with two disks, a cdrom and two NICs."""
    vm = Vm(
        WEB, "web1", "kvm1", VmState.RUNNING, "booted", 7, "Shop front", "", 4, 4 * GIB, 8 * GIB,
        int(2.4 * GIB), int(3.1 * GIB), 63.0, 1.5, 4.2, 12 * MIB, 31 * MIB,
        disks=(
            VmDisk("vda", "/pools/hot/web1.qcow2", format="qcow2", pool="hot", volume="web1.qcow2",
                   tier="hot", capacity=40 * GIB, allocation=18 * GIB, read_bps=12.0 * MIB,
                   write_bps=31.0 * MIB, read_iops=740, write_iops=1210, read_ms=0.42,
                   write_ms=1.9),
            VmDisk("vdb", "/pools/cold/web1-log.raw", format="raw", pool="cold",
                   volume="web1-log.raw", tier="cold", capacity=200 * GIB, allocation=91 * GIB,
                   read_bps=0.0, write_bps=80_000.0, read_iops=0, write_iops=3, read_ms=0.0,
                   write_ms=14.0),
            VmDisk("sda", "", device="cdrom", read_only=True),
        ),
        nics=(
            VmNic("vnet0", "52:54:00:aa:bb:01", "bridge", "br0", "virtio", 2.2 * MIB, 9.1 * MIB,
                  3100, 7400, 0),
            VmNic("vnet1", "52:54:00:aa:bb:02", "network", "backup", "virtio", 0.0, 120.0, 0, 1, 2),
        ),
        autostart=True, machine="pc-q35-7.2", tags=("prod", "web"), tenant="shop",
        started_at=NOW - 183_000, slow_at=NOW - 4, fast_at=NOW - 1,
    )  # fmt: skip
    return replace(vm, **changes)  # type: ignore[arg-type]


def volume(pool: str, name: str, host: str, size: int, *used_by: str) -> Volume:
    """One volume, three quarters full."""
    return Volume(name, f"/pools/{pool}/{name}", pool, host, "qcow2", size, size * 3 // 4, used_by)


def fleet(**web_changes: object) -> FleetSnapshot:
    """Three hosts: one well, one read-only, one that went down; a dead pool; orphans."""
    vms = (
        web(**web_changes),
        Vm(DB, "db1", "kvm1", VmState.PAUSED, "user", 9, vcpus=8, memory=16 * GIB,
           memory_limit=16 * GIB, slow_at=NOW - 4, fast_at=NOW - 1, monitor_stuck_s=42.0,
           disks=(VmDisk("vda", "/pools/hot/db1.qcow2", pool="hot", tier="hot"),),
           missing=(Missing("vm.cpu", "no right to read /proc of QEMU", "log in as root"),)),
        Vm(OFF, "old", "kvm1", VmState.OFF, "shutdown", vcpus=1, memory=GIB, slow_at=NOW - 4),
    )  # fmt: skip
    pools = (
        Pool("hot", "kvm1", tier=Tier.HOT, path="/pools/hot", capacity=500 * GIB,
             allocation=460 * GIB, available=40 * GIB, at=NOW - 30, volumes=(
                 volume("hot", "web1.qcow2", "kvm1", 40 * GIB, WEB),
                 volume("hot", "db1.qcow2", "kvm1", 200 * GIB, DB, WEB),
                 volume("hot", "left-over.qcow2", "kvm1", 80 * GIB))),
        Pool("cold", "kvm1", tier=Tier.COLD, path="/pools/cold", capacity=4000 * GIB,
             allocation=900 * GIB, available=3100 * GIB, at=NOW - 30),
        Pool("nfs", "kvm1", kind="netfs", active=True, path="/mnt/nfs", at=NOW - 600,
             problem=Problem("The pool does not answer", "no reply in 10 s",
                             "check the NFS server nas1")),
        Pool("iso", "kvm1", path="/iso", active=False, at=NOW - 30),
    )  # fmt: skip
    up = Link(LinkState.UP, NOW - 9000, rtt_ms=0.8, route="kvm1:22 > forwarded socket")
    down = Link(LinkState.DOWN, NOW - 300, Problem("No route to host", "EHOSTUNREACH"), 4, NOW + 9)
    return FleetSnapshot(NOW, 7, (
        Host(HostSpec("kvm1", "qemu+ssh://root@kvm1/system", protect=Protect.RW), up,
             load=HostLoad(cpu_pct=40.0), vms=vms, pools=pools, fast_at=NOW - 1, slow_at=NOW - 4,
             pools_at=NOW - 30),
        Host(HostSpec("kvm2", "qemu+ssh://root@kvm2/system", protect=Protect.RO), up,
             vms=(Vm("4" * 8, "mail", "kvm2", VmState.RUNNING, slow_at=NOW - 4),),
             pools=(Pool("warm", "kvm2", tier=Tier.WARM, capacity=900 * GIB, allocation=90 * GIB,
                         available=810 * GIB, path="/pools/warm", at=NOW - 30),)),
        Host(HostSpec("kvm3", "qemu+ssh://root@kvm3/system"), down),
    ))  # fmt: skip


def plan(action: Action = Action.FORCE_OFF, **changes: object) -> Plan:
    """A plan for web1 with checks of every verdict."""
    made = Plan(
        "p1", Request(action, WEB), "web1", "kvm1", NOW, f"{action.value} web1 on kvm1",
        steps=(Step("destroy", "Pull the plug of web1 on kvm1",
                    f"virsh -c qemu+ssh://root@kvm1/system destroy {WEB}"),
               Step("verify", "Read the state of web1 again")),
        checks=(Check("state", Verdict.OK, "running on kvm1"),
                Check("freshness", Verdict.WARN, "read 14 s ago", "slow lane late",
                      "press Ctrl-r and look again"),
                Check("guest agent", Verdict.NOT_TESTED, "not asked")),
        effects=("Unsaved data in the guest is lost.",), confirm=Confirm.YES,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def refused() -> Plan:
    """A plan that cannot run."""
    return plan(refusal=Problem("kvm1 is read-only", 'protect = "ro" in fleet.toml',
                                "set protect to confirm or rw"), vm_name="db1",
                title="force-off db1 on kvm1", confirm=Confirm.NONE)  # fmt: skip


def fits() -> tuple[TargetFit, ...]:
    """One host that fits, one that does with a warning, one that does not."""
    cpu = Check("cpu", Verdict.BLOCKED, "lacks avx512f", "kvm4 has Skylake-Client",
                "give web1 the model Haswell")  # fmt: skip
    return (
        TargetFit("kvm4", False, "", (cpu,)),
        TargetFit("kvm2", True, "p2p", (Check("memory", Verdict.OK, "120 GiB free"),)),
        TargetFit("kvm5", True, "managed",
                  (Check("network", Verdict.WARN, "1 Gbit/s only", "", "limit the bandwidth"),)),
    )  # fmt: skip


def progress(**changes: object) -> JobProgress:
    """A migration half way."""
    made = JobProgress(
        "copying memory", NOW - 1, NOW - 65, 3 * GIB, 8 * GIB, 5 * GIB, 110.0 * MIB, 24.0 * MIB,
        2, 180.0, None, 47.0, "",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def jobs() -> tuple[Job, ...]:
    """A running migration, a failed shutdown, an interrupted tier move and a finished start."""
    moving = plan(Action.MIGRATE, title="Migrate web1 from kvm1 to kvm2", effects=())
    asked = plan(Action.SHUTDOWN, id="p2", title="Shut down db1 on kvm1", vm_name="db1")
    tier = plan(Action.TIER, id="p3", title="Move vda of old to cold")
    step = moving.steps[0]
    return (
        Job("j1", moving, JobState.RUNNING,
            (StepRun(step, JobState.DONE, NOW - 70, NOW - 66, "reachable"),
             StepRun(moving.steps[1], JobState.RUNNING, NOW - 65)),
            progress(), "root@desk:1:2", NOW - 70, NOW - 70),
        Job("j2", asked, JobState.FAILED, (StepRun(step, JobState.FAILED, NOW - 400, NOW - 310),),
            None, "root@desk:1:2", NOW - 400, NOW - 400, NOW - 310,
            Problem("The guest did not power off within 90 s", "state still running",
                    "force it off, or ask again", "timeout"),
            "db1 still runs on kvm1", ("force-off", "retry", "dismiss")),
        Job("j3", tier, JobState.INTERRUPTED, (StepRun(step, JobState.INTERRUPTED, NOW - 4000),),
            None, "root@desk:9:9", NOW - 4000, NOW - 4000, NOW - 3900, None,
            "vda still lies in hot; the copy in cold is incomplete", ("finish", "undo")),
        Job("j4", plan(Action.START, id="p4", title="Start old on kvm1"), JobState.DONE,
            (StepRun(step, JobState.DONE, NOW - 9000, NOW - 8999),), None, "root@desk:1:2",
            NOW - 9000, NOW - 9000, NOW - 8999, None, "old runs on kvm1"),
    )  # fmt: skip


def events() -> tuple[Event, ...]:
    """Newest last."""
    return (
        Event(NOW - 3000, EventKind.LIFECYCLE, "kvm1", "started (booted)", WEB, "web1"),
        Event(NOW - 300, EventKind.CONNECTION, "kvm3", "connection lost", detail="EHOSTUNREACH",
              severity=Severity.ERROR, change="lost"),
        Event(NOW - 90, EventKind.ACTION, "kvm1", "migration to kvm2 asked for", WEB, "web1"),
        Event(NOW - 20, EventKind.WARNING, "", "history paused: disk full",
              severity=Severity.WARN),
        Event(NOW - 5, EventKind.LIFECYCLE, "kvm1", "paused (user)", DB, "db1"),
    )  # fmt: skip


def recorded(queries: Sequence[HistoryQuery]) -> tuple[Series, ...]:
    """A wave for every query, with a gap in its middle."""
    answers = []
    for number, query in enumerate(queries):
        step = max(5.0, (query.until - query.since) / query.points)
        count = int((query.until - query.since) / step)
        full = 100.0 if query.metric == "cpu" else 4.0 * GIB if "mem" in query.metric else 40 * MIB
        places = [n for n in range(count) if not 0.5 < n / count < 0.55]
        means = tuple(full * (0.5 + 0.4 * math.sin(n / 9 + number)) for n in places)
        times = tuple(query.since + n * step for n in places)
        answers.append(Series(query, query.ident[:8], times, means, means, step, "raw"))
    return tuple(answers)


def view(**changes: object) -> View:
    """The small fleet with its jobs and events, at a frozen moment."""
    made = View(NOW, fleet(), jobs=jobs(), events=events())
    return replace(made, **changes)  # type: ignore[arg-type]


class Stage(App[None]):
    """Shows one screen or dialog over an empty one, and keeps what it posts and dismisses."""

    CSS = "App.-ascii * { scrollbar-size: 0 0; }"

    def __init__(self, front: Screen[object], shown: View | None = None) -> None:
        super().__init__()
        self.front = front
        self.shown = shown or view()
        self.posted: list[Message] = []
        self.result: object = "still open"
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DEFAULT_THEME

    def on_mount(self) -> None:
        """Show it."""
        self.set_class(self.shown.ascii, "-ascii")
        self.push_screen(self.front, self._keep_result)
        if isinstance(self.front, FleetScreen):
            self.call_after_refresh(self.show, self.shown)

    def show(self, shown: View) -> None:
        """Hand the screen newer values, as the App does."""
        self.shown = shown
        assert isinstance(self.front, FleetScreen)
        self.front.view = shown

    def _keep_result(self, result: object) -> None:
        self.result = result

    def asked(self, kind: type[Message]) -> list[Message]:
        """What was posted of that kind."""
        return [message for message in self.posted if isinstance(message, kind)]

    async def _on_message(self, message: Message) -> None:
        """Keep the messages that screens ask with, and answer those about history."""
        if type(message).__module__ == messages.__name__:
            self.posted.append(message)
            if isinstance(message, messages.HistoryRequested) and hasattr(self.front, "series"):
                self.front.series = recorded(message.queries)
            if isinstance(message, messages.XmlRequested) and hasattr(self.front, "text"):
                self.front.text = XML
        await super()._on_message(message)


def shown_text(app: App[None]) -> str:
    """What stands on the terminal now, line by line."""
    width, height = app.size
    console = Console(
        width=width, height=height, file=io.StringIO(), record=True, force_terminal=True
    )
    console.print(app.screen._compositor.render_update(full=True))
    return console.export_text()
