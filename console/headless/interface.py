"""``novacron`` and ``novacron demo``: the interface over a fleet."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from console.choices import keeper, read_choices, usual_theme
from console.config.paths import user_paths
from console.config.schema import FleetFile
from console.engine import Engine
from console.headless.context import Context
from console.headless.status import Exit
from console.loading import loading
from console.sources import FleetSource, simulated_fleet
from drivers.errors import DriverError
from drivers.scratch import Scratch
from store.api import Store

SIMULATED_HOSTS = 6
PAINTS_A_SECOND = "120"
"""Textual waits for its next frame; at its own 60 a key that meets a reading waits 16 ms more."""
SWITCH_S = 0.001
"""A key waits for the engine's thread at most this long; Python's own 5 ms add up in a paint."""


def run_open(args: argparse.Namespace, context: Context) -> int:
    """Open the console on the configured hosts, or on those given as URIs."""
    return _show(args, context, context.source(), context.open_store)


def run_demo(args: argparse.Namespace) -> int:
    """Open the console on the practice fleet, or on a simulated one."""
    if args.simulated:
        return _on_simulated(args)
    from console.headless.lab import demo_source

    try:
        source = demo_source(args)
    except DriverError as error:
        print(error, file=sys.stderr)
        if _wants_simulated():
            return _on_simulated(args)
        print("Without it: novacron demo --simulated", file=sys.stderr)
        return Exit.FAILED
    return _on_practice(args, source, user_paths(args.config).data / "practice")


def _wants_simulated() -> bool:
    """Whether the person at the terminal takes a simulated fleet for a real one."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    print("Open a simulated fleet instead? [Y/n] ", end="", file=sys.stderr, flush=True)
    try:
        return input().strip().lower() in ("", "y", "yes")
    except EOFError:  # Ctrl-D: no
        return False


def _on_simulated(args: argparse.Namespace) -> int:
    source = simulated_fleet(args.hosts or SIMULATED_HOSTS, args.vms, args.seed)
    with Scratch(large=True).passing() as folder:
        return _on_practice(args, source, folder)


def _on_practice(args: argparse.Namespace, source: FleetSource, folder: Path) -> int:
    paths = replace(user_paths(args.config), data=folder)
    context = Context(paths, FleetFile())
    return _show(args, context, source, context.open_store)


def _show(
    args: argparse.Namespace, context: Context, source: FleetSource, store: Callable[[], Store]
) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(
            "The console needs a terminal. Headless verbs: novacron --help.",
            file=sys.stderr,
        )
        return Exit.USAGE
    os.environ.setdefault("TEXTUAL_FPS", PAINTS_A_SECOND)
    with loading():
        from console.app import NovaCronApp
        from console.appsettings import AppSettings
        from console.config.profiles import profile_options

    kept = read_choices(context.paths.settings)
    ui = context.fleet.ui
    settings = AppSettings(
        fleet=source.name,
        theme=args.theme
        or kept.get("theme")
        or ui.theme
        or usual_theme(os.environ)
        or AppSettings().theme,
        ascii=args.ascii or kept.get("ascii", "") == "on" or ui.ascii or not _unicode(),
        keys=context.fleet.keys,
        save_to=context.paths.pictures,
        keep=keeper(context.paths.settings),
        profiles={name: profile_options(p) for name, p in context.fleet.profiles.items()},
    )
    sys.setswitchinterval(SWITCH_S)
    engine = Engine(source, store=store, interval_s=context.fleet.history.interval)
    app = NovaCronApp(engine, settings=settings)
    app.run()
    return app.return_code or Exit.OK


def _unicode() -> bool:
    """Whether the terminal takes UTF-8, by the locale's own words."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG", "")
    return "utf" in locale.lower() or (not locale and "utf" in (sys.stdout.encoding or "").lower())
