"""What hangs on the guest beside its machine: devices, firmware, TPM, snapshots, autostart."""

from __future__ import annotations

from console.policy.migration_checks import version_key
from console.policy.preflight.grounds import Evidence, failed, told, untested
from console.policy.subject import Subject
from drivers.model.caps import BoundDevice, DomainNeeds, GuestFit
from drivers.model.host import Host
from drivers.model.job import Check, Verdict

_ASKS_QEMU = (8, 6)
"""libvirt that asks QEMU whether a device can move; older ones refuse all but USB devices."""

_NVRAM = "/var/lib/libvirt/qemu/nvram/"
_NEVER = {
    "9p": "QEMU cannot move a guest while a 9p share is mounted",
    "shmem": "memory shared with the host stays there",
}


def guest_checks(subject: Subject, target: Host, evidence: Evidence) -> tuple[Check, ...]:
    """All of these; one that says why, where the definition was not read."""
    reading = evidence.needs.get(subject.vm.uuid)
    needs = told(reading)
    if needs is None:
        text = f"devices, firmware, TPM, snapshots and CPU of {subject.vm.name} were not read"
        return (untested("definition", text, failed(reading)),)
    fit = told(evidence.fits.get((subject.vm.uuid, target.name)))
    return (
        _devices(subject, needs),
        *_tpm(target, needs, fit),
        *_firmware(target, needs, fit),
        *_sealed(needs),
        *_snapshots(subject, needs),
        *_autostart(subject, target, needs),
    )


def _devices(subject: Subject, needs: DomainNeeds) -> Check:
    worst = [_device(subject, device) for device in needs.devices]
    order = (Verdict.BLOCKED, Verdict.NOT_TESTED, Verdict.WARN, Verdict.OK)
    found = sorted(worst, key=lambda check: order.index(check.verdict))
    if not found:
        return Check("devices", Verdict.OK, f"{subject.vm.name} holds no device of its host")
    if len(found) == 1:
        return found[0]
    first, names = found[0], ", ".join(f"{d.kind} {d.name}" for d in needs.devices)
    proof = f"{first.proof}; it holds: {names}" if first.proof else f"it holds: {names}"
    return Check("devices", first.verdict, first.text, proof, first.fix)


def _device(subject: Subject, device: BoundDevice) -> Check:
    vm, facts = subject.vm, subject.host.facts
    name = f"{device.kind} {device.name}".strip()
    detach = f"detach it first: virsh -c {subject.host.spec.uri} edit {vm.uuid}"
    if device.failover:
        text = f"{name} is unplugged for the move; its stand-in carries on"
        return Check("devices", Verdict.OK, text, "teaming type transient")
    if device.kind in _NEVER:
        text = f"{name} keeps {vm.name} on {subject.host.name}"
        return Check("devices", Verdict.BLOCKED, text, _NEVER[device.kind], detach)
    if device.kind == "usb":
        text = f"{name} is plugged out here; the same device must be plugged in there"
        return Check("devices", Verdict.WARN, text, "libvirt lets USB devices pass unasked", detach)
    version = facts.libvirt_version if facts else ""
    if version and version_key(version) < version_key("8.6"):
        text = f"{name} of {subject.host.name} is handed to {vm.name}"
        proof = f"libvirt {version} moves no guest with such a device"
        return Check("devices", Verdict.BLOCKED, text, proof, detach)
    text = f"{name} of {subject.host.name} is handed to {vm.name}"
    proof = "whether it can move is known to QEMU alone, which is asked when it begins"
    return Check("devices", Verdict.NOT_TESTED, text, proof, detach)


def _tpm(target: Host, needs: DomainNeeds, fit: GuestFit | None) -> tuple[Check, ...]:
    if not needs.tpm:
        return ()
    if needs.tpm != "emulator":
        text = f"a TPM of kind {needs.tpm} stays with its host"
        return (Check("tpm", Verdict.BLOCKED, text, "only an emulated TPM can move"),)
    if fit is None or fit.tpm is None:
        text = f"whether {target.name} emulates a TPM is not told"
        return (Check("tpm", Verdict.NOT_TESTED, text, fit.said if fit else ""),)
    proof = f"{target.name} offers: {', '.join(fit.tpm) or 'none'}"
    if needs.tpm not in fit.tpm:
        text = f"{target.name} cannot emulate the VM's TPM"
        return (Check("tpm", Verdict.BLOCKED, text, proof, f"install swtpm on {target.name}"),)
    return (Check("tpm", Verdict.OK, f"{target.name} emulates TPMs; its state moves along", proof),)


def _firmware(target: Host, needs: DomainNeeds, fit: GuestFit | None) -> tuple[Check, ...]:
    if not needs.loader and not needs.nvram:
        return ()
    return tuple(
        check for check in (_loader(target, needs, fit), _nvram(target, needs)) if check is not None
    )


def _loader(target: Host, needs: DomainNeeds, fit: GuestFit | None) -> Check | None:
    if not needs.loader:
        return None
    if fit is None or not fit.loaders:
        text = f"whether {needs.loader} is on {target.name} is not told"
        return Check("firmware", Verdict.NOT_TESTED, text, "libvirt there lists no firmware")
    proof = f"it knows: {', '.join(fit.loaders)}"
    if needs.loader not in fit.loaders:
        text = f"{target.name} does not know the firmware {needs.loader}"
        return Check("firmware", Verdict.BLOCKED, text, proof, f"install it on {target.name}")
    return Check("firmware", Verdict.OK, f"{needs.loader} is on {target.name}", proof)


def _nvram(target: Host, needs: DomainNeeds) -> Check | None:
    if not needs.nvram:
        return None
    if needs.nvram.startswith(_NVRAM):
        text = "the UEFI variables move with the guest; libvirt makes their file there"
        return Check("nvram", Verdict.OK, text, needs.nvram)
    text = f"the UEFI variables lie in a folder of their own, which must exist on {target.name}"
    return Check("nvram", Verdict.NOT_TESTED, text, f"{needs.nvram} is in no pool to look at")


def _sealed(needs: DomainNeeds) -> tuple[Check, ...]:
    if not needs.sealed:
        return ()
    text = f"its memory is sealed by {needs.sealed}: QEMU cannot copy it"
    return (Check("sealed memory", Verdict.BLOCKED, text, f"launchSecurity {needs.sealed}"),)


def _snapshots(subject: Subject, needs: DomainNeeds) -> tuple[Check, ...]:
    vm, uri = subject.vm, subject.host.spec.uri
    found = []
    if needs.snapshots is None:
        found.append(_uncounted(vm.name, "snapshots"))
    elif needs.snapshots:
        text = f"libvirt moves no VM that has snapshots; {vm.name} has {needs.snapshots}"
        fix = f"look at them: virsh -c {uri} snapshot-list {vm.uuid}; delete or merge them first"
        proof = f"{needs.snapshots} snapshots kept, 0 allowed"
        found.append(Check("snapshots", Verdict.BLOCKED, text, proof, fix))
    else:
        found.append(Check("snapshots", Verdict.OK, "no snapshots"))
    if needs.checkpoints is None:
        found.append(_uncounted(vm.name, "checkpoints"))
    elif needs.checkpoints:
        text = f"{needs.checkpoints} checkpoints stay behind: the next backup there is a full one"
        fix = f"virsh -c {uri} checkpoint-list {vm.uuid}"
        found.append(Check("checkpoints", Verdict.WARN, text, f"{needs.checkpoints} kept", fix))
    return tuple(found)


def _uncounted(name: str, what: str) -> Check:
    text = f"whether {name} has {what} is not known"
    return Check(what, Verdict.NOT_TESTED, text, f"libvirt there cannot list {what}")


def _autostart(subject: Subject, target: Host, needs: DomainNeeds) -> tuple[Check, ...]:
    if not needs.autostart:
        return ()
    text = f"{subject.vm.name} starts with {subject.host.name}; libvirt does not carry that along"
    fix = f"afterwards: virsh -c {target.spec.uri} autostart {subject.vm.uuid}"
    return (Check("autostart", Verdict.WARN, text, "autostart is on here", fix),)
