"""Plans of start, shutdown, reboot, reset, pause, resume, force-off and autostart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from console.policy.draft import Draft
from console.policy.subject import Subject
from console.policy.verbs import Verb
from console.policy.virsh import domain_arg, virsh
from drivers.model.job import Action, Request, Step
from drivers.model.problem import Problem
from drivers.model.vm import Vm, VmState

RUNNING = frozenset({VmState.RUNNING, VmState.BLOCKED})
OFF = frozenset({VmState.OFF, VmState.CRASHED})
PAUSED = frozenset({VmState.PAUSED})
ACTIVE = frozenset(state for state in VmState if state.active)

SHUTDOWN_WAIT_S = 60.0
"""How long a guest may take to power down before forcing it is offered."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one action runs: from which states, by which command, to which states."""

    verb: Verb
    command: str
    start: frozenset[VmState]
    end: frozenset[VmState]
    wait_s: float
    effect: str
    title: str


_RULES: Mapping[Action, _Rule] = MappingProxyType(
    {
        Action.START: _Rule(
            Verb.START, "start", OFF, ACTIVE, 30, "{vm} boots on {host}", "Start {vm}"
        ),
        Action.SHUTDOWN: _Rule(
            Verb.SHUTDOWN, "shutdown", RUNNING, OFF, SHUTDOWN_WAIT_S,
            "the guest of {vm} is asked to power down; nothing is forced", "Shut down {vm}",
        ),
        Action.REBOOT: _Rule(
            Verb.REBOOT, "reboot", RUNNING, RUNNING, 30,
            "the guest of {vm} is asked to reboot; its services stop meanwhile", "Reboot {vm}",
        ),
        Action.RESET: _Rule(
            Verb.RESET, "reset", RUNNING | PAUSED, ACTIVE, 30,
            "{vm} restarts at once; what its guest had not written is lost", "Reset {vm}",
        ),
        Action.PAUSE: _Rule(
            Verb.PAUSE, "suspend", RUNNING, PAUSED, 30,
            "{vm} stops computing until it is resumed; its memory stays", "Pause {vm}",
        ),
        Action.RESUME: _Rule(
            Verb.RESUME, "resume", PAUSED, RUNNING, 30, "{vm} goes on computing", "Resume {vm}"
        ),
        Action.FORCE_OFF: _Rule(
            Verb.FORCE_OFF, "destroy", ACTIVE, OFF, 30,
            "{vm} loses power at once; what its guest had not written is lost", "Force off {vm}",
        ),
    }
)  # fmt: skip

_ASLEEP = {
    VmState.SUSPENDED: "its guest sleeps (S3): wake it from outside, or force it off",
    VmState.STOPPING: "it is shutting down: wait, or force it off",
    VmState.UNKNOWN: "refresh until its state is known",
}


def plan_lifecycle(subject: Subject, request: Request) -> Draft:
    """The draft of a lifecycle action; its state was read no longer ago than may be trusted."""
    if request.action in (Action.AUTOSTART_ON, Action.AUTOSTART_OFF):
        return _autostart(subject, request.action)
    rule, vm, host = _RULES[request.action], subject.vm, subject.host
    title = rule.title.format(vm=vm.name)
    if vm.state not in rule.start:
        return Draft(title, refusal=_wrong_state(vm, request.action, rule))
    wait_s = rule.wait_s
    if request.action is Action.SHUTDOWN:
        try:
            wait_s = _seconds(request.options.get("wait_s", ""), rule.wait_s)
        except ValueError:
            return Draft(title, refusal=_bad_wait(request.options["wait_s"]))
    command = virsh(host.spec.uri, rule.command, domain_arg(vm))
    act = Step(rule.verb, f"{rule.command} {vm.name} on {host.name}", command)
    effects = [rule.effect.format(vm=vm.name, host=host.name)]
    if request.action in (Action.FORCE_OFF, Action.SHUTDOWN) and not vm.persistent:
        effects.append(f"{vm.name} is transient: once off, its definition is gone; its disks stay")
    return Draft(title, (act, _wait(subject, request.action, rule, wait_s)), (), tuple(effects))


def _wait(subject: Subject, action: Action, rule: _Rule, wait_s: float) -> Step:
    wanted = sorted(rule.end)
    names = "off" if rule.end == OFF else "/".join(wanted) if len(wanted) < 3 else "running"
    args = {"states": ",".join(wanted), "wait_s": f"{wait_s:g}"}
    if action is Action.SHUTDOWN:
        args["offer"] = Action.FORCE_OFF.value
    command = virsh(subject.host.spec.uri, "domstate", domain_arg(subject.vm), "--reason")
    text = f"read its state until it is {names}, at most {wait_s:g} s"
    return Step(Verb.WAIT_STATE, text, command, args)


def _autostart(subject: Subject, action: Action) -> Draft:
    vm, host, on = subject.vm, subject.host, action is Action.AUTOSTART_ON
    word = "on" if on else "off"
    title = f"Turn autostart {word} for {vm.name}"
    if not vm.persistent:
        return Draft(
            title,
            refusal=Problem(
                f"{vm.name} is transient: it has no definition that could start with the host",
                proof=f"not persistent on {host.name}",
                fix="define it first",
                code="wrong-state",
            ),
        )
    if vm.autostart is on:
        return Draft(
            title,
            refusal=Problem(
                f"autostart of {vm.name} is already {word}",
                proof=f"read from {host.name}",
                code="wrong-state",
            ),
        )
    words = ["autostart", domain_arg(vm), *([] if on else ["--disable"])]
    args = {"on": "yes" if on else "no"}
    steps = (
        Step(Verb.AUTOSTART, title[0].lower() + title[1:], virsh(host.spec.uri, *words), args),
        Step(
            Verb.CHECK_AUTOSTART,
            "read the setting back",
            virsh(host.spec.uri, "dominfo", domain_arg(vm)),
            args,
        ),
    )
    verb = "starts" if on else "no longer starts"
    return Draft(title, steps, (), (f"{vm.name} {verb} with {host.name}",))


def _seconds(text: str, default: float) -> float:
    value = float(text) if text else default
    if not 0 < value <= 86_400:
        raise ValueError(text)
    return value


def _bad_wait(text: str) -> Problem:
    return Problem(
        "wait_s must be seconds between 1 and 86400", proof=f"given: {text!r}", code="bad-option"
    )


def _wrong_state(vm: Vm, action: Action, rule: _Rule) -> Problem:
    proof = f"state {vm.state.value}" + (f" ({vm.reason})" if vm.reason else "") + f" on {vm.host}"
    what = f"{vm.name} cannot {_words(action)}: it is {vm.state.value}"
    fix = _ASLEEP.get(vm.state, "")
    if vm.state in rule.end and action not in (Action.REBOOT, Action.RESET):
        what = f"{vm.name} is already {vm.state.value}"
    elif vm.state is VmState.PAUSED:
        fix = "resume it first" if action is not Action.START else "resume it instead of starting"
    elif vm.state in OFF:
        fix = "start it first"
    elif action is Action.RESUME:
        what = f"{vm.name} is not paused"
    return Problem(what, proof=proof, fix=fix, code="wrong-state")


def _words(action: Action) -> str:
    words = {Action.PAUSE: "be paused", Action.RESET: "be reset", Action.FORCE_OFF: "be forced off"}
    return words.get(action, action.value.replace("shutdown", "shut down"))
