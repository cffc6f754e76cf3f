"""Steps of start, shutdown, reboot, reset, pause, resume, force-off, autostart and delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from console.jobs import offline
from console.jobs.work import Work
from console.policy.lifecycle import PAUSED
from console.policy.truth import Sighting
from console.policy.verbs import Verb
from drivers.errors import Failed, Refused, TimedOut
from drivers.model.job import Step
from drivers.model.vm import JobProgress, VmState
from drivers.protocol import HostDriver

_LOOK_S = 0.1
_READ_S = 1.0
"""The poller's picture is looked at ten times a second, the host is asked once a second."""

_CALLS: Mapping[str, Callable[[HostDriver, str], Awaitable[None]]] = {
    Verb.START: lambda driver, uuid: driver.start(uuid),
    Verb.SHUTDOWN: lambda driver, uuid: driver.shutdown(uuid),
    Verb.REBOOT: lambda driver, uuid: driver.reboot(uuid),
    Verb.RESET: lambda driver, uuid: driver.reset(uuid),
    Verb.PAUSE: lambda driver, uuid: driver.suspend(uuid),
    Verb.RESUME: lambda driver, uuid: driver.resume(uuid),
    Verb.FORCE_OFF: lambda driver, uuid: driver.destroy(uuid),
}


async def call(work: Work, step: Step) -> str:
    """One lifecycle call; no answer in time is no failure yet, since the state is read next."""
    work.check_cancel()
    if step.verb in (Verb.START, Verb.RESUME):
        await _refuse_twin(work, resuming=step.verb == Verb.RESUME)
    try:
        await _CALLS[step.verb](work.driver(), work.uuid)
    except TimedOut as error:
        return f"no answer in time ({error.problem.what}); reading its state"
    finally:
        work.tools.nudge(work.host)
    return f"{work.host} accepted it"


async def _refuse_twin(work: Work, *, resuming: bool) -> None:
    """Refuse to run a VM while another host runs, or may run, the same UUID on the same disks.

    A copy that is paused elsewhere, as a broken migration leaves it, does not stop a resume.
    """
    quiet = PAUSED if resuming else frozenset()
    held = {vm.host: vm for vm in work.tools.snapshot().vms() if vm.uuid == work.uuid}
    for host, last in held.items():
        if host == work.host:
            continue
        seen = await work.see(host)
        copy = seen.vm if seen.known else last
        if copy is not None and copy.state.active and copy.state not in quiet:
            told = f"last read {last.state.value} there; {seen.why}" if not seen.known else ""
            raise Refused(
                f"{work.name} runs on {host}: a second copy would destroy its disks",
                proof=told or f"read from {host} just now",
                fix=f"operate it on {host}, or make sure that it is off there",
            )


async def set_autostart(work: Work, step: Step) -> str:
    """Set autostart."""
    await work.driver().set_autostart(work.uuid, step.args["on"] == "yes")
    work.tools.nudge(work.host)
    return f"{work.host} accepted it"


async def check_autostart(work: Work, step: Step) -> str:
    """Read autostart back."""
    seen = await work.see()
    wanted = step.args["on"] == "yes"
    if not seen.known or seen.vm is None or seen.vm.autostart is not wanted:
        raise Failed("autostart does not read back as set", proof=seen.why or f"on {work.host}")
    return f"autostart is {'on' if wanted else 'off'}"


async def wait_state(work: Work, step: Step) -> str:
    """Read until the VM is in one of the wanted states, or the time is up."""
    wanted = frozenset(VmState(word) for word in step.args["states"].split(","))
    started = work.now()
    limit = started + float(step.args["wait_s"])
    while True:
        seen = await work.see()
        state = _reached(seen, wanted)
        if state:
            work.tools.nudge(work.host)
            return f"{work.name} is {state}, read from {work.host}"
        work.check_cancel()
        if work.now() >= limit:
            raise _too_late(work, step, seen)
        await _next_look(work, wanted, started, limit)


async def _next_look(work: Work, wanted: frozenset[VmState], started: float, limit: float) -> None:
    again = min(work.now() + _READ_S, limit)
    while work.now() < again and not work.cancelled.is_set():
        now = work.now()
        note = f"{now - started:.0f} s of {limit - started:.0f} s"
        work.show(JobProgress("waiting", now, started, note=note))
        await work.pause(_LOOK_S)
        if work.polled_state() in wanted:
            return


def _reached(seen: Sighting, wanted: frozenset[VmState]) -> str:
    if not seen.known:
        return ""
    if seen.vm is None:
        return "off and, being transient, gone" if VmState.OFF in wanted else ""
    return seen.vm.state.value if seen.vm.state in wanted else ""


def _too_late(work: Work, step: Step, seen: Sighting) -> TimedOut:
    offer = step.args.get("offer", "")
    waited = float(step.args["wait_s"])
    state = seen.vm.state.value if seen.vm else f"not known: {seen.why}"
    if offer:
        work.offer = (offer, "retry", "dismiss")
        return TimedOut(
            f"the guest of {work.name} did not power down within {waited:g} s",
            proof=f"it is {state} on {work.host}",
            fix="look at its console, wait longer, or force it off",
        )
    return TimedOut(
        f"{work.name} did not reach the wanted state within {waited:g} s",
        proof=f"it is {state} on {work.host}",
    )


async def check_off(work: Work, _step: Step) -> str:
    """A fresh reading must show the VM off."""
    seen = await work.see()
    if not seen.known:
        raise Refused(f"the state of {work.name} cannot be read", proof=seen.why)
    if seen.vm is None:
        raise Refused(f"{work.name} is not on {work.host} any more", proof="fresh reading")
    if seen.vm.state.active:
        raise Refused(
            f"{work.name} is {seen.vm.state.value} again",
            proof=f"read from {work.host} just now",
            fix="shut it down first",
        )
    return f"{work.name} is {seen.vm.state.value}"


async def undefine(work: Work, step: Step) -> str:
    """Forget the definition; that of a VM which moved while off, only while its copies are true."""
    work.check_cancel()
    if work.facts.get("mode") == offline.MODE:
        await offline.ready_to_move(work)
    await work.driver().undefine(work.uuid, nvram=step.args["nvram"] == "yes")
    work.tools.nudge(work.host)
    return f"{work.host} accepted it"


async def verify_gone(work: Work, _step: Step) -> str:
    """The domain must not be listed any more."""
    seen = await work.see()
    if not seen.known or seen.vm is not None:
        raise Failed(f"{work.name} is still listed on {work.host}", proof=seen.why)
    return f"{work.host} does not list it any more"
