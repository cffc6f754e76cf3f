"""Ctrl-p: every command, every key's action, and every host and VM by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.commands import COMMANDS
from screens.format import clean

if TYPE_CHECKING:
    from console.app import NovaCronApp

MOST_NAMES = 50
"""Hosts and VMs offered for one search; of 10,000 nobody reads more."""


class FleetCommands(Provider):
    """Commands without arguments run; names open what they name."""

    @property
    def _console(self) -> NovaCronApp:
        from console.app import NovaCronApp

        app = self.app
        if not isinstance(app, NovaCronApp):
            raise TypeError("the palette belongs to NovaCronApp")
        return app

    async def discover(self) -> Hits:
        """What can be done before anything is typed."""
        app = self._console
        for command in COMMANDS:
            if all(kind.endswith("?") for kind in command.kinds):
                run = partial(app.run_command, command.name)
                yield DiscoveryHit(Text(command.usage), run, command.name, command.help)

    async def search(self, query: str) -> Hits:
        """Commands that match loosely, then hosts and VMs whose names contain the words."""
        matcher = self.matcher(query)
        for command in COMMANDS:
            if (score := matcher.match(f"{command.name} {command.help}")) > 0:
                run = partial(self._take, command.name, bool(command.kinds))
                yield Hit(score, Text(command.usage), run, command.name, command.help)
        for kind, name in islice(self._names(query.strip().casefold()), MOST_NAMES):
            run = partial(self._console.run_command, f"{kind} '{name}'")
            yield Hit(0.5, Text(clean(name)), run, name, f"Open this {kind}")

    def _take(self, name: str, wants_more: bool) -> None:
        if wants_more:
            self._console.call_later(self._console.action_command_line, f"{name} ")
        else:
            self._console.run_command(name)

    def _names(self, wanted: str) -> Iterator[tuple[str, str]]:
        snapshot = self._console.view.snapshot
        yield from (("host", h.name) for h in snapshot.hosts if wanted in h.name.casefold())
        yield from (("vm", vm.name) for vm in snapshot.vms() if wanted in vm.name.casefold())
