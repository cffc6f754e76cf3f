"""``novacron check``: the doctor. What works, what does not, what that disables, and the fix."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from console.headless.context import Context
from console.headless.prompter import TerminalPrompter
from console.headless.status import Exit
from console.poller.lateness import Lateness
from drivers.errors import DriverError
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import HostSpec
from drivers.model.job import Check, Verdict
from drivers.open import probe_host
from drivers.ssh.desk import Desk
from screens.format import clean
from screens.render.degraded import suspicion

_MARKS = {
    Verdict.OK: "ok     ",
    Verdict.WARN: "WARN   ",
    Verdict.BLOCKED: "BLOCKED",
    Verdict.NOT_TESTED: "not run",
}


def run_check(args: argparse.Namespace, context: Context) -> int:
    """Probe each host and print its findings; 0 when nothing is blocked."""
    source = context.source(args.host or "")
    hosts, late_s = asyncio.run(_probe_all(source.specs))
    found = {**hosts, **_keys(context)}
    if args.json:
        report = {
            name: [{**asdict(c), "verdict": str(c.verdict)} for c in checks]
            for name, checks in found.items()
        }
        print(json.dumps(report, indent=2))
    else:
        for name, checks in found.items():
            _print_host(name, checks)
    bad = any(c.verdict is Verdict.BLOCKED for checks in hosts.values() for c in checks)
    if bad and all(
        any(c.verdict is Verdict.BLOCKED for c in checks) for checks in hosts.values()
    ) and len(hosts) > 1:  # fmt: skip
        told = suspicion(FleetSnapshot(late_s=late_s))
        print(f"Every host has a blocked check: {told}.", file=sys.stderr)
    return Exit.UNREACHABLE if bad else Exit.OK


def _keys(context: Context) -> dict[str, tuple[Check, ...]]:
    """What is wrong with the remapped keys; the console leaves those out."""
    wanted = context.fleet.keys
    if not wanted:
        return {}
    from console.app import NovaCronApp  # the interface, for its bindings
    from console.keys import check_keys, scopes_of

    problems = check_keys(wanted, scopes_of(NovaCronApp)).problems
    told = tuple(Check("keys", Verdict.WARN, p.what, p.proof, p.fix) for p in problems)
    fine = Check("keys", Verdict.OK, f"{len(wanted)} remapped, none clashes")
    return {"[keys]": told or (fine,)}


async def _probe_all(
    specs: tuple[HostSpec, ...],
) -> tuple[dict[str, tuple[Check, ...]], float]:
    """The checks of each host, and by how many seconds the probing itself ran late at most."""
    prompter, desk, lateness = TerminalPrompter(), Desk(), Lateness()
    beating = asyncio.create_task(lateness.run())

    async def one(spec: HostSpec) -> tuple[Check, ...]:
        try:
            return await probe_host(spec, prompter, desk)
        except DriverError as error:
            p = error.problem
            return (Check("connection", Verdict.BLOCKED, p.what, p.proof, p.fix),)

    results = await asyncio.gather(*(one(spec) for spec in specs))
    late_s = lateness.worst()
    beating.cancel()
    return {spec.name: checks for spec, checks in zip(specs, results, strict=True)}, late_s


def _print_host(name: str, checks: tuple[Check, ...]) -> None:
    print(name)
    for check in checks:
        proof = f"  ({clean(check.proof)})" if check.proof else ""
        print(f"  {_MARKS[check.verdict]} {check.name}: {clean(check.text)}{proof}")
        if check.fix and check.verdict is not Verdict.OK:
            print(f"          fix: {clean(check.fix)}")
