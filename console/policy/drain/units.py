"""The VMs of an operation as items to place, and why one of them has no place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from console.policy.drain.assign import Item
from console.policy.drain.fits import Fit, Fits, is_local
from console.policy.drain.rooms import NO_VCPUS, Bin, Need, need_of, together_of
from drivers.model.host import Host
from drivers.model.operation import Choice, Stuck
from drivers.model.problem import Problem
from drivers.model.vm import Vm, VmState

PAUSED_RISK = "QEMU 7.2 ends a guest that once arrived paused and moves again before it has run"


def items_of(vms: Sequence[Vm]) -> tuple[Item, ...]:
    """VMs that share a ``together`` tag, directly or through others, become one item."""
    groups: list[tuple[list[Vm], set[str]]] = []
    for vm in vms:
        tags = set(together_of(vm))
        members = [vm]
        for other in [g for g in groups if g[1] & tags]:
            members = other[0] + members
            tags |= other[1]
            groups.remove(other)
        groups.append((members, tags))
    return tuple(
        Item(
            tuple(vm.uuid for vm in members),
            sum(vm.memory for vm in members),
            sum(vm.vcpus for vm in members),
        )
        for members, _ in groups
    )


class Candidates:
    """What may go where; remembers what it was asked.

    Args:
        vms: VMs to move by UUID.
        site: Site of the host they leave; hosts of the same one come first.
        targets: Hosts that take VMs by name.
        bins: Their room.
        allowed: UUID to the only targets it may have; no entry means all.
        copying: UUIDs whose storage may be copied along.
        paused: UUIDs of VMs that may move although they are paused.
        preferred: UUID to the target that comes before all others.
        offers: What may be chosen in any case for a VM without a place.
    """

    def __init__(
        self,
        vms: Mapping[str, Vm],
        site: str,
        targets: Mapping[str, Host],
        bins: Mapping[str, Bin],
        fits: Fits,
        *,
        allowed: Mapping[str, Collection[str]],
        copying: Collection[str],
        paused: Collection[str] = (),
        preferred: Mapping[str, str] = MappingProxyType({}),
        offers: tuple[Choice, ...] = (Choice.LEAVE, Choice.SHUTDOWN),
    ) -> None:
        self.vms = vms
        self.targets = targets
        self.bins = bins
        self._site = site
        self._fits = fits
        self._allowed = allowed
        self._copying = copying
        self._paused = paused
        self._preferred = preferred
        self._offers = offers
        self._known: dict[tuple[tuple[str, ...], str], tuple[Need, ...] | None] = {}

    def accept(self, item: Item, target: str) -> tuple[Need, ...] | None:
        """What the item takes of a target; None where one of its VMs may not or cannot go."""
        key = (item.uuids, target)
        if key not in self._known:
            self._known[key] = self._needs(item, target)
        return self._known[key]

    def rank(self, item: Item, target: str) -> int:
        """What is preferred comes first, then the same site: memory travels less far."""
        elsewhere = any(self.missed(uuid, target) for uuid in item.uuids)
        return 2 * elsewhere + (self.targets[target].spec.site != self._site)

    def missed(self, uuid: str, target: str) -> str:
        """The preferred target of a VM that goes elsewhere; empty when there is none."""
        wanted = self._preferred.get(uuid, target)
        return wanted if wanted != target else ""

    def fit(self, uuid: str, target: str) -> Fit:
        """One VM against one host."""
        return self._fits(self.vms[uuid], self.targets[target])

    def stuck(self, item: Item, choices: Mapping[str, Choice]) -> list[Stuck]:
        """Each VM of an item that has no place, with why and what may be chosen."""
        return [
            Stuck(
                uuid,
                self.vms[uuid].name,
                self._why(item, uuid),
                self._choices(item, uuid),
                choices.get(uuid, Choice.NONE),
            )
            for uuid in item.uuids
        ]

    def _needs(self, item: Item, target: str) -> tuple[Need, ...] | None:
        needs = []
        if any(self._held(uuid) for uuid in item.uuids):
            return None
        if any(is_local(self.vms[u]) for u in item.uuids if u not in self._copying):
            return None
        for uuid in item.uuids:
            if uuid in self._allowed and target not in self._allowed[uuid]:
                return None
            fit = self.fit(uuid, target)
            if not fit.ok or (fit.copies and uuid not in self._copying):
                return None
            needs.append(need_of(self.vms[uuid], fit.copies))
        return tuple(needs)

    def _held(self, uuid: str) -> bool:
        """QEMU may end a paused guest that moves: only somebody who knows it may say so."""
        return self.vms[uuid].state is VmState.PAUSED and uuid not in self._paused

    def _choices(self, item: Item, uuid: str) -> tuple[Choice, ...]:
        if self._held(uuid):
            copied = is_local(self.vms[uuid]) and uuid not in self._copying
            return (Choice.COPY if copied else Choice.MOVE, Choice.LEAVE)
        may_copy = uuid not in self._copying and any(
            self.fit(uuid, t).ok and self.fit(uuid, t).copies for t in self._targets_of(uuid)
        )
        first = (Choice.COPY,) if may_copy and len(item.uuids) == 1 else ()
        return (*first, *self._offers)

    def _targets_of(self, uuid: str) -> list[str]:
        return [t for t in self.targets if uuid not in self._allowed or t in self._allowed[uuid]]

    def _why(self, item: Item, uuid: str) -> Problem:
        vm, targets = self.vms[uuid], self._targets_of(uuid)
        what = f"{vm.name} has no place to go"
        if not targets:
            fix = "uncordon a host, or wait until one answers"
            return Problem(what, "no host takes VMs now", fix, "no-target")
        if self._held(uuid):
            proof = f"it is paused: {PAUSED_RISK}"
            return Problem(what, proof, "resume it, or choose to move it so", "paused")
        if is_local(vm) and uuid not in self._copying:
            proof = "its storage is not shared, and would have to be copied"
            return Problem(what, proof, "choose to copy it, or move it to shared storage", "local")
        reasons = {target: self._against(uuid, target) for target in targets}
        counted = Counter(reasons.values())
        if "" in counted:
            others = [self.vms[u].name for u in item.uuids if u != uuid]
            why = "the other VMs that move leave too little room"
            if others:
                why = f"it must stay together with {', '.join(others)}: no one place for all"
            return Problem(what, why, "leave or shut down another VM, or make room", "no-room")
        proof = "; ".join(
            reason if n == len(targets) else f"{reason} ({n} hosts)" if n > 1 else reason
            for reason, n in counted.most_common(3)
        )
        fixes = {c.fix for t in targets for c in self.fit(uuid, t).blocked if c.fix}
        if any(reason.endswith(NO_VCPUS) for reason in counted):
            fixes.add("set a higher cpu_overcommit under [policy]")
        return Problem(what, proof, "; ".join(sorted(fixes)[:2]), "stuck")

    def _against(self, uuid: str, target: str) -> str:
        """What speaks against one host; empty when the VM alone would have room there."""
        fit = self.fit(uuid, target)
        if fit.blocked:
            return fit.blocked[0].text
        if fit.copies and uuid not in self._copying:
            return "its storage is not shared and would have to be copied"
        return self.bins[target].refuses(need_of(self.vms[uuid], fit.copies))
