"""Commands on a simulated host: they take a moment, and a reboot takes the host away."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drivers.errors import Refused
from drivers.model.host import Protect
from drivers.model.upgrade import HostTask, Standing, TaskLook, TaskState
from drivers.model.vm import VmState
from drivers.sim.world import SimHost, World, unreachable

LASTS_S = 3.0
"""Seconds that any command takes."""

BOOT_S = 12.0
"""Seconds that a reboot takes."""

KERNEL = "6.1.0-38-amd64"
"""What runs after a reboot."""


@dataclass(slots=True)
class SimTask:
    """One command that was begun."""

    command: str
    boot: str
    ends_at: float

    def look(self, now: float, boot: str) -> TaskLook:
        """How it stands; what a reboot cut short is lost."""
        told = f"$ {self.command}"
        if now < self.ends_at:
            lost = boot != self.boot
            return TaskLook(TaskState.LOST if lost else TaskState.RUNNING, boot, output=told)
        status = 1 if self.command.split()[:1] == ["false"] else 0
        return TaskLook(TaskState.ENDED, boot, status, f"{told}\ndone (simulated)")


class SimTasks:
    """See ``drivers.tasks.HostTasks``."""

    def __init__(self, world: World, host: SimHost, protect: Protect) -> None:
        self._world = world
        self._host = host
        self._protect = protect

    async def standing(self) -> Standing:
        """Boot, kernel and rights."""
        await self._world.answer(self._host)
        return Standing(self._boot, self._host.facts.kernel, "root", root=True)

    async def begin(self, task: HostTask) -> TaskLook:
        """Begin a command unless it was begun."""
        if self._protect is Protect.RO:
            proof = 'protect = "ro" in the configuration'
            raise Refused(f"{self._host.name} is read-only.", proof, "change protect for this host")
        await self._world.answer(self._host)
        known = self._host.tasks
        if task.token not in known and task.boot == self._boot:
            ends_at = self._world.clock() + LASTS_S * self._world.pace
            known[task.token] = SimTask(task.command, task.boot, ends_at)
            if "reboot" in task.command.split():
                self._world.later(LASTS_S, self._go_down)
        return await self.look(task.token, root=task.root)

    async def look(self, token: str, *, root: bool) -> TaskLook:  # noqa: ARG002 - as the real one
        """How a command stands."""
        await self._world.answer(self._host)
        found = self._host.tasks.get(token)
        if found is None:
            return TaskLook(TaskState.ABSENT, self._boot)
        return found.look(self._world.clock(), self._boot)

    async def forget(self, token: str, *, root: bool) -> None:
        """Drop a command that has ended."""
        if (await self.look(token, root=root)).state is TaskState.ENDED:
            del self._host.tasks[token]

    async def end(self, token: str, *, root: bool) -> None:
        """Drop a command, also one that runs."""
        if (await self.look(token, root=root)).state is not TaskState.ABSENT:
            del self._host.tasks[token]

    @property
    def _boot(self) -> str:
        return f"{self._host.name}-boot-{self._host.boots}"

    def _go_down(self) -> None:
        host, world = self._host, self._world
        for guest in host.guests.values():
            if guest.vm.state.active:
                world.enter(host, guest, VmState.OFF, "shutdown", "stopped", "stopped (destroyed)")
        world.take_down(host, unreachable(host.name, host.name))
        world.later(BOOT_S, self._come_up)

    def _come_up(self) -> None:
        host, world = self._host, self._world
        host.down = None
        host.boots += 1
        host.booted_at = world.clock()
        host.facts = replace(host.facts, kernel=KERNEL)
        for guest in host.guests.values():
            if guest.vm.autostart:
                world.enter(host, guest, VmState.RUNNING, "booted", "started", "started (booted)")
