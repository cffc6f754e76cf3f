"""What any driver can be asked about commands on its host."""

from __future__ import annotations

from typing import Protocol

from drivers.model.upgrade import HostTask, Standing, TaskLook


class HostTasks(Protocol):
    """Commands on a host that are begun once, and outlive the connection they were begun over."""

    async def standing(self) -> Standing:
        """Which boot and kernel run, and what this login may do."""
        ...

    async def begin(self, task: HostTask) -> TaskLook:
        """Begin a command, unless one of that token was begun or another boot runs; look at it."""
        ...

    async def look(self, token: str, *, root: bool) -> TaskLook:
        """How the command of that token stands; ``root`` as it was begun."""
        ...

    async def forget(self, token: str, *, root: bool) -> None:
        """Leave nothing of a command behind that has ended; one that runs is left alone."""
        ...

    async def end(self, token: str, *, root: bool) -> None:
        """Kill a command that still runs, with its children, and leave nothing of it behind."""
        ...
