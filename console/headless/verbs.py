"""From a verb's name to the code that runs it, imported when it is used."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from console.headless.context import context_of
from console.loading import loading


def _open(args: argparse.Namespace) -> int:
    with loading():
        from console.headless.interface import run_open

    return run_open(args, context_of(args))


def _demo(args: argparse.Namespace) -> int:
    with loading():
        from console.headless.interface import run_demo

    return run_demo(args)


def _lab(args: argparse.Namespace) -> int:
    from console.headless.lab import run_lab

    return run_lab(args)


def _init(args: argparse.Namespace) -> int:
    from console.headless.init import run_init

    return run_init(args)


def _check(args: argparse.Namespace) -> int:
    from console.headless.check import run_check

    return run_check(args, context_of(args))


def _record(args: argparse.Namespace) -> int:
    from console.headless.record import run_record
    from console.headless.unit import print_unit

    return print_unit(args) if args.unit else run_record(context_of(args))


def _list(args: argparse.Namespace) -> int:
    from console.headless.lists import run_list

    return run_list(args, context_of(args))


def _status(args: argparse.Namespace) -> int:
    from console.headless.overview import run_status

    return run_status(args, context_of(args))


def _preflight(args: argparse.Namespace) -> int:
    from console.headless.preflight import run_preflight

    return run_preflight(args, context_of(args))


def _act(args: argparse.Namespace) -> int:
    from console.headless.acts import run_action

    return run_action(args, context_of(args))


def _jobs(args: argparse.Namespace) -> int:
    from console.headless.operations import run_jobs

    return run_jobs(args, context_of(args))


def _drain(args: argparse.Namespace) -> int:
    from console.headless.drain import run_drain

    return run_drain(args, context_of(args))


def _upgrade(args: argparse.Namespace) -> int:
    from console.headless.upgrade import run_upgrade

    return run_upgrade(args, context_of(args))


def _return(args: argparse.Namespace) -> int:
    from console.headless.drain import run_return

    return run_return(args, context_of(args))


def _cordon(args: argparse.Namespace) -> int:
    from console.headless.operations import run_cordon

    return run_cordon(args, context_of(args))


def _history(args: argparse.Namespace) -> int:
    from console.headless.recorded import run_history

    return run_history(args, context_of(args))


def _sql(args: argparse.Namespace) -> int:
    from console.headless.recorded import run_sql

    return run_sql(args, context_of(args))


def _audit(args: argparse.Namespace) -> int:
    from console.headless.audit import run_audit

    return run_audit(args, context_of(args))


def _trace(args: argparse.Namespace) -> int:
    from console.headless.trace import run_trace

    return run_trace(args, context_of(args))


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "open": _open,
    "demo": _demo,
    "lab": _lab,
    "init": _init,
    "check": _check,
    "record": _record,
    "vms": _list,
    "hosts": _list,
    "volumes": _list,
    "status": _status,
    "jobs": _jobs,
    "drain": _drain,
    "return": _return,
    "upgrade": _upgrade,
    "cordon": _cordon,
    "uncordon": _cordon,
    "history": _history,
    "sql": _sql,
    "audit": _audit,
    "trace": _trace,
    "preflight": _preflight,
    "act": _act,
}
