"""What the source of a migration still holds of a VM that has arrived, and must not.

A daemon that dies at the end leaves its definition there, and a link that breaks there a second VM:
at the end of a migration the target starts the VM and tells the source. Where the link breaks just
then, the source cannot know it, and goes on with the VM too: libvirt leaves that to lock managers.
A daemon that dies just then leaves the VM paused, for somebody else to find out where it goes on.
The source's copy is the older one: it stood still while the target's ran on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from console.jobs.work import Work
from console.policy.recovery import forgets_source
from console.policy.truth import Sighting, doubled, held
from drivers.errors import DriverError, Gone, Refused

STALE = "stale"
"""Fact of a job: what was said of a copy that was forced off."""


HELD_S = 60.0
"""How long a source may stand still without a migration before its copy counts as left behind.

Its daemon learns within about half a minute that the link broke, and wakes the VM then.
"""


class Stale:
    """Ends a source's copy of a VM that runs on the target, once that is proven.

    The proof is each host's own reason, read twice: the source once more after the target was seen
    to run it; and the source's answer that it has no job. It has none to tell of a VM that comes
    back to it just then, which it shows like one that stands still there: libvirt tells figures
    only where a VM leaves, and an error is no proof. What fails is tried again with the next look.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._held: float | None = None

    async def end(self, source: Sighting, there: Sighting) -> None:
        """Force the older copy off where both run, or the source has stood still for long."""
        now = self._work.now()
        if doubled(source, there):
            await self._end(there.host, doubled)
            return
        if not held(source, there):
            self._held = None
            return
        self._held = now if self._held is None else self._held
        if now - self._held >= HELD_S:
            await self._end(there.host, held)

    async def _end(self, target: str, proven: Callable[[Sighting, Sighting], bool]) -> None:
        work = self._work
        with suppress(DriverError):
            if await work.driver().job_progress(work.uuid) is not None:
                self._held = None
                return
            if not proven(await work.see(), await work.see(target)):
                return
            told = (
                f"{work.host} had not learned that it goes on on {target}: the older copy there, "
                f"which {'stood still' if proven is held else 'it had woken'}, was forced off"
            )
            if proven is doubled:
                told += "; check its file systems where both could write to its disks"
            await work.remember(**{STALE: told})
            await work.driver().destroy(work.uuid)
            work.tools.nudge(work.host)
            work.tools.nudge(target)


async def forgotten(work: Work, there: Sighting) -> str:
    """Forget on the source what runs on the target: libvirt does not, where a daemon died first."""
    why, vm = "as was asked", there.vm
    if forgets_source(work.job) and (vm is None or not vm.persistent):
        told = f"{work.host} still knows it, and {there.host} forgets it once it is off"
        return f"{told}: define it on {there.host}, then undefine it on {work.host}"
    if forgets_source(work.job):
        try:
            if (await work.driver().needs(work.uuid)).tpm:
                raise Refused("the state of its TPM may be shared, and would go too")
            await work.driver().undefine(work.uuid)
        except Gone:
            return f"{work.host} has forgotten it"
        except DriverError as error:
            why = error.problem.what
        else:
            work.tools.nudge(work.host)
            return f"{work.host} still knew it, and has forgotten it now"
    return f"{work.host} still knows it ({why}): undefine it there, so that it never runs twice"
