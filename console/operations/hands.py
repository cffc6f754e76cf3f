"""What an upgrade needs beyond moving VMs: commands on hosts, and how hosts are upgraded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from drivers.model.operation import OperationPlan
from drivers.model.upgrade import UpgradeRules
from drivers.tasks import HostTasks


@dataclass(frozen=True, slots=True)
class Hands:
    """Reach into hosts.

    Attributes:
        tasks: Commands on a host; a DriverError when it is not connected.
        wake: Makes the poller read a host again now, also one that was given up for a while.
        rules: How hosts are upgraded, by name.
        boot: Id of the boot that this console runs in; empty where it is not told.
    """

    tasks: Callable[[str], HostTasks]
    wake: Callable[[str], None]
    rules: Mapping[str, UpgradeRules] = field(default_factory=dict)
    boot: str = ""


class Crew(Protocol):
    """The operation runner, as an upgrade uses it for its drains and returns."""

    async def start(
        self,
        plan: OperationPlan,
        parent: str = "",
        *,
        ident: str = "",
        barred: tuple[str, ...] = (),
    ) -> str:
        """Record a plan as an operation of that id and begin it."""
        ...

    async def resume(self, operation_id: str) -> None:
        """Go on with it."""
        ...

    async def pause(self, operation_id: str) -> None:
        """Begin nothing more."""
        ...

    async def cancel(self, operation_id: str) -> None:
        """Give up the rest."""
        ...

    def drives(self, operation_id: str) -> bool:
        """Whether this console carries it out."""
        ...
