"""What is different for a VM that is off: nothing of it runs, but what lies beside it stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from console.policy.placement import Placement
from console.policy.preflight.grounds import Evidence, told
from console.policy.preflight.guest import guest_checks
from console.policy.preflight.storage import storage_checks
from console.policy.sizes import size_words
from console.policy.subject import Subject
from drivers.model.caps import DomainNeeds
from drivers.model.host import Host
from drivers.model.job import Check, Verdict

_BESIDE = frozenset({"tpm", "nvram"})
"""What libvirt carries along with a running guest, and leaves behind with one that is off."""

_TO_RUN = frozenset({"devices", "firmware"})
"""What keeps a guest from starting there, not from being defined there."""


def soften(checks: Iterable[Check], target: Host) -> tuple[Check, ...]:
    """What blocks a running guest is only a warning for one that is off."""
    return tuple(
        replace(c, verdict=Verdict.WARN, text=f"it could not be started on {target.name}: {c.text}")
        if c.verdict is Verdict.BLOCKED
        else c
        for c in checks
    )


def stored_checks(
    subject: Subject, target: Host, placement: Placement, evidence: Evidence
) -> tuple[Check, ...]:
    """Definition, firmware, TPM and disks of a VM that is off."""
    found: list[Check] = []
    for check in guest_checks(subject, target, evidence):
        if check.name in _TO_RUN:
            found += soften((check,), target)
        elif check.name not in _BESIDE:
            found.append(check)
    needs = told(evidence.needs.get(subject.vm.uuid))
    if needs is not None:
        found += _left_behind(subject, target, needs)
    copied = {f"chain {copy.disk.target}" for copy in placement.copies}
    for check in storage_checks(subject, target, placement, evidence):
        if not check.name.startswith("cache "):
            found.append(_whole(check) if check.name in copied else check)
    return tuple(found)


def _whole(check: Check) -> Check:
    """A file is sent as it is: what it lies on top of would be missing there."""
    if check.verdict is not Verdict.WARN:
        return check
    text = "only the top file would be sent, and the files below it would be missing"
    fix = "start the VM and migrate it live, which copies the whole chain into one file"
    return replace(check, verdict=Verdict.BLOCKED, text=text, fix=fix)


def _left_behind(subject: Subject, target: Host, needs: DomainNeeds) -> Iterable[Check]:
    here, there = subject.host.name, target.name
    if needs.saved is None:
        yield Check("saved memory", Verdict.NOT_TESTED, f"{here} cannot tell whether it has any")
    elif needs.saved:
        text = f"its saved memory would stay on {here}: libvirt moves none"
        fix = "start it and migrate it live, or start it and shut it down from inside first"
        yield Check("saved memory", Verdict.BLOCKED, text, f"a managed save on {here}", fix)
    if needs.tpm:
        text = f"the state of its TPM would stay on {here}: what it sealed could not be opened"
        proof = f"TPM of kind {needs.tpm}; libvirt moves its state with a running guest alone"
        yield Check("tpm", Verdict.BLOCKED, text, proof, "start the VM and migrate it live")
    if needs.nvram:
        text = f"its UEFI variables stay on {here}: {there} makes new ones from the template"
        fix = f"copy {needs.nvram} from {here} to {there} before it starts there"
        yield Check("nvram", Verdict.WARN, text, needs.nvram, fix)


def way_checks(placement: Placement) -> tuple[Check, ...]:
    """How the definition and the disks travel."""
    text = "the VM is off: its definition moves by itself, and libvirt forgets it at the source"
    checks = [Check("mode", Verdict.OK, text, "VIR_MIGRATE_OFFLINE")]
    if placement.copies:
        told = f"{size_words(placement.bytes)} of disks pass through this console"
        proof = "libvirt sends no storage of a VM that is off from host to host"
        checks.append(Check("data path", Verdict.OK, told, proof))
    return tuple(checks)
