"""Steps of a tier move, live and cold."""

from __future__ import annotations

import asyncio
from html import escape

from console.jobs.content import UNREAD, checksum, written_since
from console.jobs.meter import Meter
from console.jobs.volumes import delete_unused, refuse_existing
from console.jobs.work import Made, Work
from console.policy.truth import Sighting
from drivers.errors import (
    Busy,
    Cancelled,
    DriverError,
    Failed,
    Gone,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
)
from drivers.model.job import Step
from drivers.model.storage import Volume
from drivers.model.vm import JobProgress
from drivers.protocol import BlockJob

_ABORT_WAIT_S = 20.0
_VERIFY_S = 10.0
_SILENT_S = 60.0
"""How long a host may be silent while a copy runs there."""

_EXISTS = ("file exists", "already exists", "already in use")


def new_path(work: Work, step: Step) -> str:
    """Where the copy really lies: the journal knows better than the plan."""
    disk = step.args["disk"]
    return next((m.path for m in work.made if m.disk == disk), step.args["path"])


def disk_source(seen: Sighting, disk: str) -> str:
    """What a disk of a seen VM points at; empty when it is not known."""
    disks = seen.vm.disks if seen.vm else ()
    return next((d.source for d in disks if d.target == disk), "")


async def refuse_snapshots(work: Work) -> None:
    """Refuse to copy an image whose snapshots or checkpoints would stay behind in it.

    Raises:
        DriverError: There are some, or that could not be read.
    """
    needs = await work.driver().needs(work.uuid)
    kinds = (("snapshots", needs.snapshots), ("checkpoints", needs.checkpoints))
    unknown = [what for what, count in kinds if count is None]
    if unknown:
        raise Refused(
            f"whether {work.name} has {' or '.join(unknown)} is not known",
            proof=f"libvirt on {work.host} cannot list them; a copy of the disk would lose them",
            fix="leave the disk there",
        )
    found = [f"{needs.snapshots} snapshot(s)"] if needs.snapshots else []
    found += [f"{needs.checkpoints} checkpoint(s)"] if needs.checkpoints else []
    if found:
        raise Refused(
            f"{work.name} has {' and '.join(found)}, which a copy of its disk would lose",
            proof=f"libvirt on {work.host} lists them",
            fix=f"delete them first (virsh snapshot-list {work.name}), or leave the disk there",
        )


async def block_copy(work: Work, step: Step) -> str:
    """Begin a block copy (or take up the one that runs) and follow it until it is in step."""
    disk, path = step.args["disk"], new_path(work, step)
    work.check_cancel()
    driver = work.driver()
    if step.args.get("attach") != "yes":
        seen = await work.see()
        if not seen.active or disk_source(seen, disk) != step.args["old_path"]:
            raise Refused(
                f"{disk} of {work.name} is not what it was when this was planned",
                proof=seen.why or f"it is {disk_source(seen, disk) or 'not there'}",
                fix="refresh, and ask again",
            )
        await refuse_snapshots(work)
        await work.remember(phase="copying")
        limit = int(step.args.get("bandwidth_mib", "0"))
        await driver.block_copy(work.uuid, disk, path, step.args["format"], limit)
    meter = Meter(work.now())
    started = work.now()
    while True:
        work.check_cancel()
        job = await _block_job(work, disk)
        if job is None:
            raise Failed(
                f"the copy of {disk} ended before it was complete",
                proof=f"{work.host} has no block job on {disk}",
                fix="see the log of QEMU on the host; a full disk is the usual cause",
            )
        work.show(meter.update(_progress(job, work.now(), started)))
        if job.ready:
            return f"source and copy are in step after {work.now() - started:.1f} s"
        await work.pause()


async def _block_job(work: Work, disk: str) -> BlockJob | None:
    """The copy as it stands; a host that does not answer for a moment does not end it."""
    limit = work.now() + _SILENT_S
    while True:
        try:
            return await work.driver().block_job(work.uuid, disk)
        except (TimedOut, Unreachable, Busy):
            if work.now() >= limit:
                raise
        work.check_cancel()
        await work.pause()


def _progress(job: BlockJob, now: float, started: float) -> JobProgress:
    phase = "in step" if job.ready else "copying"
    return JobProgress(phase, now, started, job.done, job.total, rate_bps=job.rate_bps)


async def pivot(work: Work, step: Step) -> str:
    """Switch to the copy: the last moment to cancel is before it."""
    work.check_cancel()
    disk = step.args["disk"]
    await work.remember(phase="pivoting")
    try:
        await work.driver().block_pivot(work.uuid, disk)
    except DriverError:
        seen = await work.see()
        if disk_source(seen, disk) != new_path(work, step):
            raise
    work.tools.nudge(work.host)
    return f"{work.name} writes to {new_path(work, step)}"


async def verify_disk(work: Work, step: Step) -> str:
    """Running and defined, the disk must point at the new path."""
    disk, path = step.args["disk"], new_path(work, step)
    limit = work.now() + _VERIFY_S
    while True:
        seen = await work.see()
        if seen.known and disk_source(seen, disk) == path:
            break
        if work.now() >= limit:
            found = disk_source(seen, disk) or seen.why or "not there"
            raise Failed(f"{disk} of {work.name} is not on the new volume", proof=f"it is {found}")
        await work.pause()
    if seen.vm is not None and seen.vm.persistent:
        xml = await work.driver().xml(work.uuid, inactive=True)
        if not any(quote + escape(path, quote=False) + quote in xml for quote in ("'", '"')):
            raise Failed(
                f"the definition of {work.name} does not name the new volume",
                proof=f"{path} is not in its inactive XML",
                fix=f"do not restart {work.name} before its definition is right",
            )
    await work.remember(verified="yes", phase="moved")
    work.tools.nudge(work.host)
    return f"{disk} is {path}"


async def remove_old(work: Work, step: Step) -> str:
    """Delete the volume the VM has left, when that is proven; else keep it and say why."""
    path = step.args["path"]
    if work.facts.get("verified") != "yes":
        return f"{path} is kept: the move is not verified"
    if work.facts.get("content") == UNREAD:
        return f"{path} is kept: its content could not be compared with the copy's"
    seen = await work.see()
    source = disk_source(seen, step.args["disk"])
    if not source or source == path:
        return f"{path} is kept: {work.name} was not seen on its new volume"
    try:
        await refuse_snapshots(work)
    except DriverError as error:
        return f"{path} is kept: {error.problem.what}"
    why = await written_since(work, path)
    if why:
        raise Failed(
            f"{path} was written to after it was copied, so it is kept",
            proof=why,
            fix=f"compare it with {source}, and keep the one that is right",
        )
    return (await delete_unused(work, work.host, path)).text


async def clone(work: Work, step: Step) -> str:
    """Copy the volume of a stopped VM."""
    args = step.args
    await refuse_existing(work, work.host, args["path"])
    seen = await work.see()
    if disk_source(seen, args["disk"]) != args["old_path"]:
        raise Refused(f"{args['disk']} is not what it was when this was planned", proof=seen.why)
    await refuse_snapshots(work)
    before = work.made
    await work.remember_made((*before, Made(work.host, args["path"], args["disk"])))
    await work.remember(phase="copying")
    try:
        volume, seconds = await _clone(work, step)
    except (Refused, Gone, Failed) as error:
        if _made_nothing(error):
            await work.remember_made(before)
        raise
    if volume.path != args["path"]:
        await work.remember_made((*before, Made(work.host, volume.path, args["disk"])))
    return f"{volume.path}, copied in {seconds:.1f} s"


def _made_nothing(error: DriverError) -> bool:
    """Whether a failed copy wrote nothing: a file of that name is then somebody else's."""
    told = f"{error.problem.what} {error.problem.proof}".lower()
    return not isinstance(error, Failed) or any(words in told for words in _EXISTS)


async def _clone(work: Work, step: Step) -> tuple[Volume, float]:
    """Copy and show figures; returns the copy and the seconds it took."""
    args = step.args
    latest = [(0, 0)]

    def told(done: int, total: int) -> None:
        latest[0] = (done, total)

    task = asyncio.create_task(
        work.driver().clone_volume(args["old_path"], args["pool"], args["name"], told)
    )
    meter, started = Meter(work.now()), work.now()
    try:
        while not task.done():
            work.check_cancel()
            done, total = latest[0]
            progress = JobProgress("copying", work.now(), started, done, total or None)
            work.show(meter.update(progress))
            await work.pause()
        return task.result(), work.now() - started
    except Cancelled:
        if task.done() and not task.cancelled() and isinstance(task.exception(), DriverError):
            task.result()  # it had failed by itself: that tells whether a file was made
        await _let_go(task)
        raise
    except asyncio.CancelledError:
        await _let_go(task)
        raise


async def _let_go(task: asyncio.Task[Volume]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=1.0)


async def compare(work: Work, step: Step) -> str:
    """Size, and content where it can be read, of both; the VM must have stayed off."""
    old, new = step.args["old_path"], new_path(work, step)
    driver = work.driver()
    first, second = await driver.find_volume(old), await driver.find_volume(new)
    if first is None or second is None or first.capacity != second.capacity:
        sizes = [v.capacity if v else "missing" for v in (first, second)]
        raise Failed("the copy has another size", proof=f"{sizes[0]} and {sizes[1]}")
    try:
        here = await checksum(work, old, "reading the original")
        there = await checksum(work, new, "reading the copy")
    except (Unsupported, TimedOut) as error:
        await work.remember(content=UNREAD, written=first.written)
        return f"same size; content not compared: {error.problem.what}; the old volume will stay"
    if here != there:
        raise Failed(
            "the copy differs from the original",
            proof=f"SHA-256 {here[:16]}... and {there[:16]}...",
            fix="somebody wrote to the disk meanwhile, or the storage is faulty",
        )
    await work.remember(content=here, written=first.written)
    return f"same size and SHA-256 {here[:16]}..."


async def repoint(work: Work, step: Step) -> str:
    """Point the definition at the copy, unless the VM was started meanwhile."""
    work.check_cancel()
    why = await written_since(work, step.args["old_path"])
    if why:
        raise Refused(f"the copy is out of date, so {work.name} keeps its old disk", proof=why)
    seen = await work.see()
    if not seen.known or seen.vm is None or seen.vm.state.active:
        state = seen.vm.state.value if seen.vm else seen.why
        raise Refused(f"{work.name} did not stay off, so it keeps its old disk", proof=state)
    disk, path = step.args["disk"], new_path(work, step)
    await work.remember(phase="redefining")
    await work.driver().repoint_disk(work.uuid, disk, path, step.args["format"])
    work.tools.nudge(work.host)
    return f"the definition names {path}"


async def abort_copy(work: Work, step: Step) -> str:
    """End a block copy left behind; the VM stays on its old disk."""
    seen = await end_block_job(work, step.args["disk"])
    source = disk_source(seen, step.args["disk"])
    if not seen.known or not source:
        raise Failed(f"the disk of {work.name} cannot be read", proof=seen.why)
    if any(source == m.path for m in work.made):
        raise Failed(
            f"{work.name} is on the copy already", proof=f"{step.args['disk']} is {source}"
        )
    return f"{work.name} stays on {source}"


async def end_block_job(work: Work, disk: str) -> Sighting:
    """Abort the disk's block job if there is one, and read the VM once none is left.

    Returns:
        A sighting that is not ``known`` when a block job may still run.
    """
    driver, limit = work.driver(), work.now() + _ABORT_WAIT_S
    why = "its block job did not end"
    while True:
        seen = await work.see()
        if not seen.active:
            return seen
        try:
            if await driver.block_job(work.uuid, disk) is None:
                return await work.see()
            await driver.block_abort(work.uuid, disk)
        except DriverError as error:
            why = error.problem.what
        if work.now() >= limit:
            return Sighting(work.host, seen.vm, known=False, why=why)
        await work.pause()
