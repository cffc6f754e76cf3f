"""Single-domain calls: lifecycle, definition, job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivers.errors import Busy, Refused
from drivers.kvm.editxml import repoint
from drivers.kvm.progress import read_job
from drivers.kvm.session import Session
from drivers.kvm.slow import SlowReader
from drivers.kvm.text import clean
from drivers.model.vm import JobProgress

# Booting allots memory, and libvirt gives a hung QEMU 15 s between SIGTERM and giving up.
PATIENT_S = 60.0

_AGENT = "org.qemu.guest_agent."
"""How the channel of a guest agent is called."""

_WILL_NOT = "unable to execute QEMU agent command"
"""libvirt's words where an agent answers that it may not, as where its commands are limited."""


class Domains:
    """Acts on one domain at a time, each call in a thread of its own."""

    def __init__(self, session: Session, slow: SlowReader) -> None:
        self._session = session
        self._slow = slow

    async def act(
        self,
        uuid: str,
        done: str,
        call: Callable[[Any], object],
        *,
        even_stuck: bool = False,
        patient: bool = False,
    ) -> None:
        """Look the domain up and do ``call`` with it.

        Args:
            uuid: The domain.
            done: Participle for the error's sentence: ``web1 could not be <done>``.
            call: Gets the virDomain, in a lane.
            even_stuck: The call does not need the QEMU monitor.
            patient: It may take longer than a reading may.

        Raises:
            Busy: The monitor is known to hang: the call would only wait for it.
        """
        name = self._name(uuid)
        seconds = self._slow.quarantine.stuck().get(uuid)
        if seconds is not None and not even_stuck:
            raise Busy(
                f"{name} cannot be {done} now: its QEMU does not answer",
                f"the monitor has been silent for {seconds:.0f} s",
                "wait, or force it off",
            )
        deadline = max(PATIENT_S, self._session.spec.deadline_s) if patient else None
        await self._session.call(
            lambda: call(self._find(uuid)), f"{name} could not be {done}", deadline_s=deadline
        )

    async def xml(self, uuid: str, *, inactive: bool) -> str:
        """virDomainGetXMLDesc without VIR_DOMAIN_XML_SECURE."""
        flags = self._session.lv.VIR_DOMAIN_XML_INACTIVE if inactive else 0
        what = f"the XML of {self._name(uuid)} could not be read"
        return str(await self._session.call(lambda: self._find(uuid).XMLDesc(flags), what))

    async def undefine(self, uuid: str, *, nvram: bool) -> None:
        """virDomainUndefineFlags; retried without what this daemon does not know."""
        lv = self._session.lv
        flags = (
            lv.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | lv.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | lv.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | (lv.VIR_DOMAIN_UNDEFINE_NVRAM if nvram else lv.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
        )
        name = self._name(uuid)

        def forget() -> None:
            domain = self._find(uuid)
            if domain.isActive():
                raise Refused(f"{name} was not deleted: it runs", fix="shut it down first")
            try:
                domain.undefineFlags(flags)
            except lv.libvirtError as error:
                if error.get_error_code() != lv.VIR_ERR_INVALID_ARG:
                    raise
                domain.undefineFlags(lv.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)

        await self._session.call(forget, f"{name} could not be deleted")

    async def define(self, xml: str) -> None:
        """virDomainDefineXML."""
        session = self._session
        uuid = await session.call(
            lambda: session.conn.defineXML(xml).UUIDString(), "the definition was not accepted"
        )
        self._slow.changed(uuid)

    async def repoint(self, uuid: str, disk: str, path: str, fmt: str) -> None:
        """Point one disk of a stopped domain's definition elsewhere."""
        lv = self._session.lv
        name = self._name(uuid)

        def change() -> None:
            domain = self._find(uuid)
            if domain.isActive():
                raise Refused(
                    f"{disk} of {name} was not moved: the VM runs",
                    "its definition changes only while it is off",
                    "move the disk live instead",
                )
            # SECURE: without it defining again would drop the secrets in the definition.
            text = domain.XMLDesc(lv.VIR_DOMAIN_XML_INACTIVE | lv.VIR_DOMAIN_XML_SECURE)
            self._session.conn.defineXML(repoint(text, {disk: (path, fmt)}))

        await self._session.call(change, f"{disk} of {name} could not be moved")
        self._slow.changed(uuid)

    async def job_progress(
        self, uuid: str, clock: Callable[[], float], *, ended: bool
    ) -> JobProgress | None:
        """virDomainGetJobStats; a migration's last figures are kept by the host it arrived on."""
        what, lv = f"the job of {self._name(uuid)} could not be read", self._session.lv
        kept = lv.VIR_DOMAIN_JOB_STATS_COMPLETED | lv.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
        flags = kept if ended else 0
        stats = await self._session.call(lambda: self._find(uuid).jobStats(flags), what)
        return read_job(stats, at=clock(), ended=ended)

    async def agent_answers(self, uuid: str) -> bool | None:
        """Ask the guest agent for the time (virDomainGetTime), which changes nothing."""
        lv = self._session.lv

        def ask() -> bool | None:
            domain = self._find(uuid)
            if _AGENT not in domain.XMLDesc(0):
                return None
            try:
                domain.getTime(0)
            except lv.libvirtError as error:
                if error.get_error_code() == lv.VIR_ERR_AGENT_UNRESPONSIVE:
                    return False
                if _WILL_NOT not in error.get_error_message():
                    raise
            return True

        return await self._session.call(ask, f"the guest of {self._name(uuid)} was not asked")

    def _find(self, uuid: str) -> Any:
        return self._session.conn.lookupByUUIDString(uuid)

    def _name(self, uuid: str) -> str:
        vm = self._slow.vms.get(uuid)
        return clean(vm.name) if vm is not None else uuid
