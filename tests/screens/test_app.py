"""The console as a person uses it: views, commands, filters, flows, failures."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest
from textual.app import App

from console.app import NovaCronApp
from console.views import all_screens
from drivers.errors import Refused
from drivers.model.history import HistoryQuery, Series
from drivers.model.job import Action
from drivers.model.vm import VmState
from screens.format import clean
from screens.history import HistoryScreen
from screens.host import HostScreen
from screens.hosts import HostsScreen
from screens.prompt import PromptLine
from screens.table import LineTable
from screens.vm import VmScreen
from screens.vms import VmsScreen
from store.api import StoreError
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.fleets import make_vm


def shown(app: App[None]) -> str:
    """The text on the terminal."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)


async def test_first_screen_shows_problems_before_hosts(running: Running) -> None:
    """What is broken stands on top, with its reason, and a down host is first of the hosts."""
    async with running() as (app, pilot):
        wanted = (
            "hosts 2/4 up", "!down", "unreachable: kvm4 does not answer", "monitor stuck 42s",
        )  # fmt: skip
        await until(pilot, lambda: all(words in shown(app) for words in wanted))
        text = shown(app)
        assert text.index("CRIT") < text.index("warn") < text.index("!down")


async def test_numbers_go_to_views_and_brackets_back(running: Running) -> None:
    """2 hosts, 3 VMs, [ back, ] forward, - the last other one."""
    async with running() as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        await pilot.press("minus")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))


async def test_enter_opens_and_escape_returns_to_the_same_row(running: Running) -> None:
    """A look at one VM must not lose one's place in the list."""
    async with running() as (app, pilot):
        await pilot.press("3", "j", "j", "j", "j", "enter")
        await until(pilot, lambda: isinstance(app.screen, VmScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        assert app.screen.query_one(LineTable).cursor_item.vm.name == "web1"


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("web[12]$", {"web1", "web2"}),
        ("!web", {"db-main", "db-replica", "mail", "stuck", "データベース"}),
        ("-l test,rack1", {"web2", "web4", "web6", "db-replica", "stuck"}),
        ("-f dbr", {"db-replica"}),
    ],
)
async def test_filter_follows_the_typing(running: Running, typed: str, names: set[str]) -> None:
    """The k9s grammar: regex on the row, !inverse, -l tags, -f fuzzy."""
    async with running() as (app, pilot):
        await pilot.press("3", "slash")
        await until(pilot, lambda: isinstance(app.focused, PromptLine))
        app.focused.value = typed  # type: ignore[union-attr]
        table = app.screen.query_one("#vms", LineTable)
        wanted = names if not typed.startswith("web") else set()
        if wanted:
            await until(pilot, lambda: {row.item.vm.name for row in table.rows} == wanted)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: len(table.rows) == 13)


async def test_a_bad_filter_is_told_and_hides_nothing(running: Running) -> None:
    """An unfinished regular expression shows everything and says why."""
    async with running() as (app, pilot):
        await pilot.press("3", "slash", "left_parenthesis")
        await until(pilot, lambda: "not a regular expression" in shown(app))
        assert len(app.screen.query_one(LineTable).rows) == 13


async def test_ctrl_z_shows_only_what_wants_attention(running: Running) -> None:
    """Crashed, stuck, paused by an error, stale: nothing else."""
    async with running() as (app, pilot):
        await pilot.press("3", "ctrl+z")
        table = app.screen.query_one(LineTable)
        await until(pilot, lambda: len(table.rows) == 4)
        assert {r.item.vm.name for r in table.rows} == {"db-main", "db-replica", "mail", "stuck"}
        assert "problems only" in shown(app)


async def test_migrate_goes_over_target_and_preview_to_a_job(
    running: Running, backend: FakeBackend
) -> None:
    """m, choose, preview, yes: exactly the previewed plan is run."""
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("3", "j", "j", "j", "j", "m")
        await until(pilot, lambda: "where to" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "plan" in backend.verbs())
        await until(pilot, lambda: "migrate web1" in shown(app))
        assert "run" not in backend.verbs()
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "run" in backend.verbs())
        (plans,) = backend.asked[-1][1] if backend.asked[-1][0] == "run" else ((),)
        assert plans[0].request.action is Action.MIGRATE
        assert plans[0].request.target == "kvm3"
        await until(pilot, lambda: "1 job running" in shown(app))


async def test_escape_in_a_preview_does_nothing(running: Running, backend: FakeBackend) -> None:
    """Cancel is the default: nothing was run."""
    async with running() as (app, pilot):
        await pilot.press("3", "j", "j", "j", "j", "colon", *"reboot web1", "enter")
        await until(pilot, lambda: "plan" in backend.verbs())
        await until(pilot, lambda: len(app.screen_stack) == 3)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        assert "run" not in backend.verbs()


async def test_read_only_hosts_offer_no_action(running: Running) -> None:
    """The VM of a protected host shows no Migrate key, and m does nothing."""
    async with running() as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "db-main" in shown(app))
        assert "Migrate" not in shown(app).splitlines()[-1]


async def test_a_failing_backend_becomes_a_toast(running: Running, backend: FakeBackend) -> None:
    """What, proof and fix are shown, and the console goes on."""
    backend.fails = Refused("kvm1 said no", "permission denied", "join the libvirt group")
    async with running() as (app, pilot):
        await pilot.press("colon", *"start web2", "enter")
        await until(pilot, lambda: "kvm1 said no" in shown(app))
        assert "Fix: join the libvirt group" in shown(app)
        backend.fails = ZeroDivisionError("bug")
        await pilot.press("colon", *"start web2", "enter")
        await until(pilot, lambda: "unexpected" in shown(app))
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense", "there is no command"),
        ("vm nobody", "no host has a VM"),
        ("migrate", ":migrate VM [HOST]"),
        ("host kvm9", "There is no host"),
        ("theme pink", "There is no theme"),
    ],
)
async def test_a_wrong_command_says_what_is_wrong(running: Running, line: str, told: str) -> None:
    """A typo is answered in words."""
    async with running() as (app, pilot):
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.focused, PromptLine))
        app.focused.value = line  # type: ignore[union-attr]
        await pilot.press("enter")
        await until(pilot, lambda: told in shown(app))


async def test_commands_complete_and_are_remembered(running: Running) -> None:
    """Tab takes the completion, the arrow up brings the last line back."""
    async with running() as (app, pilot):
        await pilot.press("colon", *"host kvm3")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, HostScreen))
        await pilot.press("colon", "up")
        assert isinstance(app.focused, PromptLine)
        assert app.focused.value == "host kvm3"
        app.focused.value = ""
        await pilot.press(*"hos")
        prompt = app.focused
        await until(pilot, lambda: bool(prompt._suggestion))
        await pilot.press("tab")
        assert prompt.value == "hosts"


async def test_the_keys_return_to_the_table_they_were_in(running: Running) -> None:
    """After a filter or a command the cursor keys move where they moved before."""
    async with running(size=(160, 50)) as (app, pilot):
        await until(pilot, lambda: "Busiest VMs" in shown(app))
        hosts = app.screen.query_one("#hosts", LineTable)
        hosts.focus()
        await pilot.press("slash", *"kvm", "enter")
        await until(pilot, lambda: app.focused is hosts)
        await pilot.press("colon", "escape")
        await until(pilot, lambda: app.focused is hosts)


async def test_theme_and_ascii_are_kept(running: Running) -> None:
    """A choice in the settings is used at once and handed on to be remembered."""
    kept: list[tuple[str, str]] = []
    async with running(keep=lambda name, value: kept.append((name, value))) as (app, pilot):
        await pilot.press("8", "j", "enter")
        await until(pilot, lambda: app.theme == "novacron-light")
        await pilot.press("colon", *"ascii on", "enter")
        await until(pilot, lambda: app.view.ascii)
        assert kept == [("theme", "novacron-light"), ("ascii", "on")]


@pytest.mark.parametrize("view", "12345678")
async def test_ascii_screens_hold_nothing_else(running: Running, view: str) -> None:
    """--ascii: no block, line, arrow or wide character on any screen."""
    async with running(ascii=True) as (app, pilot):
        await pilot.press(view)
        await pilot.pause(0.1)
        assert shown(app).isascii(), [c for c in shown(app) if not c.isascii()]


async def test_help_is_made_from_the_bindings(running: Running) -> None:
    """Every key of the screen one came from, its id, the commands and the filter's grammar."""
    async with running(size=(120, 60)) as (app, pilot):
        await pilot.press("3", "question_mark")
        await until(pilot, lambda: "Clear" in shown(app) or "marks" in shown(app))
        ids = {row.item.ident for row in app.screen.query_one(LineTable).rows}
        assert {"vm.actions", "table.mark", "app.quit", "vms.why"} <= ids
        texts = {row.item.keys for row in app.screen.query_one(LineTable).rows}
        assert {":migrate VM [HOST]", "/-f wb1"} <= texts


async def test_missing_values_are_explained_on_demand(running: Running) -> None:
    """i says why a value is a dash."""
    async with running() as (app, pilot):
        await pilot.press("3", "G", "i")
        await until(pilot, lambda: "vm.cpu: /proc is hidden. use root" in shown(app))


async def test_a_host_never_recorded_leaves_the_other_curves(
    running: Running, backend: FakeBackend
) -> None:
    """History of four hosts, one of them down from the start: an empty curve and no complaint."""
    answered = backend.history

    def history(queries: tuple[HistoryQuery, ...]) -> Future[tuple[Series, ...]]:
        if any(query.ident == "kvm4" for query in queries):
            failed: Future[tuple[Series, ...]] = Future()
            failed.set_exception(StoreError("nothing was recorded of kvm4", code="unknown"))
            return failed
        return answered(queries)

    backend.history = history  # type: ignore[method-assign]
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("7")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        await until(pilot, lambda: len(screen.series) == 4)
        assert "Not done" not in shown(app)


async def test_history_learns_the_names_of_all_that_was_recorded(
    running: Running, backend: FakeBackend
) -> None:
    """VMs and hosts can be picked by name, those that are gone included."""
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("7")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        await until(pilot, lambda: ("host", "kvm1", "kvm1") in screen.names)
        assert {kind for kind, _, _ in screen.names} == {"vm", "host"}


async def test_a_tall_terminal_shows_busiest_vms_and_newest_events(running: Running) -> None:
    """At 160x50 the lines under the hosts are used; at 80x24 the hosts have them."""
    async with running(size=(160, 50)) as (app, pilot):
        await until(pilot, lambda: "Busiest VMs" in shown(app) and "Newest events" in shown(app))
    async with running(size=(80, 24)) as (app, pilot):
        await until(pilot, lambda: "!down" in shown(app) and "Busiest VMs" not in shown(app))


async def test_tiny_terminals_do_not_crash(running: Running) -> None:
    """Every view survives shrinking to one cell and growing back."""
    async with running() as (app, pilot):
        for view in "12345678":
            await pilot.press(view)
            for size in ((1, 1), (20, 5), (80, 24)):
                await pilot.resize_terminal(*size)
        assert app.is_running


HOSTILE = (
    "[bold red]x[/]", "[/]", "$(reboot)", "a\x1b[2Jb", "\x07\x08\r\n", "\u202eevil", "日本語" * 20,
    "عربى", "e\u0301" * 40, "👨‍👩‍👧‍👦", "\u200b", "x" * 3000, "'; drop", "{now}", "%s%n",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_stay_text(running: Running, backend: FakeBackend, name: str) -> None:
    """A name with markup, control, wide or right-to-left text neither acts nor breaks a line."""
    vms = (make_vm(1, "kvm1", name), make_vm(2, "kvm1", "other", state=VmState.CRASHED))
    first = replace(backend.snapshot.hosts[0], vms=(replace(vms[0], monitor_stuck_s=3.0), vms[1]))
    backend.snapshot = replace(backend.snapshot, hosts=(first,))
    async with running() as (app, pilot):
        for view in "123":
            await pilot.press(view)
            await until(pilot, lambda: "kvm1" in shown(app))
            text = shown(app)
            assert not any(ord(c) < 32 and c != "\n" for c in text)
            assert "\u202e" not in text
        assert clean(name)[:5].strip() in text


def test_every_binding_has_an_id_a_label_and_a_tooltip() -> None:
    """What has no id cannot be remapped; what has no tooltip cannot be explained."""
    from textual.binding import Binding

    for owner in (NovaCronApp, LineTable, PromptLine, *all_screens()):
        for base in owner.__mro__:
            if base.__module__.startswith("textual"):
                continue
            for entry in vars(base).get("BINDINGS", ()):
                assert isinstance(entry, Binding), (owner, entry)
                assert entry.id, (owner, entry)
                assert entry.description, (owner, entry)
                assert entry.tooltip, (owner, entry)
