"""What the fleet file says of capacity and groups, in the planner's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from console.policy.bounds import small_bytes
from console.policy.preflight.grounds import Group, Rules
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.operation import Limits
from drivers.model.vm import Vm


def limits_of(rules: Rules) -> Limits:
    """Caps and capacity as configured, or as usual where they are not."""
    return Limits(
        rules.moves_per_host,
        rules.moves_per_link,
        rules.vcpu_share,
        rules.memory_share,
        rules.memory_reserve,
        small_bytes(rules.link_bps),
        max(rules.small_per_host, rules.moves_per_host),
        max(rules.small_per_link, rules.moves_per_link),
    )


def with_groups(snapshot: FleetSnapshot, groups: Sequence[Group]) -> FleetSnapshot:
    """The snapshot with a tag ``apart:NAME`` or ``together:NAME`` on each member of a group.

    Groups that only warn are left out.
    """
    strict = [g for g in groups if g.strict]
    if not strict:
        return snapshot
    return replace(snapshot, hosts=tuple(_tagged_host(h, strict) for h in snapshot.hosts))


def _tagged_host(host: Host, groups: Sequence[Group]) -> Host:
    return replace(host, vms=tuple(_tagged(vm, groups) for vm in host.vms))


def _tagged(vm: Vm, groups: Sequence[Group]) -> Vm:
    more = [
        f"{g.rule}:{g.name}"
        for g in groups
        if vm.name in g.vms or vm.uuid in g.vms or any(t in g.tags for t in vm.tags)
    ]
    return replace(vm, tags=tuple(dict.fromkeys((*vm.tags, *more)))) if more else vm
