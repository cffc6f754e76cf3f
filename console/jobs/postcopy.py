"""A post-copy migration whose link broke: neither host has all of the memory, both wait for it."""

from __future__ import annotations

import json

from console.jobs.cockpit import Cockpit, settings_of, tuning_of
from console.jobs.work import Work
from console.policy.features import RESUME, lack
from console.policy.recovery import BROKEN, DISMISS, RECOVER
from console.policy.truth import Sighting
from drivers.errors import DriverError, Failed, Refused, Unreachable
from drivers.model.job import Action, Step
from drivers.model.vm import JobProgress
from drivers.protocol import MigrationSpec

PATIENCE_S = 30.0
"""How long a source may say that the switch failed before its call is let go."""

RETURN_S = 150.0
"""How long QEMU's own connection may take to move bytes again once the hosts reach each other.

TCP asks for a lost answer every two minutes at last, and gives up after about fifteen.
"""

LOOK_EVERY_S = 2.0
"""Between two tries to recover."""

_STILL = "migration is still running"
"""libvirt's refusal while QEMU on either host has not given its connection up."""

_WATCHED = "is being actively monitored by another thread"
"""libvirt's refusal while the target's daemon still waits for its QEMU to have all memory."""

_LOST = "End of file while reading data"
"""All that a source's daemon passes on of such a refusal of the target's (libvirt 9.0)."""

NO_WAY_BACK = "neither host alone has all of its memory, so nothing can be undone"


def is_broken(*seen: Sighting) -> bool:
    """A host says of the VM that its switch to post-copy failed midway."""
    return any(s.known and s.vm is not None and s.vm.reason == BROKEN for s in seen)


class Stall:
    """Tells when libvirt's call goes on although its source says that the switch failed.

    The target's QEMU may wait for memory that never comes, its daemon for that QEMU, and the call
    for that daemon: without an end.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._since: float | None = None
        self._looked = float("-inf")

    async def over(self, source: Sighting | None = None) -> bool:
        """Whether the source has said so for half a minute; ``source`` where it was just read."""
        work, now = self._work, self._work.now()
        if source is None:
            if now - self._looked < LOOK_EVERY_S or not self._may_be():
                return False
            source = await work.see()
        self._looked = now
        if source.known:
            self._since = (self._since or now) if is_broken(source) else None
        return self._since is not None and now - self._since >= PATIENCE_S

    def _may_be(self) -> bool:
        found = self._work.tools.snapshot().host(self._work.host)
        seen = (v.reason for v in found.vms if v.uuid == self._work.uuid) if found else ()
        pulled = self._work.cockpit is not None and self._work.cockpit.switched
        return pulled or any(reason.startswith("post-copy") for reason in seen)


def stalled(work: Work) -> Failed:
    """What is said of a call that nobody waits for any more."""
    return Failed(
        f"the post-copy migration of {work.name} broke, and libvirt does not end it",
        proof=f"{work.host} has said '{BROKEN}' for {PATIENCE_S:.0f} s; the call has not returned",
        fix="once both hosts reach each other, give QEMU two minutes to go on by itself, then "
        "recover it; where that ends here again, the target's QEMU waits for memory and does not "
        "answer: force it off on both hosts and start it from its disks",
    )


def went_on(source: Sighting, there: Sighting) -> bool:
    """It arrived without help: QEMU's own connection outlived the break."""
    return source.absent and there.active and not is_broken(there)


def stands(failure: DriverError) -> bool:
    """Whether a failed recovery is worth no second try.

    QEMU notices a broken link only when TCP does: until then libvirt refuses to recover, and if
    the link is back before, the rest follows over the old connection.
    """
    passing = any(words in failure.problem.proof for words in (_STILL, _WATCHED, _LOST))
    return not passing and not isinstance(failure, Unreachable)


def unnoticed(failure: DriverError) -> Failed:
    """What is said where the source has given the old connection up and the target has not.

    TCP tells only a side that has something to send: a target whose guest waits for a page that it
    asked for before the break never learns of it, and libvirt refuses to recover until it does.
    """
    return Failed(
        f"recovery was tried for {RETURN_S:.0f} s and nothing moved",
        proof=f"{failure.problem.what}: {failure.problem.proof}",
    )


class Return:
    """How long QEMU is given to go on by itself: as long as bytes move, and a while more."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._left: int | None = None

    def over(self, progress: JobProgress | None, now: float) -> bool:
        """Whether nothing has moved for too long."""
        left = progress.remaining if progress is not None else None
        if left is not None and left != self._left:
            self._left, self._since = left, now
        return now - self._since >= RETURN_S


def why_not(work: Work, target: str) -> str:
    """Why it cannot be recovered between these hosts, with the versions; empty where it can."""
    found = (work.tools.snapshot().host(name) for name in (work.host, target))
    return lack(RESUME, *(host for host in found if host is not None))


def words(work: Work, there: Sighting) -> str:
    """How things stand, and what can be done."""
    if there.absent:
        return (
            f"its process on {there.host} ended after the switch to post-copy, and the memory that "
            f"was only there is gone: force it off on {work.host} and start it from its disks"
        )
    why = why_not(work, there.host)
    told = f"the link broke after the switch to post-copy: {NO_WAY_BACK}"
    if why:
        return (
            f"{told}; recovering it {why}: what is left is to force {work.name} off on both hosts "
            "and to start it from its disks"
        )
    return f"{told}; once both hosts reach each other, it goes on by itself or can be recovered"


def offers(work: Work, there: Sighting) -> tuple[str, ...]:
    """What can be chosen next."""
    if there.absent:
        return (Action.FORCE_OFF.value, DISMISS)
    return (DISMISS,) if why_not(work, there.host) else (RECOVER, DISMISS)


async def resumption(work: Work, step: Step, *seen: Sighting) -> tuple[MigrationSpec, Cockpit]:
    """What goes on where it broke, and who watches it.

    Raises:
        Refused: It did not break, or these hosts cannot.
    """
    args, target = step.args, step.args["target"]
    if not is_broken(*seen):
        raise Refused(
            "this migration did not break after the switch",
            proof="; ".join(f"{s.host}: {s.vm.reason if s.vm else s.why}" for s in seen),
            fix="look at Jobs again: it may have been recovered",
        )
    if why := why_not(work, target):
        fix = f"force {work.name} off on both hosts and start it from its disks"
        raise Refused("this migration cannot be recovered", proof=why, fix=fix)
    spec = MigrationSpec(
        peer=work.driver(target),
        p2p=args["mode"] == "p2p",
        copy_disks=tuple(d for d in args["copy"].split(",") if d),
        bandwidth_mib=int(args["bandwidth_mib"]),
        uri=args["uri"],
        dest_paths=json.loads(args.get("dest_paths", "{}")),
        tuning=tuning_of(args),
        resume=True,
    )
    cancel = work.cancelled.set
    watch = Cockpit(work.driver(), work.uuid, settings_of(args), None, cancel, switched=True)
    return spec, watch
