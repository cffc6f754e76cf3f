"""Work: a request becomes a plan, the plan is previewed, and then runs as a journaled job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from drivers.model.problem import Problem
from drivers.model.trace import Span
from drivers.model.vm import JobProgress

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Action(StrEnum):
    """What can be asked for a VM."""

    START = "start"
    SHUTDOWN = "shutdown"
    REBOOT = "reboot"
    RESET = "reset"
    PAUSE = "pause"
    RESUME = "resume"
    FORCE_OFF = "force-off"
    AUTOSTART_ON = "autostart-on"
    AUTOSTART_OFF = "autostart-off"
    DELETE = "delete"
    MIGRATE = "migrate"
    TIER = "tier"


class Confirm(StrEnum):
    """What a person must do before a plan runs: nothing, say yes, or type the VM's name."""

    NONE = "none"
    YES = "yes"
    TYPED = "typed"


class Verdict(StrEnum):
    """Outcome of one check."""

    OK = "ok"
    WARN = "warn"
    BLOCKED = "blocked"
    NOT_TESTED = "not tested"


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for: an action on one VM, with options.

    Attributes:
        target: Destination host (MIGRATE) or pool (TIER); empty otherwise.
        options: Per action. MIGRATE: ``mode`` (``auto``, ``p2p``, ``managed``, ``offline``),
            and the options that ``console.policy.tuning`` knows.
            TIER: ``disk`` (target device, such as ``vda``), ``bandwidth_mib`` (for a running VM),
            ``keep_old``. DELETE: ``volumes`` (comma-separated paths to delete; empty keeps all),
            ``nvram`` (``yes`` drops it). SHUTDOWN: ``wait_s``.
    """

    action: Action
    uuid: str
    target: str = ""
    options: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at before acting, with its proof."""

    name: str
    verdict: Verdict
    text: str
    proof: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan.

    Attributes:
        verb: What the job runner executes, such as ``start``, ``migrate``, ``block-copy``.
        text: What a person reads.
        virsh: The equivalent command line; empty when there is none.
        args: Parameters of the verb.
    """

    verb: str
    text: str
    virsh: str = ""
    args: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Plan:
    """Exactly what will be done, made from one snapshot. A plan with ``refusal`` cannot run.

    ``label`` is what running it is called in a few words; empty where that is its action's name.
    """

    id: str
    request: Request
    vm_name: str
    host: str
    made_at: float
    title: str = ""
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()
    confirm: Confirm = Confirm.NONE
    effects: tuple[str, ...] = ()
    refusal: Problem | None = None
    label: str = ""


class JobState(StrEnum):
    """State of a job or of one of its steps.

    INTERRUPTED: its console ended before it did; the truth must be read from the hosts.
    """

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        """True when nothing more will happen by itself."""
        return self not in (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class StepRun:
    """What became of one step."""

    step: Step
    state: JobState = JobState.PENDING
    started_at: float | None = None
    ended_at: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A plan being carried out, as the journal holds it.

    Attributes:
        owner: Who runs it: ``user@host:pid:start`` of the console process.
        outcome: One verified sentence about how things stand now, once ended.
        followup: What is offered next, such as ``force-off`` after a shutdown nobody answered, or
            ``finish`` and ``undo`` for an interrupted job.
        facts: What a recovery must know (source and target path, disk, job handle).
        trace: Each step and each call to a host, with times.
    """

    id: str
    plan: Plan
    state: JobState = JobState.PENDING
    steps: tuple[StepRun, ...] = ()
    progress: JobProgress | None = None
    owner: str = ""
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    problem: Problem | None = None
    outcome: str = ""
    followup: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    trace: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetFit:
    """Whether a VM fits a migration target, or a disk a pool, and why not.

    ``lacking`` names options of a migration that these two hosts cannot do, each with the reason.
    """

    target: str
    fits: bool
    mode: str = ""
    reasons: tuple[Check, ...] = ()
    lacking: tuple[tuple[str, str], ...] = ()
