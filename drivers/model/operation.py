"""Work on whole hosts: cordons, and operations that move many VMs by one recorded plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.model.job import Check
from drivers.model.migration import AS_USUAL, MoveProfile
from drivers.model.problem import Problem
from drivers.model.trace import Span
from drivers.model.upgrade import Stage, UpgradeRules


@dataclass(frozen=True, slots=True)
class Cordon:
    """A host that takes no new VMs; ``since`` is epoch seconds, ``by`` is ``user@machine``."""

    host: str
    since: float
    by: str
    reason: str = ""


class OperationKind(StrEnum):
    """DRAIN empties a host, RETURN brings its VMs back, UNDO takes back what was done so far.

    UPGRADE takes hosts through a drain, commands and a return, each host by stages.
    """

    DRAIN = "drain"
    RETURN = "return"
    UNDO = "undo"
    UPGRADE = "upgrade"


class MoveVerb(StrEnum):
    """What a move does to its VM."""

    MIGRATE = "migrate"
    SHUTDOWN = "shutdown"
    START = "start"


class MoveState(StrEnum):
    """How a move stands. BLOCKED: its check said no just now; it is looked at again."""

    PENDING = "pending"
    RUNNING = "running"
    BLOCKED = "blocked"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"

    @property
    def ended(self) -> bool:
        """True when nothing more will be tried by itself."""
        return self in (MoveState.DONE, MoveState.FAILED, MoveState.DROPPED)


DEFECT = "defect"
"""Code of the problem of an operation whose console failed itself: nobody drives it."""


class Choice(StrEnum):
    """What a person decides for a VM that cannot simply move; NONE is no decision yet."""

    NONE = ""
    LEAVE = "leave"
    SHUTDOWN = "shutdown"
    COPY = "copy"
    MOVE = "move"


class Outlook(StrEnum):
    """Whether every VM has a place.

    IMPOSSIBLE: a complete search found none. NOT_PROVEN: the search was cut short.
    """

    POSSIBLE = "possible"
    IMPOSSIBLE = "impossible"
    NOT_PROVEN = "not proven"


class OperationState(StrEnum):
    """State of an operation; RUNNING with a dead owner waits to be resumed."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True when nothing more will happen by itself."""
        return self in (OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED)


class WishVerb(StrEnum):
    """What can be asked of an operation under way; SKIP: count what failed as done, and go on."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked of an operation, at ``at`` (epoch seconds); its owner obeys."""

    operation: str
    verb: WishVerb
    at: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds at every step of an operation.

    Attributes:
        per_host: Moves at a time that leave or enter one host.
        per_link: Moves at a time from one host to one other.
        vcpu_overcommit: vCPUs a host may be given for each of its CPUs.
        memory_overcommit: Bytes a host may promise its guests for each byte it has.
        memory_reserve: Bytes of each host that are never given to guests.
        small: Bytes of memory up to which a guest counts as small: its move is over so soon that
            more of them at a time take nothing from one another.
        small_per_host: Moves at a time on one host while the one that begins is small.
        small_per_link: The same from one host to one other.
    """

    per_host: int = 2
    per_link: int = 2
    vcpu_overcommit: float = 1.0
    memory_overcommit: float = 1.0
    memory_reserve: int = 0
    small: int = 0
    small_per_host: int = 0
    small_per_link: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """One step of an operation: one VM.

    Attributes:
        id: Unique within the operation, stable when the rest is planned anew.
        target: Where it goes; the same as ``source`` for a shutdown or a start.
        reason: Why this target.
        wave: Moves of one wave may run side by side; for the reader, from 1.
        after: Ids of moves that must be done before this one may begin.
        memory: Bytes.
        copy_bytes: Bytes of storage copied along.
        paused: Somebody chose to move it although it is paused.
    """

    id: str
    verb: MoveVerb
    uuid: str
    vm_name: str
    source: str
    target: str
    reason: str = ""
    wave: int = 1
    after: tuple[str, ...] = ()
    memory: int = 0
    vcpus: int = 0
    copy_bytes: int = 0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Stuck:
    """A VM that cannot simply move: why, what may be chosen, and what was chosen."""

    uuid: str
    vm_name: str
    why: Problem
    choices: tuple[Choice, ...]
    choice: Choice = Choice.NONE


@dataclass(frozen=True, slots=True)
class Room:
    """What a host has given to its active VMs, before and after; bytes and vCPUs.

    ``memory_total`` and ``vcpus_total`` are what it may give, overcommit included; 0 is not known.
    """

    host: str
    arrivals: int
    memory_total: int
    memory_before: int
    memory_after: int
    vcpus_total: int
    vcpus_before: int
    vcpus_after: int


@dataclass(frozen=True, slots=True)
class UpgradeHost:
    """One host of an upgrade as planned.

    Attributes:
        batch: Hosts of one batch may be out together; batches go one after another, from 1.
        moves: Where its VMs go meanwhile, as things stand now.
        spare: N+1 while its batch is out.
        kernel: What runs there now.
        pools: Pools and networks that must be active again afterwards.
    """

    host: str
    batch: int
    stages: tuple[Stage, ...]
    moves: tuple[Move, ...] = ()
    spare: Check | None = None
    kernel: str = ""
    pools: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """What makes an operation an upgrade.

    Attributes:
        hosts: In order; the first is the canary, a batch of its own.
        choices: VM UUID to what was decided for it.
        low: The hosts that carry on while the fullest batch is out: the low point of capacity.
        move_s: Seconds that moving VMs away and back takes, estimated; None where not known.
        limit_s: Seconds after which commands and reboots count as failed, all in all.
        checks: What a person should know before it begins.
    """

    rules: UpgradeRules
    hosts: tuple[UpgradeHost, ...]
    choices: tuple[tuple[str, Choice], ...] = ()
    low: tuple[Room, ...] = ()
    move_s: float | None = None
    limit_s: float = 0.0
    checks: tuple[Check, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts in order."""
        return tuple(h.host for h in self.hosts)


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """Exactly what an operation will do, made from one snapshot. ``refusal``: it cannot run.

    Attributes:
        host: The host to be emptied or filled again; of an upgrade all hosts, with commas.
        moves: In order.
        stuck: VMs that need a choice, or that were left out by one.
        staying: VMs that stay and need none, each with why, such as a VM that is off.
        rooms: Every host that gives or takes.
        outlook: Whether all VMs that could move at all have a place.
        outlook_text: That in one sentence.
        spare: Whether the rest still carries all VMs when one more host is lost.
        effects: What will be different, in sentences: the blast radius.
        profile: How its live migrations are carried out.
        warned: What speaks against moves without barring them, said once for all VMs alike.
    """

    kind: OperationKind
    host: str
    made_at: float
    limits: Limits
    moves: tuple[Move, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    staying: tuple[str, ...] = ()
    rooms: tuple[Room, ...] = ()
    outlook: Outlook = Outlook.POSSIBLE
    outlook_text: str = ""
    spare: Check | None = None
    effects: tuple[str, ...] = ()
    refusal: Problem | None = None
    upgrade: UpgradePlan | None = None
    profile: MoveProfile = AS_USUAL
    warned: tuple[Check, ...] = ()

    @property
    def undecided(self) -> tuple[Stuck, ...]:
        """VMs that still need a choice; the plan does not run before each has one."""
        return tuple(s for s in self.stuck if s.choice is Choice.NONE)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host involved, the operation's own first."""
        if self.upgrade is not None:
            away = (m.target for h in self.upgrade.hosts for m in h.moves)
            return tuple(dict.fromkeys((*self.upgrade.names, *away)))
        ends = (end for move in self.moves for end in (move.source, move.target))
        return tuple(dict.fromkeys((self.host, *ends)))


@dataclass(frozen=True, slots=True)
class StageRun:
    """What became of one stage of an upgrade.

    Attributes:
        ticket: The drain or return that carries it out, or the name of the command on its host;
            recorded before that is begun.
        boot: Id of the boot in which it was begun.
        kernel: Release that ran then.
        output: The last of what its command printed.
    """

    stage: Stage
    state: MoveState = MoveState.PENDING
    ticket: str = ""
    tries: int = 0
    boot: str = ""
    kernel: str = ""
    output: str = ""
    note: str = ""
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class MoveRun:
    """What became of one move.

    Attributes:
        ticket: Id of the job plan that carries it out, recorded before the job is begun: by it the
            job is found again. Empty before there is one.
        tries: How often a job was begun for it.
        jobs: Every job it was ever given, oldest first.
        note: Why it is blocked, failed or dropped, or how it ended.
    """

    move: Move
    state: MoveState = MoveState.PENDING
    ticket: str = ""
    tries: int = 0
    jobs: tuple[str, ...] = ()
    started_at: float | None = None
    ended_at: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as the store holds it; every change is durable before it is acted on.

    Attributes:
        actor: Who asked for it, ``user@machine``.
        outcome: How far it is or how it ended, in one sentence.
        owner: The console that runs it, ``user@host:pid:start``; empty when none does.
        excluded: Targets ruled out since the plan was made, because they died.
        barred: Targets ruled out for as long as it lasts, because they are emptied next.
        pins: (VM UUID, target) as a person wants it.
        parent: The operation this one takes back, or the upgrade it is part of.
        stages: Of an upgrade, in order of hosts.
        dismissed: It failed, and a person has seen that and let it rest.
        trace: What was done outside of its jobs, with times: its plan, leases, checks.
    """

    id: str
    plan: OperationPlan
    state: OperationState = OperationState.RUNNING
    runs: tuple[MoveRun, ...] = ()
    actor: str = ""
    owner: str = ""
    created_at: float = 0.0
    ended_at: float | None = None
    problem: Problem | None = None
    outcome: str = ""
    excluded: tuple[str, ...] = ()
    pins: tuple[tuple[str, str], ...] = ()
    parent: str = ""
    stages: tuple[StageRun, ...] = ()
    trace: tuple[Span, ...] = ()
    dismissed: bool = False
    barred: tuple[str, ...] = ()

    @property
    def shut(self) -> tuple[str, ...]:
        """Hosts that take none of the VMs that wait."""
        return (*self.barred, *self.excluded)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host involved, the operation's own first."""
        if self.plan.upgrade is not None:
            return self.plan.hosts
        ends = (end for run in self.runs for end in (run.move.source, run.move.target))
        return tuple(dict.fromkeys((self.plan.host, *ends)))
