"""``novacron vms``, ``hosts``, ``volumes`` and ``jobs``: what is there now."""

from __future__ import annotations

import argparse
import sys

from console.headless.context import Context
from console.headless.session import Settled, has_pools, has_rates, open_session
from console.headless.status import Exit
from console.headless.tables import print_rows
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, LinkState
from drivers.model.vm import Vm
from screens.render.degraded import degraded, suspicion

Rows = list[tuple[object, ...]]

VM_COLUMNS = (
    "name", "host", "state", "cpu_pct", "vcpus", "memory", "memory_used", "rss", "read_bps",
    "write_bps", "rx_bps", "tx_bps", "tags", "tenant", "uuid", "age_s",
)  # fmt: skip
HOST_COLUMNS = (
    "name", "site", "state", "cpu_pct", "cpus", "load1", "memory_total", "memory_available",
    "vms", "running", "libvirt", "qemu", "kernel", "rtt_ms", "reason", "uri",
)  # fmt: skip
VOLUME_COLUMNS = (
    "host",
    "pool",
    "tier",
    "name",
    "format",
    "capacity",
    "allocation",
    "used_by",
    "path",
)


def run_list(args: argparse.Namespace, context: Context) -> int:
    """Read the fleet once and print the rows that ``args.command`` names."""
    source = context.source(getattr(args, "host", "") or "")
    settled: Settled = has_pools if args.command == "volumes" else has_rates
    with open_session(source, context.open_store) as session:
        snapshot = session.wait(settled, args.deadline)
    columns, rows = _rows(args.command, snapshot)
    print_rows(columns, rows, form="json" if args.json else "table")
    for lack in degraded(snapshot, session.store):
        if not lack.hosts:  # what is said of hosts comes with its reason
            print(f"DEGRADED: {lack.text}", file=sys.stderr)
    return report_down(snapshot)


def report_down(snapshot: FleetSnapshot) -> int:
    """Say on standard error which hosts were not read, and why; the exit status for that."""
    out = [h for h in snapshot.hosts if not h.slow_at]
    for host in out:
        problem = host.link.problem
        reason = str(problem) if problem else "no answer within the deadline"
        print(f"{host.name}: {reason}", file=sys.stderr)
    if snapshot.all_down:
        print(f"Every host failed at once: {suspicion(snapshot)}.", file=sys.stderr)
    return Exit.UNREACHABLE if out else Exit.OK


def _rows(command: str, snapshot: FleetSnapshot) -> tuple[tuple[str, ...], Rows]:
    if command == "hosts":
        return HOST_COLUMNS, [_host_row(h) for h in snapshot.hosts]
    if command == "volumes":
        return VOLUME_COLUMNS, _volume_rows(snapshot)
    return VM_COLUMNS, [_vm_row(vm, snapshot.at) for vm in snapshot.vms()]


def _vm_row(vm: Vm, now: float) -> tuple[object, ...]:
    return (
        vm.name, vm.host, str(vm.state), vm.cpu_pct, vm.vcpus, vm.memory, vm.memory_used, vm.rss,
        vm.read_bps, vm.write_bps, vm.rx_bps, vm.tx_bps, list(vm.tags), vm.tenant, vm.uuid,
        round(max(0.0, now - vm.slow_at), 1),
    )  # fmt: skip


def _host_row(host: Host) -> tuple[object, ...]:
    load, facts, problem = host.load, host.facts, host.link.problem
    return (
        host.name, host.spec.site, str(host.link.state),
        load.cpu_pct if load else None, facts.cpus if facts else None,
        load.load1 if load else None, load.memory_total if load else None,
        load.memory_available if load else None,
        len(host.vms) if host.slow_at else None,
        sum(vm.state.active for vm in host.vms) if host.slow_at else None,
        facts.libvirt_version if facts else None, facts.qemu_version if facts else None,
        facts.kernel if facts else None, host.link.rtt_ms,
        problem.what if problem and host.link.state is not LinkState.UP else "", host.spec.uri,
    )  # fmt: skip


def _volume_rows(snapshot: FleetSnapshot) -> Rows:
    names = {vm.uuid: vm.name for vm in snapshot.vms()}
    return [
        (v.host, v.pool, str(pool.tier), v.name, v.format, v.capacity, v.allocation,
         [names.get(u, u) for u in v.used_by], v.path)
        for host in snapshot.hosts for pool in host.pools for v in pool.volumes
    ]  # fmt: skip
