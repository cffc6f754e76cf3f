"""Hosts on which commands are run and that reboot, for tests of upgrades."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from console.operations.hands import Hands
from drivers.errors import Unreachable
from drivers.model.host import Host
from drivers.model.operation import MoveState, Operation, OperationState, StageRun
from drivers.model.upgrade import HostTask, Standing, TaskLook, TaskState, UpgradeRules
from drivers.model.vm import VmState
from tests.console.jobworld import Console, Domain
from tests.console.opsworld import HOSTS, OpsConsole, OpsWorld, until, uuid_of

UPGRADE = "apt-get -y full-upgrade"
REBOOT = "systemctl reboot"
OLD, NEW = "6.1.0-29-amd64", "6.1.0-30-amd64"


@dataclass
class Task:
    """A command that was begun on a host."""

    command: str
    boot: str
    ends_at: float
    status: int


@dataclass
class UpgradeWorld(OpsWorld):
    """What was run where, and what fails.

    Attributes:
        ran: (host, command) in the order they were begun.
        statuses: Command to the exit status it has; 0 for others.
        reboots: Seconds a reboot takes; None: the host never comes back.
        deaf: Hosts whose libvirtd does not answer.
        lost: Hosts that forget their commands in a reboot that nobody asked for.
        most_out: The most hosts that were ever out at once, as the cordons tell.
        console_boot: Boot of the machine that the consoles run on.
    """

    rules: dict[str, UpgradeRules] = field(default_factory=dict)
    ran: list[tuple[str, str]] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    tasks: dict[tuple[str, str], Task] = field(default_factory=dict)
    boots: Counter[str] = field(default_factory=Counter)
    kernels: dict[str, str] = field(default_factory=dict)
    next_kernel: str = NEW
    reboots: float | None = 20.0
    lasts: float = 3.0
    up_at: dict[str, float] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    closed_pools: set[str] = field(default_factory=set)
    rootless: set[str] = field(default_factory=set)
    most_out: int = 0
    console_boot: str = "jump1-0"

    def boot(self, host: str) -> str:
        return f"{host}-{self.boots[host]}"

    def tick(self, seconds: float) -> None:
        super().tick(seconds)
        self.most_out = max(self.most_out, len(self.cordons))
        for host, at in list(self.up_at.items()):
            if self.now >= at:
                del self.up_at[host]
                self.down.discard(host)
                self.kernels[host] = self.next_kernel

    def reboot(self, host: str) -> None:
        """The host goes down, with whatever runs on it."""
        for (where, _), domain in self.domains.items():
            if where == host and domain.state.active:
                domain.state = VmState.OFF
                self.damage.append(f"{domain.name} was cut off on {host}")
        self.boots[host] += 1
        self.tasks = {key: t for key, t in self.tasks.items() if key[0] != host}
        self.down.add(host)
        if self.reboots is not None:
            self.up_at[host] = self.now + self.reboots

    def host(self, name: str) -> Host:
        host = super().host(name)
        if name in self.deaf:
            host = replace(host, slow_at=1.0)
        if name in self.closed_pools:
            host = replace(host, pools=tuple(replace(p, active=False) for p in host.pools))
        return host

    def hands(self, console: Console) -> Hands:
        tasks, boot = lambda host: WorldTasks(console, self, host), self.console_boot
        return Hands(tasks, lambda _host: None, self.rules, boot)


class WorldTasks:
    """The commands of one host, as one console reaches it."""

    def __init__(self, console: Console, world: UpgradeWorld, host: str) -> None:
        self._console, self._world, self._host = console, world, host

    async def _act(self, name: str, act: Callable[[], TaskLook]) -> TaskLook:
        await asyncio.sleep(0)
        lose = self._console.enter(name)
        if self._host in self._world.down:
            raise Unreachable(f"{self._host} does not answer")
        answer = act()
        self._console.leave(lose)
        return answer

    async def standing(self) -> Standing:
        world, host = self._world, self._host
        await self._act("standing", lambda: TaskLook(TaskState.ABSENT, ""))
        kernel = world.kernels.get(host, OLD)
        return Standing(world.boot(host), kernel, "ops", host not in world.rootless)

    async def begin(self, task: HostTask) -> TaskLook:
        def act() -> TaskLook:
            world, key = self._world, (self._host, task.token)
            if key not in world.tasks and task.boot == world.boot(self._host):
                world.ran.append((self._host, task.command))
                status = world.statuses.get(task.command, 0)
                ends_at = world.now + world.lasts
                world.tasks[key] = Task(task.command, task.boot, ends_at, status)
                if task.command == REBOOT and not status:
                    world.reboot(self._host)
                    raise Unreachable("the connection was lost")
            return self._look(task.token)

        return await self._act("begin_task", act)

    async def look(self, token: str, *, root: bool) -> TaskLook:
        assert root
        return await self._act("look_task", lambda: self._look(token))

    async def forget(self, token: str, *, root: bool) -> None:
        def act() -> TaskLook:
            look = self._look(token)
            if look.state is TaskState.ENDED:
                del self._world.tasks[(self._host, token)]
            return look

        assert root
        await self._act("forget_task", act)

    async def end(self, token: str, *, root: bool) -> None:
        def act() -> TaskLook:
            look = self._look(token)
            self._world.tasks.pop((self._host, token), None)
            return look

        assert root
        await self._act("end_task", act)

    def _look(self, token: str) -> TaskLook:
        world, boot = self._world, self._world.boot(self._host)
        task = world.tasks.get((self._host, token))
        if task is None:
            return TaskLook(TaskState.ABSENT, boot)
        told = f"{task.command} on {self._host}"
        if world.now < task.ends_at:
            return TaskLook(TaskState.RUNNING, boot, None, told)
        return TaskLook(TaskState.ENDED, boot, task.status, f"{told}: status {task.status}")


def upgrade_fleet(per_host: int = 2, **rules: object) -> UpgradeWorld:
    """Three hosts with so many running VMs each, and one way to upgrade them."""
    world = UpgradeWorld()
    told = UpgradeRules(commands=(UPGRADE,), expect_kernel="6.1.0-30*")
    world.rules[""] = replace(told, **rules)  # type: ignore[arg-type]
    for index, host in enumerate(HOSTS):
        for number in range(index * 10, index * 10 + per_host):
            path = f"/warm/vm{number}.raw"
            world.domains[(host, uuid_of(number))] = Domain(f"vm{number}", VmState.RUNNING, path)
            for each in HOSTS:
                world.volumes[(each, path)] = "data"
    return world


def stage(operation: Operation, host: str, verb: str) -> StageRun:
    """The first stage of that kind of a host."""
    return next(r for r in operation.stages if (r.stage.host, r.stage.verb) == (host, verb))


def states(operation: Operation) -> dict[str, list[MoveState]]:
    """Host to the states of its stages."""
    found: dict[str, list[MoveState]] = {}
    for run in operation.stages:
        found.setdefault(run.stage.host, []).append(run.state)
    return found


async def go_on(console: OpsConsole, operation: Operation, verb: str = "resume") -> Operation:
    """Ask so of one that is paused, and wait until it is paused again or ended."""
    await getattr(console.operations, verb)(operation.id)
    world = console.world
    await until(lambda: world.operations[operation.id].state is not OperationState.PAUSED)
    return await console.ended(operation.id)
