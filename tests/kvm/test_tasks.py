"""The latch of a command on a host: whoever looks, and whenever, is told the truth."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.kvm import tasks
from drivers.lab.processes import read_process
from drivers.model.host import Protect
from drivers.model.upgrade import HostTask, TaskLook, TaskState

PATIENCE_S = 60.0


class Gate:
    """While it is shut, a ``flock`` that waits for its lock goes on waiting."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, folder / "shut"
        slow = folder / "flock"
        waiting = f'[ "$1" = -n ] || while [ -e {self._file} ]; do sleep 0.01; done'
        slow.write_text(f'#!/bin/sh\n{waiting}\nexec /usr/bin/flock "$@"\n')
        slow.chmod(0o755)

    def shut(self) -> None:
        self._file.touch()

    def open(self) -> None:
        self._file.unlink()


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Scripts run on this machine, past a gate."""
    path = f"{tmp_path}:{os.environ['PATH']}"

    async def here(_session: object, argv: Sequence[str], deadline_s: float) -> str:
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PATH": path}
        )
        async with asyncio.timeout(deadline_s):
            return (await process.communicate())[0].decode()

    monkeypatch.setattr(tasks, "run", here)
    return Gate(tmp_path)


@pytest.fixture
async def host(held: Gate) -> AsyncIterator[tuple[tasks.KvmTasks, HostTask]]:
    """Commands of this machine, and one that has not begun."""
    spec = SimpleNamespace(name="here", protect=Protect.RW, deadline_s=60.0)
    session: Any = SimpleNamespace(spec=spec)
    mine = tasks.KvmTasks(session)
    token = f"latch.{uuid.uuid4().hex}"
    wanted = HostTask(token, "echo done", root=False, boot=(await mine.standing()).boot)
    yield mine, wanted
    await mine.end(token, root=False)


def traces(task: HostTask) -> list[str]:
    """Names of what a command's beginnings left on the host."""
    where = Path("/run" if os.geteuid() == 0 else "/tmp")
    return [path.name for path in where.glob(f"novacron-task-*{task.token}*")]


async def ended(commands: tasks.KvmTasks, task: HostTask) -> TaskLook:
    """Look until it no longer runs."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            look = await commands.look(task.token, root=False)
            if look.state is not TaskState.RUNNING:
                return look


async def test_a_command_that_just_begins_is_not_called_lost(
    held: Gate, host: tuple[tasks.KvmTasks, HostTask]
) -> None:
    """Between the first deed of a beginning and its lock another console sees nothing yet."""
    commands, wanted = host
    held.shut()
    beginning = asyncio.ensure_future(commands.begin(wanted))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            look = await commands.look(wanted.token, root=False)
            assert look.state is TaskState.ABSENT
            if traces(wanted):
                break
    assert (await commands.look(wanted.token, root=False)).state is TaskState.ABSENT
    held.open()
    await beginning
    look = await ended(commands, wanted)
    assert (look.state, look.status, look.output) == (TaskState.ENDED, 0, "done")


async def test_of_many_that_begin_at_once_one_does(
    held: Gate, host: tuple[tasks.KvmTasks, HostTask]
) -> None:
    """The others leave nothing behind."""
    commands, wanted = host
    held.shut()
    beginnings = [asyncio.ensure_future(commands.begin(wanted)) for _ in range(4)]
    async with asyncio.timeout(PATIENCE_S):
        while len(traces(wanted)) < len(beginnings):
            await commands.look(wanted.token, root=False)
    held.open()
    await asyncio.gather(*beginnings)
    assert (await ended(commands, wanted)).output == "done"
    assert traces(wanted) == [f"novacron-task-{os.geteuid()}-{wanted.token}"]


async def test_a_command_that_hangs_is_ended_with_its_children_and_leaves_nothing(
    host: tuple[tasks.KvmTasks, HostTask], tmp_path: Path
) -> None:
    """One that has ended leaves nothing either; of one that never began nothing is wanted."""
    commands, wanted = host
    pids = tmp_path / "pids"
    hangs = f"sleep 1000 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait"
    await commands.end(wanted.token, root=False)
    await commands.begin(replace(wanted, command=hangs))
    async with asyncio.timeout(PATIENCE_S):
        while not pids.exists():
            await commands.look(wanted.token, root=False)
    await commands.forget(wanted.token, root=False)
    assert (await commands.look(wanted.token, root=False)).state is TaskState.RUNNING
    await commands.end(wanted.token, root=False)
    assert traces(wanted) == []
    async with asyncio.timeout(PATIENCE_S):
        while any(_alive(int(pid)) for pid in pids.read_text().split()):
            await commands.look(wanted.token, root=False)
    await commands.begin(wanted)
    await ended(commands, wanted)
    await commands.end(wanted.token, root=False)
    assert traces(wanted) == []


def _alive(pid: int) -> bool:
    return read_process(pid) is not None
