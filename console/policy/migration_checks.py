"""What is compared between a VM and a host it might move to, disks aside."""

from __future__ import annotations

import re
from itertools import zip_longest

from console.policy.lifecycle import OFF, PAUSED, RUNNING
from console.policy.preflight.grounds import NO_RULES, Rules
from console.policy.protect import protection_problem
from console.policy.sizes import size_words
from console.policy.subject import Subject, host_problem
from drivers.model.host import Host, HostFacts
from drivers.model.job import Action, Check, Verdict
from drivers.model.problem import Problem
from drivers.model.vm import Vm, VmNic

_MIN_LEFT = 0.05
"""Share of a host's memory that should stay free after a move."""


def from_problem(name: str, problem: Problem | None, text: str) -> Check:
    """A check that is OK with ``text`` unless there is a problem."""
    if problem is None:
        return Check(name, Verdict.OK, text)
    return Check(name, Verdict.BLOCKED, problem.what, problem.proof, problem.fix)


def vm_check(subject: Subject, *, offline: bool) -> Check:
    """A VM without a job of its own moves live while it runs, and as a definition while off."""
    vm = subject.vm
    if vm.job is not None:
        return Check("vm", Verdict.BLOCKED, f"a job runs on {vm.name}", vm.job.phase, "wait for it")
    if vm.monitor_stuck_s is not None:
        proof = f"stuck for {vm.monitor_stuck_s:.0f} s"
        return Check("vm", Verdict.BLOCKED, f"the monitor of {vm.name} does not answer", proof)
    proof = f"state {vm.state.value} on {vm.host}"
    if offline and vm.state not in OFF:
        fix = "shut it down first, or migrate it live"
        return Check("vm", Verdict.BLOCKED, f"{vm.name} is not off", proof, fix)
    if not offline and vm.state not in RUNNING | PAUSED:
        fix = "start it first, or choose mode offline"
        return Check("vm", Verdict.BLOCKED, f"{vm.name} does not run", proof, fix)
    return Check("vm", Verdict.OK, f"{vm.name} is {vm.state.value} and has no job")


def paused_check(subject: Subject) -> tuple[Check, ...]:
    """What a paused VM risks; nothing of one that runs or is off."""
    vm, facts = subject.vm, subject.host.facts
    if vm.state not in PAUSED:
        return ()
    text = f"{vm.name} is paused: it is lost if it arrived here paused and has not run since"
    why = f" ({vm.reason})" if vm.reason else ""
    qemu = facts.qemu_version if facts and facts.qemu_version else "of unknown version"
    proof = (
        f"paused{why} on {vm.host}, QEMU {qemu}; seen with QEMU 7.2 and plain virsh: its process "
        "ends when it moves on before it has run. libvirt does not tell whether it has"
    )
    return (Check("paused", Verdict.WARN, text, proof, "let it run for a moment first (resume)"),)


def host_checks(subject: Subject, target: Host, now: float) -> tuple[Check, ...]:
    """Link, freshness and protection of both ends."""
    return (
        from_problem("link", host_problem(target, now), f"{target.name} answers"),
        from_problem(
            "protect",
            protection_problem(subject.host.spec, Action.MIGRATE)
            or protection_problem(target.spec, Action.MIGRATE),
            f"protect is {target.spec.protect.value}",
        ),
    )


def memory_checks(vm: Vm, target: Host, rules: Rules = NO_RULES) -> tuple[Check, ...]:
    """Whether the guest's memory fits into what the target has available, and may promise."""
    total = _memory_total(target)
    promised = sum(other.memory for other in target.vms if other.state.active)
    found = [_available_check(vm, target, total, promised, rules)]
    if total:
        found.append(_promise_check(vm, target, total, promised, rules))
    return tuple(found)


def _memory_total(target: Host) -> int:
    load, facts = target.load, target.facts
    return (load.memory_total if load else None) or (facts.memory if facts else 0)


def _available_check(vm: Vm, target: Host, total: int, promised: int, rules: Rules) -> Check:
    available = target.load.memory_available if target.load else None
    source = "available now"
    if available is None and total:
        available, source = total - promised, "not given to its running VMs"
    if available is None:
        return Check(
            "memory",
            Verdict.NOT_TESTED,
            f"the free memory of {target.name} is not known",
            "no reading of its memory",
        )
    proof = f"needs {size_words(vm.memory)}, {size_words(available)} {source}"
    if rules.memory_reserve:
        proof += f", {size_words(rules.memory_reserve)} of it kept for the host"
    left = available - rules.memory_reserve - vm.memory
    if left < 0:
        return Check(
            "memory",
            Verdict.BLOCKED,
            f"{target.name} has too little memory",
            proof,
            f"move or stop another VM of {target.name}",
        )
    if total and left < _MIN_LEFT * total:
        return Check("memory", Verdict.WARN, f"{target.name} will be nearly full", proof)
    return Check("memory", Verdict.OK, "memory fits", proof)


def _promise_check(vm: Vm, target: Host, total: int, promised: int, rules: Rules) -> Check:
    """What all running VMs may take once the guest is there, against the configured share."""
    share = rules.memory_share
    limit = int((total - rules.memory_reserve) * share)
    words = f"{share:g} x {size_words(total)}"
    after = promised + vm.memory
    proof = f"{size_words(after)} for all running VMs after the move, {words} allowed"
    if after <= limit:
        return Check("memory promised", Verdict.OK, f"{target.name} can keep its word", proof)
    text = f"{target.name} would promise more memory than it may"
    fix = "move another VM away first, or set a higher memory_overcommit under [policy]"
    strict = Verdict.WARN if rules.memory_overcommit is None else Verdict.BLOCKED
    return Check("memory promised", strict, text, proof, fix)


def cpu_checks(
    subject: Subject, target: Host, rules: Rules = NO_RULES, *, compared: bool = False
) -> tuple[Check, ...]:
    """vCPUs beside the CPUs, and what of the CPU model can be told without asking libvirt.

    Args:
        compared: libvirt was asked: the model needs no word here.
    """
    here, there = subject.host.facts, target.facts
    if there is None:
        return (_unread("vcpus", target),)
    counts = (_count_check(subject.vm, target, there), _share_check(subject.vm, target, rules))
    if compared:
        return counts
    if here is not None and here.cpu_model and here.cpu_model == there.cpu_model:
        return *counts, Check("cpu model", Verdict.OK, f"same CPU: {there.cpu_model}")
    models = f"{here.cpu_model if here else ''} here, {there.cpu_model} there"
    text = "CPU features are compared by libvirt when it begins"
    return *counts, Check("cpu model", Verdict.NOT_TESTED, text, models)


def _count_check(vm: Vm, target: Host, facts: HostFacts) -> Check:
    proof = f"{vm.vcpus} vCPUs, {facts.cpus} CPUs on {target.name}"
    if facts.cpus and vm.vcpus > facts.cpus:
        return Check("vcpus", Verdict.WARN, f"more vCPUs than {target.name} has CPUs", proof)
    return Check("vcpus", Verdict.OK, "vCPUs fit", proof)


def _share_check(vm: Vm, target: Host, rules: Rules) -> Check:
    cpus = target.facts.cpus if target.facts else 0
    if not cpus:
        return Check("vcpus in all", Verdict.NOT_TESTED, f"{target.name} does not tell its CPUs")
    after = vm.vcpus + sum(other.vcpus for other in target.vms if other.state.active)
    share = rules.vcpu_share
    proof = f"{after} vCPUs after the move on {cpus} CPUs, {share:g} a CPU allowed"
    if after <= cpus * share:
        return Check("vcpus in all", Verdict.OK, f"{target.name} has CPUs for it", proof)
    text = f"{target.name} would carry too many vCPUs"
    fix = "move another VM away first, or set a higher cpu_overcommit under [policy]"
    strict = Verdict.WARN if rules.cpu_overcommit is None else Verdict.BLOCKED
    return Check("vcpus in all", strict, text, proof, fix)


def software_checks(subject: Subject, target: Host) -> tuple[Check, ...]:
    """Architecture, hypervisor and versions of both ends."""
    here, there = subject.host.facts, target.facts
    if here is None or there is None:
        return (_unread("software", target if there is None else subject.host),)
    if subject.host.simulated is not target.simulated:
        text = "a simulated host and a real one cannot exchange VMs"
        return (Check("software", Verdict.BLOCKED, text),)
    return (
        _same("arch", here.arch, there.arch, target),
        _same("hypervisor", here.hypervisor, there.hypervisor, target),
        *_versions(here, there, target),
    )


def _same(name: str, here: str, there: str, target: Host) -> Check:
    proof = f"{here or 'unknown'} here, {there or 'unknown'} on {target.name}"
    if not here or not there:
        return Check(name, Verdict.NOT_TESTED, f"{name} is not known on both ends", proof)
    if here != there:
        return Check(name, Verdict.BLOCKED, f"{target.name} has another {name}", proof)
    return Check(name, Verdict.OK, f"same {name}: {here}")


def _versions(here: HostFacts, there: HostFacts, target: Host) -> tuple[Check, ...]:
    found = []
    pairs = (
        ("libvirt", here.libvirt_version, there.libvirt_version),
        ("QEMU", here.qemu_version, there.qemu_version),
    )
    for name, ours, theirs in pairs:
        proof = f"{ours or 'unknown'} here, {theirs or 'unknown'} on {target.name}"
        if not ours or not theirs:
            text, verdict = f"{name} version is not known on both ends", Verdict.NOT_TESTED
        elif version_key(theirs) < version_key(ours):
            text = f"{target.name} has an older {name}: it may not know this machine type"
            verdict = Verdict.WARN
        else:
            text, verdict = f"{name} is not older there", Verdict.OK
        found.append(Check(name, verdict, text, proof))
    return tuple(found)


def version_key(text: str) -> tuple[int, ...]:
    """Numbers of a version, padded, so that 7.2 equals 7.2.0 and 10.0 follows 9.9."""
    numbers = [int(part) for part in re.findall(r"\d+", text)][:4]
    return tuple(a for a, _ in zip_longest(numbers, range(4), fillvalue=0))


def network_checks(subject: Subject, target: Host) -> tuple[Check, ...]:
    """Every NIC's network or bridge must exist there by name."""
    return tuple(_nic_check(nic, target) for nic in subject.vm.nics)


def _nic_check(nic: VmNic, target: Host) -> Check:
    name = f"nic {nic.target or nic.mac or nic.source}"
    if nic.kind in ("user", "ethernet", "null", ""):
        return Check(name, Verdict.OK, f"{nic.kind or 'unnamed'} network needs nothing there")
    if target.facts is None:
        return _unread(name, target)
    networks = target.facts.networks
    if nic.kind == "network":
        found = next((n for n in networks if n.name == nic.source), None)
        if found is not None and not found.active:
            fix = f"virsh -c {target.spec.uri} net-start {nic.source}"
            text = f"network {nic.source} is not active on {target.name}"
            return Check(name, Verdict.BLOCKED, text, "defined, not started", fix)
    elif nic.kind == "bridge":
        found = next((n for n in networks if nic.source in (n.bridge, n.name)), None)
    else:
        text = f"{nic.kind} interface on {nic.source}"
        proof = "whether it exists there is seen only when QEMU starts"
        return Check(name, Verdict.NOT_TESTED, text, proof)
    if found is None:
        names = ", ".join(n.name for n in networks) or "none"
        return Check(
            name,
            Verdict.BLOCKED,
            f"{target.name} has no {nic.kind} {nic.source}",
            f"it has: {names}",
            f"create {nic.kind} {nic.source} on {target.name}",
        )
    return Check(name, Verdict.OK, f"{nic.kind} {nic.source} exists there")


def clash_checks(vm: Vm, target: Host) -> tuple[Check, ...]:
    """Another VM of that name, or this very UUID, on the target."""
    named = next((o for o in target.vms if o.name == vm.name and o.uuid != vm.uuid), None)
    same = next((o for o in target.vms if o.uuid == vm.uuid), None)
    checks = []
    if named:
        text = f"another VM of {target.name} is called {vm.name}"
        proof = f"its UUID is {named.uuid}, this one's is {vm.uuid}"
        checks.append(Check("name", Verdict.BLOCKED, text, proof, "rename one of them"))
    if same and same.state.active:
        text = f"{vm.name} already runs on {target.name}: two copies of one UUID"
        checks.append(Check("uuid", Verdict.BLOCKED, text, f"state {same.state.value}"))
    elif same:
        text = f"{target.name} holds an old definition of {vm.name}: it is replaced"
        checks.append(Check("uuid", Verdict.WARN, text, f"same UUID, {same.state.value}"))
    return tuple(checks) or (Check("identity", Verdict.OK, "name and UUID are free there"),)


def _unread(name: str, host: Host) -> Check:
    text = f"the facts of {host.name} are not known"
    return Check(name, Verdict.NOT_TESTED, text, "not read since it connected")
