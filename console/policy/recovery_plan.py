"""Plans that finish or undo what an interrupted job left behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from console.policy.protect import confirm_for, protection_problem
from console.policy.recovery import (
    FINISH,
    RECOVER,
    Left,
    forgets_source,
    is_offline,
    steps_of,
    tier_paths,
)
from console.policy.truth import Whereabouts, doubled, held, where_sentence, whereabouts
from console.policy.verbs import Verb
from console.policy.virsh import virsh
from drivers.model.host import HostSpec
from drivers.model.job import Action, Check, Confirm, Job, JobState, Plan, Step, Verdict
from drivers.model.kept import OLD, old_copies
from drivers.model.problem import Problem


def recovery_plan(
    job: Job, choice: str, left: Left, specs: Mapping[str, HostSpec], *, now: float, plan_id: str
) -> Plan:
    """The plan for ``finish``, ``undo`` or ``recover`` of a job, given what was found just now.

    Its first step takes over the old job's facts, so that a second interruption loses nothing.
    """
    request, name = job.plan.request, job.plan.vm_name
    word = choice.capitalize()
    steps, effects = _steps(job, choice, left, specs)
    spec = specs.get(job.plan.host)
    refusal = None
    if spec is None:
        refusal = Problem(f"{job.plan.host} is not in this fleet", code="unknown-target")
    elif not left.source.known or not left.target.known or not left.known:
        why = left.source.why or left.target.why or "its running job could not be read"
        refusal = Problem(
            f"where {name} is cannot be read now, so nothing is done",
            proof=why,
            fix="ask again once the hosts answer",
            code="unreachable",
        )
    elif not steps:
        refusal = _nothing(job, choice, left)
    else:
        refusal = protection_problem(spec, request.action)
    confirm = confirm_for(request.action, spec.protect) if spec else Confirm.YES
    adopt = Step(
        Verb.ADOPT,
        f"take over what job {job.id} left",
        args={**_inherited(job), "choice": choice},
    )
    return Plan(
        plan_id,
        request,
        name,
        job.plan.host,
        now,
        f"{word}: {job.plan.title}",
        () if refusal else (adopt, *steps),
        (),
        confirm,
        () if refusal else effects,
        refusal,
        _label(steps) if choice == FINISH else word,
    )


def _arrived_too(left: Left) -> bool:
    """The target runs it, and no migration is left that could end its source's older copy."""
    return not left.running and (
        doubled(left.source, left.target) or held(left.source, left.target)
    )


def _nothing(job: Job, choice: str, left: Left) -> Problem:
    """Why there is no step: nothing is left, or what would have to go is in use."""
    name, target, copies = job.plan.vm_name, job.plan.request.target, old_copies(job)
    if _arrived_too(left):
        return Problem(
            f"{name} has arrived: the copy on {job.plan.host} is the older one",
            proof=where_sentence(name, (left.source, left.target)),
            fix=f"finish job {job.id} instead: that ends the older copy",
            code="arrived",
        )
    if job.state is not JobState.DONE or not copies:
        proof = "read from the hosts just now"
        return Problem(f"there is nothing left to {choice}", proof=proof, code="done")
    paths = ", ".join(copies.values())
    return Problem(
        f"{name} does not run on its copy on {target} now, so {paths} on {job.plan.host} is kept",
        proof=where_sentence(name, (left.source, left.target)),
        fix=f"finish once it runs there, or delete it by hand if nothing needs it and dismiss "
        f"job {job.id}",
        code="elsewhere",
    )


_FINISHES = (
    ((Verb.FOLLOW_MIGRATION,), "Finish: follow it"),
    ((Verb.BLOCK_COPY, Verb.CREATE_VOLUME, Verb.CLONE), "Finish: copy it"),
    ((Verb.REMOVE_OLD, Verb.REMOVE_SOURCE), "Finish: delete the old copy"),
    ((Verb.DELETE_VOLUME,), "Finish: delete its disks"),
)
"""What finishing is called by the first of these steps that it has."""


def _label(steps: Sequence[Step]) -> str:
    verbs = {step.verb for step in steps}
    return next((label for some, label in _FINISHES if verbs.intersection(some)), "Finish")


def take_over_plan(job: Job, *, now: float, plan_id: str) -> Plan:
    """The plan that treats a job as left behind, though its console could not be asked.

    It reads the hosts and changes none; what may be finished or undone is offered next.
    """
    name = job.plan.vm_name
    check = Check(
        "console",
        Verdict.WARN,
        "whether the console that runs this job still lives cannot be told from here",
        proof=job.owner,
        fix="look on that machine, and end it there if it hangs",
    )
    step = Step(
        Verb.TAKE_OVER,
        f"read the hosts, and offer to finish or undo what job {job.id} left",
        args={"origin": job.id},
    )
    effects = (
        f"the job counts as left behind by {job.owner}",
        f"if that console lives, two consoles act on {name}: make sure that it does not",
    )
    return Plan(
        plan_id,
        job.plan.request,
        name,
        job.plan.host,
        now,
        f"Take over: {job.plan.title}",
        (step,),
        (check,),
        Confirm.TYPED,
        effects,
        label="Take over",
    )


_PASSING = ("verified", "compared", "phase", "unread", "choice")
"""Facts that the next job must establish anew."""


def _inherited(job: Job) -> dict[str, str]:
    facts = {key: text for key, text in job.facts.items() if key not in _PASSING}
    older = job.facts.get("origin", "")
    olds = {f"{OLD}{disk}": path for disk, path in old_copies(job).items()}
    return {**facts, **olds, "origin": f"{older},{job.id}" if older else job.id}


def _steps(
    job: Job, choice: str, left: Left, specs: Mapping[str, HostSpec]
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    action = job.plan.request.action
    if action is Action.MIGRATE:
        return _migration(job, choice, left, specs)
    if action is Action.TIER:
        return _tier(job, choice, left, specs)
    if action is Action.DELETE and choice == FINISH:
        steps = tuple(s for s in steps_of(job, Verb.DELETE_VOLUME) if s.args["path"] in left.old)
        return steps, tuple(f"{s.args['path']} is DELETED" for s in steps)
    return (), ()


def _migration(
    job: Job, choice: str, left: Left, specs: Mapping[str, HostSpec]
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    target = job.plan.request.target
    # The source's volumes go only where that was asked for: before, or now that all is done.
    verify = steps_of(job, Verb.VERIFY_MIGRATION, Verb.REMOVE_SOURCE)
    if job.state is JobState.DONE:
        verify = (*steps_of(job, Verb.VERIFY_MIGRATION), *_removals(job, specs))
    name = job.plan.vm_name
    if choice == RECOVER:
        begun = steps_of(job, Verb.MIGRATE, Verb.RECOVER_MIGRATION)
        return (*(_again(step, name, target) for step in begun[:1]), *verify), (
            f"{name} goes on running on {target}, and fetches the rest of its memory",
            f"if the link breaks again, {name} stands still again and nothing more is lost",
        )
    if choice == FINISH:
        return _finish(job, left, specs, verify)
    if (left.target.active and not left.source.active) or _arrived_too(left):
        return (), ()
    if is_offline(job) and left.target.vm is not None and left.source.vm is None:
        return (), ()
    abort = Step(
        Verb.ABORT_MIGRATION,
        f"end the migration, so that {name} is on {job.plan.host} alone",
        _line(specs, target, "undefine", job.plan.request.uuid)
        if is_offline(job)
        else _line(specs, job.plan.host, "domjobabort", job.plan.request.uuid),
        {"target": target},
    )
    return (abort, *_drops(job, specs)), (
        f"{name} stays on {job.plan.host}",
        *(f"the partial copy {path} is deleted" for path in left.copies),
    )


def _finish(
    job: Job, left: Left, specs: Mapping[str, HostSpec], verify: tuple[Step, ...]
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """What is left of a migration that goes on, or that has arrived."""
    name, target = job.plan.vm_name, job.plan.request.target
    if doubled(left.source, left.target) and not left.running:
        end = Step(
            Verb.FOLLOW_MIGRATION,
            f"force off the older copy, which {job.plan.host} woke as the link broke",
            _line(specs, job.plan.host, "destroy", job.plan.request.uuid),
            {"target": target},
        )
        return (end, *(_forgetting(step, job, specs) for step in verify)), (
            f"{name} goes on on {target}",
            f"its older copy on {job.plan.host} is FORCED OFF, and {job.plan.host} forgets it",
        )
    if left.running or whereabouts(left.source, left.target) is Whereabouts.BOTH:
        follow = Step(
            Verb.FOLLOW_MIGRATION,
            "follow the migration that still runs",
            _line(specs, job.plan.host, "domjobinfo", job.plan.request.uuid),
            {"target": target},
        )
        effects = [f"{name} goes on to {target}"]
        if held(left.source, left.target):
            still = f"if {job.plan.host} goes on standing still for a minute"
            effects.append(f"{still}, the older copy there is FORCED OFF: {target} runs it")
        return (follow, *verify), tuple(effects)
    known_there = is_offline(job) and left.target.vm is not None
    if known_there and left.source.vm is not None and job.facts.get("there") == "new":
        forget = Step(
            Verb.UNDEFINE,
            f"forget {name} on {job.plan.host}, now that {target} knows it",
            _line(specs, job.plan.host, "undefine", job.plan.request.uuid, "--keep-nvram"),
            {"nvram": "no"},
        )
        verify = (forget, *verify)
    if left.target.active or known_there:
        stays = left.target.vm is not None and left.target.vm.persistent
        forgets = stays and left.source.vm is not None and forgets_source(job)
        return tuple(_forgetting(step, job, specs) if forgets else step for step in verify), (
            f"{name} stays on {target}",
            *((f"{job.plan.host} forgets it",) if forgets else ()),
            *(
                f"{s.args['path']} on {job.plan.host} is DELETED"
                for s in verify
                if s.verb == Verb.REMOVE_SOURCE
            ),
        )
    return (), ()


def _forgetting(step: Step, job: Job, specs: Mapping[str, HostSpec]) -> Step:
    """The same step; the one that reads both hosts tells that the source forgets the VM too."""
    if step.verb != Verb.VERIFY_MIGRATION:
        return step
    line = _line(specs, job.plan.host, "undefine", job.plan.request.uuid, "--keep-nvram")
    text = f"{step.text}; {job.plan.host} forgets it"
    return replace(step, text=text, virsh=" && ".join(filter(None, (step.virsh, line))))


def _removals(job: Job, specs: Mapping[str, HostSpec]) -> tuple[Step, ...]:
    """Deleting the source's volumes whose copies arrived."""
    return tuple(
        Step(
            Verb.REMOVE_SOURCE,
            f"delete {path} on {job.plan.host}, now that its copy is verified",
            _line(specs, job.plan.host, "vol-delete", path),
            {"path": path, "disk": disk},
        )
        for disk, path in old_copies(job).items()
    )


def _again(step: Step, name: str, target: str) -> Step:
    """The same migration, told to go on where it broke."""
    line = step.virsh
    if "--postcopy-resume" not in line:
        line = line.replace(" migrate --live ", " migrate --postcopy-resume --live ")
    text = f"go on with the post-copy migration of {name} to {target} where its link broke"
    return Step(Verb.RECOVER_MIGRATION, text, line, step.args)


def _tier(
    job: Job, choice: str, left: Left, specs: Mapping[str, HostSpec]
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    disk, old, new = tier_paths(job)
    vm = left.source.vm
    now = next((d.source for d in vm.disks if d.target == disk), "") if vm else ""
    ending = steps_of(job, Verb.VERIFY_DISK, Verb.REMOVE_OLD)
    if now == new:
        return (ending, (f"{disk} stays on {new}",)) if choice == FINISH else ((), ())
    if choice == FINISH and left.running:
        copy = tuple(
            Step(s.verb, "follow the copy that still runs", s.virsh, {**s.args, "attach": "yes"})
            for s in steps_of(job, Verb.BLOCK_COPY)
        )
        return (*copy, *steps_of(job, Verb.PIVOT), *ending), (f"{disk} becomes {new}",)
    drops = _drops(job, specs)
    if choice == FINISH:
        again = tuple(
            s for s in job.plan.steps
            if s.verb not in (Verb.ADOPT, Verb.DROP_VOLUME) and s.args.get("attach") != "yes"
        )  # fmt: skip
        whole = any(s.verb in (Verb.CREATE_VOLUME, Verb.CLONE) for s in again)
        effects = ("the partial copy is deleted, and the move begins anew", *job.plan.effects)
        return ((*drops, *again), effects) if whole else ((), ())
    abort = Step(
        Verb.ABORT_COPY,
        f"end the copy, so that {job.plan.vm_name} stays on {old}",
        _line(specs, job.plan.host, "blockjob", job.plan.request.uuid, disk, "--abort"),
        {"disk": disk},
    )
    return (abort, *drops), (f"{disk} stays on {old}", "the partial copy is deleted")


def _drops(job: Job, specs: Mapping[str, HostSpec]) -> tuple[Step, ...]:
    return tuple(
        Step(
            Verb.DROP_VOLUME,
            f"delete the partial copy {made['path']} on {made['host']}",
            _line(specs, made["host"], "vol-delete", made["path"]),
            {"host": made["host"], "path": made["path"]},
        )
        for made in json.loads(job.facts.get("made", "[]"))
    )


def _line(specs: Mapping[str, HostSpec], host: str, *words: str) -> str:
    return virsh(specs[host].uri, *words) if host in specs else ""
