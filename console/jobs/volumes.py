"""Making and deleting volumes; nothing that any domain names is ever deleted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from console.jobs.work import Made, Work
from console.policy.sizes import size_words
from console.policy.usage import (
    hosts_listing,
    names_path,
    on_shared_storage,
    users,
    users_words,
)
from drivers.errors import Busy, DriverError, Gone, Refused, TimedOut, Unreachable
from drivers.model.job import Step

_DELETE_WAIT_S = 20.0
"""A copy that was just stopped may hold its volume for moments."""


async def create_volume(work: Work, step: Step) -> str:
    """Make an empty volume; its path is journaled before it exists."""
    work.check_cancel()
    args = step.args
    driver = work.driver(args["host"])
    await refuse_existing(work, args["host"], args["path"])
    source = await work.driver().find_volume(args["old_path"])
    capacity = source.capacity if source and source.capacity else int(args["capacity"])
    own = Made(args["host"], args["path"], args["disk"])
    before = work.made
    await work.remember_made((*before, own))
    try:
        volume = await driver.create_volume(
            args["pool"], args["name"], capacity, args["format"], args.get("backing", "")
        )
    except (TimedOut, Unreachable):
        raise
    except DriverError:
        # It was not made: what may lie there under that name is somebody else's.
        await work.remember_made(before)
        raise
    if volume.path != own.path:
        await work.remember_made((*before, Made(own.host, volume.path, own.disk)))
    return f"{volume.path}, {size_words(capacity)}"


async def refuse_existing(work: Work, host: str, path: str) -> None:
    """Refuse to write where something lies already."""
    if await work.driver(host).find_volume(path) is not None:
        raise Refused(
            f"{path} already exists on {host}; it was not touched",
            proof="found just before it was to be made",
            fix="ask again: a free name will be chosen",
        )


@dataclass(frozen=True, slots=True)
class Deletion:
    """What became of a volume: gone, or kept for a reason."""

    gone: bool
    text: str


async def delete_unused(work: Work, host: str, path: str, *, copied: bool = False) -> Deletion:
    """Delete a volume unless any domain names it, or that cannot be told.

    Args:
        copied: The job's own VM may name the same path on another host, where it is another
            file: one end of a migration that copied its disks.

    Never raises a driver's error: a volume that stays is told with the reason.
    """
    limit = work.now() + _DELETE_WAIT_S
    while True:
        try:
            why = await _in_use(work, host, path, copied)
            if why:
                return Deletion(False, f"{path} on {host} is kept: {why}")
            await work.driver(host).delete_volume(path)
            return Deletion(True, f"{path} on {host} is deleted")
        except Gone:
            return Deletion(True, f"{path} is not on {host}")
        except Busy as error:
            if work.now() >= limit:
                return Deletion(False, f"{path} on {host} is kept: {error.problem.what}")
        except DriverError as error:
            return Deletion(False, f"{path} on {host} is kept: {error.problem.what}")
        await work.pause()


async def _in_use(work: Work, host: str, path: str, copied: bool) -> str:
    """Why a volume must stay; empty when every domain that could is known not to name it."""
    reading = await work.tools.reader.read(host)
    named = [vm.name for vm in reading.vms if names_path(vm, path)]
    if named:
        return f"used by {', '.join(named)}"
    unseen = set(reading.stuck) - {vm.uuid for vm in reading.vms}
    if unseen:
        return f"{len(unseen)} VM(s) of {host} do not answer and may use it"
    others = [
        vm
        for vm in work.tools.snapshot().vms()
        if vm.host != host and not (copied and vm.uuid == work.uuid)
    ]
    shared = users(others, path)
    if shared:
        return f"used by {users_words(shared)}"
    told = await asyncio.gather(
        *(_used_there(work, other, path) for other in _reaching(work, host, path, copied))
    )
    return "; ".join(filter(None, told))


def _reaching(work: Work, host: str, path: str, copied: bool) -> list[str]:
    """Other hosts that may reach the very file: all on shared storage, else those that list it."""
    snapshot = work.tools.snapshot()
    others = sorted(set(work.tools.drivers) - {host})
    if on_shared_storage(snapshot, path):
        return others
    listing = frozenset() if copied else hosts_listing(snapshot, path)
    return [other for other in others if other in listing]


async def _used_there(work: Work, host: str, path: str) -> str:
    """Why another host's VMs forbid a deletion, read now; empty when they do not."""
    try:
        reading = await work.tools.reader.read(host)
    except DriverError as error:
        return f"VMs of {host} may use it, and {host} cannot be read: {error.problem.what}"
    named = [vm.name for vm in reading.vms if names_path(vm, path)]
    if named:
        return f"used by {', '.join(f'{name} on {host}' for name in named)}"
    unseen = set(reading.stuck) - {vm.uuid for vm in reading.vms}
    return f"{len(unseen)} VM(s) of {host} do not answer and may use it" if unseen else ""


async def drop_made(work: Work) -> tuple[str, ...]:
    """Delete the volumes this job made; returns a sentence for each, forgetting those gone."""
    left: list[Made] = []
    told: list[str] = []
    for own in work.made:
        outcome = await delete_unused(work, own.host, own.path, copied=True)
        told.append(outcome.text)
        if not outcome.gone:
            left.append(own)
    if work.made:
        await work.remember_made(tuple(left))
    return tuple(told)


async def delete_chosen(work: Work, step: Step) -> str:
    """Delete a volume that a person chose; staying is a failure."""
    outcome = await delete_unused(work, work.host, step.args["path"])
    if not outcome.gone:
        raise Refused("a chosen volume was not deleted", proof=outcome.text)
    return outcome.text


async def drop_volume(work: Work, step: Step) -> str:
    """Delete a partial copy left behind."""
    outcome = await delete_unused(work, step.args["host"], step.args["path"], copied=True)
    if not outcome.gone:
        raise Refused("the copy could not be deleted", proof=outcome.text)
    await work.remember_made(tuple(m for m in work.made if m.path != step.args["path"]))
    return outcome.text
