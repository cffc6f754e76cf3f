"""Plans, checks and problems as paragraphs."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.model.job import Check, Confirm, Plan, TargetFit, Verdict
from drivers.model.problem import Problem
from screens.format import clean, plural
from screens.prose import BAD, BLANK, CODE, DIM, GOOD, HEAD, WARN, Para, block, para

_STYLES = {Verdict.OK: GOOD, Verdict.WARN: WARN, Verdict.BLOCKED: BAD, Verdict.NOT_TESTED: DIM}
_WIDTH = max(len(verdict.value) for verdict in Verdict) + 2


def problem_text(problem: Problem) -> list[Para]:
    """What happened, its proof and its fix, in full."""
    lines = block(problem.what, BAD)
    if problem.proof:
        lines += block(problem.proof, label="  proof: ")
    if problem.fix:
        lines += block(problem.fix, label="  fix:   ")
    return lines


def check_text(check: Check) -> list[Para]:
    """One check: the verdict as a word, what was looked at, its proof and its fix."""
    word = check.verdict.value.upper() if check.verdict is Verdict.BLOCKED else check.verdict.value
    label = f"  {word:<{_WIDTH}}"
    told = f"{check.name}: {check.text}" if check.name else check.text
    lines = [para(told, label=label, label_style=_STYLES[check.verdict])]
    indent = " " * len(label)
    if check.proof and check.proof != check.text:
        lines += block(check.proof, DIM, label=indent)
    if check.fix and check.verdict is not Verdict.OK:
        lines += block(check.fix, label=f"{indent}fix: ")
    return lines


_WORST = (Verdict.BLOCKED, Verdict.WARN, Verdict.NOT_TESTED, Verdict.OK)


def worst_first(checks: Sequence[Check]) -> list[Para]:
    """Checks in words: what speaks against comes before what is well."""
    ordered = sorted(checks, key=lambda check: _WORST.index(check.verdict))
    return [line for check in ordered for line in check_text(check)]


def plan_text(plan: Plan) -> list[Para]:
    """One plan in full: what speaks against it, its steps, and at the end what is well."""
    lines: list[Para] = []
    if plan.refusal is not None:
        lines += [para("This cannot be done now", HEAD), *problem_text(plan.refusal), BLANK]
    lines += [para(effect, label="* ") for effect in plan.effects]
    if plan.effects:
        lines.append(BLANK)
    well = [check for check in plan.checks if check.verdict is Verdict.OK]
    against = [check for check in plan.checks if check.verdict is not Verdict.OK]
    if against:
        lines += [para("Checks that are not ok", HEAD), *worst_first(against), BLANK]
    if plan.steps:
        lines.append(para("Steps", HEAD))
        lines += [
            para(step.text, label=f"  {number}. ", label_style=DIM)
            for number, step in enumerate(plan.steps, 1)
        ]
        lines.append(BLANK)
    if well:
        count = f"{len(well)} of {plural(len(plan.checks), 'check')}"
        lines += [para(f"{count}, in full at the end", GOOD, label="ok: ", label_style=GOOD), BLANK]
    by_hand = virsh_text(plan)
    lines += [*by_hand, BLANK] if by_hand and well else by_hand
    return [*lines, *([para("Checks that are ok", HEAD), *worst_first(well)] if well else [])]


def virsh_text(plan: Plan) -> list[Para]:
    """The plan as command lines that do the same."""
    commands = [step.virsh for step in plan.steps if step.virsh]
    if not commands:
        return []
    lines = [para("The same by hand", HEAD)]
    for command in commands:
        lines += block(command, CODE, label="  $ ")
    return lines


def bulk_text(plans: Sequence[Plan]) -> list[Para]:
    """Many plans: what will run, what will not and why, warnings, then each in full."""
    able = [plan for plan in plans if plan.refusal is None]
    refused = [plan for plan in plans if plan.refusal is not None]
    lines = [para(f"{plural(len(able), 'VM')} of {len(plans)} will be acted on:", HEAD)]
    lines += [para(plan.title or plan.vm_name, label="  ") for plan in able]
    if refused:
        lines += [BLANK, para(f"{plural(len(refused), 'VM')} left alone:", HEAD)]
    for plan in refused:
        lines.append(para(plan.title or plan.vm_name, label="  "))
        if plan.refusal is not None:
            lines += block(plan.refusal.what, BAD, label="    ")
            if plan.refusal.fix:
                lines += block(plan.refusal.fix, label="    fix: ")
    for plan in able:
        lines += [BLANK, para(plan.title or plan.vm_name, HEAD), *plan_text(plan)]
    return lines


def preview_title(plans: Sequence[Plan]) -> str:
    """One line over the preview."""
    if len(plans) == 1:
        plan = plans[0]
        return clean(plan.title) or f"{plan.request.action.value} {clean(plan.vm_name)}"
    return f"{_deed(plans[0])}: {plural(len(plans), 'VM')}" if plans else "Nothing"


def _deed(plan: Plan) -> str:
    """What is done in a word: a plan that only finishes a migration migrates nothing."""
    return plan.label.partition(":")[0].lower() or plan.request.action.value


def strictest(plans: Sequence[Plan]) -> Confirm:
    """What a person must do before these plans run."""
    ranks = (Confirm.NONE, Confirm.YES, Confirm.TYPED)
    able = [ranks.index(plan.confirm) for plan in plans if plan.refusal is None]
    return ranks[max(able, default=0)]


def confirm_word(plans: Sequence[Plan]) -> str:
    """What must be typed: the VM's name, its UUID's head where the name cannot be typed, or,
    for many, the action and how many."""
    able = [plan for plan in plans if plan.refusal is None]
    if len(able) == 1:
        name = clean(able[0].vm_name).strip()
        return name or able[0].request.uuid[:8]
    return f"{_deed(able[0])} {len(able)}" if able else ""


MODES = {
    "p2p": "Peer to peer: the hosts do it themselves; if this console dies, the migration goes on.",
    "managed": "Managed by this console: if it dies, libvirt tries to cancel and go on at the "
    "source, and the guest may be left paused there.",
    "live": "Copied while the VM runs, then switched over; if this console dies, the VM stays on "
    "the old disk until the job is resumed.",
    "cold": "Copied while the VM is off; if this console dies, the old volume stays in use.",
}
"""What a way of moving means, and what a dying console would mean for it."""


def fit_text(fit: TargetFit | None) -> list[Para]:
    """How a target would be used, and what speaks for and against it."""
    if fit is None:
        return []
    told = any(check.name == "mode" for check in fit.reasons)
    lines = [] if told or not fit.mode or not fit.fits else [para(MODES.get(fit.mode, fit.mode))]
    return lines + worst_first(fit.reasons)
