"""``novacron status``: how the fleet stands, in one screenful."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from console.config.schema import FleetFile
from console.headless.context import Context
from console.headless.session import Session, has_rates, open_session
from console.headless.status import Exit
from console.sources import FleetSource, simulated_fleet
from drivers.errors import DriverError
from drivers.model.host import LinkState
from drivers.scratch import Scratch
from screens.base import View
from screens.format import clean, plural
from screens.render.operations import operation_title
from screens.render.problems import SIGNS, Trouble, troubles
from screens.render.states import states_of, why
from store.api import Store, StoreError

_SHOWN = 8
"""Lines of each part; JSON has them all."""

_ASK_S = 20.0
"""Seconds that hosts and history are given to tell of operations and leases."""

NOTE = 2
"""From this rank on somebody should know, and nothing is wrong."""


def run_status(args: argparse.Namespace, context: Context) -> int:
    """Read the fleet once and tell how it stands; FAILED where something wants attention."""
    if not args.simulated:
        return _tell(args, context, context.source())
    with Scratch(large=True).passing() as folder:
        own = Context(replace(context.paths, data=folder), FleetFile())
        return _tell(args, own, simulated_fleet(args.hosts, args.vms, args.seed))


def _tell(args: argparse.Namespace, context: Context, source: FleetSource) -> int:
    view = _recorded(context, View(fleet=source.name))
    with open_session(source, context.open_store) as session:
        snapshot = session.wait(has_rates, args.deadline)
        view = replace(view, now=snapshot.at, snapshot=snapshot, store=session.store)
        leases = _leases(session)
    if args.json:
        print(json.dumps(as_json(view, leases), indent=2, ensure_ascii=False))
    else:
        print("\n".join(overview(view, leases)))
    return Exit.FAILED if any(t.rank < NOTE for t in troubles(view)) else Exit.OK


def _recorded(context: Context, view: View) -> View:
    """The view with what the history knows of jobs, operations and cordons."""
    if not context.database.exists():
        return view
    try:
        store: Store = context.open_store()
    except StoreError as error:
        print(error, file=sys.stderr)
        return view
    try:
        jobs = {j.id: j for j in (*store.jobs(), *store.jobs(unfinished=True))}
        kept = store.operations
        known = {o.id: o for o in (*kept.recorded(), *kept.recorded(unfinished=True))}
        cordons = tuple(store.operations.cordons())
    except StoreError as error:
        print(error, file=sys.stderr)
        return view
    finally:
        store.close()
    return replace(
        view, jobs=tuple(jobs.values()), operations=tuple(known.values()), cordons=cordons
    )


def _leases(session: Session) -> dict[str, str]:
    try:
        return session.engine.maintenance.leases().result(_ASK_S)
    except (DriverError, TimeoutError) as error:
        print(f"Who holds leases could not be asked: {error}", file=sys.stderr)
        return {}


def overview(view: View, leases: Mapping[str, str]) -> Iterator[str]:
    """Lines for a terminal: counts first, then what each is about."""
    hosts = view.snapshot.hosts
    if view.snapshot.simulated:
        yield "SIMULATED: these hosts are make-believe"
    sites = Counter(host.spec.site or "no site" for host in hosts)
    yield _line("sites", ", ".join(f"{s}: {plural(n, 'host')}" for s, n in sorted(sites.items())))
    yield _line("hosts", _counted(Counter(str(h.link.state) for h in hosts)))
    out = (h for h in hosts if h.link.state is not LinkState.UP)
    yield from _items(f"{h.name} {h.link.state}: {why(h)}".rstrip(": ") for h in out)
    yield _line("VMs", _counted(_vm_states(view)))
    found = troubles(view)
    yield _line("alerts", str(len(found)) if found else "none")
    yield from _items(f"{SIGNS[t.rank]} {t.subject}: {t.text}" for t in found)
    for name, items in _work(view, leases).items():
        yield _line(name, str(len(items)) if items else "none")
        yield from _items(items)


def _work(view: View, leases: Mapping[str, str]) -> dict[str, list[str]]:
    """What is under way, and what keeps others out."""
    operations = [o for o in view.operations if not o.state.ended]
    return {
        "operations": [f"{operation_title(o)} {o.state}: {o.outcome} ({o.id})" for o in operations],
        "jobs": [f"{j.plan.title} {j.state} ({j.id})" for j in view.jobs if not j.state.ended],
        "cordons": [f"{c.host}, by {c.by}: {c.reason}".rstrip(": ") for c in view.cordons],
        "leases": [f"{host}: {holder}" for host, holder in sorted(leases.items())],
    }


def as_json(view: View, leases: Mapping[str, str]) -> dict[str, object]:
    """The same for programs, nothing left out."""
    hosts, work = view.snapshot.hosts, _work(view, leases)
    return {
        "simulated": view.snapshot.simulated,
        "sites": dict(Counter(host.spec.site for host in hosts)),
        "hosts": dict(Counter(str(h.link.state) for h in hosts)),
        "not_up": {h.name: why(h) for h in hosts if h.link.state is not LinkState.UP},
        "vms": dict(_vm_states(view)),
        "alerts": [_alert(trouble) for trouble in troubles(view)],
        **work,
        "leases": dict(leases),
    }


def _alert(trouble: Trouble) -> dict[str, object]:
    sign = SIGNS[trouble.rank].lower()
    return {"rank": sign, "subject": trouble.subject, "text": trouble.text}


def _vm_states(view: View) -> Counter[str]:
    states: Counter[str] = Counter()
    for host in view.snapshot.hosts:
        for state, count in states_of(host, view.now).items():
            states["stale" if state is None else str(state)] += count
    return states


def _counted(states: Counter[str]) -> str:
    parts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()) if count)
    return f"{states.total()}: {parts}" if parts else "none"


def _line(name: str, text: str) -> str:
    return f"{name:<10} {text}"


def _items(texts: Iterable[str]) -> Iterator[str]:
    lines = list(texts)
    yield from (f"{'':<10} {clean(line)}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"{'':<10} and {len(lines) - _SHOWN} more"
