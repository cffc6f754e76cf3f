"""From VMs and targets to moves, and from moves to a whole plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from console.policy.drain.assign import Item, assign
from console.policy.drain.order import in_waves
from console.policy.drain.rooms import Bin, bins_of, given, need_of, totals
from console.policy.drain.spare import spare_check
from console.policy.drain.units import Candidates, items_of
from console.policy.drain.words import effects_of, outlook_words, reason_words
from console.policy.gathering import Said, gathered
from console.policy.protect import protection_problem
from console.policy.subject import host_problem
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.job import Action, Check
from drivers.model.operation import (
    Choice,
    Limits,
    Move,
    MoveVerb,
    OperationKind,
    OperationPlan,
    Outlook,
    Room,
    Stuck,
)
from drivers.model.problem import Problem
from drivers.model.vm import Vm, VmState

_NO_CHOICES: Mapping[str, Choice] = MappingProxyType({})
_NO_PINS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person or an earlier plan laid down.

    Attributes:
        cordoned: Hosts that take no VMs.
        excluded: Targets ruled out for this operation.
        choices: VM UUID to what was decided for it.
        pins: VM UUID to the target it must have.
        moving: VM UUID to the target it is on its way to: counted there, not planned again.
        first_id: Number of the first move.
    """

    cordoned: Collection[str] = ()
    excluded: Collection[str] = ()
    choices: Mapping[str, Choice] = field(default_factory=lambda: _NO_CHOICES)
    pins: Mapping[str, str] = field(default_factory=lambda: _NO_PINS)
    moving: Mapping[str, str] = field(default_factory=lambda: _NO_PINS)
    first_id: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Moves in order of size, VMs without a place, whether more could have one, and what warns."""

    moves: tuple[Move, ...]
    stuck: tuple[Stuck, ...]
    outlook: Outlook
    warned: tuple[Said, ...] = ()


def lay_out(candidates: Candidates, movable: Sequence[Vm], choices: Mapping[str, Choice]) -> Layout:
    """Give every VM a target, as far as there is one."""
    items = items_of(movable)
    found = assign(items, candidates.bins, candidates.accept, candidates.rank)
    moves: list[Move] = []
    stuck: list[Stuck] = []
    warned: list[Said] = []
    for index, item in sorted(enumerate(items), key=lambda pair: -pair[1].memory):
        target = found.places.get(index)
        if target is None:
            stuck += candidates.stuck(item, choices)
        else:
            moves += _moves_of(candidates, item, target)
            for uuid in item.uuids:
                name = candidates.vms[uuid].name
                warned += [(name, check) for check in candidates.fit(uuid, target).warned]
    return Layout(tuple(moves), tuple(stuck), found.outlook, tuple(warned))


def _moves_of(candidates: Candidates, item: Item, target: str) -> list[Move]:
    moves = []
    for uuid in item.uuids:
        fit, vm = candidates.fit(uuid, target), candidates.vms[uuid]
        reason = reason_words(fit, len(item.uuids) > 1, candidates.missed(uuid, target))
        move = move_of(vm, MoveVerb.MIGRATE, target, reason)
        copied = sum(size for _, size in fit.copies)
        moves.append(replace(move, copy_bytes=copied, paused=vm.state is VmState.PAUSED))
    return moves


def move_of(vm: Vm, verb: MoveVerb, target: str, reason: str) -> Move:
    """A move that has no number yet."""
    return Move(
        "", verb, vm.uuid, vm.name, vm.host, target, reason, memory=vm.memory, vcpus=vm.vcpus
    )


class Draft:
    """One plan in the making: the fleet, its room, and what was laid down for it."""

    def __init__(
        self,
        snapshot: FleetSnapshot,
        kind: OperationKind,
        host: str,
        limits: Limits,
        wishes: Wishes,
        now: float,
    ) -> None:
        self.snapshot = snapshot
        self.kind = kind
        self.host = host
        self.limits = limits
        self.wishes = wishes
        self.now = now
        self.vms: dict[str, Vm] = {}
        for vm in snapshot.vms():
            if vm.uuid not in self.vms or vm.state.active:
                self.vms[vm.uuid] = vm
        self.bins: dict[str, Bin] = dict(bins_of(snapshot.hosts, limits))
        for uuid, target in wishes.moving.items():
            moving = self.vms.get(uuid)
            if moving is not None and moving.host != target and target in self.bins:
                self.bins[target].take(need_of(moving))

    def refused(self, refusal: Problem) -> OperationPlan:
        """A plan that cannot run."""
        return OperationPlan(self.kind, self.host, self.now, self.limits, refusal=refusal)

    def refusal(self) -> Problem | None:
        """Why nothing can be planned for the host."""
        host = self.snapshot.host(self.host)
        if host is None:
            names = ", ".join(h.name for h in self.snapshot.hosts)
            what = f"there is no host {self.host} in this fleet"
            return Problem(what, f"it has: {names}", "see `novacron hosts`", "unknown-host")
        return self.takes(host)

    def takes(self, host: Host) -> Problem | None:
        """Why a host can neither give nor take VMs now."""
        return host_problem(host, self.now) or protection_problem(host.spec, Action.MIGRATE)

    def targets(self, *closed: str) -> dict[str, Host]:
        """Hosts that may take VMs."""
        shut = {*closed, *self.wishes.cordoned, *self.wishes.excluded}
        return {h.name: h for h in self.snapshot.hosts if h.name not in shut and not self.takes(h)}

    def finish(
        self,
        moves: Sequence[Move],
        stuck: Sequence[Stuck],
        staying: Sequence[str],
        layout: Layout,
    ) -> OperationPlan:
        """Order and number the moves, and say what they change."""
        ordered = tuple(
            replace(move, id=f"m{number}")
            for number, move in enumerate(in_waves(moves, self.limits), self.wishes.first_id)
        )
        needy = tuple(sorted(stuck, key=lambda s: (s.choice is not Choice.NONE, s.vm_name)))
        after = self._after(ordered)
        involved = {self.host, *(end for m in ordered for end in (m.source, m.target))}
        rooms = tuple(
            self._room(h, ordered, after[h.name]) for h in self.snapshot.hosts if h.name in involved
        )
        return OperationPlan(
            self.kind,
            self.host,
            self.now,
            self.limits,
            ordered,
            needy,
            tuple(staying),
            rooms,
            layout.outlook,
            outlook_words(layout.outlook, needy, ordered),
            self._spare(ordered, after),
            effects_of(self.kind, self.host, ordered, needy),
            warned=gathered(layout.warned),
        )

    def _after(self, moves: Sequence[Move]) -> dict[str, list[Vm]]:
        """Active VMs of each host once all is done."""
        going = {m.uuid: m for m in moves}
        after: dict[str, list[Vm]] = {h.name: [] for h in self.snapshot.hosts}
        for host in self.snapshot.hosts:
            after[host.name] += [vm for vm in host.vms if vm.state.active and vm.uuid not in going]
        for move in moves:
            if move.verb is not MoveVerb.SHUTDOWN:
                after[move.target].append(self.vms[move.uuid])
        return after

    def _room(self, host: Host, moves: Sequence[Move], after: Sequence[Vm]) -> Room:
        memory_total, vcpus_total = totals(host, self.limits)
        memory, vcpus = given(v for v in host.vms if v.state.active)
        memory_after, vcpus_after = given(after)
        arrivals = sum(m.target == host.name and m.verb is not MoveVerb.SHUTDOWN for m in moves)
        return Room(
            host.name,
            arrivals,
            memory_total,
            memory,
            memory_after,
            vcpus_total,
            vcpus,
            vcpus_after,
        )

    def _spare(self, moves: Sequence[Move], after: Mapping[str, Sequence[Vm]]) -> Check:
        out = {self.host} if self.kind is OperationKind.DRAIN else set()
        rest = [h.name for h in self.snapshot.hosts if h.name not in out and not self.takes(h)]
        room = {name: self.bins[name].copy() for name in rest}
        for move in moves:
            if move.target in room and move.verb is MoveVerb.MIGRATE:
                room[move.target].take(need_of(self.vms[move.uuid]))
        loads = {name: [(v.memory, v.vcpus) for v in after[name]] for name in rest}
        return spare_check(room, loads, [n for n in rest if n not in self.wishes.cordoned])
