"""Moving a VM that is off: its disks through this console, then its definition."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

from console.jobs.meter import Meter
from console.jobs.work import Work
from console.policy.lifecycle import OFF
from console.policy.sizes import size_words
from console.policy.truth import Sighting
from drivers.errors import Cancelled, Failed, Gone, Refused, TimedOut, Unsupported
from drivers.model.job import Step
from drivers.model.migration import Figures
from drivers.model.vm import JobProgress

MODE = "offline"

_LET_GO_S = 6.0


async def precheck(work: Work, target: str, source: Sighting, there: Sighting) -> str:
    """Both hosts, just read: the VM is off here and unknown there."""
    if source.vm is None or source.vm.state not in OFF:
        state = source.vm.state.value if source.vm else "gone"
        raise Refused(f"{work.name} is not off on {work.host}", proof=f"it is {state}")
    if there.active:
        raise Refused(f"{work.name} runs on {target}: two VMs of one UUID")
    known = "old" if there.vm is not None else "new"
    await work.remember(target=target, was=source.vm.state.value, mode=MODE, there=known)
    return f"{work.name} is off on {work.host}, and does not run on {target}"


async def send_volume(work: Work, step: Step) -> str:
    """Send a disk's image as it is; it must not be written to meanwhile."""
    work.check_cancel()
    await _still_off(work)
    args, target = step.args, step.args["target"]
    path = _path(work, step)
    volume = await work.driver().find_volume(args["old_path"])
    if volume is None:
        raise Gone(f"{args['old_path']} is in no pool of {work.host}")
    written = {**json.loads(work.facts.get("written", "{}")), args["disk"]: volume.written}
    await work.remember(written=json.dumps(written, sort_keys=True))
    latest, started, meter = [(0, 0)], work.now(), Meter(work.now())

    def told(done: int, total: int) -> None:
        latest[0] = (done, total)

    task = asyncio.create_task(
        work.driver().send_volume(args["old_path"], work.driver(target), path, told)
    )
    try:
        while not task.done():
            work.check_cancel()
            done, total = latest[0]
            phase = f"sending {args['disk']} to {target}"
            progress = JobProgress(phase, work.now(), started, done, total or None)
            work.show(meter.update(progress))
            await work.pause()
    except (Cancelled, asyncio.CancelledError):
        task.cancel()
        await asyncio.wait({task}, timeout=_LET_GO_S)
        raise
    task.result()
    seconds = work.now() - started
    sent = json.loads(work.facts.get("sent", "[0, 0]"))
    await work.remember(sent=json.dumps([sent[0] + latest[0][1], round(sent[1] + seconds, 3)]))
    return f"{size_words(latest[0][1])} in {seconds:.1f} s"


async def remember_figures(work: Work) -> None:
    """Journal what sending took; how long the definition took is nothing."""
    size, seconds = json.loads(work.facts.get("sent", "[0, 0]"))
    if size and seconds:
        found = Figures(work.now(), seconds, size, round(size / seconds, 1))
        await work.remember(figures=json.dumps(asdict(found), sort_keys=True))


async def compare_sent(work: Work, step: Step) -> str:
    """What a guest reads of both must be the same, where it can be read."""
    work.check_cancel()
    old, new, target = step.args["old_path"], _path(work, step), step.args["target"]
    try:
        here = await work.driver().checksum(old)
        there = await work.driver(target).checksum(new)
    except (Unsupported, TimedOut) as error:
        if step.args.get("must"):
            raise
        await work.remember(**{f"unread-{step.args['disk']}": "yes"})
        await _remember_copy(work, step, new)
        return f"content not compared: {error.problem.what}; the old volume will stay"
    if here != there:
        proof = f"SHA-256 {here[:16]}... of {old} and {there[:16]}... of {new} on {target}"
        if step.args.get("must"):
            what = f"the backing file on {target} holds something else than the one here"
            raise Failed(what, proof, "leave incremental out: the whole disk is copied then")
        raise Failed(
            "the copy differs from the original",
            proof=proof,
            fix="somebody wrote to the disk meanwhile, or the storage is faulty",
        )
    await _remember_copy(work, step, new)
    return f"same SHA-256 {here[:16]}..."


async def _remember_copy(work: Work, step: Step, path: str) -> None:
    """Journal when the copy was last written to: what is newer was written by its guest."""
    volume = await work.driver(step.args["target"]).find_volume(path)
    if volume is not None:
        copied = json.loads(work.facts.get("copied", "{}"))
        copied[step.args["disk"]] = volume.written
        await work.remember(copied=json.dumps(copied, sort_keys=True))


def _path(work: Work, step: Step) -> str:
    """Where the copy truly lies: a pool may have named it otherwise than was planned."""
    made = {own.disk: own.path for own in work.made}
    return made.get(step.args["disk"], step.args["path"])


async def ready_to_move(work: Work) -> None:
    """Right before the definition moves: still off, and no disk written to since it was sent.

    Raises:
        Refused: The copies are out of date; nothing was moved.
    """
    await _still_off(work)
    sent = json.loads(work.facts.get("written", "{}"))
    for disk in (await work.see()).vm.disks if sent else ():  # type: ignore[union-attr]
        if disk.target not in sent:
            continue
        volume = await work.driver().find_volume(disk.source)
        now = volume.written if volume else "missing"
        if now != sent[disk.target]:
            raise Refused(
                f"{disk.target} of {work.name} was written to after it was sent",
                proof=f"last written {sent[disk.target]} then, {now} now",
                fix="ask again while nobody uses it",
            )


async def _still_off(work: Work) -> None:
    seen = await work.see()
    if not seen.known or seen.vm is None or seen.vm.state not in OFF:
        state = seen.vm.state.value if seen.vm else seen.why or "gone"
        raise Refused(f"{work.name} did not stay off, so it stays on {work.host}", proof=state)


def arrived(source: Sighting, there: Sighting) -> bool:
    """The target alone knows the VM."""
    return source.known and source.vm is None and there.known and there.vm is not None


def where_words(name: str, source: Sighting, there: Sighting) -> str:
    """Who knows the VM, and that it is off."""
    if arrived(source, there) and there.vm is not None:
        return f"{name} is {there.vm.state.value} on {there.host}, and {source.host} forgot it"
    parts = []
    for seen in (source, there):
        if not seen.known:
            parts.append(f"{seen.host} is not known: {seen.why}")
        elif seen.vm is not None:
            parts.append(f"{name} is {seen.vm.state.value} on {seen.host}")
        else:
            parts.append(f"{seen.host} does not know it")
    return "; ".join(parts)


async def _copies_unused(work: Work, there: Sighting) -> None:
    copied = json.loads(work.facts.get("copied", "{}"))
    for own in work.made:
        if own.host != there.host or own.disk not in copied:
            continue
        volume = await work.driver(own.host).find_volume(own.path)
        if volume is not None and volume.written != copied[own.disk]:
            raise Refused(
                f"{work.name} was used on {own.host} meanwhile, so nothing is taken back",
                proof=f"{own.path}: written {volume.written}, its copy ended {copied[own.disk]}",
                fix="compare the disks of both hosts, and undefine the VM where they are older",
            )


async def take_back(work: Work, source: Sighting, there: Sighting) -> str:
    """Where both hosts know the VM and neither runs it: the target forgets it again.

    Unless it held a definition of it before: whether that is still the old one cannot be told.

    Raises:
        Refused: It was run there meanwhile: its newest data is there.
    """
    if source.vm is None or there.vm is None or source.active or there.active:
        return ""
    if work.facts.get("there") != "new":
        return f"{there.host} holds a definition of it, as it did before"
    if work.facts.get("defining") != "yes":
        return f"{there.host} holds a definition of it that this job did not make"
    await _copies_unused(work, there)
    await work.driver(there.host).undefine(work.uuid)
    work.tools.nudge(there.host)
    return f"{there.host} forgot it again"
