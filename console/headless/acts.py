"""``novacron start|shutdown|...|migrate|tier``: the same plan, preview and job as the screens."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace

from console.config.profiles import named_profile
from console.headless.context import Context
from console.headless.lists import report_down
from console.headless.session import Session, Unknown, has_pools, known_hosts, open_session
from console.headless.status import Exit
from drivers.model.job import Action, Confirm, Job, JobState, Plan, Request, Verdict
from drivers.model.problem import Problem
from drivers.model.vm import JobProgress
from screens.format import clean, rate, size
from screens.render.cockpit import band


def run_action(args: argparse.Namespace, context: Context) -> int:
    """Plan the action for the named VMs, show the preview, confirm, run and follow it."""
    profile = getattr(args, "profile", "")
    found = named_profile(context.fleet, profile) if profile else {}
    if isinstance(found, Problem):
        print(found, file=sys.stderr)
        return Exit.USAGE
    args.profile_options = found
    with open_session(context.source(), context.open_store) as session:
        session.wait(has_pools, args.deadline)
        try:
            requests = tuple(_request(args, session, name) for name in args.vm)
        except Unknown:
            report_down(session.snapshot)
            raise
        return run_plans(args, session, session.plan(requests))


def run_plans(args: argparse.Namespace, session: Session, plans: tuple[Plan, ...]) -> int:
    """Show plans, ask, run and follow them; the exit status."""
    dry = getattr(args, "dry_run", False)
    for plan in plans:
        _preview(plan)
    refused = any(plan.refusal for plan in plans)
    if args.json and (refused or dry):
        print(json.dumps([plan_json(p) for p in plans], indent=2))
    if refused:
        return Exit.REFUSED
    if dry:
        return Exit.OK
    if not all(_confirmed(plan, args.yes) for plan in plans):
        print("Nothing was done.", file=sys.stderr)
        return Exit.REFUSED
    jobs = session.follow(plans, _Watch(args.json or not sys.stdout.isatty()))
    left_out = len(plans) - len(jobs)
    if left_out:
        print(f"{left_out} of {len(plans)} were not started:", file=sys.stderr)
        for event in session.not_started:
            print(clean(f"  {event.text} ({event.detail})"), file=sys.stderr)
    done = not left_out and all(job.state is JobState.DONE for job in jobs)
    return Exit.OK if done else Exit.FAILED


def plan_json(plan: Plan) -> dict[str, object]:
    """A plan as plain values."""
    return {
        "vm": plan.vm_name,
        "host": plan.host,
        "title": plan.title,
        "steps": [{"verb": s.verb, "text": s.text, "virsh": s.virsh} for s in plan.steps],
        "checks": [{**asdict(c), "verdict": str(c.verdict)} for c in plan.checks],
        "effects": list(plan.effects),
        "refusal": asdict(plan.refusal) if plan.refusal else None,
    }


def _request(args: argparse.Namespace, session: Session, name: str) -> Request:
    action = Action(args.action)
    vm = session.find(name)
    options: dict[str, str] = {}
    if action is Action.TIER:
        disks = [d.target for d in vm.disks if d.device == "disk"]
        if not args.disk and len(disks) != 1:
            raise Unknown(f"{vm.name} has {len(disks)} disks.", ", ".join(disks), "say --disk")
        options = {
            "disk": args.disk or disks[0],
            "keep_old": _word(args.keep_old),
            "bandwidth_mib": str(args.bandwidth),
        }
    elif action is Action.MIGRATE:
        known_hosts(session.snapshot, (args.to,))
        options = {**args.profile_options, **_migration(args)}
    elif action is Action.DELETE:
        options = {"volumes": ",".join(args.with_disk or ()), "nvram": _word(args.nvram)}
    elif action is Action.SHUTDOWN:
        options = {"wait_s": str(args.wait)}
    return Request(
        action, vm.uuid, getattr(args, "to", "") or "", {k: v for k, v in options.items() if v}
    )


def _migration(args: argparse.Namespace) -> dict[str, str]:
    """What the command line itself says, over the profile it names."""
    said = {
        "mode": "" if args.mode == "auto" else args.mode,
        "bandwidth_mib": str(args.bandwidth or ""),
        "remove_source": _word(args.remove_source),
        "downtime_ms": str(args.downtime or ""),
        "auto_converge": _word(args.auto_converge),
        "post_copy": _word(args.post_copy),
        "compression": args.compression,
        "parallel": str(args.parallel or ""),
        "tunnelled": _word(args.tunnelled),
        "finish_s": str(args.finish or ""),
        "levers": args.levers,
        "compression_level": str(args.compression_level or ""),
        "incremental": _word(args.incremental),
        "persist": args.persist,
        "keep_source": _word(args.keep_source),
        "carry_on": _word(args.carry_on),
        "migrate_uri": args.migrate_uri,
        "timeout_s": str(args.timeout or ""),
        "at_timeout": args.at_timeout,
    }
    return {name: text for name, text in said.items() if text}


def _word(chosen: bool) -> str:
    return "yes" if chosen else ""


def _preview(plan: Plan) -> None:
    def say(text: str) -> None:
        print(clean(text), file=sys.stderr)

    say(plan.title)
    for check in plan.checks:
        if check.verdict is not Verdict.OK:
            proof = f" ({check.proof})" if check.proof else ""
            say(f"  {check.verdict}: {check.text}{proof}")
    for step in plan.steps:
        say(f"  {step.text}")
        if step.virsh:
            say(f"    $ {step.virsh}")
    for effect in plan.effects:
        say(f"  {effect}")
    if plan.refusal:
        say(f"Refused: {plan.refusal}")


def _confirmed(plan: Plan, yes: bool) -> bool:
    if plan.confirm is Confirm.NONE or yes:
        return True
    if not sys.stdin.isatty():
        print("This needs a confirmation: run it with --yes.", file=sys.stderr)
        return False
    if plan.confirm is Confirm.TYPED:
        print(f"Type the VM's name ({clean(plan.vm_name)}) to go on: ", end="", file=sys.stderr)
        sys.stderr.flush()
        return _answer() == plan.vm_name
    return answered_yes()


def answered_yes() -> bool:
    """Ask whether to go on; no where nobody can be asked."""
    if not sys.stdin.isatty():
        print("This needs a confirmation: run it with --yes.", file=sys.stderr)
        return False
    print("Go on? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return _answer().strip().lower() in ("y", "yes")


def _answer() -> str:
    """A line from the terminal; Ctrl-D is no answer."""
    try:
        return input()
    except EOFError:
        return ""


class _Watch:
    """Prints a job's course: words on a terminal, JSON lines anywhere else."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json

    def __call__(self, job: Job) -> None:
        if self._json:
            print(json.dumps(_job_json(job)), flush=True)
        elif job.state.ended:
            problem = f" {job.problem}" if job.problem else ""
            print(clean(f"{job.plan.vm_name}: {job.state}. {job.outcome}{problem}"))
        elif job.progress and sys.stderr.isatty():
            line = clean(f"{job.plan.vm_name}: {_progress(job.progress)}")
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _progress(p: JobProgress) -> str:
    parts = [p.phase]
    if p.done is not None and p.total:
        parts.append(f"{size(p.done)} of {size(p.total)}")
    if p.rate_bps is not None:
        parts.append(rate(p.rate_bps))
    if p.outlook is not None:
        parts += filter(None, (str(p.outlook.pace), band(p.outlook)))
    elif p.eta_s is not None:
        parts.append(f"{p.eta_s:.0f} s left")
    return ", ".join(parts)


def _job_json(job: Job) -> dict[str, object]:
    return {
        "job": job.id,
        "vm": job.plan.vm_name,
        "action": str(job.plan.request.action),
        "state": str(job.state),
        "progress": asdict(replace(job.progress, trail=())) if job.progress else None,
        "steps": [{"text": s.step.text, "state": str(s.state)} for s in job.steps],
        "outcome": job.outcome,
        "problem": asdict(job.problem) if job.problem else None,
        "followup": list(job.followup),
    }
