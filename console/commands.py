"""The grammar of the ``:`` line: names, arguments and their completion. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from drivers.model.fleet import FleetSnapshot
from drivers.model.vm import Vm

VIEWS = ("fleet", "hosts", "vms", "storage", "jobs", "events", "history", "settings", "help")
"""Top-level views in the order of the keys 1 to 9."""

MOST = 40
"""Candidates offered at once."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        kinds: What its arguments are: ``vm``, ``host``, ``theme``, ``onoff``, ``text``; with a
            trailing ``?`` when it may be left out, and ``*`` when there may be any number.
    """

    name: str
    help: str
    kinds: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The command as it is typed."""
        ends = {"?": "[{}]", "*": "[{}...]"}
        words = [ends.get(k[-1], "{}").format(k.rstrip("?*").upper()) for k in self.kinds]
        return " ".join([f":{self.name}", *words])


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was typed, understood; ``error`` says why it was not."""

    name: str = ""
    args: tuple[str, ...] = ()
    error: str = ""


_ACTIONS = ("start", "shutdown", "reboot", "reset", "pause", "resume", "force-off", "delete")
"""Actions that take a VM and nothing more; each opens its preview."""

COMMANDS: tuple[Command, ...] = (
    *(Command(view, f"Show {view}") for view in VIEWS),
    Command("host", "Show one host", ("host",)),
    Command("vm", "Show one VM", ("vm",)),
    Command("xml", "Show a VM's definition", ("vm",)),
    Command("console", "A VM's serial console", ("vm",)),
    Command("shell", "A shell on a host", ("host",), ("ssh",)),
    *(Command(action, f"Plan to {action} a VM", ("vm",)) for action in _ACTIONS),
    Command("migrate", "Plan a live migration", ("vm", "host?")),
    Command("preflight", "Whether a VM may move to a host, or to which of all", ("vm", "host?")),
    Command("drain", "Plan to empty a host", ("host",)),
    Command("return", "Plan how the VMs of a drained host come home", ("host",)),
    Command("cordon", "Let no VM move to a host", ("host",)),
    Command("uncordon", "Let VMs move to a host again", ("host",)),
    Command("tier", "Plan to move a disk to another tier", ("vm",)),
    Command("autostart", "Plan to turn autostart on or off", ("vm", "onoff")),
    Command("upgrade", "Plan to upgrade hosts (--name NAME HOST...), or how it goes", ("host*",)),
    Command("refresh", "Read all hosts, or one, again now", ("host?",)),
    Command("poll", "Stop or resume reading the hosts", ("onoff",)),
    Command("problems", "Show only what wants attention", ("onoff",)),
    Command("theme", "Use and remember a theme", ("theme",)),
    Command("ascii", "Draw with ASCII characters only", ("onoff",)),
    Command("save", "Save this screen as an SVG picture"),
    Command("quit", "Leave the console", (), ("q", "q!", "exit")),
)

_BY_NAME = {name: c for c in COMMANDS for name in (c.name, *c.aliases)}


def parse_command(text: str) -> Parsed:
    """Understand what was typed after ``:``; a unique beginning of a name is enough."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        return Parsed(error=f"cannot read that: {error}")
    if not words:
        return Parsed()
    command = _find(words[0])
    if command is None:
        return Parsed(error=f"there is no command {words[0]!r}; :help lists them")
    args = tuple(words[1:])
    least = sum(kind[-1] not in "?*" for kind in command.kinds)
    more = bool(command.kinds) and command.kinds[-1].endswith("*")
    if len(args) < least or (len(args) > len(command.kinds) and not more):
        return Parsed(error=f"it is used as {command.usage}")
    return Parsed(command.name, args)


def _find(word: str) -> Command | None:
    exact = _BY_NAME.get(word)
    if exact is not None:
        return exact
    found = [command for command in COMMANDS if command.name.startswith(word)]
    return found[0] if len(found) == 1 else None


def completions(text: str, snapshot: FleetSnapshot, themes: Iterable[str]) -> list[str]:
    """Whole lines that continue what is typed, at most ``MOST``."""
    head, space, tail = text.rpartition(" ")
    if not space:
        return [c.name for c in COMMANDS if c.name.startswith(text)]
    words = head.split()
    command = _find(words[0]) if words else None
    if command is None or not command.kinds:
        return []
    place = len(words) - 1
    if command.kinds[-1].endswith("*"):
        place = min(place, len(command.kinds) - 1)
    if place >= len(command.kinds):
        return []
    offered = _OFFER[command.kinds[place].rstrip("?*")](snapshot, themes)
    fitting = (f"{head} {_quoted(o)}" for o in offered if o.startswith(tail.lstrip("'\"")))
    return list(islice(fitting, MOST))


def _quoted(name: str) -> str:
    return shlex.quote(name)


_Offer = Callable[[FleetSnapshot, Iterable[str]], Iterable[str]]

_OFFER: dict[str, _Offer] = {
    "vm": lambda snapshot, _themes: (vm.name for vm in snapshot.vms()),
    "host": lambda snapshot, _themes: (host.name for host in snapshot.hosts),
    "theme": lambda _snapshot, themes: themes,
    "onoff": lambda _snapshot, _themes: ("on", "off"),
}


def find_vm(snapshot: FleetSnapshot, name: str) -> Vm | str:
    """The VM of that name, UUID or ``host/name``; otherwise a sentence saying why none is meant."""
    host, _, short = name.rpartition("/")
    found = {
        vm.uuid: vm
        for vm in snapshot.vms()
        if name in (vm.uuid, vm.name) or (vm.name == short and vm.host == host)
    }
    if len(found) == 1:
        return snapshot.vm(next(iter(found))) or next(iter(found.values()))
    if not found:
        return f"no host has a VM {name!r}"
    places = ", ".join(sorted(f"{vm.host}/{vm.name}" for vm in found.values()))
    return f"several VMs are called {name!r}: say {places}"
