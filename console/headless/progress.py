"""An operation's plan and progress on a terminal, or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from console.headless.upgrade_words import print_upgrade, stage_line, stages_json
from drivers.model.operation import Choice, MoveState, MoveVerb, Operation, OperationPlan
from screens.format import clean, size
from store.plain import to_plain


def say(text: str) -> None:
    """A line for a person, on standard error."""
    print(clean(text), file=sys.stderr)


def print_plan(plan: OperationPlan, *, as_json: bool) -> None:
    """The plan in words on standard error, and whole as JSON on standard output if wanted."""
    say(f"{str(plan.kind).capitalize()} of {plan.host}")
    for stuck in plan.stuck:
        choices = ", ".join(f"--{c}" for c in stuck.choices)
        chosen = f"chosen: {stuck.choice}" if stuck.choice is not Choice.NONE else choices
        say(f"  cannot simply move: {stuck.vm_name} ({stuck.why.proof}); {chosen}")
    wave = 0
    for move in plan.moves:
        if move.wave != wave:
            wave = move.wave
            say(f"  wave {wave}")
        where = f" to {move.target}" if move.verb is MoveVerb.MIGRATE else ""
        say(f"    {move.verb} {move.vm_name}{where} ({size(move.memory)}): {move.reason}")
    for line in filter(None, (*plan.staying, plan.outlook_text, *plan.effects)):
        say(f"  {line}")
    for check in plan.warned:
        fix = f". Fix: {check.fix}" if check.fix else ""
        say(f"  {check.name}: {check.verdict}: {check.text} ({check.proof}){fix}")
    for room in plan.rooms:
        total = f" of {size(room.memory_total)}" if room.memory_total else ""
        say(f"  {room.host}: {size(room.memory_before)} given before, "
            f"{size(room.memory_after)} after{total}; "
            f"vCPUs {room.vcpus_before} before, {room.vcpus_after} after")  # fmt: skip
    if plan.upgrade is not None:
        print_upgrade(plan.upgrade, say)
    if plan.spare is not None:
        say(f"  {plan.spare.name}: {plan.spare.verdict}: {plan.spare.text} ({plan.spare.proof})")
    if plan.refusal is not None:
        say(f"Refused: {plan.refusal}")
    elif plan.undecided:
        names = ", ".join(s.vm_name for s in plan.undecided)
        shared = [c for c in plan.undecided[0].choices
                  if all(c in s.choices for s in plan.undecided)]  # fmt: skip
        ways = ", ".join([*(f"--{c} all" for c in shared), "or one for each by its name"])
        say(f"Refused: a choice is needed for {names}. Fix: {ways}")
    if as_json:
        print(json.dumps(to_plain(plan), indent=2))


class OperationWatch:
    """Prints how an operation goes: words on a terminal, JSON lines if wanted."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._told: dict[str, tuple[MoveState, str]] = {}

    def __call__(self, operation: Operation) -> None:
        """One change of the operation."""
        sentence = operation.outcome
        if self._json:
            print(json.dumps(_json(operation, sentence)), flush=True)
            return
        for run in operation.runs:
            state = (run.state, run.note)
            if self._told.get(run.move.id) != state and run.state is not MoveState.PENDING:
                note = f": {run.note}" if run.note else ""
                print(clean(f"{run.move.vm_name} {run.state}{note}"), flush=True)
            self._told[run.move.id] = state
        for stage in operation.stages:
            state = (stage.state, stage.note)
            if self._told.get(stage.stage.id) != state and stage.state is not MoveState.PENDING:
                print(stage_line(stage), flush=True)
            self._told[stage.stage.id] = state
        if operation.state.ended or sys.stdout.isatty():
            print(clean(sentence), flush=True)


def _json(operation: Operation, sentence: str) -> dict[str, object]:
    return {
        "operation": operation.id,
        "kind": str(operation.plan.kind),
        "host": operation.plan.host,
        "state": str(operation.state),
        "progress": sentence,
        "moves": [
            {
                "vm": run.move.vm_name,
                "uuid": run.move.uuid,
                "verb": str(run.move.verb),
                "from": run.move.source,
                "to": run.move.target,
                "state": str(run.state),
                "jobs": list(run.jobs),
                "note": run.note,
            }
            for run in operation.runs
        ],
        **({"stages": stages_json(operation)} if operation.stages else {}),
        "problem": asdict(operation.problem) if operation.problem else None,
    }
