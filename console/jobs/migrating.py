"""Steps of a migration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from console.jobs import offline, postcopy
from console.jobs.arrived import STALE, Stale, forgotten
from console.jobs.cockpit import Cockpit, promise_of, settings_of, tuning_of
from console.jobs.figures import remember_figures
from console.jobs.meter import Meter
from console.jobs.volumes import delete_unused
from console.jobs.work import Work
from console.policy.lifecycle import PAUSED, RUNNING
from console.policy.recovery import steps_of
from console.policy.truth import Sighting, Whereabouts, where_sentence, whereabouts
from console.policy.verbs import Verb
from drivers.errors import Cancelled, DriverError, Failed, Gone, Refused, Unsupported
from drivers.model.job import Step
from drivers.model.vm import JobProgress
from drivers.protocol import MigrationSpec

_SETTLE_S = 20.0
"""How long both ends may take to agree where the VM is."""

_ABORT_EVERY_S = 1.0

_AGENT_LOOKS = 5
"""Times a guest agent is asked after the move: its channel connects anew."""

_AGENT_S = 12.0
"""But not longer than this: libvirt waits five seconds for one that is there and says nothing."""


async def see_both(work: Work, target: str) -> tuple[Sighting, Sighting]:
    """Source and target as they are now."""
    source, there = await asyncio.gather(work.see(), work.see(target))
    return source, there


async def precheck(work: Work, step: Step) -> str:
    """Both hosts, read again: the VM runs here and nothing of that name or UUID runs there."""
    target = step.args["target"]
    source, (there, listed) = await asyncio.gather(
        work.see(), work.tools.reader.sight_among(target, work.uuid)
    )
    for seen in (source, there):
        if not seen.known:
            raise Refused(f"{seen.host} cannot be read, so nothing was begun", proof=seen.why)
    off = step.args.get("mode") == offline.MODE
    if not off and (source.vm is None or source.vm.state not in RUNNING | PAUSED):
        state = source.vm.state.value if source.vm else "gone"
        raise Refused(f"{work.name} does not run on {work.host} any more", proof=f"it is {state}")
    if there.active and not off:
        raise Refused(f"{work.name} runs on {target} already: two copies of one UUID")
    if any(v.name == work.name and v.uuid != work.uuid for v in listed):
        raise Refused(f"another VM of {target} is called {work.name}", fix="rename one of them")
    if off or source.vm is None:
        return await offline.precheck(work, target, source, there)
    await work.remember(target=target, was=source.vm.state.value)
    return f"{work.name} is {source.vm.state.value} on {work.host}, not on {target}"


async def migrate(work: Work, step: Step) -> str:
    """Run the migration and follow it; a cancel aborts libvirt's job."""
    work.check_cancel()
    args = step.args
    moved = json.loads(args.get("dest_paths", "{}"))
    moved.update({m.disk: m.path for m in work.made if m.disk in moved})
    spec = MigrationSpec(
        peer=work.driver(args["target"]),
        p2p=args["mode"] == "p2p",
        copy_disks=tuple(d for d in args["copy"].split(",") if d),
        bandwidth_mib=int(args["bandwidth_mib"]),
        uri=args["uri"],
        dest_paths=moved,
        tuning=tuning_of(args),
        offline=args["mode"] == offline.MODE,
    )
    facts = {"phase": "migrating", "mode": args["mode"], "cap_mib": args["bandwidth_mib"]}
    if spec.offline:
        await offline.ready_to_move(work)
        facts["defining"] = "yes"
    await work.remember(**facts)
    cockpit = Cockpit(
        work.driver(), work.uuid, settings_of(args), promise_of(args), work.cancelled.set
    )
    return await _run(work, spec, cockpit)


async def recover(work: Work, step: Step) -> str:
    """Let a broken post-copy migration go on, or wait while QEMU still does so by itself."""
    target = step.args["target"]
    meter, patience = Meter(work.now()), postcopy.Return(work.now())
    failure: DriverError | None = None
    while True:
        work.check_cancel()
        seen = await see_both(work, target)
        if postcopy.went_on(*seen):
            return f"it went on by itself; {where_sentence(work.name, seen)}"
        if failure is None or postcopy.is_broken(*seen):
            spec, cockpit = await postcopy.resumption(work, step, *seen)
            await work.remember(phase="migrating", mode=step.args["mode"], target=target)
            try:
                return await _run(work, spec, cockpit)
            except DriverError as error:
                failure = error
        progress = await _show(work, meter)
        if postcopy.stands(failure):
            raise failure
        if patience.over(progress, work.now()):
            heard = not seen[1].active or postcopy.is_broken(seen[1])
            raise failure if heard else postcopy.unnoticed(failure)
        await work.pause(postcopy.LOOK_EVERY_S)


async def _run(work: Work, spec: MigrationSpec, cockpit: Cockpit) -> str:
    started = work.now()
    work.cockpit = cockpit
    try:
        await follow(work, work.driver().migrate(work.uuid, spec), cockpit)
    finally:
        work.cockpit = None
    work.tools.nudge(work.host)
    work.tools.nudge(spec.peer.spec.name)
    told = (f"libvirt says it is done after {work.now() - started:.1f} s", *cockpit.log)
    return "; ".join(told)


async def follow(work: Work, running: Coroutine[Any, Any, None], cockpit: Cockpit) -> None:
    """Show figures and pull levers until the call returns; abort it when cancelled.

    When the console closes, the call is let go and not aborted: the runner decides before.
    """
    task = asyncio.create_task(running)
    meter, stall = Meter(work.now()), postcopy.Stall(work)
    aborted_at: float | None = None
    try:
        while not task.done() and not await stall.over():
            if work.cancelled.is_set() and not cockpit.switched and _due(work, aborted_at):
                aborted_at = work.now()
                await _abort(work)
            await _show(work, meter, cockpit, aborting=aborted_at is not None)
            if aborted_at is None:
                await cockpit.steer(partial(_remember_pull, work))
            await _nap(work, task)
    except asyncio.CancelledError:
        task.cancel()
        raise
    except Exception:
        await _call_back(work, task)
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_SETTLE_S)
        raise postcopy.stalled(work)
    try:
        task.result()
    except DriverError as error:
        if work.cancelled.is_set() and not cockpit.switched:
            raise Cancelled("cancelled on request", proof=error.problem.what) from error
        raise


async def _nap(work: Work, task: asyncio.Task[None]) -> None:
    """Wait between two looks, but not beyond the end of what is looked at."""
    nap = asyncio.ensure_future(work.pause())
    try:
        await asyncio.wait((nap, task), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not nap.done():
            nap.cancel()
    if nap.done():
        nap.result()


def _due(work: Work, aborted_at: float | None) -> bool:
    return aborted_at is None or work.now() - aborted_at >= _ABORT_EVERY_S


async def _call_back(work: Work, task: asyncio.Task[None]) -> None:
    """Nobody follows it any more: end the migration rather than let it run on unwatched."""
    limit = work.now() + _SETTLE_S
    while not task.done() and work.now() < limit:
        await _abort(work)
        await work.pause()
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _remember_pull(work: Work, told: str) -> None:
    """Journal a pull before it is made; a guest paused to finish must be known as such."""
    pulls = [*filter(None, work.facts.get("pulled", "").split("; ")), told]
    await work.remember(pulled="; ".join(pulls))


async def _abort(work: Work) -> None:
    try:
        await work.driver().abort_job(work.uuid)
    except DriverError:
        return  # no job to abort yet, or it just ended: asked again until the call returns


async def _show(
    work: Work, meter: Meter, cockpit: Cockpit | None = None, *, aborting: bool = False
) -> JobProgress | None:
    try:
        progress = await work.driver().job_progress(work.uuid)
    except DriverError:
        return None  # figures are missing for a moment; the call itself tells the outcome
    if progress is not None:
        figures = meter.update(progress)
        if aborting:
            figures = replace(figures, note="cancelling")
        work.show(cockpit.look(figures) if cockpit is not None else figures)
    return progress


async def follow_existing(work: Work, step: Step) -> str:
    """Follow a migration that goes on without us, until the hosts agree that it ended.

    Raises:
        Cancelled: On request, once no job runs on the source, or it has not answered for twenty
            seconds; where the VM is may be open still, and is settled as after any failure.
        Failed: Its switch to post-copy failed, and its job does not end.
    """
    meter, stall, stale = Meter(work.now()), postcopy.Stall(work), Stale(work)
    silent: float | None = None
    while True:
        work_left = await _show(work, meter)
        source, there = await see_both(work, step.args["target"])
        where = whereabouts(source, there)
        ended = work_left is None and where not in (Whereabouts.BOTH, Whereabouts.UNKNOWN)
        told = where_sentence(work.name, (source, there))
        asked = work.cancelled.is_set() and where is not Whereabouts.TARGET
        runs = await _job_known(work) if asked else True
        silent = (silent or work.now()) if runs is None else None
        if runs is False or (silent is not None and work.now() - silent >= _SETTLE_S):
            raise Cancelled("cancelled on request", proof=told)
        if ended and not (where is Whereabouts.SOURCE and await _job_runs(work)):
            return told
        if await stall.over(source):
            raise postcopy.stalled(work)
        await stale.end(source, there)
        if work.cancelled.is_set():
            await _abort(work)
        await work.pause()


async def settle(work: Work, target: str) -> tuple[Whereabouts, Sighting, Sighting]:
    """Read both ends until one answer stands and no job runs, at most twenty seconds."""
    limit, stale = work.now() + _SETTLE_S, Stale(work)
    while True:
        source, there = await see_both(work, target)
        where = whereabouts(source, there)
        open_end = where in (Whereabouts.BOTH, Whereabouts.UNKNOWN)
        if postcopy.is_broken(source, there):
            return where, source, there
        await stale.end(source, there)
        if not open_end and not (where is Whereabouts.SOURCE and await _job_runs(work)):
            return where, source, there
        if work.now() >= limit:
            return (where if open_end else Whereabouts.UNKNOWN), source, there
        await work.pause()


async def _job_runs(work: Work) -> bool:
    """Whether the source may still run the migration: a question left open counts as yes."""
    return await _job_known(work) is not False


async def _job_known(work: Work) -> bool | None:
    """Whether the source runs the migration; None while it does not answer."""
    try:
        return await work.driver().job_progress(work.uuid) is not None
    except (Unsupported, Gone):
        return False
    except DriverError:
        return None


async def verify(work: Work, step: Step) -> str:
    """Exactly one host runs it, it is the target, and the copied disks are where they should be."""
    target = step.args["target"]
    where, source, there = await settle(work, target)
    told = where_sentence(work.name, (source, there))
    if work.facts.get("mode") == offline.MODE:
        told = offline.where_words(work.name, source, there)
        where = Whereabouts.TARGET if offline.arrived(source, there) else where
    if where is not Whereabouts.TARGET or there.vm is None:
        raise Failed(f"{work.name} is not where it should be", proof=told)
    sources = {disk.target: disk.source for disk in there.vm.disks}
    for own in work.made:
        if own.host == target and sources.get(own.disk) != own.path:
            raise Failed(
                f"{own.disk} of {work.name} is not on its copy",
                proof=f"it is {sources.get(own.disk)}, expected {own.path}",
            )
    await work.remember(verified="yes")
    if work.facts.get("mode") == offline.MODE:
        await offline.remember_figures(work)
    else:
        took = await remember_figures(work, target)
        told += f"; {took}" if took else ""
        told += f"; {await guest_words(work, target, there)}"
    if there.vm.state in PAUSED and _paused_to_finish(work):
        await work.driver(target).resume(work.uuid)
        told += "; it was paused to finish and is resumed"
    kept = [s.args["old_path"] for s in steps_of(work.job, Verb.CREATE_VOLUME)]
    if kept and not steps_of(work.job, Verb.REMOVE_SOURCE):
        told += f"; still on {work.host}, unused: {', '.join(kept)}"
    if source.vm is not None:
        told += f"; {await forgotten(work, there)}"
    if stale := work.facts.get(STALE):
        told += f"; {stale}"
    return told


async def guest_words(work: Work, target: str, there: Sighting) -> str:
    """Whether the guest itself answers at its new place; what was not tested says why."""
    if there.vm is None or there.vm.state not in RUNNING:
        return "guest not tested: it is paused"
    answers: bool | None = False
    limit = work.now() + _AGENT_S
    for _ in range(_AGENT_LOOKS):
        try:
            answers = await work.driver(target).guest_answers(work.uuid)
        except DriverError as error:
            return f"guest not tested: {error.problem.what}"
        if answers is not False or work.now() >= limit:
            break
        await work.pause()
    if answers is None:
        return "guest not tested: no agent"
    return "its guest agent answers" if answers else "its guest agent does NOT answer"


def _paused_to_finish(work: Work) -> bool:
    return work.facts.get("was") != "paused" and "paused to finish" in work.facts.get("pulled", "")


async def remove_source(work: Work, step: Step) -> str:
    """Delete a copied volume on the source; kept unless its copy is proven to be another file."""
    disk, path = step.args["disk"], step.args["path"]
    copy = next((m for m in work.made if m.disk == disk), None)
    target = work.facts.get("target", "")
    there = await work.see(target)
    if copy is None or copy.host == work.host or work.facts.get("verified") != "yes":
        return f"{path} is kept: its copy is not verified"
    if work.facts.get(f"unread-{disk}"):
        return f"{path} is kept: its content was not compared"
    off = work.facts.get("mode") == offline.MODE
    if not (there.active or off) or not _on(there, disk, copy.path):
        return f"{path} is kept: {work.name} was not seen on its copy"
    if (await work.see()).vm is not None:
        return f"{path} is kept: {work.host} still lists {work.name}"
    return (await delete_unused(work, work.host, path, copied=True)).text


def _on(seen: Sighting, disk: str, path: str) -> bool:
    return seen.vm is not None and any(d.target == disk and d.source == path for d in seen.vm.disks)


async def abort(work: Work, step: Step) -> str:
    """End a migration left behind, so that the VM runs on its source alone."""
    await _abort(work)
    where, source, there = await settle(work, step.args["target"])
    told = where_sentence(work.name, (source, there))
    if where is Whereabouts.TARGET:
        raise Failed("the migration ended before it could be aborted", proof=told)
    if where is not Whereabouts.SOURCE and where is not Whereabouts.NOWHERE:
        raise Failed("where the VM is could not be settled", proof=told)
    if back := await offline.take_back(work, source, there):
        told += f"; {back}"
    if await resume_if_paused(work, source):
        told += "; it was paused and is resumed"
    return told


async def resume_if_paused(work: Work, source: Sighting) -> bool:
    """Resume a VM that an aborted migration left paused; one paused before stays so."""
    if source.vm is None or source.vm.state not in PAUSED or work.facts.get("was") == "paused":
        return False
    try:
        await work.driver().resume(work.uuid)
    except Refused:  # its host may have let it run in this moment
        now = (await work.see()).vm
        if now is None or now.state not in RUNNING:
            raise
    return True
