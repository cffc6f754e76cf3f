"""What each ``:`` command does, as one of the App's own messages or actions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from console.commands import VIEWS, completions, find_vm, parse_command
from drivers.model.job import Action
from drivers.model.problem import Problem
from screens.messages import (
    ActionRequested,
    ConsoleRequested,
    CordonSet,
    HostOpened,
    RefreshRequested,
    SettingChosen,
    ShellRequested,
    ThemeChosen,
    ViewRequested,
    VmOpened,
)
from screens.prompt import PromptLine
from screens.render.preflight import place_arg
from screens.render.upgrade import upgrade_arg
from themes import THEMES

if TYPE_CHECKING:
    from console.app import NovaCronApp

Args = tuple[str, ...]


def run_command(app: NovaCronApp, text: str) -> None:
    """Do what was typed, or say why not."""
    parsed = parse_command(text)
    if parsed.error:
        app.tell(Problem(parsed.error))
    elif parsed.name in VIEWS:
        if parsed.name == "help":
            app.action_help()
        else:
            app.post_message(ViewRequested(parsed.name))
    elif parsed.name in _ON_VM:
        _on_vm(app, parsed.name, parsed.args)
    elif parsed.name:
        _DO[parsed.name](app, parsed.args)


def _on_vm(app: NovaCronApp, name: str, args: Args) -> None:
    vm = find_vm(app.view.snapshot, args[0])
    if isinstance(vm, str):
        app.tell(Problem(vm))
        return
    match name:
        case "vm":
            app.post_message(VmOpened(vm.uuid))
        case "xml":
            app.post_message(ViewRequested("xml", vm.uuid))
        case "preflight":
            hosts = args[1:]
            if not hosts or _known_host(app, hosts[0]):
                app.post_message(ViewRequested("preflight", place_arg((vm.uuid,), hosts)))
        case "console":
            app.post_message(ConsoleRequested(vm.uuid))
        case "autostart":
            name = f"autostart-{'off' if args[1] == 'off' else 'on'}"
            app.post_message(ActionRequested(Action(name), (vm.uuid,)))
        case _:
            target = args[1] if len(args) > 1 else ""
            app.post_message(ActionRequested(Action(name), (vm.uuid,), target))


_ON_VM = frozenset(
    {"vm", "xml", "preflight", "console", "autostart", "migrate", "tier", "start", "shutdown",
     "reboot", "reset", "pause", "resume", "force-off", "delete"}
)  # fmt: skip


def _host(app: NovaCronApp, args: Args) -> None:
    if _known_host(app, args[0]):
        app.post_message(HostOpened(args[0]))


def _shell(app: NovaCronApp, args: Args) -> None:
    if _known_host(app, args[0]):
        app.post_message(ShellRequested(args[0]))


def _upgrade(app: NovaCronApp, args: Args) -> None:
    name, hosts = (args[1], args[2:]) if args[:1] == ("--name",) and args[1:] else ("", args)
    if name and not hosts:
        app.tell(Problem("Which hosts, is not said.", fix=f":upgrade --name {name} HOST..."))
    elif all(_known_host(app, host) for host in hosts):
        app.post_message(ViewRequested("upgrade", upgrade_arg(hosts, name)))


def _drain(app: NovaCronApp, args: Args) -> None:
    if _known_host(app, args[0]):
        app.post_message(ViewRequested("maintenance", args[0]))


def _return(app: NovaCronApp, args: Args) -> None:
    if _known_host(app, args[0]):
        app.post_message(ViewRequested("maintenance", f"return:{args[0]}"))


def _cordon(app: NovaCronApp, args: Args, *, closed: bool) -> None:
    if _known_host(app, args[0]):
        app.post_message(CordonSet(args[0], closed))


def _refresh(app: NovaCronApp, args: Args) -> None:
    if not args or _known_host(app, args[0]):
        app.post_message(RefreshRequested(args[0] if args else ""))


def _known_host(app: NovaCronApp, name: str) -> bool:
    known = app.view.snapshot.host(name) is not None
    if not known:
        app.tell(Problem(f"There is no host {name!r} in this fleet.", fix=":hosts lists them"))
    return known


def _poll(app: NovaCronApp, args: Args) -> None:
    if app.view.paused != (args[0] == "off"):
        app.action_pause()


def _problems(app: NovaCronApp, args: Args) -> None:
    if app.view.problems_only != (args[0] == "on"):
        app.action_problems()


_DO: dict[str, Callable[[NovaCronApp, Args], object]] = {
    "host": _host,
    "shell": _shell,
    "upgrade": _upgrade,
    "drain": _drain,
    "return": _return,
    "cordon": partial(_cordon, closed=True),
    "uncordon": partial(_cordon, closed=False),
    "refresh": _refresh,
    "poll": _poll,
    "problems": _problems,
    "theme": lambda app, args: app.post_message(ThemeChosen(args[0])),
    "ascii": lambda app, args: app.post_message(SettingChosen("ascii", args[0])),
    "save": lambda app, _args: app.action_save(),
    "quit": lambda app, _args: app.action_leave(),
}


class CommandLine:
    """Prompts for commands, and the lines typed before."""

    def __init__(self, app: NovaCronApp) -> None:
        self._app = app
        self._past: list[str] = []

    def prompt(self, value: str) -> PromptLine:
        """A prompt that begins with ``value``."""
        return PromptLine(
            ":", self._done, value=value, past=self._past, candidates=self._candidates
        )

    def _done(self, text: str | None) -> None:
        if text:
            self._past = [*self._past[-99:], text]
            run_command(self._app, text)

    def _candidates(self, text: str) -> list[str]:
        return completions(text, self._app.view.snapshot, (theme.name for theme in THEMES))
