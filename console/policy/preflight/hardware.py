"""The guest's machine against the target's: CPU, machine type, pages, nodes."""

from __future__ import annotations

from console.policy.migration_checks import version_key
from console.policy.preflight.grounds import Evidence, failed, told, untested
from console.policy.sizes import size_words
from console.policy.subject import Subject
from drivers.model.caps import CpuMatch, DomainNeeds, GuestFit, HostCaps
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.vm import VmState

_NAMED = 8
"""Features told by name; the rest is counted."""
_MENDED = "9.0"
"""The QEMU that sends the memory of emulated guests faithfully."""


def hardware_checks(subject: Subject, target: Host, evidence: Evidence) -> tuple[Check, ...]:
    """Everything that the definition asks of the machine; nothing where it was not read."""
    needs = told(evidence.needs.get(subject.vm.uuid))
    if needs is None:
        return ()
    reading = evidence.fits.get((subject.vm.uuid, target.name))
    fit = told(reading)
    if fit is None:
        text = f"{target.name} was not asked about CPU and machine type of {subject.vm.name}"
        found: tuple[Check, ...] = (untested("cpu", text, failed(reading)),)
    else:
        found = (
            _cpu(subject, target, needs, fit, evidence),
            _machine(subject, target, needs, fit),
            _most_vcpus(target, needs, fit),
        )
    return (*found, *_emulation(subject, needs), *_host_checks(subject, target, needs, evidence))


def _emulation(subject: Subject, needs: DomainNeeds) -> tuple[Check, ...]:
    """QEMU 9.0 mended how it notes which memory an emulated guest wrote while it is sent.

    Before, what such a guest wrote late may arrive in its older state (QEMU's commit 03bfc2188f06,
    "physmem: Fix migration dirty bitmap coherency with TCG memory access").
    """
    vm, host = subject.vm, subject.host
    if needs.virt != "qemu" or vm.state is not VmState.RUNNING:
        return ()
    version = host.facts.qemu_version if host.facts else ""
    if not version:
        text = f"whether the memory of {vm.name}, an emulated guest, arrives whole is not known"
        return (Check("emulation", Verdict.NOT_TESTED, text, f"QEMU of {host.name} is not told"),)
    if version_key(version) >= version_key(_MENDED):
        return ()
    text = f"{vm.name} is emulated: parts of its memory can arrive out of date and crash its kernel"
    proof = f"domain type qemu, QEMU {version} on {host.name}; mended in QEMU {_MENDED}"
    fix = f"pause it or shut it down for the move, or update QEMU on {host.name} to {_MENDED}"
    return (Check("emulation", Verdict.WARN, text, proof, fix),)


def _cpu(
    subject: Subject, target: Host, needs: DomainNeeds, fit: GuestFit, evidence: Evidence
) -> Check:
    vm, cpu = subject.vm, needs.cpu
    wanted = cpu.model or cpu.mode or "QEMU's default CPU"
    if cpu.of_the_host:
        return _passed_through(subject, target, needs, evidence)
    if not cpu.xml:
        text = f"{vm.name} names no CPU: it has QEMU's default, which needs nothing special"
        return Check("cpu", Verdict.OK, text)
    offers = f"{wanted} wanted, {fit.host_model or 'another CPU'} is what {target.name} has"
    if fit.cpu is CpuMatch.INCOMPATIBLE:
        lacks = _few(fit.missing) if fit.missing else f"what {wanted} needs"
        return Check(
            "cpu",
            Verdict.BLOCKED,
            f"{target.name} lacks CPU features of {vm.name}: {lacks}",
            f"{offers}; libvirt: {fit.said}" if fit.said else offers,
            f"choose another target, or restart the VM with {_baseline(subject, target, evidence)}",
        )
    if fit.cpu is CpuMatch.UNKNOWN:
        text = f"libvirt on {target.name} did not compare the CPU {wanted}"
        return Check("cpu", Verdict.NOT_TESTED, text, fit.said or "it gave no answer")
    text = f"{target.name} can give {vm.name} its CPU {wanted}"
    return Check("cpu", Verdict.OK, text, f"compared by libvirt there: {fit.cpu.value}")


def _baseline(subject: Subject, target: Host, evidence: Evidence) -> str:
    """What both hosts can be, as libvirt worked it out; how to work it out where it did not."""
    both = told(evidence.baselines.get((subject.vm.uuid, target.name)))
    if both is None or not both.model:
        return "a CPU that both hosts have: virsh hypervisor-cpu-baseline"
    extra = f" and {_few(both.features)}" if both.features else ""
    return f"the baseline of both hosts: CPU model {both.model}{extra}"


def _passed_through(
    subject: Subject, target: Host, needs: DomainNeeds, evidence: Evidence
) -> Check:
    """libvirt never compares these: the physical CPUs are, feature by feature."""
    here = told(evidence.caps.get(subject.host.name))
    there = told(evidence.caps.get(target.name))
    mode = needs.cpu.mode
    if here is None or there is None or not here.cpu_model or not there.cpu_model:
        text = f"CPU mode {mode}: the CPUs of both hosts are not known"
        lost = evidence.caps.get(target.name if there is None else subject.host.name)
        return untested("cpu", text, failed(lost))
    proof = f"{here.cpu_model} here, {there.cpu_model} on {target.name}"
    missing = sorted(here.cpu_features - there.cpu_features)
    fix = "restart the VM with a named CPU model: virsh hypervisor-cpu-baseline"
    if missing or here.cpu_model != there.cpu_model:
        lacks = f", lacking {_few(tuple(missing))}" if missing else ""
        text = f"CPU mode {mode}, and {target.name} has another CPU{lacks}: the guest could crash"
        return Check("cpu", Verdict.BLOCKED, text, proof, fix)
    if here.microcode != there.microcode:
        text = f"CPU mode {mode}: same CPU with another microcode, which libvirt does not compare"
        proof = f"microcode {here.microcode} here, {there.microcode} on {target.name}"
        return Check("cpu", Verdict.WARN, text, proof, fix)
    return Check("cpu", Verdict.OK, f"CPU mode {mode}: both hosts have the same CPU", proof)


def _few(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _machine(subject: Subject, target: Host, needs: DomainNeeds, fit: GuestFit) -> Check:
    vm = subject.vm
    if not fit.virt:
        text = f"{target.name} runs no {needs.arch} guests with {needs.virt}"
        proof = f"{vm.name} is {needs.arch} with {needs.virt}"
        return Check("machine", Verdict.BLOCKED, text, proof, "choose another target")
    if not needs.machine:
        return Check("machine", Verdict.NOT_TESTED, f"the machine type of {vm.name} is not told")
    if fit.machine:
        return Check("machine", Verdict.OK, f"{target.name} offers machine type {needs.machine}")
    near = ", ".join(fit.near) or "none of that family"
    return Check(
        "machine",
        Verdict.BLOCKED,
        f"{target.name} does not offer machine type {needs.machine}",
        f"{needs.machine} wanted; it offers {near}",
        f"update QEMU on {target.name}, or restart {vm.name} with a machine type both offer",
    )


def _most_vcpus(target: Host, needs: DomainNeeds, fit: GuestFit) -> Check:
    if fit.vcpus_max is None:
        text = f"{target.name} does not tell how many vCPUs {needs.machine or 'it'} takes"
        return Check("most vcpus", Verdict.NOT_TESTED, text, fit.said)
    proof = f"{needs.vcpus} vCPUs at most, {fit.vcpus_max} allowed on {target.name}"
    if needs.vcpus > fit.vcpus_max:
        text = f"QEMU on {target.name} takes fewer vCPUs"
        return Check("most vcpus", Verdict.BLOCKED, text, proof, "choose another target")
    return Check("most vcpus", Verdict.OK, f"QEMU on {target.name} takes so many vCPUs", proof)


def _host_checks(
    subject: Subject, target: Host, needs: DomainNeeds, evidence: Evidence
) -> tuple[Check, ...]:
    """Huge pages, NUMA nodes and pinned CPUs: asked for by few guests, and only then checked."""
    if not (needs.huge or needs.nodes or needs.pinned):
        return ()
    reading = evidence.caps.get(target.name)
    caps = told(reading)
    if caps is None:
        text = f"nodes and huge pages of {target.name} were not read"
        return (untested("numa", text, failed(reading)),)
    found = [_huge(subject, target, needs, caps)] if needs.huge else []
    if needs.nodes:
        found.append(_among("numa", "NUMA nodes", needs.nodes, caps.nodes, target))
    if needs.pinned:
        found.append(_among("pinning", "CPUs", needs.pinned, caps.cpus, target))
    return tuple(found)


def _huge(subject: Subject, target: Host, needs: DomainNeeds, caps: HostCaps) -> Check:
    sizes = sorted({page.size for page in caps.pages})
    for wanted in needs.huge:
        if not wanted.size and len(sizes) != 1:
            told_sizes = ", ".join(size_words(size) for size in sizes) or "none"
            text = f"which huge pages {target.name} takes by default is not known"
            return Check("huge pages", Verdict.NOT_TESTED, text, f"it has: {told_sizes}")
        size = wanted.size or sizes[0]
        free = sum(p.free for p in caps.pages if p.size == size)
        count = -(-wanted.memory // size)
        proof = f"{count} pages of {size_words(size)} needed, {free} free on {target.name}"
        if free < count:
            text = f"{target.name} has too few free huge pages for {subject.vm.name}"
            fix = f"virsh -c {target.spec.uri} allocpages {size // 1024}KiB {count}"
            return Check("huge pages", Verdict.BLOCKED, text, proof, fix)
    return Check("huge pages", Verdict.OK, f"{target.name} has the huge pages", proof)


def _among(
    name: str, what: str, wanted: tuple[int, ...], there: tuple[int, ...], target: Host
) -> Check:
    numbers = ", ".join(str(n) for n in wanted)
    if not there:
        return Check(name, Verdict.NOT_TESTED, f"{target.name} does not tell its {what}")
    absent = [str(n) for n in wanted if n not in there]
    proof = f"bound to {what} {numbers}; {target.name} has {len(there)}"
    if absent:
        text = f"{target.name} has no {what} {', '.join(absent)}"
        return Check(name, Verdict.BLOCKED, text, proof, "change the binding of the VM")
    return Check(name, Verdict.OK, f"{target.name} has these {what}", proof)
