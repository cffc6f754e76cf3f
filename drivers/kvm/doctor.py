"""The doctor's look at a host: SSH first, then libvirt, QEMU, pools, networks and the clock."""

from __future__ import annotations

import time

from drivers.errors import DriverError, Unsupported
from drivers.kvm import binding
from drivers.kvm.driver import KvmDriver
from drivers.model.host import HostFacts, HostSpec, Protect
from drivers.model.job import Check, Verdict
from drivers.model.storage import Pool
from drivers.protocol import Prompter
from drivers.ssh.desk import Desk
from drivers.uri import parse_uri

# Beyond this, ages and event times of two hosts can no longer be compared by eye.
_SKEW_WARN_S = 2.0
_SLOW_PING_MS = 200.0


async def probe(spec: HostSpec, prompter: Prompter, desk: Desk) -> tuple[Check, ...]:
    """Everything about one host, in the order in which it can fail; never raises."""
    checks: list[Check] = []
    try:
        uri = parse_uri(spec.uri)
        binding.load()
    except DriverError as failure:
        return (_failed("configuration", failure, "this host cannot be used at all"),)
    if uri.over_ssh:
        from drivers.ssh.doctor import probe_ssh  # asyncssh only where a host needs it

        checks += await probe_ssh(spec, prompter, desk)
        if any(check.verdict is Verdict.BLOCKED for check in checks):
            return (*checks, Check("libvirt", Verdict.NOT_TESTED, "not tried: SSH comes first"))
    driver = KvmDriver(spec, prompter, desk=desk)
    try:
        told = any(check.name == "clock" for check in checks)
        checks += await _look(driver, with_clock=not told)
    finally:
        await driver.close()
    return tuple(checks)


async def _look(driver: KvmDriver, *, with_clock: bool) -> list[Check]:
    try:
        facts = await driver.connect()
    except DriverError as failure:
        return [_failed("libvirt", failure, "nothing of this host can be seen or done")]
    checks = [
        Check(
            "libvirt",
            Verdict.OK,
            f"libvirt {facts.libvirt_version} answers",
            f"{driver.route}; {facts.hostname}",
        ),
        _rights(driver.spec),
        _hypervisor(facts),
        *([_skew(facts)] if with_clock else []),
        await _ping(driver),
    ]
    checks += [await _domains(driver), *await _pools(driver)]
    checks.append(_networks(facts))
    checks.append(await _figures(driver))
    return checks


def _rights(spec: HostSpec) -> Check:
    if spec.protect is Protect.RO:
        text = "read-only: nothing can be changed from here"
        return Check("rights", Verdict.OK, text, 'protect = "ro" in the configuration')
    return Check("rights", Verdict.OK, "reads and changes", f'protect = "{spec.protect}"')


def _hypervisor(facts: HostFacts) -> Check:
    if facts.hypervisor != "QEMU":
        text = f"the {facts.hypervisor.lower()} driver: no real guests"
        return Check("hypervisor", Verdict.WARN, text)
    proof = f"{facts.cpus} CPUs ({facts.cpu_model or 'model unknown'}), {facts.memory >> 20} MiB"
    return Check("hypervisor", Verdict.OK, f"QEMU {facts.qemu_version}", proof)


def _skew(facts: HostFacts) -> Check:
    skew = facts.clock_skew_s
    if skew is None:
        return Check("clock", Verdict.NOT_TESTED, "the host's clock could not be read")
    text = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine"
    if abs(skew) <= _SKEW_WARN_S:
        return Check("clock", Verdict.OK, "in step with this machine", text)
    fix = "run an NTP client on both (chrony, systemd-timesyncd)"
    return Check("clock", Verdict.WARN, f"the clock is {text}", f"skew {skew:+.2f} s", fix)


async def _ping(driver: KvmDriver) -> Check:
    try:
        await driver.ping()  # the first one pays for a thread
        milliseconds = await driver.ping()
    except DriverError as failure:
        return _failed("libvirt round trip", failure, "every screen of this host is late")
    verdict = Verdict.OK if milliseconds < _SLOW_PING_MS else Verdict.WARN
    return Check("libvirt round trip", verdict, f"{milliseconds:.1f} ms for an empty libvirt call")


async def _domains(driver: KvmDriver) -> Check:
    began = time.perf_counter()
    try:
        reading = await driver.read_slow()
    except DriverError as failure:
        return _failed("virtual machines", failure, "VMs of this host cannot be listed")
    took = (time.perf_counter() - began) * 1000
    active = sum(vm.state.active for vm in reading.vms)
    text = f"{len(reading.vms)} VMs, {active} active, read in {took:.0f} ms"
    if not reading.stuck:
        return Check("virtual machines", Verdict.OK, text)
    names = ", ".join(vm.name for vm in reading.vms if vm.uuid in reading.stuck)
    fix = "look at the QEMU process on the host, or force these VMs off"
    return Check("virtual machines", Verdict.WARN, f"{text}; stuck: {names}", names, fix)


async def _pools(driver: KvmDriver) -> list[Check]:
    try:
        pools = await driver.read_pools()
    except DriverError as failure:
        return [_failed("pools", failure, "storage and tier moves are unavailable")]
    if not pools:
        fix = "define one: virsh pool-define-as NAME dir --target PATH"
        text = "no storage pools: disks can be neither copied along nor moved between tiers"
        return [Check("pools", Verdict.WARN, text, fix=fix)]
    return [_pool(pool) for pool in pools]


def _pool(pool: Pool) -> Check:
    name = f"pool {pool.name}"
    if pool.problem is not None:
        problem = pool.problem
        return Check(name, Verdict.WARN, problem.what, problem.proof, problem.fix)
    if not pool.active:
        fix = f"virsh pool-start {pool.name}"
        return Check(name, Verdict.WARN, "not active: its volumes are unknown", fix=fix)
    tier = f", tier {pool.tier}" if pool.tier else ", no tier"
    free = pool.available / (1 << 30)
    return Check(name, Verdict.OK, f"{free:.1f} GiB free{tier}", pool.path or pool.kind)


def _networks(facts: HostFacts) -> Check:
    names = [n.name for n in facts.networks if n.active]
    idle = [n.name for n in facts.networks if not n.active]
    if idle:
        text = f"not active: {', '.join(idle)}; guests on them cannot start or arrive"
        return Check("networks", Verdict.WARN, text, fix=f"virsh net-start {idle[0]}")
    return Check("networks", Verdict.OK, ", ".join(names) or "none of libvirt's own")


async def _figures(driver: KvmDriver) -> Check:
    try:
        reading = await driver.read_fast()
    except Unsupported as failure:
        p = failure.problem
        return Check("host figures", Verdict.WARN, f"not to be had here: {p.what}", p.proof, p.fix)
    except DriverError as failure:
        return _failed("host figures", failure, "CPU, load and tap rates come late or not at all")
    missing = "; ".join(f"{m.name}: {m.reason}" for m in reading.missing)
    if missing:
        return Check("host figures", Verdict.WARN, f"partly missing: {missing}", missing)
    return Check("host figures", Verdict.OK, "read from /proc once a second")


def _failed(name: str, failure: DriverError, disables: str) -> Check:
    problem = failure.problem
    return Check(name, Verdict.BLOCKED, f"{problem.what}: {disables}", problem.proof, problem.fix)
