"""What the source of a migration still holds of a VM that has arrived, and must not.

A daemon that dies at the end leaves its definition there, and a link that breaks there a second VM:
at the end of a migration the target starts the VM and tells the source. Where the link breaks just
then, the source cannot know it, and goes on with the VM too: libvirt leaves that to lock managers.
The source's copy is the older one: it stood still while the target's ran on.
"""

from __future__ import annotations

from contextlib import suppress

from console.jobs.work import Work
from console.policy.recovery import forgets_source
from console.policy.truth import Sighting, doubled
from drivers.errors import DriverError, Gone, Refused

STALE = "stale"
"""Fact of a job: what was said of a copy that was forced off."""


async def end_stale(work: Work, source: Sighting, there: Sighting) -> None:
    """Force the source's copy off where it is proven that both run; else do nothing.

    The proof is each host's own reason, read twice: the source once more after the target was seen
    to run it. What fails is tried again by whoever looks next.
    """
    if not doubled(source, there):
        return
    with suppress(DriverError):
        if await work.driver().job_progress(work.uuid) is not None:
            return
        if not doubled(await work.see(), await work.see(there.host)):
            return
        told = (
            f"both ran it: the answer of {there.host} that it goes on there was lost, so "
            f"{work.host} woke its older copy, which was forced off; check its file systems where "
            "both could write to its disks"
        )
        await work.remember(**{STALE: told})
        await work.driver().destroy(work.uuid)
        work.tools.nudge(work.host)
        work.tools.nudge(there.host)


async def forgotten(work: Work) -> str:
    """Forget on the source what runs on the target: libvirt does not, where a daemon died first."""
    why = "as was asked"
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
